import { appAddress } from '../src/addr/app-address.js';
import type { Endpoint } from '../src/addr/endpoint.js';
import { formatIp } from '../src/addr/ip.js';
import { nodeAddress, nodePrefix } from '../src/addr/node-number.js';
import { type CborValue, decodeCbor, encodeCbor } from '../src/cbor.js';
import type { ControlEffect, ControlEvent } from '../src/control/contract.js';
import { ControlPlane } from '../src/control/control-plane.js';
import type { StreamEndpoint } from '../src/control/fallback.js';
import { firstLanInterface } from '../src/control/forwarding.js';
import { decodeNeighbours } from '../src/control/neighbours.js';
import { decodeRelayedMonths } from '../src/control/relay-quota.js';
import { decodeSeeds } from '../src/control/seeds.js';
import { decodeStoredSeqno } from '../src/control/stored-seqno.js';
import { MeshError } from '../src/errors.js';
import { blobs, type MeshEffect } from '../src/mesh/effects.js';
import type { Mesh } from '../src/mesh/mesh.js';
import { sparseLimits } from '../src/mesh/topology.js';
import { systemRandom } from '../src/random.js';
import { isDefaultRoute } from '../src/routing/interface.js';
import { type Millis, second } from '../src/time.js';
import { superPacketSegments } from '../src/tunnel/frame.js';
import { defaultMark, type LinuxPlane, type LinuxPlaneOptions, openLinuxPlane } from '../src/tunnel/plane/linux.js';
import { isAesFaster } from '../src/tunnel/plane/linux-cipher-speed.js';
import { BootClock } from '../src/tunnel/plane/linux-clock.js';
import { RouterFinder } from '../src/upnp/gateways.js';
import { MappingShell } from '../src/upnp/gateways-shell.js';
import type { HealthItem, NodeEvent } from './api.js';
import { Driver, timedClock } from './driver.js';
import { Host } from './kernel/host.js';
import { HostKeeper } from './kernel/host-keeper.js';
import { ipBatch, type Refusal } from './kernel/ip.js';
import { type HostPlan, isLanRoute, isOfAddress, type LanRoute } from './kernel/plan.js';
import { checkMachine } from './kernel/preflight.js';
import { type Underlay, watchUnderlay } from './kernel/underlay.js';
import { LanBabel } from './lan-babel.js';
import { LanBeaconSockets } from './lan-beacon.js';
import type { NodeSetting } from './node-contract.js';
import { keepSmall } from './resident-memory.js';
import { resolveEndpoints } from './resolve-endpoints.js';
import { StreamMark } from './stream-mark.js';
import { type StreamWay, TcpBridge } from './tcp-bridge.js';
import { TlsListener } from './tls-listener.js';

const appsBlob = 'apps';

/** Events kept for who asks later. */
const maxEvents = 512;

/** Longer than one exchange with a router that is silent (2 s), shorter than the daemon may take to stop. */
const unmapLimit: Millis = 3 * second;

/**
 * A running member of a network: the control plane with its driver, the plane, the kernel, the router and the LANs, opened in
 * order and closed in the opposite one.
 */
export class Member {
  readonly control: ControlPlane;
  readonly plane: LinuxPlane;
  readonly aesFaster: boolean;
  readonly failed: Promise<Error>;
  readonly #clock: BootClock;
  readonly #startedAt: Millis;
  readonly #setting: NodeSetting;
  readonly #driver: Driver<ControlEvent, ControlEffect>;
  readonly #host: Host;
  readonly #keeper: HostKeeper;
  readonly #mapping: MappingShell;
  readonly #lans: LanBabel;
  readonly #bridge: TcpBridge;
  readonly #tls: TlsListener | undefined;
  readonly #beacons: LanBeaconSockets;
  readonly #stopWatching: () => void;
  /** Resolves when our own addresses were told: an invitation can name them. */
  readonly #located: Promise<void>;
  readonly #events: NodeEvent[] = [];
  readonly #listeners = new Set<(event: NodeEvent) => void>();
  #apps: readonly string[];
  #fail: (error: Error) => void = () => {};
  /** Until our addresses were told first there is no use in bringing the kernel to anything. */
  #followsHost = false;
  readonly #endSmall = keepSmall();

