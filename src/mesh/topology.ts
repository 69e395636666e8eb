import type { NodeNumber } from '../addr/node-number.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import type { MeshEffect } from './effects.js';
import { KnownNodes } from './known-nodes.js';
import { type MeshMessages, meshMessage } from './messages.js';

export type TopologyEvent =
  /** A node that may be dialled: its record is held, and it is not us. Told again: there is news of it, try soon. */
  | { readonly kind: 'nodeKnown'; readonly node: NodeNumber }
  | { readonly kind: 'nodeGone'; readonly node: NodeNumber }
  /** It is said to be very near, on our LAN. */
  | { readonly kind: 'nearby'; readonly node: NodeNumber }
  /** Our own network is another: what failed before may work now. */
  | { readonly kind: 'networkChanged' }
  /** We were asleep, and every tunnel has just fallen. */
  | { readonly kind: 'wokeUp' }
  /** We were restarted, and had tunnels with these. */
  | { readonly kind: 'restarted'; readonly former: readonly NodeNumber[] }
  /** `own`: we dialled. */
  | { readonly kind: 'tunnelUp'; readonly node: NodeNumber; readonly own: boolean }
  | { readonly kind: 'tunnelDown'; readonly node: NodeNumber }
  /** A dial we ordered came to nothing, directly or by punching. */
  | { readonly kind: 'dialFailed'; readonly node: NodeNumber }
  /** The tunnel's round trip. */
  | { readonly kind: 'measured'; readonly node: NodeNumber; readonly rtt: Millis }
  /** The tunnel carries traffic, ours or others'; told again at least every two minutes while it does. */
  | { readonly kind: 'tunnelUsed'; readonly node: NodeNumber }
  /** A busy flow of ours goes to this node through relays. */
  | { readonly kind: 'flowBusy'; readonly node: NodeNumber }
  /** A member without a tunnel with us asked for one and was not let in, as `admits` says. */
  | { readonly kind: 'knocked'; readonly node: NodeNumber };

export type TopologyEffect =
  | { readonly kind: 'dial'; readonly node: NodeNumber }
  | { readonly kind: 'hangUp'; readonly node: NodeNumber; readonly reason: string }
  | MeshEffect;

/** How many tunnels a node has (docs/protocol/mesh.md). */
export interface TopologyLimits {
  /** Up to so many nodes, this one included, everybody has a tunnel to everybody. */
  readonly fullMesh: number;
  /** Beyond that, tunnels of our own: random ones keep the graph an expander, near ones keep paths short. */
  readonly ownRandom: number;
  readonly ownNear: number;
  /** Own and others' together, never more. */
  readonly maxTunnels: number;
  /**
   * Of those, so many are nobody's for good. Who comes when all others are taken is a guest there until it has heard from us who
   * else there is: a newcomer that may know nobody but us, the last of several that knocked at once, an answer to a dial of ours
   * for which no place was kept. Who is in use by then stays, and one that nobody uses makes room.
   */
  readonly guests: number;
  /**
   * Whom few others choose makes more random ones itself, until it has so many in all. Chosen by chance alone, some nodes would
   * have little more than their own ten, and a node is cut off when all its neighbours die: the few decide how safe all are.
   */
  readonly leastTunnels: number;
  /** So many in all allow it to give them up again. */
  readonly enoughTunnels: number;
}

export const ownRandom = 5;
export const ownNear = 5;
export const maxTunnels = 30;
export const guests = 3;
export const usualLimits: TopologyLimits = {
  fullMesh: 16,
  ownRandom,
  ownNear,
  maxTunnels,
  guests,
  leastTunnels: 16,
  enoughTunnels: 18,
};

/** A sparse network of few nodes, for tests: `own` random tunnels of each, in all at most three times as many, and a guest. */
export function sparseLimits(own: number): TopologyLimits {
  return {
    fullMesh: own + 1,
    ownRandom: own,
    ownNear: 0,
    maxTunnels: 3 * own + 1,
    guests: 1,
    leastTunnels: own,
    enoughTunnels: 3 * own,
  };
}

