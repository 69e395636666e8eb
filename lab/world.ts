import { spawn } from 'node:child_process';
import type { Internet } from './description.js';
import { Forwarder } from './forwarder.js';
import { Gateway } from './gateway.js';
import { type Host, Router } from './machines.js';
import { finished, folderOf, freshPrefix, Namespace, removeLeftovers, removeWorld } from './namespace.js';
import { WeftNode } from './node.js';
import { type MachinePlan, type Plan, plan } from './plan.js';
import { isDelayed, Wire, type WireConditions } from './wire.js';

const living = new Set<World>();
let watching = false;

/** However this process ends, short of SIGKILL, its worlds go with it; after SIGKILL the next run removes them. */
function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const world of living) world.remove();
  });
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.on(signal, () => process.exit(128 + number));
  }
}

/**
 * A virtual Internet in network namespaces: public hosts, homes behind NAT routers, wires with delay, loss and cuts.
 * Needs root, iproute2 and nftables, and miniupnpd for homes that map ports.
 *
 * ```ts
 * const world = await World.build({
 *   'dc-1': host(),
 *   'home-a': home({ mapping: ['igd2'] }),
 *   flat: home({ nat: 'symmetric', members: ['anna', 'ben'] }),
 * });
 * await world.wire('home-a').cut();
 * ```
 */
export class World {
  /** Where daemons and gateways of this world keep their files; goes with the world. */
  readonly folder: string;
  readonly #prefix: string;
  readonly #hosts = new Map<string, Host>();
  readonly #routers = new Map<string, Router>();
  readonly #nodes = new Map<string, WeftNode>();
  readonly #lines = new Map<string, Wire>();
  readonly #core: Namespace;
  readonly #isCold: boolean;
  #forwarder: Forwarder | undefined;

  private constructor(prefix: string, isCold: boolean) {
    this.#prefix = prefix;
    this.#isCold = isCold;
    this.folder = folderOf(prefix);
    this.#core = new Namespace(`${prefix}core`);
  }

  /**
   * Builds it; a failure leaves nothing behind. `seed` drives the wires' jitter and reordering. In a `cold` one daemons rehearse no
   * packets, which is a quarter of what each computes until it is up: for whoever asks neither how fast packets pass nor
   * whether one is lost.
   */
  static async build(
    internet: Internet,
    options: { readonly seed?: number; readonly cold?: boolean } = {},
  ): Promise<World> {
    const drawn = plan(internet);
    removeLeftovers();
    watchExit();
    const world = new World(freshPrefix(), options.cold ?? false);
    living.add(world);
    try {
      await world.#make(drawn, options.seed ?? 1);
    } catch (error) {
      world.remove();
      throw error;
    }
    return world;
  }