  static async start(setting: NodeSetting, mesh: Mesh): Promise<Member> {
    const { config } = setting;
    await checkMachine({ device: config.tun.name, listen: config.listen });
    const aesFaster = !config.force.noAes && isAesFaster(config.force.noEvp);
    const clock = new BootClock();
    const plane = await openPlane({
      clock,
      tunName: config.tun.name,
      port: config.listen.port,
      address: config.listen.address,
      ipv6: config.underlay.ipv6,
      mark: defaultMark,
      persistent: true,
      ...(config.force.workers > 0 ? { workers: config.force.workers } : {}),
      ...(setting.threads && { threads: setting.threads }),
      force: { ...config.force, ...(config.tun.offload ? {} : { noVnetHeader: true }) },
    });
    let member: Member | undefined;
    try {
      const endpoints = await resolveEndpoints(config.endpoints, config.listen.port);
      member = new Member(setting, mesh, plane, clock, aesFaster, endpoints);
      await member.#located;
      member.#followsHost = true;
      failOn(await member.#keeper.apply(), (command) => !isLanRoute(command, config.tun.name));
      member.#driver.wake();
      return member;
    } catch (error) {
      // What goes wrong at that too is the lesser news.
      await (member ? member.stop() : plane.stop()).catch(() => {});
      throw error;
    }
  }

  private constructor(
    setting: NodeSetting,
    mesh: Mesh,
    plane: LinuxPlane,
    clock: BootClock,
    aesFaster: boolean,
    endpoints: readonly Endpoint[],
  ) {
    const { config, state, log } = setting;
    this.#setting = setting;
    this.plane = plane;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.aesFaster = aesFaster;
    this.#apps = decodeApps(state.read(appsBlob));
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    const { workers, port } = plane.capabilities();
    this.control = new ControlPlane({
      mesh,
      seeds: decodeSeeds(state.read('seeds')),
      former: decodeNeighbours(state.read('neighbours')),
      storedSeqno: decodeStoredSeqno(state.read('routing')),
      random: systemRandom(),
      now: clock.now(),
      unixSeconds: () => Date.now() / 1000,
      port,
      endpoints,
      mapPort: config.portMapping.enabled,
      ipv6: config.underlay.ipv6,
      lans: config.babel.interface.map((lan) => lan.device!),
      acceptDefaultRoutes: config.babel.acceptDefaultRoutes,
      relay: {
        mode: config.relay.mode,
        limitBitsPerSecond: config.relay.limitMbit * 1e6,
        octetsPerMonth: config.relay.limitGbMonth * 1e9,
      },
      relayedMonths: decodeRelayedMonths(state.read('relayed')),
      ...(config.force.ownTunnels > 0 ? { topology: sparseLimits(config.force.ownTunnels) } : {}),
      mostPunches: config.force.punchesPerMinute,
      lanes: workers,
      aesFaster,
      counters: (link) => plane.counters(link),
      relayed: () => plane.relayed(),
    });
    this.#driver = new Driver(
      this.control,
      (effect) => this.#perform(effect),
      timedClock(() => clock.now()),
    );
    this.#host = new Host(config.tun.name);
    this.#keeper = new HostKeeper(this.#host, () => this.#plan(), {
      ipv6Enabled: (device) => log.warn('ipv6 was off and is on now', { device }),
      refused: (problem) => this.#complain(problem),
      deviceSet: (isDown) => {
        const [code, detail] = isDown ? ['device-down', 'down'] : ['device-up', 'up again'];
        this.#tell({ kind: 'told', code, node: undefined, detail: `${config.tun.name} was set ${detail}` });
      },
    });
    this.#mapping = new MappingShell(new RouterFinder(config.portMapping.protocols), (event) =>
      this.#driver.post({ kind: 'mapping', event }),
    );
    this.#lans = new LanBabel(config.babel.interface, firstLanInterface, {
      network: mesh.membership.network.prefix,
      log,
      now: () => clock.now(),
      grants: () => mesh.membership.chain.node.lan,
      tell: (event) => this.#driver.post({ kind: 'routing', event }),
      forward: (devices) => this.#host.forward(devices),
      said: (code, detail) => this.#tell({ kind: 'told', code, node: undefined, detail }),
    });
    this.#beacons = new LanBeaconSockets(
      (from, bytes) => this.#driver.post({ kind: 'beaconReceived', from, bytes }),
      (reason) => log.warn('members on this lan cannot be found by themselves', { reason }),
    );
    const mark = new StreamMark((problem) => this.#complain(problem));
    this.#bridge = new TcpBridge(port, config.listen.address, mark);
    void this.#bridge.listen(port, config.listen.address).then((problem) => {
      if (!problem) return;
      const { code, message, cure } = problem;
      log.warn('nobody can fall back to tcp here', { code, reason: message, cure });
    });
    void this.#bridge.listening.then(() =>
      this.#driver.post({ kind: 'mapping', event: { kind: 'companion', event: { kind: 'listening' } } }),
    );
    const { listen, certificate, key } = config.tls;
    if (listen && certificate && key) {
      this.#tls = new TlsListener({
        listen,
        files: { certificate, key },
        mark,
        accept: (socket) => this.#bridge.accept(socket, 'tls'),
        changed: () => this.#tlsChanged(),
      });
      void this.#tls.look();
    }
    plane.onEvent((event) => {
      if (event.kind === 'failed') this.#fail(new Error(event.reason));
      else if (event.kind === 'tunGone') this.#fail(tunGone(config.tun.name));
      else this.#driver.post({ kind: 'plane', event });
    });
    let isLocated = false;
    let resolved = () => {};
    this.#located = new Promise((resolve) => {
      resolved = resolve;
    });
    const locate = (addresses: Underlay['addresses']) => {
      this.#driver.post({ kind: 'localAddresses', addresses });
      isLocated = true;
      resolved();
    };
    if (config.force.sleepSeconds > 0) process.on('SIGCONT', this.#pretendSleep);
    this.#stopWatching = watchUnderlay((device) => device === config.tun.name || /^weft\d+$/.test(device), {
      changed: (underlay) => {
        this.#beacons.setAddresses(underlay.addresses.map(({ address }) => address));
        locate(underlay.addresses);
        this.#lans.refresh();
        // The kernel drops routes with the device they leave by.
        if (this.#followsHost) this.#keeper.follow();
      },
      ownTouched: () => {
        if (this.#followsHost) this.#keeper.follow();
      },
      routesChanged: () => this.#lans.refresh(),
      failed: (error) => log.warn('the network cannot be watched', { reason: String(error) }),
      // What others see of us is advertised all the same; after one failure it would be an empty record, and the true one in a second.
      blind: () => {
        if (!isLocated) locate([]);
      },
    });
  }

  /** What the kernel refused, and what is wrong with our LANs. */
  kernelHealth(): readonly HealthItem[] {
    return [...this.#keeper.health(), ...this.#lans.health()];
  }

  /** Over what a tunnel goes that the plane knows by this endpoint of our loopback; undefined: over UDP, or the stream is gone. */
  streamOf(endpoint: Endpoint): StreamWay | undefined {
    return this.#bridge.wayOf(endpoint);
  }

  /** What is served over TLS, or why not; undefined where nothing is to be. */
  get tls(): Pick<TlsListener, 'served' | 'problem'> | undefined {
    return this.#tls;
  }

  /** Connections over TCP and TLS that came to nothing, by reason. */
  streamDrops(): readonly (readonly [string, number])[] {
    return [...this.#bridge.drops(), ...(this.#tls?.drops() ?? [])];
  }

  get apps(): readonly string[] {
    return this.#apps;
  }

  now(): Millis {
    return this.#driver.now();
  }

  /** Suspends of the machine count. */
  get uptime(): Millis {
    return this.#clock.now() - this.#startedAt;
  }

  /** Performs what a command of the operator wants done. */
  order(effects: readonly MeshEffect[]): void {
    this.#driver.post({ kind: 'ordered', effects });
  }

  /** The app's address is on the host when this resolves. Throws what the kernel has against it: all else is health. */
  async addApp(name: string): Promise<void> {
    if (!this.#apps.includes(name)) this.#setApps([...this.#apps, name].sort());
    await this.#applyApp(name);
  }

  /** The same, and the address is off it. */
  async removeApp(name: string): Promise<void> {
    this.#setApps(this.#apps.filter((one) => one !== name));
    await this.#applyApp(name);
  }

  events(): readonly NodeEvent[] {
    return this.#events;
  }

  /** Calls the listener with every event from now on; returns the end of it. */
  follow(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  nameOf(node: number): string | null {
    const { membership, directory } = this.control.mesh;
    const own = membership.chain.node;
    return (node === own.number ? own : directory.certificateOf(node))?.name ?? null;
  }

  /** `leave`: device, addresses and routes go too. */
  async stop(leave = false): Promise<void> {
    this.#endSmall();
    this.#stopWatching();
    this.#keeper.stop();
    process.off('SIGCONT', this.#pretendSleep);
    this.#driver.post({ kind: 'stopping' });
    this.#tls?.close();
    this.#bridge.close();
    this.#lans.close();
    this.#beacons.close();
    // What the router still answers must be heard, whatever the kernel refuses: a mapping that it grants now is to be removed.
    const ends = await Promise.allSettled([
      this.plane.stop().finally(() => (leave ? this.#host.remove() : this.#leaveLans())),
      withLimit(this.#mapping.close(), unmapLimit),
    ]);
    this.#driver.stop();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** force.sleep-seconds: what a suspend does to a process, a stop of it does but for the clocks. */
  readonly #pretendSleep = () => this.plane.pretendSleep(this.#setting.config.force.sleepSeconds * second);

  #write(name: string, bytes: Uint8Array): void {
    const begun = performance.now();
    this.#setting.state.write(name, bytes);
    if (name === blobs.directory) {
      this.#driver.post({ kind: 'directoryWritten', took: performance.now() - begun });
    }
  }

  #perform(effect: ControlEffect): void {
    switch (effect.kind) {
      case 'plane':
        this.plane.command(effect.command);
        break;
      case 'persist':
        this.#write(effect.name, effect.bytes);
        break;
      case 'forget':
        this.#setting.state.remove(effect.name);
        break;
      case 'sendLan':
        this.#lans.send(effect.interface, effect.bytes, effect.to);
        break;
      case 'kernelRoutes':
        this.#keeper.follow();
        break;
      case 'mapping':
        this.#mapping.carryOut(effect.order);
        break;
      case 'sendBeacon':
        this.#beacons.send(effect.bytes);
        break;
      case 'bridge':
        void this.#openBridge(effect.node, effect.streams);
        break;
      case 'told':
        this.#tell(effect);
        if (effect.code === 'certificate-renewed') this.#lans.refresh();
        break;
      case 'expelled':
        this.#tell({ kind: 'told', code: 'expelled', node: undefined, detail: 'this node was put out of the network' });
        break;
    }
  }

  #tell({ code, node, detail }: Extract<ControlEffect, { kind: 'told' }>): void {
    const name = node === undefined ? null : (this.nameOf(node) ?? `number ${node}`);
    const event: NodeEvent = { at: new Date().toISOString(), kind: code, message: detail, node: name };
    this.#setting.log.info('event', { kind: code, reason: detail, ...(name === null ? {} : { node: name }) });
    this.#events.push(event);
    if (this.#events.length > maxEvents) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  async #openBridge(node: number, streams: readonly StreamEndpoint[]): Promise<void> {
    const reasons: string[] = [];
    for (const to of streams) {
      const answer = await this.#bridge.connect(to);
      if (typeof answer !== 'string') return this.#driver.post({ kind: 'bridged', node, endpoint: answer });
      reasons.push(answer);
    }
    this.#driver.post({ kind: 'bridgeFailed', node, reason: `nothing over UDP; ${reasons.join(', ')}` });
  }

  #tlsChanged(): void {
    const { served, problem } = this.#tls!;
    const { listen, endpoint, serverName } = this.#setting.config.tls;
    if (problem) this.#setting.log.warn(problem.message, { code: problem.code, cure: problem.cure });
    const offer = served && {
      listen: { address: listen!.address, port: served.port },
      endpoint,
      name: serverName ?? served.name,
    };
    this.#driver.post({ kind: 'tlsServed', offer });
  }

  #complain({ message, code, cure }: MeshError): void {
    this.#setting.log.warn(message, { code, cure });
  }

  /**
   * Whoever routes for a LAN must be running: routes to its routers go. Those into the overlay stay as they are, but for a default
   * route: it would keep the machine from going out by its own.
   */
  async #leaveLans(): Promise<void> {
    const { interface: interfaces, acceptDefaultRoutes } = this.#setting.config.babel;
    if (interfaces.length === 0 && !acceptDefaultRoutes) return;
    const plan = this.#plan();
    const lans = plan.lans.filter(({ via, prefix }) => via !== 'lan' && !isDefaultRoute(prefix));
    try {
      const { refused } = await this.#host.apply({ ...plan, lans }, this.#keeper.isLearning);
      failOn(refused, () => true);
    } catch (error) {
      // It may be because the device is gone that we stop; what there was to leave is left.
      if (!(error instanceof MeshError) || error.code !== 'no-device') throw error;
    }
  }

  #setApps(names: readonly string[]): void {
    this.#setting.state.write(appsBlob, encodeCbor([...names]));
    this.#apps = names;
  }

  async #applyApp(name: string): Promise<void> {
    const address = this.#appAddress(name);
    failOn(await this.#keeper.apply(), (command) => isOfAddress(command, address));
  }

  #appAddress(name: string): string {
    const { membership } = this.control.mesh;
    return formatIp(appAddress(membership.network.prefix, membership.number, name));
  }

  #plan(): HostPlan {
    const { membership } = this.control.mesh;
    const network = membership.network.prefix;
    const { tun } = this.#setting.config;
    return {
      device: tun.name,
      mtu: tun.mtu,
      segments: superPacketSegments,
      mark: defaultMark,
      network,
      own: nodePrefix(network, membership.number),
      node: formatIp(nodeAddress(network, membership.number)),
      apps: this.#apps.map((name) => this.#appAddress(name)),
      lans: this.control.forwarding.kernelRoutes().map((route): LanRoute => {
        const { prefix, via } = route;
        if (via !== 'lan') return { prefix, via };
        return { prefix, via, router: formatIp(route.gateway), device: this.#lans.deviceOf(route.interface) };
      }),
      ipv4Source: this.#lans.ipv4Source(),
    };
  }
}

/**
 * A persistent TUN keeps the kind it was made of, by an older weftd or by hand: one of another kind is made anew.
 * `checkMachine` has seen that it is a TUN and that nobody holds it.
 */
async function openPlane(options: LinuxPlaneOptions): Promise<LinuxPlane> {
  try {
    return await openLinuxPlane(options);
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== 'tun-mismatch') throw error;
    await ipBatch('-6', [`link del ${options.tunName}`]);
    return openLinuxPlane(options);
  }
}

function failOn(refused: readonly Refusal[], matters: (command: string) => boolean): void {
  const refusal = refused.find(({ command }) => matters(command));
  if (refusal) throw refusal.problem;
}

function tunGone(device: string): MeshError {
  return new MeshError('tun-gone', `${device} was deleted`, 'start weftd again: it makes it anew');
}

function decodeApps(bytes: Uint8Array | undefined): string[] {
  const list: CborValue | undefined = bytes && decodeCbor(bytes, 1 << 20);
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [];
}

async function withLimit(work: Promise<unknown>, limit: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limit);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
