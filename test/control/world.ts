import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import { type NodeNumber, nodeAddress } from '../../src/addr/node-number.js';
import type { ControlEffect, ControlEvent } from '../../src/control/contract.js';
import { ControlPlane } from '../../src/control/control-plane.js';
import { decodeSeeds, encodeSeeds } from '../../src/control/seeds.js';
import { decodeStoredSeqno } from '../../src/control/stored-seqno.js';
import type { MeshError } from '../../src/errors.js';
import { invite } from '../../src/mesh/commands.js';
import { blobs, type MeshEffect } from '../../src/mesh/effects.js';
import { foundNetwork } from '../../src/mesh/found.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { Mesh } from '../../src/mesh/mesh.js';
import { type Random, seededRandom } from '../../src/random.js';
import type { SpeakerEvent } from '../../src/routing/contract.js';
import { type Millis, second, type UnixSeconds } from '../../src/time.js';
import { ControlChannel } from '../../src/tunnel/frame.js';
import { Guard } from '../../src/tunnel/guard.js';
import { NodeAead } from '../../src/tunnel/plane/aead.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import { InProcessPlane } from '../../src/tunnel/plane/in-process.js';
import { EventQueue } from '../sim/event-queue.js';
import { buildPacket } from '../tunnel/plane/packets.js';

const port = 16696;
const joinPort = 40_000;

/**
 * Whole nodes on a virtual clock: the product's own ControlPlane over the product's own data plane, on machines with public
 * addresses and a disk each. Datagrams take `delay`; pairs can be kept apart. The same seed, the same run.
 */
export class World {
  readonly random: Random;
  readonly machines: Machine[] = [];
  readonly delay: Millis;
  /** How much longer a datagram takes than `delay`. */
  noise: () => Millis = () => 0;
  now: Millis = 0;
  readonly #queue = new EventQueue();
  readonly #apart = new Set<string>();
  readonly arena = new Arena();
  readonly aead = new NodeAead(this.arena);

  constructor(seed: number, delay: Millis = 5) {
    this.random = seededRandom(seed);
    this.delay = delay;
  }

  readonly wallClock = (): UnixSeconds => 1_795_000_000 + this.now / 1000;

  machine(name: string): Machine {
    const machine = new Machine(this, name, `11.0.0.${this.machines.length + 1}`);
    this.machines.push(machine);
    return machine;
  }

  /** A network of this many nodes: the first founded it, the others joined with its tokens, one after another. */
  network(count: number): Machine[] {
    const machines = Array.from({ length: count }, (_, i) => this.machine(`n${i + 1}`));
    machines[0]!.found();
    for (const machine of machines.slice(1)) {
      machine.join(machines[0]!.invite());
      this.until(() => machine.control !== undefined, 10 * second);
    }
    return machines;
  }

  /** Datagrams between the two vanish from now on, or pass again. */
  separate(a: Machine, b: Machine, apart = true): void {
    const key = [a.address, b.address].sort().join();
    if (apart) this.#apart.add(key);
    else this.#apart.delete(key);
  }

  /** A datagram on its way; one to nobody, or to a dead machine, is lost. */
  carry(from: Machine, fromPort: number, to: Endpoint, bytes: Uint8Array): void {
    const target = this.machines.find((machine) => machine.address === to.address);
    if (!target || this.#apart.has([from.address, target.address].sort().join())) return;
    const source = { address: from.address, port: fromPort };
    this.at(this.now + this.delay + this.noise(), () => target.receive(bytes, source, to.port));
  }

  at(time: Millis, action: () => void): void {
    this.#queue.add(Math.max(time, this.now), action);
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

/** A machine: an address, a disk, and, while it runs as a member, control plane and data plane. */
export class Machine {
  readonly name: string;
  readonly address: string;
  readonly disk = new Map<string, Uint8Array>();
  readonly told: Extract<ControlEffect, { kind: 'told' }>[] = [];
  expelled = false;
  joinError: MeshError | undefined;
  control: ControlPlane | undefined;
  /** Packets the plane wrote into the TUN. */
  readonly packets: Uint8Array[] = [];
  readonly #world: World;
  #plane: InProcessPlane | undefined;
  #joiner: JoinInitiator | undefined;
  #wakeAt: Millis = Number.POSITIVE_INFINITY;

  constructor(world: World, name: string, address: string) {
    this.#world = world;
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
    const { value, effects } = invite(this.mesh, {});
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
    const plane = new InProcessPlane(
      {
        random,
        toKernel: (packet) => this.packets.push(packet.slice()),
        toUnderlay: (bytes, to, fresh) =>
          this.#world.carry(this, fresh ? 50_000 + random.below(1000) : port, to, bytes.slice()),
        guard: (publicKey) => new Guard({ publicKey, cookieSecret, random }),
        memory: { arena, aead },
      },
      now,
    );
    const control = new ControlPlane({
      mesh,
      seeds: decodeSeeds(this.disk.get('seeds')),
      storedSeqno: decodeStoredSeqno(this.disk.get('routing')),
      random,
      now,
      unixSeconds: wallClock,
      port,
      endpoints: [],
      mapPort: false,
      ipv6: false,
      relay: { mode: 'yes', limitBitsPerSecond: 0 },
      lanes: 1,
      aesFaster: true,
      counters: (link) => plane.counters(link),
    });
    plane.onEvent((event) => this.#handle({ kind: 'plane', event }));
    this.#plane = plane;
    this.control = control;
    this.#handle({ kind: 'localAddresses', addresses: [{ device: 'eth0', address: this.address }] });
    this.#wake();
  }

  /** Dies without a word; what was persisted stays. */
  crash(): void {
    this.control = undefined;
    this.#plane = undefined;
    this.#joiner = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
  }

  order(effects: readonly MeshEffect[]): void {
    this.#handle({ kind: 'ordered', effects });
    this.#wake();
  }

  receive(bytes: Uint8Array, source: Endpoint, toPort: number): void {
    if (toPort === joinPort) {
      this.#perform(this.#joiner?.handle({ kind: 'datagram', from: source, bytes }, this.#world.now) ?? []);
    } else this.#plane?.fromUnderlay(bytes, source);
    this.#wake();
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
    const link = this.#running.tunnels.linkTo(to.number);
    if (link === undefined) throw new Error(`${this.name} has no tunnel to ${to.name}`);
    const bytes = Uint8Array.of(ControlChannel.babel, ...packet);
    this.#plane!.command({ kind: 'sendControl', link, bytes });
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
  }

  #perform(effects: readonly (ControlEffect | MeshEffect)[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'plane':
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
        case 'told':
          this.told.push(effect);
          break;
        case 'expelled':
          this.expelled = true;
          break;
        default:
          break; // kernel routes, LANs, router: not in this world
      }
    }
  }

  #persistAll(effects: readonly MeshEffect[]): void {
    for (const effect of effects) if (effect.kind === 'persist') this.disk.set(effect.name, effect.bytes);
  }

  /** Does what is due now, and is called again when more is. */
  #wake(): void {
    const { now } = this.#world;
    for (let turns = 0; this.#deadline() <= now; turns++) {
      if (turns > 1000) throw new Error(`${this.name} is always due`);
      this.#plane?.run(now);
      if (this.control && this.control.deadline() <= now) this.#perform(this.control.tick(now));
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
    const machines = [this.#plane, this.control, this.#joiner];
    return Math.min(...machines.map((machine) => machine?.deadline() ?? Number.POSITIVE_INFINITY));
  }

  toString(): string {
    return `${this.name} at ${formatEndpoint({ address: this.address, port })}`;
  }
}
