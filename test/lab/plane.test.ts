import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { until } from '../../lab/until.js';
import { addressOf } from '../../src/ffi.js';
import { type Millis, second } from '../../src/time.js';
import { FrameType } from '../../src/tunnel/frame.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import { system } from '../../src/tunnel/plane/linux-system.js';
import { LinuxUdp, openUdp } from '../../src/tunnel/plane/linux-udp.js';
import { Segmentation } from '../../src/tunnel/plane/segmentation.js';
import { NumberedFlows } from './numbered-flows.js';
import type { PlaneNodeOptions, WorkerCount } from './plane-node.js';

/**
 * Two planes in two namespaces joined by a veth, sessions installed by hand: real TUNs, real sockets, real offloads. The
 * same checks for each fallback that a machine may force on us.
 */
const program = new URL('./plane-node.js', import.meta.url).pathname;
const addresses = ['fd77:6566:7400:1::1', 'fd77:6566:7400:2::1'] as const;

class Side {
  static #made = 0;
  readonly namespace: string;
  readonly number: number;
  #process: ChildProcess | undefined;
  #lines: string[] = [];
  /** What the plane wrote of its events and errors. */
  said = '';

  constructor(number: number) {
    this.number = number;
    this.namespace = `weftp${process.pid}-${++Side.#made}`;
    execFileSync('ip', ['netns', 'add', this.namespace]);
  }

  ip(...args: string[]): void {
    execFileSync('ip', ['-n', this.namespace, ...args]);
  }

  /** Runs to its end in the namespace; its output. */
  async run(command: string, ...args: string[]): Promise<string> {
    const words = ['netns', 'exec', this.namespace, command, ...args];
    const { stdout } = await promisify(execFile)('ip', words, { encoding: 'utf8', timeout: 20_000 });
    return stdout;
  }

  /** Pings until something answers; 10 s at most. */
  async reach(address: string): Promise<void> {
    await this.run('ping', '-c', '1', '-i', '0.1', '-w', '10', '-q', address);
  }

  start(command: string, ...args: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.namespace, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  }