  /** Ends every process in it and removes it. Safe to repeat. */
  remove(): void {
    this.#forwarder?.stop();
    removeWorld(this.#prefix);
    living.delete(this);
  }

  /** A public host or a member of a home. */
  host(name: string): Host {
    return found(this.#hosts, name);
  }

  hosts(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  /** Weft on a host; the same object each time. */
  node(name: string): WeftNode {
    const node = this.#nodes.get(name) ?? new WeftNode(this.host(name), this.folder, this.#isCold);
    this.#nodes.set(name, node);
    return node;
  }

  /** The router of a home, or a carrier. */
  router(home: string): Router {
    return found(this.#routers, home);
  }

  routers(): readonly Router[] {
    return [...this.#routers.values()];
  }

  /**
   * The line of a public host, of a home's router or of a carrier, or one between two hosts; for a LAN's lines see
   * `host(name).wire`.
   */
  wire(name: string): Wire {
    return found(this.#lines, name);
  }

  /** Keeps two parties apart in the middle of the Internet: packets between their outer addresses vanish. */
  async separate(a: string, b: string, what: 'udp' | 'all' = 'all'): Promise<void> {
    await this.#core.nft(this.#pairs('add', a, b, what));
  }

  /** Undoes `separate`. */
  async reunite(a: string, b: string, what: 'udp' | 'all' = 'all'): Promise<void> {
    await this.#core.nft(this.#pairs('delete', a, b, what));
  }

  #pairs(verb: 'add' | 'delete', a: string, b: string, what: 'udp' | 'all'): string {
    const set = what === 'all' ? 'apart' : 'apart_udp';
    const outer = (name: string) => {
      const router = this.#routers.get(name) ?? found(this.#hosts, name).router;
      return router ? [router.address] : found(this.#hosts, name).addresses;
    };
    const pairs = outer(a).flatMap((from) => outer(b).flatMap((to) => [`${from} . ${to}`, `${to} . ${from}`]));
    return `${verb} element ip paths ${set} { ${pairs.join(', ')} }\n`;
  }

  async #make({ machines, wires }: Plan, seed: number): Promise<void> {
    const prefix = this.#prefix;
    const name = (label: string) => `${prefix}${label}`;
    const place = ({ label, device }: { label: string; device: string }) => ({ namespace: name(label), device });
    const delayed = wires.filter((wire) => isDelayed(wire.conditions));
    await must(
      ['ip', '-batch', '-'],
      [
        ...machines.map(({ label }) => `netns add ${name(label)}`),
        ...wires
          .filter((wire) => !delayed.includes(wire))
          .map(
            ({ near, far }) =>
              `link add name ${near.device} netns ${name(near.label)} type veth peer name ${far.device} netns ${name(far.label)}`,
          ),
        '',
      ].join('\n'),
    );
    if (delayed.length > 0) {
      this.#forwarder = await Forwarder.start({
        seed,
        wires: delayed.map(({ near, far }) => ({ near: place(near), far: place(far) })),
      });
    }
    await Promise.all(machines.map((machine) => configure(new Namespace(name(machine.label)), machine)));
    if (machines.some(({ ipv6 }) => ipv6)) {
      await Promise.all(machines.map(({ label }) => linksUp(new Namespace(name(label)))));
    }

    const built = await Promise.all(
      wires.map(async (each) => {
        const end = ({ label, device }: { label: string; device: string }) => ({
          namespace: new Namespace(name(label)),
          device,
        });
        const number = delayed.indexOf(each);
        const wire = new Wire(end(each.near), end(each.far), each.conditions, number < 0 ? undefined : this.#forwarder);
        if (number >= 0) this.#forwarder!.adopt(wire, number);
        if (hasConditions(each.conditions)) await wire.apply();
        return { ...each, wire };
      }),
    );
    const wireOf = (kind: 'line' | 'lan', of: string) =>
      built.find((each) => each.kind === kind && each.name === of)?.wire;
    for (const each of built) if (each.kind === 'line') this.#lines.set(each.name, each.wire);

    for (const { role, name: of, label, router, addresses } of machines) {
      if (role !== 'router') continue;
      const namespace = new Namespace(name(label));
      const protocols = router?.mapping ?? [];
      const gateway = protocols.length > 0 ? new Gateway(namespace, protocols, this.folder) : undefined;
      this.#routers.set(of, new Router(of, namespace, router!, addresses[0]!, wireOf('line', of)!, gateway));
    }
    for (const { role, name: of, label, home, addresses, ipv6 } of machines) {
      if (role !== 'host' && role !== 'member') continue;
      this.#hosts.set(of, {
        name: of,
        namespace: new Namespace(name(label)),
        addresses,
        address: addresses[0] ?? '',
        ipv6,
        wire: wireOf(role === 'host' ? 'line' : 'lan', of),
        router: home === undefined ? undefined : found(this.#routers, home),
      });
    }
    await Promise.all(this.routers().map((router) => router.gateway?.start()));
  }
}

async function configure(namespace: Namespace, { sysctls, ip, nft }: MachinePlan): Promise<void> {
  const here = (text: string) => `<<'END'\n${text}\nEND`;
  const script = [
    'set -e',
    // Duplicate address detection would hold back each new address for a second.
    'for file in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >"$file"; done',
    // A socket born under bbr stays paced, with a timer set for each packet, after its program has asked for cubic. So
    // sockets begin with what Linux is shipped with, or with reno where the machine lets no namespace begin with that.
    'for way in reno cubic; do echo "$way" >/proc/sys/net/ipv4/tcp_congestion_control || true; done 2>/dev/null',
    // -e: a kernel without br_netfilter has no switch for it.
    sysctls.length > 0 && `sysctl -q -e -w ${sysctls.join(' ')}`,
    `ip -batch - ${here(ip.join('\n'))}`,
    nft && `nft -f - ${here(nft)}`,
    '',
  ]
    .filter((line) => line !== false)
    .join('\n');
  await namespace.must(['sh'], { input: script });
}

/** Waits until the kernel has noticed every carrier, which takes it up to a second; IPv6 routes are dead before. */
async function linksUp(namespace: Namespace): Promise<void> {
  const script = 'while grep -qs down /sys/class/net/*/operstate; do sleep 0.05; done';
  await namespace.must(['sh', '-c', script], { timeout: 20_000 });
}

async function must(command: readonly string[], input: string): Promise<void> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  const { code, stderr } = await finished(child, { input });
  if (code !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}

function hasConditions(conditions: WireConditions): boolean {
  return Object.values(conditions).some((value) => value !== undefined);
}

function found<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`no ${name} here; there are: ${[...map.keys()].join(', ')}`);
  return value;
}
