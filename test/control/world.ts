import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import type { FieldMap } from '../../src/addr/fields.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import { type NodeNumber, nodeAddress } from '../../src/addr/node-number.js';
import type { ControlEffect, ControlEvent, RelaySetting } from '../../src/control/contract.js';
import { ControlPlane } from '../../src/control/control-plane.js';
import { bridgeAddress, isBridged, type StreamEndpoint } from '../../src/control/fallback.js';
import { decodeNeighbours } from '../../src/control/neighbours.js';
import { decodeRelayedMonths } from '../../src/control/relay-quota.js';
import { decodeSeeds, encodeSeeds } from '../../src/control/seeds.js';
import { decodeStoredSeqno } from '../../src/control/stored-seqno.js';
import type { MeshError } from '../../src/errors.js';
import { invite } from '../../src/mesh/commands.js';
import { blobs, type MeshEffect } from '../../src/mesh/effects.js';
import { foundNetwork } from '../../src/mesh/found.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { beaconKey, encodeBeacon } from '../../src/mesh/lan-beacon-datagram.js';
import { Mesh } from '../../src/mesh/mesh.js';
import { meshMessage } from '../../src/mesh/messages.js';
import type { TopologyLimits } from '../../src/mesh/topology.js';
import { type Random, seededRandom } from '../../src/random.js';
import type { SpeakerEvent } from '../../src/routing/contract.js';
import { type Millis, never, second, type UnixSeconds } from '../../src/time.js';
import { ControlChannel } from '../../src/tunnel/frame.js';
import { Guard } from '../../src/tunnel/guard.js';
import { NodeAead } from '../../src/tunnel/plane/aead.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import type { LinkId, PlaneCommand, PlaneEvent } from '../../src/tunnel/plane/contract.js';
import { InProcessPlane } from '../../src/tunnel/plane/in-process.js';
import type { NatModel } from '../helpers/nat-model.js';
import { EventQueue } from '../sim/event-queue.js';
import { arrivalOver, cleanLink, type LastArrival, type LinkQuality } from '../sim/link.js';
import type { Observer } from '../sim/network.js';
import { buildPacket } from '../tunnel/plane/packets.js';
import type { HomeRouter } from './home-router.js';

const port = 16696;
const joinPort = 40_000;

/** The underlay between two machines; `quality` undefined: as the world's. */
interface Wire {
  quality: Partial<LinkQuality> | undefined;
  carries: boolean;
  readonly lastArrival: LastArrival;
}

export type RoutesPatch = Extract<PlaneCommand, { kind: 'patchRoutes' }>;

/**
 * Sees, by the machines' indexes, what a simulated network's observers see: Babel packets before they are sealed and after
 * they are opened; and what routing hands to the forwarding table.
 */
export interface Watcher extends Observer {
  /** `peerBehind`: the index of the machine at the other end of a link. */
  patched?(machine: number, patch: RoutesPatch, peerBehind: (link: LinkId) => number | undefined): void;
}

/**
 * Whole nodes on a virtual clock: the product's own ControlPlane over the product's own data plane, on machines with public
 * addresses and a disk each. Datagrams take their time, get lost, come twice and overtake each other as the wire between two
 * machines has it; pairs can be kept apart. The same seed, the same run.
 */
export class World {
  readonly random: Random;
  readonly machines: Machine[] = [];
  /** Of all wires that have no other. */
  quality: LinkQuality;
  /** How many tunnels its nodes have, of those that start from now on; without it, the rule. */
  topology: TopologyLimits | undefined;
  now: Millis = 0;
  /** Whether TCP streams are to be had, which no wire stops, or are refused; undefined: no dial comes to an end. */
  tcp: boolean | undefined;
  readonly #queue = new EventQueue();
  readonly #wires = new Map<string, Wire>();
  /** Machines that are or were members. */
  readonly byNumber = new Map<NodeNumber, Machine>();
  readonly #byAddress = new Map<string, Machine>();
  /** The routers before a machine, the nearest first. */
  readonly #nats = new Map<Machine, readonly NatModel[]>();
  readonly #inHomes = new Map<string, Machine>();
  /** Loses a datagram on its way for which this is true. */
  loses: (from: Machine, to: Machine, bytes: Uint8Array) => boolean = () => false;
  readonly #watchers: Watcher[] = [];
  /** By the near end: the far one. */
  readonly #streams = new Map<string, { readonly machine: Machine; readonly endpoint: Endpoint }>();
  #nextStream = 1;
  readonly arena = new Arena();
  readonly aead = new NodeAead(this.arena);

