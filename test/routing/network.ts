import { createHmac } from 'node:crypto';
import { formatIp, type IpBytes, parseIp } from '../../src/addr/ip.js';
import { nodePrefix, tunnelLinkLocal } from '../../src/addr/node-number.js';
import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { type Random, seededRandom } from '../../src/random.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import type {
  LanOptions,
  OriginAuthority,
  RouteChange,
  SpeakerEffect,
  SpeakerEvent,
  StoredSeqno,
} from '../../src/routing/contract.js';
import { Speaker, type SpeakerOptions } from '../../src/routing/speaker.js';
import type { Tuning } from '../../src/routing/tuning.js';
import type { Millis } from '../../src/time.js';

export const overlay = parsePrefix('fd12:3456:7800::/40')!;

/** What every node of a test may know and grant: a keyed hash stands for Ed25519. */
export class TestAuthority implements OriginAuthority {
  readonly grantsOf = new Map<number, Prefix[]>();
  /** Nodes whose certificate this node does not hold. */
  readonly unknown = new Set<number>();
  /** Nodes that have another key here than the one they sign with: that of this number. */
  readonly keyOf = new Map<number, number>();
  verified = 0;
  readonly #node: number;

  constructor(node: number) {
    this.#node = node;
  }

  sign(octets: Uint8Array): Uint8Array {
    return signAs(this.#node, octets);
  }

  verify(node: number, octets: Uint8Array, signature: Uint8Array): 'valid' | 'invalid' | 'unknown' {
    if (this.unknown.has(node)) return 'unknown';
    this.verified++;
    return Buffer.compare(signAs(this.keyOf.get(node) ?? node, octets), signature) === 0 ? 'valid' : 'invalid';
  }

  grants(node: number, prefix: Prefix): boolean {
    return (this.grantsOf.get(node) ?? []).some(
      (granted) => granted.isIpv4 === prefix.isIpv4 && granted.covers(prefix),
    );
  }
}

export function signAs(node: number, octets: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac('sha256', `node ${node}`).update(octets).digest());
}

export interface LinkOptions {
  delay?: Millis;
  /** 0 to 1. */
  loss?: number;
  jitter?: Millis;
  /** Packets that take this much longer, and how many of them. */
  late?: { readonly by: Millis; readonly share: number };
  duplication?: number;
}

interface Link {
  readonly ends: readonly [number, number];
  readonly id: number;
  options: LinkOptions;
  cut: boolean;
}

export class TestNode {
  readonly number: number;
  readonly authority: TestAuthority;
  speaker: Speaker;
  stored: StoredSeqno | undefined;
  readonly routes = new Map<string, RouteChange>();
  readonly changes: { readonly at: Millis; readonly change: RouteChange }[] = [];
  readonly reports: Extract<SpeakerEffect, { kind: 'reported' }>[] = [];
  readonly wanted: number[] = [];
  octetsSent = 0;
  packetsSent = 0;
  running = true;
  /** Of nodes' prefixes: worlds that are watched ask after every event. */
  readonly #keys = new Map<number, string>();

  constructor(number: number, authority: TestAuthority, speaker: Speaker) {
    this.number = number;
    this.authority = authority;
    this.speaker = speaker;
  }

  /** The neighbour packets for this node go to, or 'held', or undefined. */
  next(number: number): number | 'held' | undefined {
    let key = this.#keys.get(number);
    if (key === undefined) {
      key = nodePrefix(overlay, number).key;
      this.#keys.set(number, key);
    }
    const route = this.routes.get(key);
    if (!route) return undefined;
    return route.choices[0]?.neighbourNode ?? (route.held ? 'held' : undefined);
  }
}

/** A LAN on which speakers, and hand-made ones, hear each other. */
interface Lan {
  readonly id: number;
  readonly members: Map<number, IpBytes>;
  readonly heard: {
    readonly at: Millis;
    readonly from: IpBytes;
    readonly to: IpBytes | 'multicast';
    readonly bytes: Uint8Array;
  }[];
}