const maxShortcuts = 4;

/** A tunnel that carried nothing for so long may be closed. */
const idleAfter: Millis = 5 * minute;
/** One try for a nearer neighbour in this time, and how much nearer it must be. */
const tryEvery: Millis = 20 * second;
const nearerBy = 0.9;
/** How long a new tunnel may take to come up, and then to be measured. */
const dialPatience: Millis = 15 * second;
/** A dial unanswered for so long no longer holds the place of another: who is full, or gone, is silent. */
const dialOverdue: Millis = 3 * second;
/** A guest has so long to hear from us who else there is. */
const introduction: Millis = 3 * second;
/** For newcomers we hang up at most one idle tunnel in this time. */
const roomPause: Millis = minute;
const trialPatience: Millis = 15 * second;
const firstBackoff: Millis = 5 * second;
const longestBackoff: Millis = 10 * minute;
/**
 * News of where a node is has it dialled without waiting, the first at once and then one in this time: any member can sign a
 * record a second, and each of them names whom the dial hits.
 */
const newsPause: Millis = 30 * second;
/**
 * Who had a tunnel with us in the last day comes back when its line does, or ours, and of that nobody tells us: it is
 * asked oftener. Without any tunnel it is most likely our own line that is down, and the first answer ends the waiting.
 */
const lostMemory: Millis = 24 * 60 * minute;
const longestLostBackoff: Millis = 10 * second;
/** While other tunnels stand: the longer it has been away, the longer until it is asked again; who is switched off costs little. */
const shareOfAbsence = 1 / 30;
const longestAloneBackoff: Millis = 2 * second;
/** Without any tunnel a dial is overdue after this, the first repetitions included: most of a network may be gone. */
const aloneOverdue: Millis = 0.9 * second;
/** Of the tunnels before a restart, so many are tried, the newest. */
const mostFormer = 16;
/** Tunnels lost no longer ago than this fell because we slept; so many are remembered. */
const lostLately: Millis = 3 * second;
const mostLost = 64;
/** A node that was tried and found farther is not tried again for so long. */
const triedMemory: Millis = 30 * minute;
/** Neighbours tell each other who is near to them: this often, this many. */
const tellEvery: Millis = 30 * second;
const maxTold = 20;
/** Nodes said to be on our LAN, the newest. */
const maxNearby = 64;

const servesBetter = 'another tunnel serves better';
const hasEnough = 'it has as many tunnels as it keeps';

/** The nodes that may be dialled, in any order. */
export interface NodeList {
  readonly size: number;
  at(index: number): NodeNumber;
  has(node: NodeNumber): boolean;
  add(node: NodeNumber): void;
  remove(node: NodeNumber): void;
}

/** Why we have, or want, a tunnel of our own. */
type Purpose = 'mesh' | 'random' | 'near' | 'trial' | 'shortcut';

interface Tunnel {
  /** Undefined: the other side dialled. */
  purpose: Purpose | undefined;
  readonly since: Millis;
  rtt: Millis | undefined;
  usedAt: Millis;
  /** Came when all places were taken, and goes after the introduction if they still are and it carries nothing. */
  isGuest: boolean;
  /** How many packets it had carried when this was seen last. */
  carried: number;
}

interface Dial {
  readonly purpose: Purpose;
  readonly since: Millis;
  /** There was news of the node meanwhile. */
  hasNews: boolean;
}

interface Backoff {
  readonly until: Millis;
  readonly pause: Millis;
}

/**
 * Chooses whom to have tunnels with. It dials before it hangs up, never hangs up on traffic, and finds near nodes by asking
 * neighbours who is near to them: what is near to a near node is likely near.
 */
