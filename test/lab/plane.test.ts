import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'ava';
import type { PlaneNodeOptions } from './plane-node.js';

/**
 * Two planes in two namespaces joined by a veth, sessions installed by hand: real TUNs, real sockets, real offloads. The
 * same checks for each fallback that a machine may force on us.
 */
const program = new URL('./plane-node.js', import.meta.url).pathname;
const addresses = ['fd77:6566:7400:1::1', 'fd77:6566:7400:2::1'] as const;

class Side {
  readonly namespace: string;
  readonly number: number;
  #process: ChildProcess | undefined;
  #lines: string[] = [];

  constructor(number: number) {
    this.number = number;
    this.namespace = `weftp${process.pid}${number}`;
    execFileSync('ip', ['netns', 'add', this.namespace]);
  }

  ip(...args: string[]): void {
    execFileSync('ip', ['-n', this.namespace, ...args]);
  }

  /** Runs to its end in the namespace; its output. */
  run(command: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.namespace, command, ...args], {
      encoding: 'utf8',
      timeout: 20_000,
    });
  }

  start(command: string, ...args: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.namespace, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  }

  async plane(
    options: Omit<PlaneNodeOptions, 'node' | 'tun' | 'port' | 'peers' | 'ipv4'>,
  ): Promise<Record<string, unknown>> {
    const other = 3 - this.number;
    const whole: PlaneNodeOptions = {
      ...options,
      node: this.number,
      tun: `weftp${this.number}`,
      port: 16696,
      ipv4: true,
      peers: [{ node: other, address: `11.0.0.${other}`, port: 16696 }],
    };
    const child = this.start(process.execPath, program, JSON.stringify(whole));
    this.#process = child;
    this.#lines = [];
    let errors = '';
    child.stderr!.on('data', (chunk) => {
      errors += chunk;
    });
    const lines = createInterface({ input: child.stdout! });
    lines.on('line', (line) => this.#lines.push(line));
    await Promise.race([once(lines, 'line'), once(child, 'exit')]);
    const ready = this.#lines[0];
    if (!ready?.startsWith('ready')) throw new Error(`the plane did not start: ${errors}`);
    return JSON.parse(ready.slice(6)) as Record<string, unknown>;
  }

  /** Stops the plane; what it counted, and how long it took to end. */
  async stop(): Promise<{ drops: Record<string, number>; millis: number }> {
    const child = this.#process!;
    const started = Date.now();
    child.stdin!.end();
    await once(child, 'exit');
    const report = JSON.parse(this.#lines.at(-1)!) as { drops: Record<string, number> };
    return { drops: report.drops, millis: Date.now() - started };
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
    side.ip('link', 'set', 'wire', 'up');
    side.ip('link', 'set', 'lo', 'up');
  }
  return sides;
}

/** Megabits a second of one TCP stream in a second. */
async function stream(from: Side, to: Side, address: string): Promise<number> {
  const server = to.start('iperf3', '-s', '-1', '-B', address, '--forceflush');
  const ended = once(server, 'exit');
  await once(server.stdout!, 'data');
  const report = JSON.parse(from.run('iperf3', '-c', address, '-t', '1', '-C', 'cubic', '-J')) as {
    end: { sum_received: { bits_per_second: number } };
  };
  await ended;
  return report.end.sum_received.bits_per_second / 1e6;
}

const variants: readonly { readonly name: string; readonly options: Parameters<Side['plane']>[0] }[] = [
  { name: 'all offloads', options: {} },
  { name: 'no USO', options: { force: { noUso: true } } },
  { name: 'no TSO', options: { force: { noTso: true, noUso: true } } },
  { name: 'no UDP GSO', options: { force: { noUdpGso: true } } },
  { name: 'no virtio header', options: { force: { noVnetHeader: true } } },
  { name: 'node:crypto', options: { force: { noEvp: true } } },
  { name: 'ChaCha20-Poly1305', options: { cipher: 'chacha20-poly1305', force: { noAes: true } } },
  { name: 'one worker', options: { workers: 1 } },
  { name: 'three workers', options: { workers: 3 } },
];

test.serial('real packets pass between two planes, with every fallback', async (t) => {
  const [a, b] = world();
  try {
    for (const { name, options } of variants) {
      const capabilities = await a.plane(options);
      await b.plane(options);
      if (options.force?.noVnetHeader) t.false(capabilities.virtioHeader);
      if (options.force?.noTso) t.false(capabilities.tcpSegmentation);
      if (options.force?.noUso) t.false(capabilities.udpSegmentation);
      if (options.force?.noUdpGso) t.false(capabilities.udpGso);
      if (options.force?.noEvp) t.false(capabilities.evp);
      for (const size of ['56', '1332', '4000']) {
        const ping = a.run('ping', '-c', '3', '-i', '0.02', '-W', '1', '-s', size, addresses[1]);
        t.regex(ping, / 0% packet loss/, `${name}, ${size} octets`);
      }
      t.true((await stream(a, b, addresses[1])) > 20, name);
      t.true((await stream(a, b, '10.77.0.2')) > 20, `${name}, IPv4`);
      for (const side of [a, b]) {
        const { drops, millis } = await side.stop();
        t.true(millis < 1000, `${name}: ended in ${millis} ms`);
        // The kernel's own multicast (router solicitations), and probes that came before the other side had its keys.
        const { 'forbidden-destination': _multicast, 'unknown-index': _early, ...others } = drops;
        t.deepEqual(others, {}, name);
      }
    }
  } finally {
    a.remove();
    b.remove();
  }
});

test.serial('a port in use, and a TUN in use, are operator errors with a cure', async (t) => {
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
    t.regex(said, /^port-in-use: UDP port 16696 is in use/);
    await a.stop();
  } finally {
    a.remove();
    b.remove();
  }
});
