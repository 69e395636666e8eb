import type { Endpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { TlsEndpoint } from '../addr/tls-endpoint.js';
import { type Millis, minute, never, second } from '../time.js';

/**
 * Nodes that we reach over TCP at once: enough to be in the network; the others are then reached through them. Those that reach us
 * over streams of theirs may come from one place and lead nowhere else, and are none of the three.
 */
const maxBridges = 3;
const maxTried = 4;
/** How long UDP alone is tried, and the pause after a failed bridge. */
const udpAlone: Millis = second;
const retryPause: Millis = 10 * second;
/** How long a node that is tried no more keeps its place in the order of the two kinds. */
const remembered: Millis = 10 * minute;
/**
 * The head start of one kind of stream before the other. A firewall that takes a connection and then swallows or resets what is
 * said on it looks like one that works, so neither kind waits for the other's end.
 */
const headStart: Millis = 0.7 * second;
/**
 * How often one of the nodes whose tunnels go over streams is asked over UDP again. Longer than a dial (15 s), so that each comes to
 * its end and somebody is told of it; little longer, so that UDP is found soon after it begins to work.
 */
const udpPause: Millis = 20 * second;
/** The first time: the stream may have won against UDP that was slow, or not there yet. */
const firstUdpPause: Millis = 5 * second;
/**
 * Where UDP works, a node is given this long to be reached over it, by whatever way, before it is called over TCP; and then ever
 * longer pauses, for most that nobody reaches are switched off.
 */
const cutOffPatience: Millis = 10 * second;
const lastRetry: Millis = 10 * minute;
/**
 * A node is new again, with its ten seconds and short pauses, once a route to it has stood so long. A stream that is let live for
 * seconds is else called, routed and lost without an end; and a route that comes and goes is what streams are for.
 */
const reachedFor: Millis = minute;
/** News of a node ends its pause, once in this time: any member can sign a record a second, and each names whom we call. */
const newsPause: Millis = 30 * second;

/** Where a stream may be opened to a node: plain TCP, or TLS. */
export type StreamEndpoint =
  | { readonly kind: 'tcp'; readonly endpoint: Endpoint }
  | { readonly kind: 'tls'; readonly endpoint: TlsEndpoint };

export interface Candidate {
  readonly node: NodeNumber;
  readonly endpoints: readonly Endpoint[];
  readonly tls: readonly TlsEndpoint[];
}

/** Try these one after the other until a stream stands. */
export interface Bridging {
  readonly node: NodeNumber;
  readonly streams: readonly StreamEndpoint[];
}

interface Tries {
  readonly count: number;
  /** When the last one began, or the wait for UDP. */
  readonly at: Millis;
  readonly notBefore: Millis;
  /** Since when a route leads to it. */
  readonly reachedAt?: Millis | undefined;
}

interface Trial {
  /** Bridgings without an end yet. */
  pending: number;
  /** The other kind's turn. */
  later: { readonly at: Millis; readonly bridging: Bridging } | undefined;
  /** Where the plane finds the streams that stand. */
  readonly bridges: Endpoint[];
}

/**
 * When to go over TCP: while there are nodes to reach and no tunnel stands over UDP to the outside, and then for a few nodes.
 * Where one does, only for those that no route leads to: a public address says nothing of whose network it is in, so that tunnel
 * may be one within the very network whose border lets no UDP out.
 * A tunnel inside our own network says only that UDP works in there: nobody is called over TCP inside then, and whoever is
 * outside still is. Plain TCP and TLS are tried beside each other, and which comes first changes with every try of a node.
 * Bridges end on our own loopback (daemon/tcp-bridge.ts), which no other endpoint ever does.
 */
export class Fallback {
  readonly #leadsOutside: (endpoint: Endpoint) => boolean;
  readonly #trials = new Map<NodeNumber, Trial>();
  /** Forgotten when UDP begins to work or ends, of nodes that have been reached for a while then, and of those not tried for long. */
  readonly #tries = new Map<NodeNumber, Tries>();
  /** When to look again; `never` while nobody is to be called. */
  #dueAt: Millis = never;
  #udpAt: Millis = never;
  #lastOverUdp: NodeNumber = 0;
  #worked = false;
  /** Nodes that were asked over UDP since it works, to leave their streams. */
  #leaving: ReadonlySet<NodeNumber> = new Set();

  /** `leadsOutside`: whether UDP to another node's endpoint leaves our own network. */
  constructor(leadsOutside: (endpoint: Endpoint) => boolean) {
    this.#leadsOutside = leadsOutside;
  }

  /**
   * The bridges to open now. `standing`: endpoints of all tunnels; `unreached`: what is being dialled; `hasRoute`: whether a
   * node is reached through others.
   */
  due(
    now: Millis,
    standing: readonly Endpoint[],
    unreached: readonly Candidate[],
    hasRoute: (node: NodeNumber) => boolean,
  ): Bridging[] {
    const worksOverUdp = this.worksOverUdp(standing);
    if (worksOverUdp !== this.#worked) this.#beginAnew(worksOverUdp);
    this.#forgetTries(now, (node) => worksOverUdp && hasRoute(node));
    const called = worksOverUdp ? unreached.filter(({ node }) => !hasRoute(node)) : unreached;
    const trying = standing.every(isBridged) ? called : called.flatMap((candidate) => this.#outside(candidate));
    if (trying.length === 0) {
      this.#dueAt = never;
      for (const [node, trial] of this.#trials) this.#end(node, trial);
      return [];
    }
    this.#wait(trying, now);
    const seconds = this.#secondKinds(now, trying);
    const room = Math.max(0, maxBridges - standing.filter(isOurBridge).length - this.#trials.size);
    const free = trying.filter(({ node }) => !this.#trials.has(node) && now >= this.#tries.get(node)!.notBefore);
    const firsts = free.slice(0, room).flatMap((candidate) => this.#begin(candidate, now));
    this.#dueAt = this.#nextLook(trying, now);
    return [...seconds, ...firsts];
  }

  /** A bridging has ended, in a stream that the plane finds at `bridge` or in nothing; all streams of the node that stand. */
  answered(node: NodeNumber, bridge?: Endpoint): readonly Endpoint[] {
    const trial = this.#trials.get(node);
    if (!trial) return bridge ? [bridge] : [];
    trial.pending--;
    if (bridge) trial.bridges.push(bridge);
    if (trial.pending === 0 && !trial.later) this.#trials.delete(node);
    return trial.bridges;
  }

  /** There is something new about a node: it may be back, or elsewhere. */
  heardNews(node: NodeNumber, now: Millis): void {
    const tries = this.#tries.get(node);
    if (!tries) return;
    this.#tries.set(node, { ...tries, notBefore: Math.min(tries.notBefore, Math.max(now, tries.at + newsPause)) });
  }

  /** Whether one of these tunnels goes over UDP to the outside: then so may all. */
  worksOverUdp(standing: readonly Endpoint[]): boolean {
    return standing.some((endpoint) => !isBridged(endpoint) && this.#leadsOutside(endpoint));
  }

  /**
   * The nodes to be asked over UDP now. While nothing says that UDP works, one of those with a tunnel over a stream, in turn; when
   * it does, at once all whose stream we opened, and then those that stay there, in turn. Streams opened to us are their openers'
   * to leave: UDP may not work for those.
   */
  udpDue(now: Millis, standing: readonly { readonly node: NodeNumber; readonly endpoint: Endpoint }[]): NodeNumber[] {
    const works = this.worksOverUdp(standing.map(({ endpoint }) => endpoint));
    const nodes = standing
      .filter(({ endpoint }) => (works ? isOurBridge(endpoint) : isBridged(endpoint)))
      .map(({ node }) => node)
      .sort((a, b) => a - b);
    const asked = this.#leaving;
    this.#leaving = new Set(works ? nodes : []);
    if (nodes.length === 0) {
      this.#udpAt = never;
      return [];
    }
    const unasked = works ? nodes.filter((node) => !asked.has(node)) : [];
    if (unasked.length > 0) this.#udpAt = now + udpPause;
    else if (this.#udpAt === never) this.#udpAt = now + firstUdpPause;
    if (now < this.#udpAt) return unasked;
    this.#udpAt = now + udpPause;
    this.#lastOverUdp = nodes.find((node) => node > this.#lastOverUdp) ?? nodes[0]!;
    return [this.#lastOverUdp];
  }

  /** Whether this node was to leave its stream. */
  isLeaving(node: NodeNumber): boolean {
    return this.#leaving.has(node);
  }

  deadline(): Millis {
    return Math.min(this.#dueAt, this.#udpAt);
  }

  /** What of it is outside our own network, where anything is. */
  #outside({ node, endpoints, tls }: Candidate): Candidate[] {
    const isOutside = (endpoint: Endpoint) => this.#leadsOutside(endpoint);
    const outside = { node, endpoints: endpoints.filter(isOutside), tls: tls.filter(isOutside) };
    return outside.endpoints.length + outside.tls.length > 0 ? [outside] : [];
  }

  /** What was found out while UDP worked, or did not, says little of now. */
  #beginAnew(worksOverUdp: boolean): void {
    this.#worked = worksOverUdp;
    this.#tries.clear();
    for (const [node, trial] of this.#trials) this.#end(node, trial);
  }

  #forgetTries(now: Millis, isReached: (node: NodeNumber) => boolean): void {
    for (const [node, tries] of this.#tries) {
      const { notBefore, reachedAt = now } = tries;
      if (now > notBefore + remembered || now >= reachedAt + reachedFor) this.#tries.delete(node);
      else this.#tries.set(node, { ...tries, reachedAt: isReached(node) ? reachedAt : undefined });
    }
  }

  /** UDP has its time with those that are new. */
  #wait(trying: readonly Candidate[], now: Millis): void {
    const notBefore = now + (this.#worked ? cutOffPatience : udpAlone);
    for (const { node } of trying) if (!this.#tries.has(node)) this.#tries.set(node, { count: 0, at: now, notBefore });
  }

  /** In a second, or when somebody's wait, or the head start of one kind, ends before. */
  #nextLook(trying: readonly Candidate[], now: Millis): Millis {
    const waits = trying.map(({ node }) => this.#tries.get(node)!.notBefore);
    const turns = [...this.#trials.values()].flatMap(({ later }) => later?.at ?? []);
    return Math.min(now + second, ...[...waits, ...turns].filter((at) => at > now));
  }

  #begin({ node, endpoints, tls }: Candidate, now: Millis): Bridging[] {
    const count = this.#tries.get(node)?.count ?? 0;
    const pause = this.#worked ? Math.min(lastRetry, retryPause * 2 ** Math.min(count, 8)) : retryPause;
    this.#tries.set(node, { count: count + 1, at: now, notBefore: now + pause });
    const kinds: StreamEndpoint[][] = [
      endpoints.slice(0, maxTried).map((endpoint) => ({ kind: 'tcp', endpoint })),
      tls.slice(0, maxTried).map((endpoint) => ({ kind: 'tls', endpoint })),
    ];
    if (count % 2 === 1) kinds.reverse();
    const [first, other] = kinds.filter((streams) => streams.length > 0).map((streams) => ({ node, streams }));
    if (!first) return [];
    const later = other && { at: now + headStart, bridging: other };
    this.#trials.set(node, { pending: 1, later, bridges: [] });
    return [first];
  }

  /** Whose turn has come; of a node that is reached by now there is none. */
  #secondKinds(now: Millis, trying: readonly Candidate[]): Bridging[] {
    const due: Bridging[] = [];
    for (const [node, trial] of this.#trials) {
      if (!trying.some((candidate) => candidate.node === node)) this.#end(node, trial);
      else if (trial.later && now >= trial.later.at) {
        due.push(trial.later.bridging);
        trial.later = undefined;
        trial.pending++;
      }
    }
    return due;
  }

  /** Nothing more is begun; what is under way is waited for. */
  #end(node: NodeNumber, trial: Trial): void {
    trial.later = undefined;
    if (trial.pending === 0) this.#trials.delete(node);
  }
}

/** Second octet of the loopback blocks where streams end: 127.128.0.0/10 for those we opened, 127.64.0.0/10 for those others did. */
const bridgeBlocks = { ours: 0x80, theirs: 0x40 } as const;
const blockMask = 0xc0;

/** How many addresses each block has. */
export const bridgeSources = 2 ** 22;

/**
 * Our loopback end of a stream. Each source has its own, `source` below `bridgeSources`, so that the guard before the plane gives
 * everyone who comes over a stream a share of his own, as it does over UDP.
 */
export function bridgeAddress(opener: keyof typeof bridgeBlocks, source: number): string {
  return `127.${bridgeBlocks[opener] | (source >>> 16)}.${(source >>> 8) & 0xff}.${source & 0xff}`;
}

/** True for the loopback end of a bridge. */
export function isBridged({ address }: Endpoint): boolean {
  const block = blockOf(address);
  return block === bridgeBlocks.ours || block === bridgeBlocks.theirs;
}

/** True for the loopback end of a stream that we opened. */
export function isOurBridge({ address }: Endpoint): boolean {
  return blockOf(address) === bridgeBlocks.ours;
}

function blockOf(address: string): number | undefined {
  return address.startsWith('127.') ? Number.parseInt(address.slice(4), 10) & blockMask : undefined;
}