/** Interface numbers of LANs begin here; below are tunnels. */
const firstLan = 1_000_000;

/** Speakers on a virtual clock, joined by tunnels and LANs; the same seed gives the same run. */
export class Network {
  now: Millis = 1000;
  readonly random: Random;
  readonly nodes = new Map<number, TestNode>();
  /** Called after every event. */
  watch: (() => void) | undefined;
  readonly #links: Link[] = [];
  readonly #lans: Lan[] = [];
  readonly #queue: { readonly at: Millis; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;
  readonly #tuning: Partial<Tuning>;

  constructor(seed = 1, tuning: Partial<Tuning> = {}) {
    this.random = seededRandom(seed);
    this.#tuning = tuning;
  }

  at(after: Millis, run: () => void): void {
    const entry = { at: this.now + after, order: this.#order++, run };
    let i = this.#queue.length;
    this.#queue.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(this.#queue[parent]!, entry)) break;
      this.#queue[i] = this.#queue[parent]!;
      i = parent;
    }
    this.#queue[i] = entry;
  }

  #pop(): void {
    const top = this.#queue[0]!;
    const last = this.#queue.pop()!;
    if (this.#queue.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= this.#queue.length) break;
        if (child + 1 < this.#queue.length && before(this.#queue[child + 1]!, this.#queue[child]!)) child++;
        if (before(last, this.#queue[child]!)) break;
        this.#queue[i] = this.#queue[child]!;
        i = child;
      }
      this.#queue[i] = last;
    }
    this.now = Math.max(this.now, top.at);
    top.run();
  }

  /** Adds a node that announces its own /64. */
  node(number: number, options: Partial<SpeakerOptions> = {}): TestNode {
    const authority = new TestAuthority(number);
    const node = new TestNode(number, authority, this.#speaker(number, authority, options));
    this.nodes.set(number, node);
    this.send(number, { kind: 'originate', prefix: nodePrefix(overlay, number), metric: 0 });
    return node;
  }

  #speaker(number: number, authority: TestAuthority, options: Partial<SpeakerOptions>): Speaker {
    return new Speaker({
      node: number,
      network: overlay,
      authority,
      random: this.random,
      now: this.now,
      stored: undefined,
      freshEpoch: 100,
      tuning: this.#tuning,
      ...options,
    });
  }

  /** The daemon was killed and starts again; tunnels come up anew. */
  restart(number: number, options: Partial<SpeakerOptions> = {}): void {
    const node = this.nodes.get(number)!;
    node.speaker = this.#speaker(number, node.authority, { stored: node.stored, ...options });
    node.routes.clear();
    this.send(number, { kind: 'originate', prefix: nodePrefix(overlay, number), metric: 0 });
    for (const link of this.#links) if (link.ends.includes(number) && !link.cut) this.#open(link);
  }

  /** Dies without a word; its tunnels fall silent to the others `after` so long. */
  kill(number: number, after: Millis = 2000): void {
    this.nodes.get(number)!.running = false;
    for (const link of this.#links.filter((l) => l.ends.includes(number))) {
      const other = link.ends[0] === number ? link.ends[1] : link.ends[0];
      link.cut = true;
      this.at(after, () => this.send(other, { kind: 'interfaceDown', interface: link.id }));
    }
  }

  link(a: number, b: number, options: LinkOptions = {}): void {
    const link: Link = { ends: [a, b], id: this.#links.length + 1, options, cut: false };
    this.#links.push(link);
    this.#open(link);
  }

  #open(link: Link): void {
    const [a, b] = link.ends;
    link.cut = false;
    this.send(a, { kind: 'tunnelUp', interface: link.id, neighbour: b, mtu: 1232 });
    this.send(b, { kind: 'tunnelUp', interface: link.id, neighbour: a, mtu: 1232 });
    this.measure(a, b);
  }

  #find(a: number, b: number): Link {
    return this.#links.find((l) => l.ends.includes(a) && l.ends.includes(b))!;
  }

  /** The plane of both ends measures the tunnel. */
  measure(a: number, b: number, felt: { rtt?: Millis; jitter?: Millis; loss?: number } = {}): void {
    const link = this.#find(a, b);
    const rtt = felt.rtt ?? 2 * (link.options.delay ?? 5);
    for (const end of [a, b]) {
      this.send(end, {
        kind: 'measured',
        interface: link.id,
        rtt,
        jitter: felt.jitter ?? 0,
        loss: felt.loss ?? link.options.loss ?? 0,
      });
    }
  }

  change(a: number, b: number, options: LinkOptions): void {
    this.#find(a, b).options = options;
    this.measure(a, b);
  }

  /** The tunnel loses everything from now on; both planes notice after 2 s. */
  cut(a: number, b: number, after: Millis = 2000): void {
    const link = this.#find(a, b);
    link.cut = true;
    for (const end of [a, b]) this.at(after, () => this.send(end, { kind: 'interfaceDown', interface: link.id }));
  }

  heal(a: number, b: number): void {
    this.#open(this.#find(a, b));
  }

  interfaceOf(a: number, b: number): number {
    return this.#find(a, b).id;
  }

  lan(): number {
    const id = firstLan + this.#lans.length;
    this.#lans.push({ id, members: new Map(), heard: [] });
    return id;
  }

  /** Puts a node on a LAN, on each with another address. */
  attach(number: number, lan: number, options: Partial<LanOptions> = {}, mtu = 1400): void {
    const address = parseIp(`fe80::${(0xaa + lan - firstLan).toString(16)}:${number.toString(16)}`)!;
    this.#lan(lan).members.set(number, address);
    const all = [parsePrefix('::/0')!, parsePrefix('0.0.0.0/0')!];
    this.send(number, {
      kind: 'lanUp',
      interface: lan,
      ownAddress: address,
      mtu,
      options: { imports: all, exports: all, connected: [], onLink: [], own: [], ...options },
    });
  }

  #lan(id: number): Lan {
    return this.#lans[id - firstLan]!;
  }

