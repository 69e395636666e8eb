import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import { type NodeNumber, nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { toHex } from '../../src/bytes.js';
import { AgreementKey } from '../../src/crypto.js';
import { type Random, seededRandom } from '../../src/random.js';
import type { Millis } from '../../src/time.js';
import { Guard } from '../../src/tunnel/guard.js';
import { Peers, type TunnelEvent } from '../../src/tunnel/peers.js';
import { InProcessPlane } from '../../src/tunnel/plane/in-process.js';
import { buildPacket } from './plane/packets.js';
import { chainOf, type Effect, secondMachineOf } from './world.js';

/** The product's peers on the product's plane: real keys, real frames, a virtual clock. */
const network = parsePrefix('fd77:6566:7400::/40')!;

export class Node {
  readonly number: NodeNumber;
  readonly key: AgreementKey;
  readonly endpoint: Endpoint;
  readonly plane: InProcessPlane;
  readonly peers: Peers<string>;
  readonly told: Effect[] = [];
  /** Fills of the packets that reached the kernel. */
  readonly received: number[] = [];
  readonly #net: Net;

  constructor(net: Net, number: NodeNumber, random: Random, key: AgreementKey, host: number) {
    this.#net = net;
    this.number = number;
    this.key = key;
    this.endpoint = { address: `192.0.2.${host}`, port: 16696 };
    const cookieSecret = random.bytes(32);
    this.plane = new InProcessPlane({
      random,
      workers: 2,
      guard: (publicKey) => new Guard({ publicKey, cookieSecret, random }),
      toKernel: (packet) => this.received.push(packet.at(-1)!),
      toUnderlay: (bytes, to) => net.carry(this, to, new Uint8Array(bytes)),
    });
    this.plane.command({
      kind: 'configure',
      node: number,
      networkPrefix: network.bytes,
      networkPrefixLength: network.length,
      relay: 'yes',
      relayLimitBitsPerSecond: 0,
      publicKey: this.key.publicKey,
    });
    const incarnation = BigInt(random.below(2 ** 32));
    this.peers = new Peers<string>({
      node: number,
      networkId: new Uint8Array(32).fill(7),
      key: this.key,
      chain: chainOf(number),
      incarnation,
      secondMachine: secondMachineOf(key, incarnation),
      lanes: 2,
      aesFaster: true,
      random,
      membership: {
        identify: (chain, publicKey) => {
          const holder = net.nodes.find((node) => toHex(node.key.publicKey) === toHex(publicKey))!;
          return toHex(chain) === toHex(chainOf(holder.number))
            ? { node: holder.number, certificate: `node ${holder.number}` }
            : { refused: 'the certificate is for another key' };
        },
        publicKeyOf: (node) => net.nodes.find((other) => other.number === node)?.key.publicKey,
      },
      counters: (link) => this.plane.counters(link),
    });
    this.plane.onEvent((event) => this.do({ kind: 'plane', event }));
  }

  do(event: TunnelEvent): void {
    this.apply(this.peers.handle(event, this.#net.now));
  }

  apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'plane') this.plane.command(effect.command);
      else this.told.push(effect);
    }
  }

  dial(other: Node): void {
    this.do({ kind: 'dial', node: other.number, publicKey: other.key.publicKey, endpoints: [other.endpoint] });
  }

  standing(other: Node): string {
    return this.peers.reach(other.number)?.standing ?? 'none';
  }

  /** Packets for `to` leave by the tunnel to `hop`. */
  route(to: Node, hop: Node): void {
    const hops = [this.peers.reach(hop.number)!.link];
    this.plane.command({ kind: 'patchRoutes', nodes: [{ node: to.number, hops }], prefixes: [], removedPrefixes: [] });
  }

  /** A UDP packet whose last octet is `fill`. */
  send(to: Node, fill: number): void {
    const [source, destination] = [nodeAddress(network, this.number), nodeAddress(network, to.number)];
    const payload = new Uint8Array(32).fill(fill);
    this.plane.fromKernel(buildPacket({ version: 6, protocol: 'udp', source, destination, payload }));
  }

  count(kind: Effect['kind']): number {
    return this.told.filter((effect) => effect.kind === kind).length;
  }
}

export class Net {
  now: Millis = 1000;
  readonly nodes: Node[] = [];
  /** Pairs that hear nothing of each other, as "1-2". */
  readonly cut = new Set<string>();
  /** Ways on which everything is lost, as "1-2". */
  readonly cutWay = new Set<string>();
  /** Shares of datagrams that are lost, and that come twice; by how much they may be late. */
  loss = 0;
  repeated = 0;
  late: Millis = 0;
  readonly #random: Random;
  readonly #flights: { readonly at: Millis; readonly from: Node; readonly to: Node; readonly bytes: Uint8Array }[] = [];

  constructor(seed = 9) {
    this.#random = seededRandom(seed);
  }

  node(number: NodeNumber): Node {
    const node = new Node(this, number, this.#random, new AgreementKey(this.#random.bytes(32)), number);
    this.nodes.push(node);
    return node;
  }

  /** The same node and key, started anew: in its place, or beside it on another host. */
  again(node: Node, host = node.number): Node {
    const fresh = new Node(this, node.number, this.#random, node.key, host);
    if (host === node.number) this.nodes.splice(this.nodes.indexOf(node), 1);
    this.nodes.push(fresh);
    return fresh;
  }

  carry(from: Node, endpoint: Endpoint, bytes: Uint8Array): void {
    const to = this.nodes.find((node) => formatEndpoint(node.endpoint) === formatEndpoint(endpoint));
    if (!to || this.cut.has([from.number, to.number].sort().join('-'))) return;
    if (this.cutWay.has(`${from.number}-${to.number}`)) return;
    if (this.loss > 0 && this.#random.unit() < this.loss) return;
    const copies = this.repeated > 0 && this.#random.unit() < this.repeated ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = this.late > 0 ? this.late * this.#random.unit() : 0;
      this.#flights.push({ at: this.now + 5 + late, from, to, bytes: bytes.slice() });
    }
  }

  run(duration: Millis, each: Millis = duration, act: () => void = () => {}): void {
    const end = this.now + duration;
    let actAt = this.now;
    for (;;) {
      for (const node of this.nodes) {
        node.plane.run(this.now);
        if (this.now >= node.peers.deadline()) node.apply(node.peers.tick(this.now));
        node.plane.run(this.now);
      }
      const due = this.nodes.map((node) => Math.min(node.plane.deadline(), node.peers.deadline()));
      const next = Math.min(...due, ...this.#flights.map(({ at }) => at), actAt + each);
      if (next > end) break;
      this.now = Math.max(next, this.now + 0.5);
      if (this.now >= actAt + each) {
        actAt = this.now;
        act();
      }
      const arrived = this.#flights.filter(({ at }) => at <= this.now);
      for (const flight of arrived) {
        this.#flights.splice(this.#flights.indexOf(flight), 1);
        if (this.nodes.includes(flight.to)) flight.to.plane.fromUnderlay(flight.bytes, flight.from.endpoint);
      }
    }
    this.now = end;
  }
}
