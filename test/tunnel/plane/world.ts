import { type Endpoint, formatEndpoint } from '../../../src/addr/endpoint.js';
import { nodeAddress } from '../../../src/addr/node-number.js';
import { parsePrefix } from '../../../src/addr/prefix.js';
import { type Random, seededRandom } from '../../../src/random.js';
import { type Millis, never } from '../../../src/time.js';
import type { Cipher, PlaneCommand, PlaneEvent } from '../../../src/tunnel/plane/contract.js';
import { InProcessPlane, type InProcessPlaneOptions } from '../../../src/tunnel/plane/in-process.js';
import { buildPacket } from './packets.js';

export const network = parsePrefix('fd77:6566:7400::/40')!;

export interface WorldOptions {
  readonly workers?: number;
  readonly cipher?: Cipher;
  readonly memory?: InProcessPlaneOptions['memory'];
  /** The largest datagram that passes between any two nodes. */
  readonly pathSize?: number;
  /** Default: chance seeded by the node's number. */
  readonly random?: Random;
}

/** One datagram on its way. */
export interface Flight {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/** Nodes with the product's planes on one virtual clock, joined by wires that lose nothing unless a test says so. */
export class World {
  now = 1000;
  readonly nodes = new Map<number, Node>();
  /** Sees each datagram; false loses it, octets replace it. */
  wire: (flight: Flight) => boolean | Uint8Array = () => true;
  readonly captured: Flight[] = [];
  /** One way. */
  delay: Millis = 0;
  readonly options: WorldOptions;
  pathSize: number;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.pathSize = options.pathSize ?? 1472;
  }

  node(number: number, relay: 'yes' | 'limited' | 'no' = 'no', limit = 0): Node {
    const node = new Node(this, number, relay, limit);
    this.nodes.set(number, node);
    return node;
  }

  /** Links two nodes both ways and gives them keys; routes lead straight. */
  join(a: Node, b: Node): void {
    a.open(b, { kind: 'direct', endpoint: b.endpoint });
    b.open(a, { kind: 'direct', endpoint: a.endpoint });
    this.rekey(a, b, 1);
    a.route(b, [b]);
    b.route(a, [a]);
    this.settle();
  }

  /** Nodes 1 and 2, joined. */
  neighbours(): { a: Node; b: Node } {
    const [a, b] = [this.node(1), this.node(2)];
    this.join(a, b);
    return { a, b };
  }

  /** Nodes 1 and 3 with keys for each other and a way over the relay 2 alone. */
  relayed(): { a: Node; relay: Node; b: Node } {
    const [a, relay, b] = [this.node(1), this.node(2, 'yes'), this.node(3)];
    this.join(a, relay);
    this.join(relay, b);
    a.open(b, { kind: 'overlay' });
    b.open(a, { kind: 'overlay' });
    a.route(b, [relay]);
    b.route(a, [relay]);
    this.rekey(a, b, 1);
    return { a, relay, b };
  }

  /** New keys between two nodes; `a` is the initiator. */
  rekey(a: Node, b: Node, generation: number): void {
    b.install(a, generation, 'responder');
    this.settle();
    a.install(b, generation, 'initiator');
    this.settle();
  }

  /** Runs all planes until nothing moves at this moment. */
  settle(): void {
    for (let round = 0; round < 50; round++) {
      for (const node of this.nodes.values()) node.plane.run(this.now);
      if (![...this.nodes.values()].some((node) => node.deliver())) return;
    }
    throw new Error('the world does not settle');
  }

  /** Lets time pass, stopping at every deadline. */
  run(duration: number): void {
    const end = this.now + duration;
    for (;;) {
      this.settle();
      const next = Math.min(...[...this.nodes.values()].flatMap((node) => [node.plane.deadline(), node.nextArrival]));
      if (next > end) break;
      this.now = Math.max(next, this.now + 0.1);
    }
    this.now = end;
  }
}

export class Node {
  readonly world: World;
  readonly number: number;
  readonly plane: InProcessPlane;
  readonly events: PlaneEvent[] = [];
  /** Packets that reached the kernel. */
  readonly received: Uint8Array[] = [];
  readonly #queue: (Flight & { readonly source: Endpoint; readonly at: Millis })[] = [];
  endpoint: Endpoint;

