import type { Machine } from '../../src/machine.js';
import { type Random, seededRandom } from '../../src/random.js';
import type { Millis } from '../../src/time.js';
import { Agenda } from './agenda.js';
import { arrivalOver, cleanLink, type Link, type LinkQuality, peerOf } from './link.js';
import { type Parcel, Parcels } from './parcels.js';

/** What a node may do to the world: the simulator's side of an effect. */
export interface Hands {
  readonly node: number;
  readonly now: Millis;
  send(link: Link, bytes: Uint8Array): void;
  /** Keeps this for the node's next start. */
  persist(value: unknown): void;
}

/** One kind of node: how the simulator speaks to its machine. The network knows no protocol. */
export interface NodeKind<M extends Machine<Event, Effect>, Event, Effect> {
  /**
   * `persisted`: what the node last persisted, undefined after its disk was lost. `starts`: how often it started
   * before.
   */
  create(node: number, random: Random, persisted: unknown, now: Millis, starts: number): M;
  /** What it is told right after it was made. */
  started(node: number): Event[];
  linkUp(node: number, link: Link): Event[];
  linkDown(node: number, link: Link): Event[];
  received(node: number, link: Link, bytes: Uint8Array, now: Millis): Event[];
  /** The link's quality as its plane would measure it. */
  measured(node: number, link: Link): Event[];
  perform(effect: Effect, hands: Hands): void;
}

export interface SimNode<M> {
  readonly index: number;
  machine: M;
  readonly hands: Hands;
  alive: boolean;
  readonly links: Link[];
  persisted: unknown;
  /** When its tick is queued; Infinity for not at all. */
  tickAt: Millis;
  starts: number;
}

/** Sees what happens, to check or to draw it. */
export interface Observer {
  sent?(from: number, to: number, bytes: Uint8Array, now: Millis): void;
  /** `isOfFormerStart`: `from` has died since it sent this, and begun anew. */
  delivered?(from: number, to: number, bytes: Uint8Array, now: Millis, isOfFormerStart?: boolean): void;
  died?(node: number, now: Millis): void;
  started?(node: number, now: Millis): void;
  linkDown?(node: number, peer: number, now: Millis): void;
  /** After the node has handled an event or a tick and all its effects are done. */
  settled?(node: number, now: Millis): void;
}

export interface Traffic {
  packets: number;
  bytes: number;
}

/**
 * A network of machines on a virtual clock. Same seed, same run: all chance comes from one seed, and what is due at one
 * instant is done in the order in which it was arranged.
 */
export class Network<M extends Machine<Event, Effect>, Event, Effect> {
  readonly #kind: NodeKind<M, Event, Effect>;
  readonly #random: Random;
  readonly #seed: number;
  readonly #agenda: Agenda;
  readonly #observers: Observer[] = [];
  /** In large networks: their nodes and observers keep nothing of a packet but copies. */
  readonly #parcels: Parcels | undefined;
  readonly nodes: SimNode<M>[] = [];
  readonly links: Link[] = [];
  readonly traffic: Traffic = { packets: 0, bytes: 0 };
  /** Events handled so far, ticks included. */
  events = 0;

  /** `lookahead`: no link is faster than this, nodes take turns, and nobody keeps a packet; see agenda.ts, parcels.ts. */
  constructor(kind: NodeKind<M, Event, Effect>, seed: number, lookahead: Millis = 0) {
    this.#agenda = new Agenda(lookahead);
    this.#parcels = lookahead > 0 ? new Parcels() : undefined;
    this.#kind = kind;
    this.#seed = seed;
    this.#random = seededRandom(seed);
  }

  get now(): Millis {
    return this.#agenda.now;
  }

  get random(): Random {
    return this.#random;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  addNode(): SimNode<M> {
    const index = this.nodes.length;
    const node: SimNode<M> = {
      index,
      machine: this.#kind.create(index, this.#chanceFor(index, 0), undefined, this.now, 0),
      hands: this.#handsOf(index),
      alive: true,
      links: [],
      persisted: undefined,
      tickAt: Number.POSITIVE_INFINITY,
      starts: 0,
    };
    this.nodes.push(node);
    this.#tell(node, this.#kind.started(index));
    return node;
  }