  async plane(
    options: Omit<PlaneNodeOptions, 'node' | 'tun' | 'port' | 'peers' | 'ipv4'> &
      Partial<Pick<PlaneNodeOptions, 'peers'>>,
    underlay = '11.0.0.',
  ): Promise<Record<string, unknown>> {
    const other = 3 - this.number;
    const whole: PlaneNodeOptions = {
      peers: [{ node: other, address: `${underlay}${other}`, port: 16696 }],
      ...options,
      node: this.number,
      tun: `weftp${this.number}`,
      port: 16696,
      ipv4: true,
    };
    const child = this.start(process.execPath, program, JSON.stringify(whole));
    this.#process = child;
    this.#lines = [];
    this.said = '';
    child.stderr!.on('data', (chunk) => {
      this.said += chunk;
    });
    const lines = createInterface({ input: child.stdout! });
    lines.on('line', (line) => this.#lines.push(line));
    await Promise.race([once(lines, 'line'), once(child, 'exit')]);
    const ready = this.#lines[0];
    if (!ready?.startsWith('ready')) throw new Error(`the plane did not start: ${this.said}`);
    return JSON.parse(ready.slice(6)) as Record<string, unknown>;
  }

  /** New keys, the `generation`th, with another side; done when all workers have them. */
  async renewKeys(generation: number, other = 3 - this.number): Promise<void> {
    const line = `keys ${generation} ${other}`;
    this.#process!.stdin!.write(`${line}\n`);
    await until('all workers have the keys', () => this.#lines.includes(line), Boolean, 15 * second);
  }

  /** The whole process stands still for a while, as on a machine that sleeps or starves. */
  async pause(millis: number): Promise<void> {
    this.#process!.kill('SIGSTOP');
    await sleep(millis);
    this.#process!.kill('SIGCONT');
  }

  /** Stops the plane; what it counted, on its first link and on each, and how long it took to end. */
  async stop(): Promise<{
    readonly drops: Record<string, number>;
    readonly workers: readonly WorkerCount[];
    readonly links: readonly (readonly WorkerCount[])[];
    readonly millis: number;
  }> {
    const child = this.#process!;
    child.stdin!.end();
    await once(child, 'exit');
    const { drops, workers, stopMillis } = JSON.parse(this.#lines.at(-1)!);
    return { drops, workers: workers[0], links: workers, millis: stopMillis };
  }

  remove(): void {
    this.#process?.kill('SIGKILL');
    execFileSync('ip', ['netns', 'delete', this.namespace]);
  }
}

function world(): readonly [Side, Side] {
  const sides = [new Side(1), new Side(2)] as const;
  const [a, b] = sides;
  execFileSync('ip', [
    'link',
    'add',
    'wire',
    'netns',
    a.namespace,
    'type',
    'veth',
    'peer',
    'wire',
    'netns',
    b.namespace,
  ]);
  for (const side of sides) {
    side.ip('address', 'add', `11.0.0.${side.number}/24`, 'dev', 'wire');
    side.ip('-6', 'address', 'add', `2001:db8::${side.number}/64`, 'dev', 'wire', 'nodad');
    side.ip('link', 'set', 'wire', 'up');
    side.ip('link', 'set', 'lo', 'up');
  }
  return sides;
}

/** Megabits a second of one TCP stream of 12 MB. */
async function stream(from: Side, to: Side, address: string): Promise<number> {
  const server = to.start('iperf3', '-s', '-1', '-B', address, '--forceflush');
  const ended = once(server, 'exit');
  await once(server.stdout!, 'data');
  const report = JSON.parse(await from.run('iperf3', '-c', address, '-n', '12M', '-C', 'cubic', '-J')) as {
    end: { sum_received: { bits_per_second: number } };
  };
  await ended;
  return report.end.sum_received.bits_per_second / 1e6;
}

/**
 * Super-datagrams of a program, each piece of which is to come whole. How many packets the kernel handed to the device for
 * them, and how many datagrams they were.
 */
async function superDatagrams(from: Side, to: Side, address: string): Promise<{ handed: number; datagrams: number }> {
  const sender = new URL('./super-datagrams.js', import.meta.url).pathname;
  const receiver = to.start(process.execPath, sender, 'receive', address, '7777');
  const lines = createInterface({ input: receiver.stdout! });
  await once(lines, 'line');
  const handed = async () => Number(await from.run('cat', `/sys/class/net/weftp${from.number}/statistics/tx_packets`));
  const before = await handed();
  const datagrams = Number(await from.run(process.execPath, sender, 'send', address, '7777'));
  // What is still on its way comes before the answer to a ping behind it; a packet counts when the plane has taken it.
  await from.reach(addresses[1]);
  const after = await handed();
  receiver.stdin!.end();
  const [came] = await once(lines, 'line');
  if (Number(came) !== datagrams) throw new Error(`${came} of ${datagrams} datagrams came whole`);
  return { handed: after - before, datagrams };
}

interface Variant {
  readonly name: string;
  readonly options: Parameters<Side['plane']>[0];
  readonly underlay?: string;
}

const variants: readonly Variant[] = [
  { name: 'all offloads', options: {} },
  { name: 'no USO', options: { force: { noUso: true } } },
  { name: 'no TSO', options: { force: { noTso: true, noUso: true } } },
  { name: 'no UDP GSO', options: { force: { noUdpGso: true } } },
  { name: 'no virtio header', options: { force: { noVnetHeader: true } } },
  { name: 'node:crypto', options: { force: { noEvp: true } } },
  { name: 'ChaCha20-Poly1305', options: { cipher: 'chacha20-poly1305', force: { noAes: true } } },
  { name: 'one worker', options: { workers: 1 } },
  { name: 'three workers', options: { workers: 3 } },
  { name: 'three workers, no steering', options: { workers: 3, force: { noSteering: true } } },
  { name: 'IPv4 underlay by an IPv6 socket', options: { ipv6: true } },
  { name: 'IPv6 underlay', options: { ipv6: true }, underlay: '2001:db8::' },
];

/** Where cutting, gluing or sums differ by version. */
const ipv4Too = new Set(['all offloads', 'no TSO', 'no virtio header']);

/** Where UDP is cut by us, and where by the kernel. */
const segmented = new Set(['all offloads', 'no USO']);

/** They end, and all that was sent has come, in order. */
async function allArrive(t: ExecutionContext, flows: readonly NumberedFlows[]): Promise<void> {
  for (const each of flows) {
    await until(
      'enough was sent',
      () => each.sent,
      (sent) => sent > 1000,
      10 * second,
    );
    each.stop();
    await until('all have arrived', () => each.lost.length === 0, Boolean, 10 * second).catch(() => {});
    t.deepEqual([each.lost, each.overtaken], [[], []]);
  }
}

/** What passes between two planes of this variant, and that they say what they lack. */
async function passes(t: ExecutionContext, [a, b]: readonly [Side, Side], variant: Variant): Promise<void> {
  const { name, options, underlay } = variant;
  const [capabilities] = await Promise.all([a.plane(options, underlay), b.plane(options, underlay)]);
  if (options.force?.noVnetHeader) t.false(capabilities.virtioHeader);
  if (options.force?.noTso) t.false(capabilities.tcpSegmentation);
  if (options.force?.noUso) t.false(capabilities.udpSegmentation);
  if (options.force?.noUdpGso) t.false(capabilities.udpGso);
  if (options.force?.noEvp) t.false(capabilities.evp);
  t.is(capabilities.steering, !options.force?.noSteering, name);
  t.true(capabilities.priority);
  // The wire's own address resolution comes first, and on IPv6 it may cost a packet.
  await a.reach(addresses[1]);
  // Without -w a busy machine's late answers would count as lost; what is lost in truth shows in the drops below.
  for (const size of ['56', '1332', '4000']) {
    const ping = await a.run('ping', '-c', '3', '-i', '0.02', '-w', '5', '-s', size, addresses[1]);
    // Until it has three answers ping sends more, and they may come all at once.
    const [, received] = /(\d+) received/.exec(ping) ?? [];
    t.true(Number(received) >= 3, `${name}, ${size} octets: ${ping}`);
  }
  t.true((await stream(a, b, addresses[1])) > 20, name);
  if (ipv4Too.has(name)) t.true((await stream(a, b, '10.77.0.2')) > 20, `${name}, IPv4`);
  if (segmented.has(name)) {
    for (const address of [addresses[1], '10.77.0.2']) {
      const { handed, datagrams } = await superDatagrams(a, b, address);
      const inPieces = `${name}: ${datagrams} datagrams were handed over as ${handed} packets`;
      if (capabilities.udpSegmentation) t.true(handed < datagrams / 10, inPieces);
      else t.true(handed >= datagrams, inPieces);
    }
  }
  for (const { drops, millis } of await Promise.all([a.stop(), b.stop()])) {
    t.true(millis < 1000, `${name}: ended in ${millis} ms`);
    // The kernel's own multicast (router solicitations), and probes that came before the other side had its keys.
    const { 'forbidden-destination': _multicast, 'unknown-index': _early, ...others } = drops;
    t.deepEqual(others, {}, name);
  }
}

test.serial('real packets pass between two planes, with every fallback', async (t) => {
  const left = [...variants];
  // Most of it is waiting for programs: two pairs of planes keep two cores busy.
  const next = async () => {
    const sides = world();
    try {
      for (let variant = left.shift(); variant; variant = left.shift()) await passes(t, sides, variant);
    } finally {
      for (const side of sides) side.remove();
    }
  };
  for (const { status, reason } of (await Promise.allSettled([next(), next()])) as PromiseRejectedResult[]) {
    if (status === 'rejected') throw reason;
  }
});

test.serial(
  'three workers change keys ten times under numbered flows: each lane at its worker, nothing lost or overtaken',
  async (t) => {
    const [a, b] = world();
    const flows = [
      new NumberedFlows(a.namespace, b.namespace, addresses[1], 32),
      new NumberedFlows(b.namespace, a.namespace, addresses[0], 32),
    ];
    try {
      const [capabilities] = await Promise.all([a.plane({ workers: 3 }), b.plane({ workers: 3 })]);
      t.true(capabilities.steering);
      await a.reach(addresses[1]);
      await b.reach(addresses[0]);
      for (const each of flows) each.start();
      for (let generation = 1; generation <= 10; generation++) {
        await sleep(100);
        await b.renewKeys(generation);
        await a.renewKeys(generation);
      }
      await sleep(100);
      await allArrive(t, flows);
      const [there, back] = await Promise.all([a.stop(), b.stop()]);
      t.log(
        `by worker, there: ${there.workers.map(({ sent }) => sent)}; back: ${back.workers.map(({ sent }) => sent)}`,
      );
      t.true(there.workers.every(({ sent }) => sent > 0));
      // Lane n leaves from worker n, and worker n hears it: with the wrong one at the other end the counts would not match.
      for (const [from, to] of [
        [there, back],
        [back, there],
      ] as const) {
        t.deepEqual(
          to.workers.map(({ heard }) => heard),
          from.workers.map(({ sent }) => sent),
        );
      }
      for (const { drops } of [there, back]) {
        const { 'forbidden-destination': _multicast, 'unknown-index': _early, ...others } = drops;
        t.deepEqual(others, {});
      }
    } finally {
      for (const each of flows) each.close();
      a.remove();
      b.remove();
    }
  },
);

test.serial(
  'through a relay three workers change all keys six times under numbered flows: each lane at its worker, nothing lost or overtaken',
  async (t) => {
    const [a, b, r] = [new Side(1), new Side(2), new Side(3)];
    const flows = [
      new NumberedFlows(a.namespace, b.namespace, addresses[1], 32),
      new NumberedFlows(b.namespace, a.namespace, addresses[0], 32),
    ];
    try {
      for (const end of [a, b]) {
        execFileSync('ip', [
          ...['link', 'add', 'wire', 'netns', end.namespace, 'type', 'veth'],
          ...['peer', `wire${end.number}`, 'netns', r.namespace],
        ]);
        end.ip('address', 'add', `11.0.${end.number}.2/24`, 'dev', 'wire');
        end.ip('link', 'set', 'wire', 'up');
        r.ip('address', 'add', `11.0.${end.number}.1/24`, 'dev', `wire${end.number}`);
        r.ip('link', 'set', `wire${end.number}`, 'up');
      }
      await t.throwsAsync(a.run('ip', 'route', 'get', '11.0.2.2'), { message: /unreachable/ });
      await t.throwsAsync(b.run('ip', 'route', 'get', '11.0.1.2'), { message: /unreachable/ });
      const hop = (node: number, address: string) => ({ node, address, port: 16696 });
      const capabilities = await Promise.all([
        r.plane({ workers: 3, relay: true, peers: [hop(1, '11.0.1.2'), hop(2, '11.0.2.2')] }),
        a.plane({ workers: 3, peers: [hop(3, '11.0.1.1'), { node: 2, via: 3 }] }),
        b.plane({ workers: 3, peers: [hop(3, '11.0.2.1'), { node: 1, via: 3 }] }),
      ]);
      for (const { steering } of capabilities) t.true(steering);
      await a.reach(addresses[1]);
      await b.reach(addresses[0]);
      for (const each of flows) each.start();
      for (let generation = 1; generation <= 6; generation++) {
        await sleep(100);
        for (const [lower, higher] of [
          [a, r],
          [b, r],
          [a, b],
        ] as const) {
          await higher.renewKeys(generation, lower.number);
          await lower.renewKeys(generation, higher.number);
        }
      }
      await sleep(100);
      await allArrive(t, flows);
      const [atA, atB, atR] = await Promise.all([a.stop(), b.stop(), r.stop()]);
      const [hopOfA, endOfA] = atA.links as [WorkerCount[], WorkerCount[]];
      const [hopOfB, endOfB] = atB.links as [WorkerCount[], WorkerCount[]];
      const [relayToA, relayToB] = atR.links as [WorkerCount[], WorkerCount[]];
      t.log(`by worker, there: ${endOfA.map(({ sent }) => sent)}; back: ${endOfB.map(({ sent }) => sent)}`);
      for (const end of [endOfA, endOfB]) t.true(end.every(({ sent }) => sent > 0));
      // As between neighbours on each hop; and worker n of the relay passes on by its own lane n, which worker n hears, whose
      // also is lane n of the session inside.
      const hops = [
        [hopOfA, relayToA],
        [relayToA, hopOfA],
        [relayToB, hopOfB],
        [hopOfB, relayToB],
      ] as const;
      for (const [from, to] of hops) {
        t.deepEqual(
          to.map(({ heard }) => heard),
          from.map(({ sent }) => sent),
        );
      }
      for (const [from, to] of [
        [endOfA, endOfB],
        [endOfB, endOfA],
      ] as const) {
        t.deepEqual(
          to.map(({ framesHeard }) => framesHeard),
          from.map(({ framesSent }) => framesSent),
        );
      }
      for (const { drops } of [atA, atB, atR]) {
        const { 'forbidden-destination': _multicast, 'unknown-index': _early, ...others } = drops;
        t.deepEqual(others, {});
      }
    } finally {
      for (const each of flows) each.close();
      for (const side of [a, b, r]) side.remove();
    }
  },
);

test('29: of two planes on a host the second is told that the port is in use, with a cure', async (t) => {
  const [a, b] = world();
  try {
    await a.plane({});
    const second = a.start(
      process.execPath,
      program,
      JSON.stringify({ node: 3, tun: 'weftp9', port: 16696, peers: [] }),
    );
    let said = '';
    second.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    await once(second, 'exit');
    t.regex(said, /^port-in-use: UDP port 16696 is in use by another program; stop it, or set listen$/m);
    await a.stop();
  } finally {
    a.remove();
    b.remove();
  }
});

test('a plane that was stopped for a while accuses nobody when it goes on', async (t) => {
  const [a, b] = world();
  try {
    await a.plane({});
    await b.plane({});
    await a.reach(addresses[1]);
    const flow = a.start('ping', '-n', '-q', '-i', '0.02', '-w', '6', addresses[1]);
    for (const millis of [300, 1500, 700]) {
      const before = b.said.length;
      await b.pause(millis);
      // Who is accused for our own absence is so at our first look at the clock. What is said later may be true: the other
      // end waits for a processor.
      await sleep(150);
      t.notRegex(b.said.slice(before), /suspected|silent/);
    }
    flow.kill('SIGKILL');
    await Promise.all([a.stop(), b.stop()]);
  } finally {
    a.remove();
    b.remove();
  }
});

test.serial(
  'what is too short for a frame waits in the socket of handshakes, and an empty datagram ends no reading',
  async (t) => {
    const workers = 2;
    const udp = openUdp({
      port: 0,
      address: '127.0.0.1',
      sockets: workers,
      mark: 0,
      ipv6: false,
      noUdpGso: false,
      noSteering: false,
    });
    const arena = new Arena(addressOf);
    const sender = createSocket('udp4');
    t.teardown(() => {
      sender.close();
      for (const fd of [...udp.sockets, udp.handshakes!]) system.close(fd);
    });
    const frame = (length: number, index: number) => {
      const bytes = new Uint8Array(length);
      if (length > 0) bytes[0] = FrameType.packet;
      if (length > 7) bytes[7] = index;
      return bytes;
    };
    // Loopback delivers before the send is over.
    const datagrams = [frame(0, 0), frame(1, 0), frame(7, 0), frame(31, 1), frame(0, 0), frame(32, 1), frame(33, 0)];
    for (const bytes of datagrams) await new Promise((resolve) => sender.send(bytes, udp.port, '127.0.0.1', resolve));
    const lengths = (fd: number) => {
      const port = new LinuxUdp(fd, udp, arena, new Segmentation(udp.segmentation, () => 0));
      const all: number[] = [];
      for (let length = port.receive(arena.udpIn, arena.udpInLength); length !== 0; ) {
        all.push(length);
        length = port.receive(arena.udpIn, arena.udpInLength);
      }
      return all;
    };
    t.deepEqual([...udp.sockets, udp.handshakes!].map(lengths), [[33], [32], [-1, 1, 7, 31, -1]]);
  },
);

test('a device that takes less than before costs a flow two packets, not those of seconds', async (t) => {
  const apart: Millis = 50;
  const [a, b] = world();
  try {
    await Promise.all([a.plane({}), b.plane({})]);
    await a.reach(addresses[1]);
    const isMeasured = () => [a, b].every(({ said }) => said.includes('"mtu":1472'));
    await until('the path is measured', isMeasured, Boolean, 10 * second);
    const flow = a.start('ping', '-n', '-i', `${apart / 1000}`, '-c', '50', '-w', '8', '-s', '1332', addresses[1]);
    let said = '';
    flow.stdout!.on('data', (chunk) => {
      said += chunk;
    });
    await once(flow.stdout!, 'data');
    const began = performance.now();
    for (const side of [a, b]) side.ip('link', 'set', 'wire', 'mtu', '1400');
    // While its ends differ the wire swallows what the narrower one cannot take, and neither is told.
    const swallowed = Math.ceil((performance.now() - began) / apart);
    await once(flow, 'close');
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said) ?? [];
    t.true(Number(sent) - Number(received) <= 3 + swallowed, `${swallowed} swallowed at most: ${said.slice(-300)}`);
    await Promise.all([a.stop(), b.stop()]);
  } finally {
    a.remove();
    b.remove();
  }
});

for (const { family, victim, other, way, told, full, narrow } of [
  {
    family: 'IPv4',
    victim: '11.0.0.1',
    other: '11.0.0.2',
    way: ['route', 'get', '11.0.0.2'],
    told: 600,
    full: 1472,
    narrow: 28,
  },
  {
    family: 'IPv6',
    victim: '2001:db8::1',
    other: '2001:db8::2',
    way: ['-6', 'route', 'get', '2001:db8::2'],
    told: 1280, // less is not believed (RFC 8201 §4)
    full: 1452,
    narrow: 48,
  },
] as const) {
  test(`a forged word that a packet was too big shrinks no path, though the kernel believes it; a path that shrinks is followed (${family})`, async (t) => {
    const [a, b] = world();
    const attacker = new Side(3);
    try {
      execFileSync('ip', [
        ...['link', 'add', 'side', 'netns', a.namespace, 'type', 'veth'],
        ...['peer', 'side', 'netns', attacker.namespace],
      ]);
      for (const side of [a, attacker]) {
        side.ip('address', 'add', `12.0.0.${side.number}/24`, 'dev', 'side');
        side.ip('-6', 'address', 'add', `2001:db8:1::${side.number}/64`, 'dev', 'side', 'nodad');
        side.ip('link', 'set', 'side', 'up');
      }
      attacker.ip('route', 'add', '11.0.0.0/24', 'via', '12.0.0.1');
      attacker.ip('-6', 'route', 'add', '2001:db8::/64', 'via', '2001:db8:1::1');
      const ipv6 = family === 'IPv6';
      // Else what is narrow below would meet many datagrams in one piece, as no wire carries them.
      const options = { ipv6, force: { noUdpGso: true } };
      for (const side of [a, b]) await side.plane(options, ipv6 ? '2001:db8::' : '11.0.0.');
      await a.reach(addresses[1]);
      const size = () => Number([...a.said.matchAll(/"mtu":(\d+)/g)].at(-1)?.[1] ?? 0);
      await until('the path is measured', size, (octets) => octets === full, 10 * second);
      const cut = async () =>
        (await a.run('cat', '/proc/net/snmp', '/proc/net/snmp6')).match(/Ip6FragCreates\s+\d+/)![0];
      const before = await cut();

      // Longer than it takes to find that a path has shrunk: its size is looked at every 3 s, and four times.
      const flow = a.start('ping', '-n', '-i', '0.05', '-c', '120', '-w', '10', '-s', '1332', addresses[1]);
      let said = '';
      flow.stdout!.on('data', (chunk) => {
        said += chunk;
      });
      const ended = once(flow, 'close');
      const forge = new URL('./forged-too-big.js', import.meta.url).pathname;
      for (let i = 0; i < 5; i++) {
        const child = attacker.start(process.execPath, forge, victim, other, `${told}`);
        t.deepEqual(await once(child, 'exit'), [0, null]);
      }
      t.true((await a.run('ip', ...way)).includes(`mtu ${told}`), 'the kernel believes it');
      await ended;
      // Until the answer to the last one is there ping sends more.
      const answered = new Set([...said.matchAll(/icmp_seq=(\d+) /g)].map(([, number]) => Number(number)));
      const lost = Array.from({ length: 120 }, (_, i) => i + 1).filter((number) => !answered.has(number));
      t.deepEqual(lost, [], said.slice(-300));
      t.is(size(), full);
      t.is(await cut(), before);

      const drop =
        'table inet narrow { chain in { type filter hook prerouting priority -400; iifname wire meta length > 1300 drop; }; }';
      for (const side of [a, b]) await side.run('/usr/sbin/nft', drop);
      a.start('ping', '-n', '-q', '-i', '0.05', '-w', '12', '-s', '1332', addresses[1]);
      const fits = (octets: number) => octets > 1100 && octets <= 1300 - narrow;
      await until('the shrunk path is followed', size, fits, 12 * second, () => a.said);
      await a.run('ping', '-n', '-q', '-c', '5', '-i', '0.05', '-w', '3', '-s', '1332', addresses[1]);
      await Promise.all([a.stop(), b.stop()]);
    } finally {
      for (const side of [a, b, attacker]) side.remove();
    }
  });
}