  constructor(world: World, number: number, relay: 'yes' | 'limited' | 'no', limit: number) {
    this.world = world;
    this.number = number;
    this.endpoint = { address: `192.0.2.${number}`, port: 16696 };
    this.plane = new InProcessPlane({
      random: world.options.random ?? seededRandom(number),
      workers: world.options.workers ?? 1,
      ...(world.options.memory ? { memory: world.options.memory } : {}),
      toKernel: (packet) => this.received.push(new Uint8Array(packet)),
      toUnderlay: (bytes, to) => {
        const target = [...world.nodes.values()].find((node) => formatEndpoint(node.endpoint) === formatEndpoint(to));
        const [source, at] = [this.endpoint, world.now + world.delay];
        if (target) this.#queue.push({ from: number, to: target.number, bytes, source, at });
      },
    });
    this.plane.onEvent((event) => this.events.push(event));
    this.command({
      kind: 'configure',
      node: number,
      networkPrefix: network.bytes,
      networkPrefixLength: network.length,
      relay,
      relayLimitBitsPerSecond: limit,
      publicKey: new Uint8Array(32),
    });
  }

  get address(): Uint8Array {
    return nodeAddress(network, this.number);
  }

  command(command: PlaneCommand): void {
    this.plane.command(command);
  }

  /** A link's id is the other's number. */
  open(other: Node, carriage: Extract<PlaneCommand, { kind: 'openLink' }>['carriage']): void {
    this.command({ kind: 'openLink', link: other.number, node: other.number, carriage });
  }

  install(other: Node, generation: number, role: 'initiator' | 'responder', lanes = 3): void {
    this.command({
      kind: 'installSession',
      session: {
        link: other.number,
        cipher: this.world.options.cipher ?? 'aes-256-gcm',
        localIndex: receiverIndex(this.number, other.number, generation, lanes),
        localLanes: lanes,
        remoteIndex: receiverIndex(other.number, this.number, generation, lanes),
        remoteLanes: lanes,
        sendKey: key(this.number, other.number, generation),
        receiveKey: key(other.number, this.number, generation),
        role,
      },
    });
  }

  route(to: Node, hops: readonly Node[]): void {
    this.command({
      kind: 'patchRoutes',
      nodes: [{ node: to.number, hops: hops.map((hop) => hop.number) }],
      prefixes: [],
      removedPrefixes: [],
    });
  }

  /** A UDP packet from this node's own address; the packet sent. */
  send(to: Node, length = 100, fill = 1): Uint8Array {
    const payload = new Uint8Array(length).fill(fill);
    const packet = buildPacket({ version: 6, protocol: 'udp', source: this.address, destination: to.address, payload });
    this.plane.fromKernel(packet);
    return packet;
  }

  /** Drops counted for one reason. */
  dropped(reason: string): number {
    return this.plane.drops().get(reason) ?? 0;
  }

  kinds(): string[] {
    return this.events.map((event) => event.kind);
  }

  /** When the next datagram that this node sent arrives. */
  get nextArrival(): Millis {
    return Math.min(never, ...this.#queue.map(({ at }) => at));
  }

  /** Carries what this node sent; true when something arrived. */
  deliver(): boolean {
    let any = false;
    while (this.nextArrival <= this.world.now) {
      const { source, at: _, ...flight } = this.#queue.shift()!;
      this.world.captured.push(flight);
      const verdict = flight.bytes.length <= this.world.pathSize && this.world.wire(flight);
      if (verdict === false) continue;
      const target = this.world.nodes.get(flight.to)!;
      target.plane.fromUnderlay(verdict === true ? flight.bytes : verdict, source);
      any = true;
    }
    return any;
  }
}

/** At which `local` hears the first lane of what `remote` sends. */
export function receiverIndex(local: number, remote: number, generation: number, lanes = 3): number {
  return ((local * 16 + remote) * 16 + generation) * lanes;
}

/** The session key of what `from` sends to `to`. */
export function key(from: number, to: number, generation: number): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(32);
  const bytes = new Uint8Array(shared);
  bytes.fill(from * 31 + to);
  bytes[0] = generation;
  return shared;
}