  #chanceFor(index: number, starts: number): Random {
    return seededRandom((Math.imul(this.#seed, 0x85ebca6b) ^ Math.imul(index + 1, 0x9e3779b9)) + starts);
  }

  /** A new link, up at both ends at once. */
  link(a: number, b: number, quality: Partial<LinkQuality> = {}): Link {
    const link: Link = {
      index: this.links.length,
      a,
      b,
      quality: { ...cleanLink, ...quality },
      carries: true,
      up: true,
      session: 0,
      lastArrival: [0, 0],
    };
    this.links.push(link);
    this.nodes[a]!.links.push(link);
    this.nodes[b]!.links.push(link);
    for (const end of [a, b]) {
      this.#tell(this.nodes[end]!, this.#kind.linkUp(end, link));
      this.#tell(this.nodes[end]!, this.#kind.measured(end, link));
    }
    return link;
  }

  linkBetween(a: number, b: number): Link {
    const link = this.nodes[a]!.links.find((held) => peerOf(held, a) === b);
    if (!link) throw new Error(`no link between ${a} and ${b}`);
    return link;
  }

  /** Changes what a link is like; its ends measure it anew. */
  change(link: Link, quality: Partial<LinkQuality>): void {
    link.quality = { ...link.quality, ...quality };
    for (const end of [link.a, link.b]) {
      const node = this.nodes[end]!;
      if (node.alive && link.up) this.#tell(node, this.#kind.measured(end, link));
    }
  }

  /** The link carries nothing any more; both ends are told after `detection`, or never. */
  cut(link: Link, detection: Millis): void {
    link.carries = false;
    const session = ++link.session;
    if (Number.isFinite(detection)) {
      this.at(this.now + detection, () => {
        if (link.session === session) this.#lower(link);
      });
    }
  }

  #lower(link: Link): void {
    if (!link.up) return;
    link.up = false;
    for (const end of [link.a, link.b]) {
      const node = this.nodes[end]!;
      if (!node.alive) continue;
      for (const observer of this.#observers) observer.linkDown?.(end, peerOf(link, end), this.now);
      this.#tell(node, this.#kind.linkDown(end, link));
    }
  }

  /** The link carries again, as a new session; ends that believed it down hear that it is up. */
  mend(link: Link): void {
    if (!this.nodes[link.a]!.alive || !this.nodes[link.b]!.alive) return;
    link.carries = true;
    link.session++;
    if (link.up) return;
    link.up = true;
    for (const end of [link.a, link.b]) {
      this.#tell(this.nodes[end]!, this.#kind.linkUp(end, link));
      this.#tell(this.nodes[end]!, this.#kind.measured(end, link));
    }
  }

  /** The node dies without a word; its neighbours are told after `detection`. */
  kill(index: number, detection: Millis): void {
    const node = this.nodes[index]!;
    node.alive = false;
    for (const observer of this.#observers) observer.died?.(index, this.now);
    for (const link of node.links) this.cut(link, detection);
  }

  /** The node starts again, with what it persisted or with an empty disk; its links come up. */
  revive(index: number, disk: 'kept' | 'lost'): void {
    const node = this.nodes[index]!;
    if (disk === 'lost') node.persisted = undefined;
    node.starts++;
    node.machine = this.#kind.create(index, this.#chanceFor(index, node.starts), node.persisted, this.now, node.starts);
    node.alive = true;
    node.tickAt = Number.POSITIVE_INFINITY;
    for (const observer of this.#observers) observer.started?.(index, this.now);
    this.#tell(node, this.#kind.started(index));
    for (const link of node.links) {
      this.#lower(link);
      this.mend(link);
    }
  }

  /** Does this at that time. */
  at(time: Millis, action: () => void): void {
    this.#agenda.at(Math.max(time, this.now), action);
  }

  /** Tells a node something from outside, such as a new prefix to announce. */
  tell(index: number, ...events: readonly Event[]): void {
    this.#tell(this.nodes[index]!, events);
  }

  #tell(node: SimNode<M>, events: readonly Event[]): void {
    for (const event of events) {
      this.events++;
      this.#perform(node, node.machine.handle(event, this.now));
    }
    this.#settle(node);
  }

  #perform(node: SimNode<M>, effects: readonly Effect[]): void {
    for (const effect of effects) this.#kind.perform(effect, node.hands);
  }

  #handsOf(index: number): Hands {
    const network = this;
    return {
      node: index,
      get now() {
        return network.now;
      },
      send: (link, bytes) => this.#send(index, link, bytes),
      persist: (value) => {
        this.nodes[index]!.persisted = value;
      },
    };
  }

  #settle(node: SimNode<M>): void {
    for (const observer of this.#observers) observer.settled?.(node.index, this.now);
    const due = Math.max(node.machine.deadline(), this.now);
    if (due >= node.tickAt) return;
    node.tickAt = due;
    const { starts } = node;
    if (!Number.isFinite(due)) return;
    this.#agenda.by(node.index, due, () => {
      if (!node.alive || node.starts !== starts || node.tickAt !== due) return;
      node.tickAt = Number.POSITIVE_INFINITY;
      this.events++;
      // A deadline of the moment it was asked for is later now; the machine says when it really wants to be called.
      if (node.machine.deadline() <= this.now) this.#perform(node, node.machine.tick(this.now));
      this.#settle(node);
    });
  }

  #send(from: number, link: Link, bytes: Uint8Array): void {
    this.traffic.packets++;
    this.traffic.bytes += bytes.length;
    const to = peerOf(link, from);
    for (const observer of this.#observers) observer.sent?.(from, to, bytes, this.now);
    const { quality } = link;
    if (!link.carries || (quality.loss > 0 && this.#random.unit() < quality.loss)) return;
    this.#deliver(from, link, bytes);
    if (quality.duplicate > 0 && this.#random.unit() < quality.duplicate) this.#deliver(from, link, bytes);
  }

  #deliver(from: number, link: Link, bytes: Uint8Array): void {
    const { quality, session, lastArrival } = link;
    const direction = link.a === from ? 0 : 1;
    const arrival = arrivalOver(quality, this.#random, this.now, lastArrival, direction);
    const to = peerOf(link, from);
    if (this.#parcels) this.#post(from, to, link, arrival, this.#parcels, this.#parcels.pack(bytes));
    else this.#agenda.by(to, arrival, () => this.#arrive(from, to, link, session, bytes));
  }

  /** By itself, so that what waits for the arrival does not hold the packet too. */
  #post(from: number, to: number, link: Link, arrival: Millis, parcels: Parcels, parcel: Parcel): void {
    const { session } = link;
    this.#agenda.by(to, arrival, () => {
      this.#arrive(from, to, link, session, parcels.open(parcel));
      parcels.discard(parcel);
    });
  }

  #arrive(from: number, to: number, link: Link, session: number, bytes: Uint8Array): void {
    const node = this.nodes[to]!;
    if (!node.alive || !link.carries || link.session !== session) return;
    for (const observer of this.#observers) observer.delivered?.(from, to, bytes, this.now);
    this.#tell(node, this.#kind.received(to, link, bytes, this.now));
  }

  /** Runs until that time. */
  runTo(time: Millis): void {
    this.#agenda.runTo(time);
  }

  /** Runs until the condition holds, looked at every `every`; false when it does not by `limit`. */
  runUntil(condition: () => boolean, limit: Millis, every: Millis = 100): boolean {
    while (!condition()) {
      if (this.now >= limit) return false;
      this.runTo(Math.min(limit, this.now + every));
    }
    return true;
  }
}