  constructor(seed: number, delay: Millis = 5) {
    this.random = seededRandom(seed);
    this.quality = { ...cleanLink, delay };
  }

  /** By how much the wall clocks were set forward, in seconds. */
  ahead = 0;
  readonly wallClock = (): UnixSeconds => 1_795_000_000 + this.ahead + this.now / 1000;

  machine(name: string, address?: string): Machine {
    const index = this.machines.length;
    const machine = new Machine(this, index, name, address ?? `11.0.0.${index + 1}`);
    this.machines.push(machine);
    this.#byAddress.set(machine.address, machine);
    return machine;
  }

  /** A machine behind these routers, the nearest first: others meet it at the last one's address. */
  behind(machine: Machine, ...nats: readonly NatModel[]): void {
    this.#nats.set(machine, nats);
    this.#byAddress.delete(machine.address);
    this.#byAddress.set(nats.at(-1)!.address, machine);
  }

  /** Machines on one LAN: they meet each other there, and all others behind this router. */
  home(nat: NatModel, ...machines: readonly Machine[]): void {
    for (const machine of machines) {
      this.behind(machine, nat);
      this.#inHomes.set(`${nat.address} ${machine.address}`, machine);
    }
  }

  /** The machine that has this address in the network behind the router nearest to another. */
  #inHomeOf(machine: Machine, { address }: Endpoint): Machine | undefined {
    return this.#inHomes.get(`${this.#nats.get(machine)?.[0]?.address} ${address}`);
  }

  /** A machine is at another address from now on, and nobody is at its old one. */
  readdress(machine: Machine, address: string): void {
    this.#byAddress.delete(machine.address);
    machine.address = address;
    this.#byAddress.set(address, machine);
    machine.moves([]);
  }

  /** A network of this many nodes: the first founded it, the others joined with its tokens, one after another. */
  network(count: number, joined: (count: number) => void = () => {}): Machine[] {
    const machines = Array.from({ length: count }, (_, i) => this.machine(`n${i + 1}`));
    machines[0]!.found();
    for (const machine of machines.slice(1)) {
      machine.join(machines[0]!.invite());
      this.until(() => machine.control !== undefined, 10 * second);
      joined(machine.index + 1);
    }
    return machines;
  }

  watch(watcher: Watcher): void {
    this.#watchers.push(watcher);
  }

  get watchers(): readonly Watcher[] {
    return this.#watchers;
  }

  /** Datagrams between the two vanish from now on, or pass again. */
  separate(a: Machine, b: Machine, apart = true): void {
    this.#wireBetween(a, b).carries = !apart;
  }

  /** What the wire between the two is like from now on. */
  wire(a: Machine, b: Machine, quality: Partial<LinkQuality>): void {
    this.#wireBetween(a, b).quality = quality;
  }

  #wireBetween(a: Machine, b: Machine): Wire {
    const key = a.index < b.index ? `${a.index} ${b.index}` : `${b.index} ${a.index}`;
    let wire = this.#wires.get(key);
    if (!wire) {
      wire = { quality: undefined, carries: true, lastArrival: [0, 0] };
      this.#wires.set(key, wire);
    }
    return wire;
  }

  /** A datagram on its way; one to nobody, or to a dead machine, is lost. */
  carry(from: Machine, fromPort: number, to: Endpoint, bytes: Uint8Array): void {
    const stream = this.#streams.get(streamKey(from, to));
    if (stream) {
      this.at(this.now + this.quality.delay, () => stream.machine.receive(bytes.slice(), stream.endpoint, port));
      return;
    }
    const neighbour = this.#inHomeOf(from, to);
    const target = neighbour ?? this.#byAddress.get(to.address);
    if (!target) return;
    const wire = this.#wireBetween(from, target);
    const quality = wire.quality ? { ...this.quality, ...wire.quality } : this.quality;
    let source: Endpoint = { address: from.address, port: fromPort };
    for (const nat of (!neighbour && this.#nats.get(from)) || []) source = nat.outward(source, to);
    if (!wire.carries || (quality.loss > 0 && this.random.unit() < quality.loss)) return;
    if (this.loses(from, target, bytes)) return;
    const inwards = neighbour ? [] : [...(this.#nats.get(target) ?? [])].reverse();
    const copies = quality.duplicate > 0 && this.random.unit() < quality.duplicate ? 2 : 1;
    const sender = from.control;
    for (let copy = 0; copy < copies; copy++) {
      const direction = from.index < target.index ? 0 : 1;
      const arrival = arrivalOver(quality, this.random, this.now, wire.lastArrival, direction);
      // On a wire that was cut under way, it is lost.
      this.at(arrival, () => {
        let reached: Endpoint | undefined = to;
        for (const nat of inwards) reached &&= nat.inward(source, reached.port);
        if (!wire.carries || !reached) return;
        const receiver = this.#inHomeOf(target, reached) ?? target;
        receiver.receive(bytes.slice(), source, reached.port, from.control !== sender);
      });
    }
  }

  at(time: Millis, action: () => void): void {
    this.#queue.add(Math.max(time, this.now), action);
  }

  /** Opens a TCP stream; what a machine sends to its own end comes out at the other. */
  stream(from: Machine, to: Machine): Endpoint {
    const port = this.#nextStream++;
    const near = { machine: from, endpoint: { address: bridgeAddress('ours', port), port } };
    const far = { machine: to, endpoint: { address: bridgeAddress('theirs', port), port } };
    this.#streams.set(streamKey(near.machine, near.endpoint), far);
    this.#streams.set(streamKey(far.machine, far.endpoint), near);
    return near.endpoint;
  }

  machineAt({ address }: Endpoint): Machine | undefined {
    return this.#byAddress.get(address);
  }

  run(time: Millis): void {
    const end = this.now + time;
    while (this.#queue.nextTime <= end) this.#step();
    this.now = end;
  }

  /** Runs until it holds; gives how long that took. Throws when it does not within the time. */
  until(holds: () => boolean, within: Millis): Millis {
    const started = this.now;
    while (!holds()) {
      if (this.#queue.nextTime > started + within) throw new Error(`not within ${within} ms: ${holds}`);
      this.#step();
    }
    return this.now - started;
  }

  #step(): void {
    this.now = Math.max(this.now, this.#queue.nextTime);
    this.#queue.take()?.();
  }
}

function streamKey(machine: Machine, endpoint: Endpoint): string {
  return `${machine.index} ${formatEndpoint(endpoint)}`;
}

/** A machine: an address, a disk, and, while it runs as a member, control plane and data plane. */
export class Machine {
  /** Its place among the world's machines. */
  readonly index: number;
  readonly name: string;
  address: string;
  readonly disk = new Map<string, Uint8Array>();
  readonly told: Extract<ControlEffect, { kind: 'told' }>[] = [];
  /** Addresses that datagrams were sent to, and how many. */
  readonly sentTo = new Map<string, number>();
  /** Streams it wanted to open. */
  readonly bridges: Extract<ControlEffect, { kind: 'bridge' }>[] = [];
  /** Of its next start. */
  router: HomeRouter | undefined;
  /** Of its next start. */
  relay: RelaySetting = { mode: 'yes', limitBitsPerSecond: 0, octetsPerMonth: 0 };
  /** Whether streams from others get in. */
  takesTcp = true;
  expelled = false;
  joinError: MeshError | undefined;
  control: ControlPlane | undefined;
  /** Packets the plane wrote into the TUN. */
  readonly packets: Uint8Array[] = [];
  readonly #world: World;
  #plane: InProcessPlane | undefined;
  #joiner: JoinInitiator | undefined;
  #wakeAt: Millis = Number.POSITIVE_INFINITY;
  /** What it receives now was sent before the sender began anew. */
  #hearsFormerStart = false;
  #sleepsUntil: Millis = Number.NEGATIVE_INFINITY;
  /** Whom the control plane opened a link to. */
  readonly #peers = new Map<LinkId, NodeNumber>();

  constructor(world: World, index: number, name: string, address: string) {
    this.#world = world;
    this.index = index;
    this.name = name;
    this.address = address;
  }

  get mesh(): Mesh {
    return this.#running.mesh;
  }

  get number(): NodeNumber {
    return this.mesh.membership.number;
  }

  get overlayAddress(): Uint8Array {
    return nodeAddress(this.mesh.membership.network.prefix, this.number);
  }

  get #running(): ControlPlane {
    if (!this.control) throw new Error(`${this.name} does not run`);
    return this.control;
  }

  found(): void {
    this.#persistAll(foundNetwork({ name: this.name }, this.#world.random, this.#world.wallClock).effects);
    this.start();
  }

  invite(): string {
    const { value, effects } = invite(this.mesh, {}, (node) => this.#running.forwarding.choices(node).length > 0);
    this.order(effects);
    return value.token;
  }

  /** Asks from now on; the member starts when it is admitted. */
  join(token: string): void {
    const invitation = requireInvitation(token);
    this.disk.set('seeds', encodeSeeds(invitation.members));
    const stored = this.disk.get(blobs.identity);
    const identity = (stored && NodeIdentity.decode(stored)) ?? NodeIdentity.make(this.#world.random);
    this.#joiner = new JoinInitiator(invitation, identity, this.name, this.#world.random, this.#world.wallClock);
    this.#wake();
  }

  /** Starts the member that is on the disk. */
  start(): void {
    const { random, wallClock, now, arena, aead } = this.#world;
    const stored = Object.fromEntries(
      Object.entries(blobs).map(([field, name]) => [field, this.disk.get(name)]),
    ) as unknown as Parameters<typeof Mesh.restore>[0];
    const mesh = Mesh.restore(stored, random, wallClock);
    if (!mesh) throw new Error(`${this.name} is no member`);
    const cookieSecret = random.bytes(32);
    const plane = new InProcessPlane({
      random,
      toKernel: (packet) => this.packets.push(packet.slice()),
      toUnderlay: (bytes, to, fresh) => {
        this.sentTo.set(to.address, (this.sentTo.get(to.address) ?? 0) + 1);
        this.#world.carry(this, fresh ? 50_000 + random.below(1000) : port, to, bytes.slice());
      },
      guard: (publicKey) => new Guard({ publicKey, cookieSecret, random }),
      memory: { arena, aead },
    });
    const control = new ControlPlane({
      mesh,
      seeds: decodeSeeds(this.disk.get('seeds')),
      former: decodeNeighbours(this.disk.get('neighbours')),
      storedSeqno: decodeStoredSeqno(this.disk.get('routing')),
      random,
      now,
      unixSeconds: wallClock,
      port,
      endpoints: [],
      mapPort: this.router !== undefined,
      ipv6: false,
      relay: this.relay,
      relayedMonths: decodeRelayedMonths(this.disk.get('relayed')),
      ...(this.#world.topology ? { topology: this.#world.topology } : {}),
      lanes: 1,
      aesFaster: true,
      counters: (link) => plane.counters(link),
      relayed: () => plane.relayed(),
    });
    plane.onEvent((event) => {
      this.#seeEvent(event);
      this.#handle({ kind: 'plane', event });
    });
    this.#plane = plane;
    this.control = control;
    this.#peers.clear();
    this.#world.byNumber.set(mesh.membership.number, this);
    for (const watcher of this.#world.watchers) watcher.started?.(this.index, now);
    if (this.router) this.#handle({ kind: 'mapping', event: { kind: 'companion', event: { kind: 'listening' } } });
    this.moves([]);
  }

  /** Its addresses are now its own one and these, in networks with prefixes of this length. */
  moves(others: readonly string[], length?: number): void {
    const addresses = [this.address, ...others].map((address, i) => ({
      device: `eth${i}`,
      address,
      ...(length === undefined ? {} : { length }),
    }));
    this.#handle({ kind: 'localAddresses', addresses });
    this.#wake();
  }

  /** Dies without a word; what was persisted stays. */
  crash(): void {
    for (const watcher of this.#world.watchers) watcher.died?.(this.index, this.#world.now);
    this.control = undefined;
    this.#plane = undefined;
    this.#joiner = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
  }

  /** Ends in order: what it asks of its router as it goes is done. */
  stop(): void {
    this.#handle({ kind: 'stopping' });
    this.#plane?.run(this.#world.now);
    this.crash();
  }

  /** Is suspended for so long: no timer runs, nothing is heard. Then its clock shows it, as the plane's `SleepWatch` says. */
  sleep(time: Millis): void {
    const { now } = this.#world;
    this.#sleepsUntil = now + time;
    this.#world.at(this.#sleepsUntil, () => {
      this.#handle({ kind: 'plane', event: { kind: 'wokeUp', after: time } });
      this.#wake();
    });
  }

  order(effects: readonly MeshEffect[]): void {
    this.#handle({ kind: 'ordered', effects });
    this.#wake();
  }

  /** `isOfFormerStart`: who sent it has died since. */
  receive(bytes: Uint8Array, source: Endpoint, toPort: number, isOfFormerStart = false): void {
    if (this.#world.now < this.#sleepsUntil) return;
    this.#hearsFormerStart = isOfFormerStart;
    if (this.router && toPort !== port && toPort !== joinPort && !this.router.forwards.has(toPort)) return;
    if (toPort === joinPort) {
      this.#perform(this.#joiner?.handle({ kind: 'datagram', from: source, bytes }, this.#world.now) ?? []);
    } else this.#plane?.fromUnderlay(bytes, source);
    this.#wake();
    this.#hearsFormerStart = false;
  }

  /** A program here sends a datagram to another node's overlay address. */
  send(to: Machine, payload: string): void {
    const packet = buildPacket({
      version: 6,
      protocol: 'udp',
      source: this.overlayAddress,
      destination: to.overlayAddress,
      payload: new TextEncoder().encode(payload),
    });
    this.#plane!.fromKernel(packet);
    this.#wake();
  }

  /** What programs here were sent. */
  get heard(): string[] {
    return this.packets.map((packet) => new TextDecoder().decode(packet.subarray(48)));
  }

  /** Tells the speaker something, as the daemon does of LANs. */
  route(event: SpeakerEvent): void {
    this.#handle({ kind: 'routing', event });
    this.#wake();
  }

  /** Sends a Babel packet of any content through the tunnel to a neighbour, as a member that was tampered with may. */
  sendBabel(to: Machine, packet: Uint8Array): void {
    this.#sendControl(to, ControlChannel.babel, packet);
  }

  /** The same, a mesh message. */
  sendMesh(to: Machine, type: string, fields: FieldMap): void {
    this.#sendControl(to, ControlChannel.mesh, meshMessage(type, fields));
  }

  #sendControl(to: Machine, channel: number, body: Uint8Array): void {
    const link = this.#running.tunnels.linkTo(to.number);
    if (link === undefined) throw new Error(`${this.name} has no tunnel to ${to.name}`);
    this.#plane!.command({ kind: 'sendControl', link, bytes: Uint8Array.of(channel, ...body) });
    this.#wake();
  }

  /** Says in its record that it is reached there, whatever is true. */
  claims(endpoints: readonly Endpoint[]): void {
    const recorded = endpoints.map((endpoint) => ({ ...endpoint, source: 'configured' as const, proven: true }));
    this.order(this.mesh.handle({ kind: 'endpointsChanged', endpoints: recorded }, this.#world.now));
  }

  /** Says in its record that it takes TLS connections there. */
  announceTls(endpoint: Endpoint): void {
    this.#handle({ kind: 'tlsServed', offer: { listen: endpoint, endpoint, name: undefined } });
    this.#wake();
  }

  hasTunnelTo(other: Machine): boolean {
    return this.control?.tunnels.tunnelTo(other.number) !== undefined;
  }

  /** The next hop towards another node; undefined when it cannot be reached. */
  nextHopTo(other: Machine): NodeNumber | undefined {
    return this.#running.forwarding.choices(other.number)[0]?.neighbourNode;
  }

  #handle(event: ControlEvent): void {
    this.#perform(this.control?.handle(event, this.#world.now) ?? []);
    this.#settled();
  }

  #settled(): void {
    for (const watcher of this.#world.watchers) watcher.settled?.(this.index, this.#world.now);
  }

  readonly #peerBehind = (link: LinkId): number | undefined => {
    const node = this.control?.tunnels.nodeOf(link) ?? this.#peers.get(link);
    return node === undefined ? undefined : this.#world.byNumber.get(node)?.index;
  };

  /** What the plane opened for the speaker, before the speaker has it. */
  #seeEvent(event: PlaneEvent): void {
    if (event.kind !== 'control' || event.bytes[0] !== ControlChannel.babel) return;
    const from = this.control?.tunnels.has(event.link) ? this.#peerBehind(event.link) : undefined;
    if (from === undefined) return;
    for (const watcher of this.#world.watchers) {
      watcher.delivered?.(from, this.index, event.bytes.subarray(1), this.#world.now, this.#hearsFormerStart);
    }
  }

  #seeCommand(command: PlaneCommand): void {
    const { watchers, now } = this.#world;
    if (command.kind === 'openLink' && command.node !== 0) this.#peers.set(command.link, command.node);
    if (command.kind === 'patchRoutes') {
      for (const watcher of watchers) watcher.patched?.(this.index, command, this.#peerBehind);
    }
    if (command.kind !== 'sendControl' || command.bytes[0] !== ControlChannel.babel) return;
    const to = this.#peerBehind(command.link);
    if (to === undefined) return;
    for (const watcher of watchers) watcher.sent?.(this.index, to, command.bytes.subarray(1), now);
  }

  #seeTold({ code, node }: Extract<ControlEffect, { kind: 'told' }>): void {
    const { watchers, byNumber, now } = this.#world;
    const peer = code === 'tunnel-down' && node !== undefined ? byNumber.get(node) : undefined;
    if (peer) for (const watcher of watchers) watcher.linkDown?.(this.index, peer.index, now);
  }

  #perform(effects: readonly (ControlEffect | MeshEffect)[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'plane':
          this.#seeCommand(effect.command);
          this.#plane?.command(effect.command);
          break;
        case 'persist':
          this.disk.set(effect.name, effect.bytes);
          break;
        case 'forget':
          this.disk.delete(effect.name);
          break;
        case 'sendDatagram':
          this.#world.carry(this, joinPort, effect.to, effect.bytes);
          break;
        case 'joined':
          this.#joiner = undefined;
          this.start();
          break;
        case 'joinFailed':
          this.joinError = effect.error;
          this.#joiner = undefined;
          break;
        case 'bridge':
          this.bridges.push(effect);
          if (this.#world.tcp !== undefined) this.#bridge(effect.node, effect.streams);
          break;
        case 'told':
          this.told.push(effect);
          this.#seeTold(effect);
          break;
        case 'expelled':
          this.expelled = true;
          break;
        case 'mapping':
          this.router?.perform(effect.order, this.address, (after, what) =>
            this.#world.at(this.#world.now + after, () => {
              for (const event of what()) this.#handle({ kind: 'mapping', event });
              this.#wake();
            }),
          );
          break;
        default:
          break; // kernel routes, LANs: not in this world
      }
    }
  }

  #bridge(node: NodeNumber, streams: readonly StreamEndpoint[]): void {
    const target = streams
      .map(({ endpoint }) => this.#world.machineAt(endpoint))
      .find((machine) => machine?.control && machine.takesTcp);
    this.#world.at(this.#world.now + 1, () => {
      if (target && this.#world.tcp)
        this.#handle({ kind: 'bridged', node, endpoint: this.#world.stream(this, target) });
      else this.#handle({ kind: 'bridgeFailed', node, reason: 'nobody there' });
      this.#wake();
    });
  }

  /** Its tunnel to another goes over a TCP stream. */
  isOverTcp(other: Machine): boolean {
    const tunnel = this.control?.tunnels.tunnelTo(other.number);
    return tunnel !== undefined && isBridged(tunnel.endpoint);
  }

  /** Hears the beacon of one on its LAN. */
  findOnLan(other: Machine): void {
    const said = { node: other.number, port, asks: false };
    const bytes = encodeBeacon(beaconKey(this.mesh.membership.network.id), said, this.#world.random.bytes(12));
    this.#handle({ kind: 'beaconReceived', from: other.address, bytes });
    this.#wake();
  }

  #persistAll(effects: readonly MeshEffect[]): void {
    for (const effect of effects) if (effect.kind === 'persist') this.disk.set(effect.name, effect.bytes);
  }

  /** Does what is due now, and is called again when more is. */
  #wake(): void {
    const { now } = this.#world;
    if (now < this.#sleepsUntil) return;
    for (let turns = 0; this.#deadline() <= now; turns++) {
      if (turns > 1000) throw new Error(`${this.name} is always due`);
      this.#plane?.run(now);
      if (this.control && this.control.deadline() <= now) {
        this.#perform(this.control.tick(now));
        this.#settled();
      }
      if (this.#joiner && this.#joiner.deadline() <= now) this.#perform(this.#joiner.tick(now));
    }
    const due = this.#deadline();
    if (due >= this.#wakeAt) return;
    this.#wakeAt = due;
    if (due === Number.POSITIVE_INFINITY) return;
    this.#world.at(due, () => {
      if (this.#wakeAt !== due) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }

  #deadline(): Millis {
    return Math.min(
      this.#plane?.deadline() ?? never,
      this.control?.deadline() ?? never,
      this.#joiner?.deadline() ?? never,
    );
  }

  toString(): string {
    return `${this.name} at ${formatEndpoint({ address: this.address, port })}`;
  }
}
