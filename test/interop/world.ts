import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let worlds = 0;

/** A machine of the world: a network namespace and the number that ends its link-local addresses (fe80::number). */
export interface Host {
  readonly name: string;
  readonly namespace: string;
  readonly number: number;
}

/**
 * A small world of network namespaces for real routers: hosts, and LANs that join two or more of them. A LAN is a
 * bridge in a namespace of its own, so that a port can fall silent without either end seeing its carrier go. Link-local
 * addresses are given (fe80::1, fe80::2 ...) and used at once, without duplicate address detection.
 *
 * Everything is removed by `close`, at exit, and, after a kill, by the next world that is made.
 */
export class World {
  readonly folder = mkdtempSync(join(tmpdir(), 'weft-interop-'));
  readonly #prefix = `wi${process.pid}-${worlds++}-`;
  readonly #hosts = new Map<string, Host>();
  readonly #switches = new Set<string>();
  readonly #children = new Set<ChildProcess>();
  readonly #atExit = () => this.close();

  constructor() {
    removeLeftovers();
    process.on('exit', this.#atExit);
  }

  host(name: string): Host {
    const host: Host = { name, namespace: this.#prefix + name, number: this.#hosts.size + 1 };
    run('ip', 'netns', 'add', host.namespace);
    this.#hosts.set(name, host);
    inNamespace(host.namespace, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1', 'net.ipv4.ip_forward=1');
    run('ip', '-n', host.namespace, 'link', 'set', 'lo', 'up');
    return host;
  }

  /**
   * Joins the hosts by one LAN; the device has the LAN's name on each of them. The nth LAN of the world is 10.77.n.0/24
   * (BIRD 2.0.12 needs an IPv4 address to carry IPv4 prefixes).
   */
  lan(name: string, ...hosts: readonly Host[]): void {
    this.#join(name, hosts);
    const network = this.#switches.size;
    for (const host of hosts) {
      ipBatch(host.namespace, [`addr add 10.77.${network}.${host.number}/24 dev ${name}`]);
    }
  }

  /** Joins the hosts by a LAN of IPv6 alone. */
  lanWithoutIpv4(name: string, ...hosts: readonly Host[]): void {
    this.#join(name, hosts);
  }

  #join(name: string, hosts: readonly Host[]): void {
    const hub = `${this.#prefix}lan-${name}`;
    run('ip', 'netns', 'add', hub);
    this.#switches.add(hub);
    const batch = ['link add br0 type bridge mcast_snooping 0 forward_delay 0', 'link set br0 up'];
    for (const host of hosts) {
      batch.push(
        `link add name ${host.name} type veth peer name ${name} netns ${host.namespace}`,
        `link set dev ${host.name} master br0 up`,
      );
    }
    ipBatch(hub, batch);
    for (const host of hosts) {
      ipBatch(host.namespace, [
        `link set dev ${name} addrgenmode none`,
        `link set dev ${name} up`,
        `addr add ${linkLocalOf(host)}/64 dev ${name} nodad`,
      ]);
    }
  }

  /** Adds addresses to a host's loopback, such as "fd00:a::1/128". */
  addresses(host: Host, ...addresses: readonly string[]): void {
    ipBatch(
      host.namespace,
      addresses.map((address) => `addr add ${address} dev lo${address.includes(':') ? ' nodad' : ''}`),
    );
  }

  dropAddresses(host: Host, ...addresses: readonly string[]): void {
    ipBatch(
      host.namespace,
      addresses.map((address) => `addr del ${address} dev lo`),
    );
  }

  /** Runs a program, its words parted by spaces, where it sees all that passes the LAN: on the bridge br0. */
  tap(lan: string, command: string): ChildProcess {
    return this.#spawn(`${this.#prefix}lan-${lan}`, command.split(' '));
  }

  /** The host's port on the LAN carries nothing any more, and nobody is told. */
  silence(lan: string, host: Host): void {
    this.#port(lan, host, 0);
  }

  /** The port carries packets again. */
  mend(lan: string, host: Host): void {
    this.#port(lan, host, 3);
  }

  #port(lan: string, host: Host, state: number): void {
    run('bridge', '-n', `${this.#prefix}lan-${lan}`, 'link', 'set', 'dev', host.name, 'state', String(state));
  }

  /** Starts a program on the host; it is killed when the world closes. */
  start(host: Host, program: string, ...args: readonly string[]): ChildProcess {
    return this.#spawn(host.namespace, [program, ...args]);
  }

  #spawn(namespace: string, command: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  close(): void {
    process.off('exit', this.#atExit);
    for (const child of this.#children) child.kill('SIGKILL');
    this.#children.clear();
    for (const namespace of [...[...this.#hosts.values()].map((host) => host.namespace), ...this.#switches]) {
      attempt('ip', 'netns', 'del', namespace);
    }
    this.#hosts.clear();
    this.#switches.clear();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The host's address on every LAN. */
export function linkLocalOf(host: Host): string {
  return `fe80::${host.number.toString(16)}`;
}

/** Runs a program on the host and returns what it printed. */
export function onHost(host: Host, program: string, ...args: readonly string[]): string {
  return inNamespace(host.namespace, program, ...args);
}

function inNamespace(namespace: string, program: string, ...args: readonly string[]): string {
  return run('ip', 'netns', 'exec', namespace, program, ...args);
}

function ipBatch(namespace: string, lines: readonly string[]): void {
  execFileSync('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n`, stdio: 'pipe' });
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function attempt(program: string, ...args: readonly string[]): void {
  try {
    run(program, ...args);
  } catch {
    // already gone: that is what was wanted
  }
}

/** Namespaces of a test process that was killed. */
function removeLeftovers(): void {
  for (const line of run('ip', 'netns', 'list').split('\n')) {
    const match = /^(wi(\d+)-\S+)/.exec(line);
    if (match && !existsSync(`/proc/${match[2]}`)) attempt('ip', 'netns', 'del', match[1]!);
  }
}