export class Topology implements Machine<TopologyEvent, TopologyEffect> {
  readonly #random: Random;
  readonly #known: NodeList;
  readonly #limits: TopologyLimits;
  readonly #carried: (node: NodeNumber) => number;
  readonly #tunnels = new Map<NodeNumber, Tunnel>();
  readonly #dialling = new Map<NodeNumber, Dial>();
  readonly #backoffs = new Map<NodeNumber, Backoff>();
  /** When known nodes were last dialled, or may be, because there was news of them. */
  readonly #newsAt = new Map<NodeNumber, Millis>();
  readonly #nearby = new Set<NodeNumber>();
  readonly #tried = new Map<NodeNumber, Millis>();
  /** What each neighbour said: node and its round trip from there. */
  readonly #told = new Map<NodeNumber, ReadonlyMap<NodeNumber, Millis>>();
  /** Tunnels that fell, and what for we had them; the newest last. */
  readonly #lost = new Map<NodeNumber, { readonly purpose: Purpose | undefined; readonly at: Millis }>();
  /**
   * Whom we had tunnels with before we slept or were restarted: likelier to be there than anybody, so they come first, also where
   * the directory was lost and a neighbour has yet to tell of them.
   */
  #former: { readonly node: NodeNumber; readonly purpose: Purpose }[] = [];
  #startedAt: Millis | undefined;
  #nextTry: Millis = 0;
  #nextRoom: Millis = 0;
  #nextTell: Millis = 0;
  #next: Millis = 0;

