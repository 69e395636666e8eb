import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { addressOf, foreignIfAny } from '../../../src/ffi.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { EvpAead } from '../../../src/tunnel/plane/linux-evp.js';
import { system } from '../../../src/tunnel/plane/linux-system.js';
import { openTun, type TunQueues } from '../../../src/tunnel/plane/linux-tun.js';
import { openUdp } from '../../../src/tunnel/plane/linux-udp.js';

/**
 * What a kernel, a Node.js or a processor refuses by itself must lead where `force.*` leads: calls are refused here one by
 * one.
 */
const calls = system as { -readonly [call in keyof typeof system]: (typeof system)[call] };
const real = { ...system };
test.afterEach(() => {
  Object.assign(calls, real);
});

const setOffload = 0x400454d0;
const uso = 0x60;
const tso = 0x0e;

/** A TUN whose kernel refuses offloads with any of these bits; `asked` gets what it was asked for, in order. */
function tunRefusing(bits: number, asked: number[] = []): Omit<TunQueues, 'queues'> {
  calls.open = ((_path: string) => real.open('/dev/null', 0, 0)) as typeof system.open;
  calls.ioctl = ((_fd: number, request: number, argument: number) => {
    if (request !== setOffload) return 0;
    asked.push(argument);
    return (argument & bits) === 0 ? 0 : -1;
  }) as typeof system.ioctl;
  const options = { name: 'test', queues: 2, persistent: false, noVnetHeader: false, noTso: false, noUso: false };
  const { queues, ...kind } = openTun(options);
  for (const fd of queues) real.close(fd);
  return kind;
}

for (const [kernel, bits, times, kind] of [
  ['that grants all', 0, 1, { tcpSegmentation: true, udpSegmentation: true }],
  ['without USO', uso, 2, { tcpSegmentation: true, udpSegmentation: false }],
  ['without TSO, which none has USO without', uso | tso, 3, { tcpSegmentation: false, udpSegmentation: false }],
  ['without open sums', 0x7f, 3, { tcpSegmentation: false, udpSegmentation: false }],
] as const) {
  test.serial(`a kernel ${kernel}: what it grants is used`, (t) => {
    const asked: number[] = [];
    t.deepEqual(tunRefusing(bits, asked), { virtioHeader: true, ...kind });
    t.deepEqual(asked, [0x01 | tso | uso, 0x01 | tso, 0x01].slice(0, times), 'all is asked for, then less');
  });
}

const options = {
  ...{ port: 0, address: '127.0.0.1', sockets: 2, mark: 0, ipv6: false, noUdpGso: false, noSteering: false },
} as const;

/** The sockets of a kernel that refuses an option of a level. */
function udpRefusing(level: number, option: number) {
  calls.setsockopt = ((fd: number, at: number, what: number, value: number, length: number) =>
    at === level && what === option ? -1 : real.setsockopt(fd, at, what, value, length)) as typeof system.setsockopt;
  const { sockets, handshakes, segmentation, receiveOffload } = openUdp(options);
  for (const fd of [...sockets, ...(handshakes === undefined ? [] : [handshakes])]) real.close(fd);
  return { sockets: sockets.length, steers: handshakes !== undefined, segmentation, receiveOffload };
}

for (const [kernel, level, option, found] of [
  ['that grants all', 0, 0, { steers: true, segmentation: true, receiveOffload: true }],
  ['without UDP_SEGMENT', 17, 103, { steers: true, segmentation: false, receiveOffload: true }],
  ['without UDP_GRO', 17, 104, { steers: true, segmentation: true, receiveOffload: false }],
  ['without filters of a port’s sockets', 1, 51, { steers: false, segmentation: true, receiveOffload: true }],
] as const) {
  test.serial(`a kernel ${kernel}: the sockets do without`, (t) => {
    t.deepEqual(udpRefusing(level, option), { sockets: 2, ...found });
  });
}

test('a Node.js whose OpenSSL hides any one of the functions is not sealed by', (t) => {
  const arena = new Arena(addressOf);
  const names: string[] = [];
  t.truthy(
    EvpAead.tryOpen(arena, (signature) => {
      names.push(signature);
      return foreignIfAny(signature);
    }),
  );
  t.true(names.length > 10);
  for (const hidden of names) {
    t.is(
      EvpAead.tryOpen(arena, (signature) => (signature === hidden ? undefined : foreignIfAny(signature))),
      undefined,
      hidden,
    );
  }
  t.is(foreignIfAny('int EVP_is_not_there()'), undefined);
});

const hasAes = /^flags\s*:.*\baes\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));

(hasAes && process.arch === 'x64' ? test : test.skip)(
  'AES is taken where the processor has instructions for it, and ChaCha20 where it has none',
  (t) => {
    const module = join(import.meta.dirname, '../../../src/tunnel/plane/linux-cipher-speed.js');
    const script = `import(${JSON.stringify(`file://${module}`)}).then(({ isAesFaster }) => process.stdout.write(String(isAesFaster())))`;
    const isFaster = (mask: NodeJS.ProcessEnv) =>
      execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env: { ...process.env, ...mask } });
    t.is(isFaster({}), 'true');
    t.is(isFaster({ OPENSSL_ia32cap: '~0x200000200000000' }), 'false', 'without AES and carry-less multiplication');
  },
);