  heardOn(lan: number): Lan['heard'] {
    return this.#lan(lan).heard;
  }

  /** A hand-made speaker says something on a LAN. */
  say(lan: number, from: string, bytes: Uint8Array): void {
    for (const number of this.#lan(lan).members.keys()) this.deliver(number, lan, parseIp(from)!, bytes);
  }

  /** The hand-made speaker fe80::99 of each of these LANs says that it is there, and that it hears the first of our nodes there. */
  greet(lans: readonly number[], seqno: number): void {
    for (const lan of lans) {
      const writer = new PacketWriter(1200);
      writer.hello(seqno, 400);
      writer.ihu(this.heardOn(lan)[0]!.from, 96, 1200);
      this.say(lan, 'fe80::99', writer.finish());
    }
  }

  /** A packet reaches a node on this interface. */
  deliver(number: number, id: number, from: IpBytes, bytes: Uint8Array): void {
    this.send(number, { kind: 'packetReceived', interface: id, from, bytes, receivedAt: this.now });
  }

  /** A packet comes out of the tunnel from a to b, as if a had sent it. */
  inject(a: number, b: number, bytes: Uint8Array): void {
    this.deliver(b, this.interfaceOf(a, b), tunnelLinkLocal(a), bytes);
  }

  send(number: number, event: SpeakerEvent): void {
    const node = this.nodes.get(number)!;
    if (!node.running) return;
    this.#perform(node, node.speaker.handle(event, this.now));
    this.watch?.();
  }

  #perform(node: TestNode, effects: SpeakerEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'sendPacket') {
        node.octetsSent += effect.bytes.length;
        node.packetsSent++;
        if (effect.interface >= firstLan) this.#carryOnLan(node, effect.interface, effect.to, effect.bytes);
        else this.#carry(node, effect.interface, effect.bytes);
      } else if (effect.kind === 'routesChanged') {
        for (const change of effect.changes) {
          node.changes.push({ at: this.now, change });
          if (change.choices.length === 0 && !change.held) node.routes.delete(change.prefix.key);
          else node.routes.set(change.prefix.key, change);
        }
      } else if (effect.kind === 'persist') node.stored = effect.state;
      else if (effect.kind === 'reported') node.reports.push(effect);
      else node.wanted.push(effect.node);
    }
  }

  #carry(node: TestNode, id: number, bytes: Uint8Array): void {
    const link = this.#links[id - 1]!;
    const { delay = 5, loss = 0, jitter = 0, late, duplication = 0 } = link.options;
    if (link.cut || this.random.unit() < loss) return;
    const to = link.ends[0] === node.number ? link.ends[1] : link.ends[0];
    const copies = this.random.unit() < duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const more = late && this.random.unit() < late.share ? this.random.unit() * late.by : 0;
      this.at(delay + jitter * this.random.unit() + more, () => {
        if (!link.cut) this.deliver(to, id, tunnelLinkLocal(node.number), bytes);
      });
    }
  }

  #carryOnLan(node: TestNode, id: number, to: IpBytes | 'multicast', bytes: Uint8Array): void {
    const lan = this.#lan(id);
    const from = lan.members.get(node.number)!;
    lan.heard.push({ at: this.now, from, to, bytes });
    for (const [number, address] of lan.members) {
      if (number === node.number) continue;
      if (to !== 'multicast' && formatIp(to) !== formatIp(address)) continue;
      this.at(0.2, () => this.deliver(number, id, from, bytes));
    }
  }

  /** Lets time pass. */
  run(duration: Millis): void {
    const end = this.now + duration;
    for (;;) {
      let next = this.#queue[0]?.at ?? Number.POSITIVE_INFINITY;
      let due: TestNode | undefined;
      for (const node of this.nodes.values()) {
        const deadline = node.running ? node.speaker.deadline() : Number.POSITIVE_INFINITY;
        if (deadline < next) {
          next = deadline;
          due = node;
        }
      }
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (due) {
        this.#perform(due, due.speaker.tick(this.now));
        this.watch?.();
      } else this.#pop();
    }
    this.now = end;
  }

  /** Lets time pass until this holds; how long that took, or undefined when it did not within `limit`. */
  until(holds: () => boolean, limit: Millis): Millis | undefined {
    const start = this.now;
    while (this.now - start <= limit) {
      if (holds()) return this.now - start;
      this.run(1);
    }
    return undefined;
  }

  /** True when every running node has a route to every other. */
  allReach(): boolean {
    const running = [...this.nodes.values()].filter((node) => node.running);
    return running.every((node) =>
      running.every((other) => other === node || this.path(node.number, other.number) !== undefined),
    );
  }

  /** The nodes a packet passes, ends included; undefined when it does not arrive. */
  path(from: number, to: number): number[] | undefined {
    const path = [from];
    for (let at = from; at !== to; ) {
      const next = this.nodes.get(at)!.next(to);
      if (typeof next !== 'number' || path.includes(next) || !this.nodes.get(next)!.running) return undefined;
      path.push(next);
      at = next;
    }
    return path;
  }

  /** A cycle of next hops towards some node, as text, or undefined. */
  loop(): string | undefined {
    for (const target of this.nodes.keys()) {
      for (const start of this.nodes.values()) {
        const seen = new Set<number>();
        let at: number | 'held' | undefined = start.number;
        while (typeof at === 'number' && at !== target) {
          if (seen.has(at)) return `towards ${target}: ${[...seen, at].join(' -> ')}`;
          seen.add(at);
          const node: TestNode | undefined = this.nodes.get(at);
          at = node?.running ? node.next(target) : undefined;
        }
      }
    }
    return undefined;
  }
}

function before(
  a: { readonly at: number; readonly order: number },
  b: { readonly at: number; readonly order: number },
) {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export function prefix(text: string): Prefix {
  return parsePrefix(text)!;
}