  /**
   * `known`: filled by events `nodeKnown`; given where many topologies share one. `carried`: how many packets the tunnel to a
   * node has carried until now, for flows too young for `tunnelUsed`.
   */
  constructor(
    random: Random,
    messages: MeshMessages,
    known: NodeList = new KnownNodes(),
    limits: TopologyLimits = usualLimits,
    carried: (node: NodeNumber) => number = () => 0,
  ) {
    this.#random = random;
    this.#known = known;
    this.#limits = limits;
    this.#carried = carried;
    messages.on('near', (message, sender) => {
      if (sender.neighbour && this.#tunnels.has(sender.node)) this.#told.set(sender.node, toldBy(message.n));
      return [];
    });
  }

  handle(event: TopologyEvent, now: Millis): TopologyEffect[] {
    if (event.kind === 'networkChanged') {
      this.#backoffs.clear();
      this.#next = Math.min(this.#next, now);
      return [];
    }
    if (event.kind === 'wokeUp') return this.#wokeUp(now);
    if (event.kind === 'restarted') {
      this.#former = event.former.slice(-mostFormer).map((node) => ({ node, purpose: 'random' }));
      this.#next = Math.min(this.#next, now);
      return [];
    }
    const tunnel = this.#tunnels.get(event.node);
    switch (event.kind) {
      case 'nodeKnown':
        this.#known.add(event.node);
        this.#hearNews(event.node, now);
        break;
      case 'nearby':
        if (!this.#known.has(event.node)) return [];
        this.#backoffs.delete(event.node);
        if (this.#nearby.size >= maxNearby) this.#nearby.delete(this.#nearby.values().next().value!);
        this.#nearby.add(event.node);
        break;
      case 'nodeGone':
        this.#forget(event.node);
        this.#next = Math.min(this.#next, now);
        return [];
      case 'tunnelUp': {
        const purpose = this.#dialling.get(event.node)?.purpose ?? tunnel?.purpose;
        this.#dialling.delete(event.node);
        this.#backoffs.delete(event.node);
        this.#next = Math.min(this.#next, now);
        if (!tunnel && this.#tunnels.size >= this.#limits.maxTunnels) return this.#close(event.node, hasEnough);
        this.#tunnels.set(event.node, {
          purpose: event.own ? (purpose ?? 'random') : purpose,
          since: now,
          rtt: undefined,
          usedAt: tunnel?.usedAt ?? now - idleAfter,
          isGuest: tunnel?.isGuest ?? this.#tunnels.size >= this.#places,
          carried: this.#carried(event.node),
        });
        break;
      }
      case 'tunnelDown':
        if (tunnel) this.#lose(event.node, tunnel.purpose, now);
        this.#tunnels.delete(event.node);
        this.#told.delete(event.node);
        if (this.#tunnels.size === 0) for (const node of this.#lost.keys()) this.#backoffs.delete(node);
        break;
      case 'dialFailed':
        // Others were given up before, or were to move a tunnel that stands.
        if (this.#dialling.has(event.node)) this.#backOff(event.node, now);
        break;
      case 'measured':
        if (tunnel) tunnel.rtt = event.rtt;
        if (tunnel?.purpose !== 'trial') return [];
        break;
      case 'tunnelUsed':
        if (!tunnel) return [];
        tunnel.usedAt = now;
        tunnel.carried = this.#carried(event.node);
        return [];
      case 'flowBusy':
        // Among few nodes it is dialled anyway.
        return tunnel || this.isSmall || this.#count('shortcut', now) >= maxShortcuts
          ? []
          : this.#shorten(event.node, now);
      case 'knocked':
        return tunnel ? [] : this.#makeRoom(now);
    }
    this.#next = Math.min(this.#next, now);
    return [];
  }

  tick(now: Millis): TopologyEffect[] {
    for (const [node, dial] of this.#dialling) if (now >= dial.since + dialPatience) this.#backOff(node, now);
    const effects = [...this.#dialFormer(now), ...(this.isSmall ? this.#meshAll(now) : this.#fill(now))];
    if (!this.isSmall) effects.push(...this.#judgeTrials(now), ...this.#tryNearer(now));
    effects.push(...this.#shed(now), ...this.#tell(now));
    this.#next = effects.length > 0 || !this.#isAtRest(now) ? now + second : this.#restEnd(now);
    return effects;
  }

  /** Nothing is under way that a second could change. */
  #isAtRest(now: Millis): boolean {
    if (this.#dialling.size > 0) return false;
    const isPassing = ({ purpose, isGuest }: Tunnel) => isGuest || purpose === 'trial' || purpose === 'shortcut';
    if ([...this.#tunnels.values()].some(isPassing)) return false;
    if (this.isSmall) return true;
    const { ownRandom, ownNear, leastTunnels, enoughTunnels } = this.#limits;
    const random = this.#count('random', now) + this.#count('mesh', now);
    const hasSpare = random > ownRandom && this.#tunnels.size > enoughTunnels;
    const isFull = this.#tunnels.size >= leastTunnels || !this.#isSettled(now);
    return random >= ownRandom && isFull && this.#count('near', now) >= ownNear && !hasSpare;
  }

  /** When something is due although nothing happens: whoever did not answer is asked again, or somebody nearer is looked for. */
  #restEnd(now: Millis): Millis {
    let end: Millis = never;
    if (this.isSmall) {
      for (const [node, { until }] of this.#backoffs) if (!this.#tunnels.has(node)) end = Math.min(end, until);
    } else {
      end = Math.min(this.#nextTell, this.#limits.ownNear > 0 ? this.#nextTry : never);
      if (!this.#isSettled(now)) end = Math.min(end, this.#startedAt! + minute);
    }
    return Math.max(end, now + second);
  }

  deadline(): Millis {
    return this.#known.size === 0 && this.#tunnels.size === 0 ? never : this.#next;
  }

  /**
   * Whether this node may open a tunnel with us now. A dial of ours that is overdue keeps no place from it. `isNew`: nobody has
   * heard of it; it may know nobody but us, and so comes as a guest when all places are taken.
   */
  admits(node: NodeNumber, now: Millis, isNew = false): boolean {
    if (this.#tunnels.has(node) || this.#dialling.has(node)) return true;
    return this.#taken(now) < (isNew ? this.#limits.maxTunnels : this.#places);
  }

  /** Places with a tunnel, or with a dial that may be answered any moment; who answers one later is a guest. */
  #taken(now: Millis): number {
    return this.#tunnels.size + [...this.#dialling.values()].filter((dial) => this.#isFresh(dial, now)).length;
  }

  /** For tunnels that stay. */
  get #places(): number {
    return this.#limits.maxTunnels - this.#limits.guests;
  }

  /** Everybody has a tunnel to everybody: nobody is given up for another. */
  get isSmall(): boolean {
    return this.#known.size < this.#limits.fullMesh;
  }

  /** In a small network all is dialled; the lower number first, so that two nodes seldom dial each other at once. */
  #meshAll(now: Millis): TopologyEffect[] {
    const known = Array.from({ length: this.#known.size }, (_, index) => this.#known.at(index));
    return known.flatMap((node) => this.#dial(node, 'mesh', now));
  }

  /** Nobody was told that dials under way ended with our sleep: they begin anew, like everything that was waited for. */
  #wokeUp(now: Millis): TopologyEffect[] {
    this.#backoffs.clear();
    this.#dialling.clear();
    const lost = [...this.#lost].filter(([, { at }]) => now - at < lostLately);
    this.#former = lost.map(([node, { purpose }]) => ({ node, purpose: purpose ?? 'random' }));
    this.#next = Math.min(this.#next, now);
    return [];
  }

  #lose(node: NodeNumber, purpose: Purpose | undefined, now: Millis): void {
    this.#lost.delete(node);
    if (this.#lost.size >= mostLost) this.#lost.delete(this.#lost.keys().next().value!);
    this.#lost.set(node, { purpose, at: now });
  }

  /** Where they do not answer they count as lost now: it is most likely our own line that is down. */
  #dialFormer(now: Millis): TopologyEffect[] {
    const known = this.#former.filter(({ node }) => this.#known.has(node));
    this.#former = this.#former.filter(({ node }) => !this.#known.has(node));
    return known.flatMap(({ node, purpose }) => {
      if (this.#tunnels.has(node)) return [];
      this.#lose(node, purpose, now);
      return this.#dial(node, purpose, now);
    });
  }

  /** As many tunnels of our own as there should be, one dial of a kind a tick; more where there is none at all. */
  #fill(now: Millis): TopologyEffect[] {
    const effects: TopologyEffect[] = [];
    const { ownRandom, ownNear, leastTunnels } = this.#limits;
    const random = this.#count('random', now) + this.#count('mesh', now);
    if (random < ownRandom || (this.#tunnels.size + this.#dialling.size < leastTunnels && this.#isSettled(now))) {
      const node = this.#anyone(now);
      if (node !== undefined) effects.push(...this.#dial(node, 'random', now));
    }
    if (this.#count('near', now) < ownNear) {
      const node = this.#likelyNear(now)?.node ?? this.#anyone(now);
      if (node !== undefined) effects.push(...this.#dial(node, 'near', now));
    }
    if (this.#isUnanswered(now)) effects.push(...this.#searchAnybody(now));
    return effects;
  }

  /** There is no tunnel, and not because nobody had the time to answer. */
  #isUnanswered(now: Millis): boolean {
    if (this.#tunnels.size > 0) return false;
    return this.#backoffs.size > 0 || [...this.#dialling.values()].some((dial) => !this.#isFresh(dial, now));
  }

  /** It may be answered any moment. */
  #isFresh({ since }: { readonly since: Millis }, now: Millis): boolean {
    return now < since + (this.#tunnels.size === 0 ? aloneOverdue : dialOverdue);
  }

  /**
   * Whoever answers will do: half of all places are dialled at once, others when those are overdue, so that a few living among
   * many dead are found soon; the other half stays for newcomers.
   */
  #searchAnybody(now: Millis): TopologyEffect[] {
    const effects: TopologyEffect[] = [];
    for (let i = this.#taken(now); i < this.#places >> 1; i++) {
      const node = this.#anyone(now);
      if (node === undefined) break;
      this.#dialling.set(node, { purpose: 'random', since: now, hasNews: false });
      effects.push({ kind: 'dial', node });
    }
    return effects;
  }

  /** The others had time to choose us. */
  #isSettled(now: Millis): boolean {
    this.#startedAt ??= now;
    return now >= this.#startedAt + minute;
  }

  /** One try at a time: somebody likely near, now and then anybody, lest all know only the same. */
  #tryNearer(now: Millis): TopologyEffect[] {
    const { ownNear } = this.#limits;
    if (ownNear === 0 || now < this.#nextTry) return [];
    if (this.#count('near', now) < ownNear || this.#count('trial', now) > 0) return [];
    this.#nextTry = now + tryEvery * (0.75 + 0.5 * this.#random.unit());
    for (const [node, until] of this.#tried) if (until <= now) this.#tried.delete(node);
    const node = this.#random.unit() < 0.2 ? this.#anyone(now) : (this.#likelyNear(now)?.node ?? this.#anyone(now));
    return node === undefined ? [] : this.#dial(node, 'trial', now);
  }

  /** A measured trial takes the place of the farthest near one, which is hung up later; or it was in vain. */
  #judgeTrials(now: Millis): TopologyEffect[] {
    const effects: TopologyEffect[] = [];
    for (const [node, tunnel] of this.#tunnels) {
      if (tunnel.purpose !== 'trial' || (tunnel.rtt === undefined && now < tunnel.since + trialPatience)) continue;
      const farthest = this.#farthestNear();
      const isNearer = tunnel.rtt !== undefined && farthest && tunnel.rtt < nearerBy * farthest.rtt;
      this.#tried.set(isNearer ? farthest.node : node, now + triedMemory);
      if (isNearer) {
        tunnel.purpose = 'near';
        effects.push(...this.#hangUp(farthest.node, now, servesBetter));
      } else {
        effects.push(...this.#hangUp(node, now, servesBetter));
      }
    }
    return effects;
  }

  /**
   * All places are taken, and a newcomer knocks, who perhaps can reach nobody else, or a guest is in use. The tunnel of others'
   * choice that was unused for longest goes, if any was for `idleAfter`; traffic keeps its tunnel, and the newcomer finds others.
   */
  #makeRoom(now: Millis): TopologyEffect[] {
    const idlest = this.#idlest(now);
    if (idlest === undefined) return [];
    this.#nextRoom = now + roomPause;
    return this.#hangUp(idlest, now, hasEnough);
  }

  /** Who would go for another now. */
  #idlest(now: Millis): NodeNumber | undefined {
    if (this.#tunnels.size < this.#places || now < this.#nextRoom) return undefined;
    let idlest: { node: NodeNumber; usedAt: Millis } | undefined;
    for (const [node, tunnel] of this.#tunnels) {
      const { purpose, since, usedAt } = tunnel;
      if (purpose !== undefined || now < since + idleAfter || (idlest && usedAt >= idlest.usedAt)) continue;
      if (this.#isIdle(node, tunnel, now)) idlest = { node, usedAt };
    }
    return idlest?.node;
  }

  /**
   * A flow is there, while dials may stay unanswered: it waits for none of them. Where all places are taken and somebody would go for
   * it, it comes as a guest, and room is made once it stands and is in use; not for a node that the last dial did not reach.
   */
  #shorten(node: NodeNumber, now: Millis): TopologyEffect[] {
    if (!this.#isFree(node, now)) return [];
    const comesAsGuest =
      this.#tunnels.size === this.#places && !this.#backoffs.has(node) && this.#idlest(now) !== undefined;
    return this.#tunnels.size < this.#places || comesAsGuest ? this.#begin(node, 'shortcut', now) : [];
  }

  /** Closes what is too much and idle, one a tick: shortcuts done with, remains of a full mesh, guests, others for a guest in use. */
  #shed(now: Millis): TopologyEffect[] {
    for (const [node, tunnel] of this.#tunnels) {
      const isDone = tunnel.purpose === 'shortcut' && now >= tunnel.since + idleAfter;
      if (isDone && this.#isIdle(node, tunnel, now)) return this.#hangUp(node, now, servesBetter);
    }
    if (this.isSmall) return [];
    const { ownRandom, enoughTunnels } = this.#limits;
    if (this.#count('mesh', now) + this.#count('random', now) > ownRandom && this.#tunnels.size > enoughTunnels) {
      const spare = this.#newestIdle((tunnel) => tunnel.purpose === 'mesh' || tunnel.purpose === 'random', now);
      if (spare !== undefined) return this.#hangUp(spare, now, servesBetter);
    }
    const guests = [...this.#tunnels].filter(([, tunnel]) => tunnel.isGuest);
    if (this.#tunnels.size <= this.#places) {
      for (const [, guest] of guests) guest.isGuest = false; // there is a place for it after all
      return [];
    }
    const introduced = guests.filter(([, { since }]) => now >= since + introduction);
    const idle = introduced.findLast(([node, guest]) => this.#isIdle(node, guest, now));
    if (idle) return this.#close(idle[0], hasEnough);
    return introduced.length > 0 ? this.#makeRoom(now) : [];
  }

  #tell(now: Millis): TopologyEffect[] {
    if (now < this.#nextTell || this.isSmall) return [];
    this.#nextTell = now + tellEvery * (0.75 + 0.5 * this.#random.unit());
    const near = [...this.#tunnels]
      .filter(([, tunnel]) => tunnel.rtt !== undefined)
      .sort(([, a], [, b]) => a.rtt! - b.rtt!)
      .slice(0, maxTold)
      .map(([node, tunnel]) => [node, Math.min(60_000, Math.round(tunnel.rtt! * 10))]);
    const bytes = meshMessage('near', { n: near });
    return [...this.#tunnels.keys()].map((to) => ({ kind: 'sendMesh', to, bytes }));
  }

  /** One on our LAN, or the free node with the least round trip through the neighbour that told of it. */
  #likelyNear(now: Millis): { node: NodeNumber; bound: Millis } | undefined {
    for (const node of this.#nearby) {
      if (this.#isFree(node, now) && !this.#tried.has(node)) return { node, bound: 0 };
    }
    let best: { node: NodeNumber; bound: Millis } | undefined;
    for (const [neighbour, told] of this.#told) {
      const rtt = this.#tunnels.get(neighbour)?.rtt;
      if (rtt === undefined) continue;
      for (const [node, further] of told) {
        const bound = rtt + further;
        if ((best && bound >= best.bound) || !this.#known.has(node) || this.#tried.has(node)) continue;
        if (this.#isFree(node, now)) best = { node, bound };
      }
    }
    return best;
  }

  #anyone(now: Millis): NodeNumber | undefined {
    for (let attempt = 0; attempt < 8 && this.#known.size > 0; attempt++) {
      const node = this.#known.at(this.#random.below(this.#known.size));
      if (this.#isFree(node, now)) return node;
    }
    return undefined;
  }

  #isFree(node: NodeNumber, now: Millis): boolean {
    if (this.#tunnels.has(node) || this.#dialling.has(node)) return false;
    return now >= (this.#backoffs.get(node)?.until ?? 0);
  }

  /** Before a tunnel is judged its counter is looked at: of a flow that has just begun `tunnelUsed` has not told yet. */
  #isIdle(node: NodeNumber, tunnel: Tunnel, now: Millis): boolean {
    const carried = this.#carried(node);
    if (carried > tunnel.carried) tunnel.usedAt = now;
    tunnel.carried = carried;
    return now >= tunnel.usedAt + idleAfter;
  }

  #count(purpose: Purpose, now: Millis): number {
    let count = 0;
    for (const tunnel of this.#tunnels.values()) if (tunnel.purpose === purpose) count++;
    for (const dial of this.#dialling.values()) {
      if (dial.purpose === purpose && this.#isFresh(dial, now)) count++;
    }
    return count;
  }

  #farthestNear(): { node: NodeNumber; rtt: Millis } | undefined {
    let farthest: { node: NodeNumber; rtt: Millis } | undefined;
    for (const [node, { purpose, rtt = never }] of this.#tunnels) {
      if (purpose === 'near' && (!farthest || rtt > farthest.rtt)) farthest = { node, rtt };
    }
    return farthest;
  }

  #newestIdle(wanted: (tunnel: Tunnel) => boolean, now: Millis): NodeNumber | undefined {
    let newest: { node: NodeNumber; since: Millis } | undefined;
    for (const [node, tunnel] of this.#tunnels) {
      if (!wanted(tunnel) || (newest && tunnel.since < newest.since)) continue;
      if (this.#isIdle(node, tunnel, now)) newest = { node, since: tunnel.since };
    }
    return newest?.node;
  }

  #dial(node: NodeNumber, purpose: Purpose, now: Millis): TopologyEffect[] {
    return this.#isFree(node, now) && this.#taken(now) < this.#places ? this.#begin(node, purpose, now) : [];
  }

  #begin(node: NodeNumber, purpose: Purpose, now: Millis): TopologyEffect[] {
    this.#dialling.set(node, { purpose, since: now, hasNews: false });
    return [{ kind: 'dial', node }];
  }

  /** Traffic keeps a tunnel: it then counts as the other side's, until it is idle and too much. */
  #hangUp(node: NodeNumber, now: Millis, reason: string): TopologyEffect[] {
    const tunnel = this.#tunnels.get(node)!;
    if (!this.#isIdle(node, tunnel, now)) {
      tunnel.purpose = 'shortcut';
      return [];
    }
    return this.#close(node, reason);
  }

  #close(node: NodeNumber, reason: string): TopologyEffect[] {
    this.#tunnels.delete(node);
    this.#told.delete(node);
    return [{ kind: 'hangUp', node, reason }];
  }

  #hearNews(node: NodeNumber, now: Millis): void {
    const dial = this.#dialling.get(node);
    if (dial) dial.hasNews = true;
    const backoff = this.#backoffs.get(node);
    if (dial || !backoff) return;
    const soonest = Math.max(now, (this.#newsAt.get(node) ?? Number.NEGATIVE_INFINITY) + newsPause);
    if (soonest >= backoff.until) return;
    this.#newsAt.set(node, soonest);
    this.#backoffs.set(node, { ...backoff, until: soonest });
  }

  #backOff(node: NodeNumber, now: Millis): void {
    const hasNews = this.#dialling.get(node)?.hasNews;
    this.#dialling.delete(node);
    if (!this.#known.has(node)) return;
    const pause = Math.min(this.#longestBackoff(node, now), 2 * (this.#backoffs.get(node)?.pause ?? firstBackoff / 2));
    this.#backoffs.set(node, { pause, until: now + pause * (0.75 + 0.5 * this.#random.unit()) });
    if (hasNews) this.#hearNews(node, now);
  }

  #longestBackoff(node: NodeNumber, now: Millis): Millis {
    const away = now - (this.#lost.get(node)?.at ?? Number.NEGATIVE_INFINITY);
    if (away >= lostMemory) return longestBackoff;
    if (this.#tunnels.size === 0) return longestAloneBackoff;
    return Math.min(longestBackoff, Math.max(longestLostBackoff, away * shareOfAbsence));
  }

  #forget(node: NodeNumber): void {
    this.#known.remove(node);
    this.#dialling.delete(node);
    this.#backoffs.delete(node);
    this.#newsAt.delete(node);
    this.#tried.delete(node);
    this.#nearby.delete(node);
    this.#lost.delete(node);
  }
}

/** [[node, tenths of a millisecond], ...]: what is malformed is left out. */
function toldBy(value: unknown): ReadonlyMap<NodeNumber, Millis> {
  const told = new Map<NodeNumber, Millis>();
  for (const item of Array.isArray(value) ? value.slice(0, maxTold) : []) {
    if (!Array.isArray(item)) continue;
    const [node, tenths] = item;
    if (Number.isInteger(node) && Number.isInteger(tenths) && tenths >= 0) told.set(node, tenths / 10);
  }
  return told;
}
