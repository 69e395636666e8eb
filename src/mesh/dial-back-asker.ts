import { type Endpoint, type EndpointSource, formatEndpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import { equalBytes } from '../bytes.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { type DialBackMessage, decodeDialBackBody, encodeDialBack } from './dial-back.js';

export interface AskEffect {
  readonly kind: 'sendMesh';
  readonly to: NodeNumber;
  readonly bytes: Uint8Array;
}

/** Our tuning. */
/** A datagram and two messages: three one-way trips, and a second for a lost one to be noticed. */
const patience: Millis = 2 * second;
/** Provers asked before an endpoint counts as not reachable: one datagram may be lost, or one prover cut off. */
const triesInARow = 3;
const firstRetry: Millis = 30 * second;
const lastRetry: Millis = 10 * minute;
/** A router may lose a mapping without a sign. */
const proofLasts: Millis = 10 * minute;
/** A prover dials 6 a minute for us. The last two are kept for something new: a trial, and the mapping that has passed it. */
const asksPerProver = 6;
const repeatsPerProver = 4;
const proverPeriod: Millis = 61 * second;
/**
 * Who has refused is passed over for so long: it has dialled as often as it may, for others too or for who we were before our
 * last start, and cannot say until when.
 */
const refusalPause: Millis = 5 * second;
/**
 * An endpoint that only peers have told of is not asked about at once: a router that has just started mostly forwards it a
 * moment later, and a dial wasted before that is missing then.
 */
const observedPause: Millis = 2 * second;
/** Endpoints we care for; others are left unproven. */
const mostEndpoints = 8;

export interface ClaimedEndpoint extends Endpoint {
  readonly source: EndpointSource;
}

interface Candidate {
  readonly endpoint: Endpoint;
  proven: boolean;
  /** All provers in a row have failed. */
  failed: boolean;
  tries: number;
  retries: number;
  notBefore: Millis;
  nextAt: Millis;
  asked: { readonly prover: NodeNumber; readonly nonce: Uint8Array; readonly since: Millis } | undefined;
}

interface Prover {
  /** When it was asked in the last minute and did not refuse; at most `asksPerProver` times. */
  asks: Millis[];
  /** It has refused, and is passed over until then. */
  refusedUntil: Millis;
}

/**
 * Has our endpoints dialled back by neighbours, one prover at a time for each.
 *
 *   unproven ──ask──► asked ──"dialproof"──► proven ── 10 minutes, change ──► asked again (proven until it fails)
 *      ▲                │ 2 s, refused: next prover
 *      └── 30 s … 10 min, change ── failed ◄── three provers in a row
 */
export class DialBackAsker {
  readonly #random: Random;
  #candidates = new Map<string, Candidate>();
  /** Those that were asked, and are neighbours still. */
  readonly #provers = new Map<NodeNumber, Prover>();
  #failed = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What is to be proven from now on; what was there before keeps its standing. */
  setEndpoints(endpoints: readonly ClaimedEndpoint[], now: Millis): void {
    const before = this.#candidates;
    this.#candidates = new Map();
    for (const endpoint of endpoints.slice(0, mostEndpoints)) {
      const key = formatEndpoint(endpoint);
      const first = endpoint.source === 'observed' ? now + observedPause : now;
      this.#candidates.set(key, before.get(key) ?? fresh(endpoint, first));
    }
  }

  isProven(endpoint: Endpoint): boolean {
    return this.#candidates.get(formatEndpoint(endpoint))?.proven === true;
  }

  /** Provers in a row could not reach it. */
  hasFailed(endpoint: Endpoint): boolean {
    return this.#candidates.get(formatEndpoint(endpoint))?.failed === true;
  }

  /** How long until it is asked about again; undefined: it is being asked about, nobody is there to ask, or it is proven. */
  waitFor(endpoint: Endpoint, now: Millis): Millis | undefined {
    const candidate = this.#candidates.get(formatEndpoint(endpoint));
    if (!candidate || candidate.proven || candidate.asked || candidate.nextAt === never) return undefined;
    return Math.max(0, candidate.nextAt - now);
  }

  /** Whether an endpoint was given up since this was asked last. */
  failuresChanged(): boolean {
    const changed = this.#failed;
    this.#failed = false;
    return changed;
  }

  /** Something changed that may change the answer: ask again now. `forget`: what was proven counts no more until then. */
  startOver(forget: boolean, now: Millis): void {
    for (const candidate of this.#candidates.values()) {
      if (forget) candidate.proven = false;
      if (candidate.asked) continue;
      candidate.failed = false;
      candidate.tries = candidate.retries = 0;
      candidate.nextAt = Math.max(candidate.notBefore, now);
    }
  }

  /** A router forwards this endpoint from now on: a datagram on its way may have come too early, and is asked for anew. */
  forwarded(endpoint: Endpoint, now: Millis): void {
    const candidate = this.#candidates.get(formatEndpoint(endpoint));
    if (!candidate) return;
    candidate.asked = undefined;
    candidate.failed = false;
    candidate.tries = candidate.retries = 0;
    candidate.nextAt = candidate.notBefore = now;
  }

  /** A neighbour came up or moved: whoever could not be asked before may be now. */
  proversChanged(now: Millis): void {
    for (const candidate of this.#candidates.values()) {
      // Also what was proven or has failed, if its turn came while nobody was there to ask.
      const waits = candidate.nextAt === never || !(candidate.proven || candidate.failed);
      if (waits && !candidate.asked) candidate.nextAt = Math.max(candidate.notBefore, Math.min(candidate.nextAt, now));
    }
  }

  /** A neighbour is gone: what it was asked is asked of another one. */
  forgetProver(node: NodeNumber, now: Millis): void {
    this.#provers.delete(node);
    for (const candidate of this.#candidates.values()) {
      if (candidate.asked?.prover !== node) continue;
      candidate.asked = undefined;
      candidate.nextAt = now;
    }
  }

  /** `proversOf` lists the neighbours that see our frames come from the endpoint's address. */
  tick(proversOf: (endpoint: Endpoint) => readonly NodeNumber[], now: Millis): AskEffect[] {
    const effects: AskEffect[] = [];
    for (const candidate of this.#candidates.values()) {
      if (candidate.asked && now >= candidate.asked.since + patience) this.#missed(candidate, now);
      if (!candidate.asked && now >= candidate.nextAt) effects.push(...this.#ask(candidate, proversOf, now));
    }
    return effects;
  }

  deadline(): Millis {
    let earliest = never;
    for (const { asked, nextAt } of this.#candidates.values()) {
      earliest = Math.min(earliest, asked ? asked.since + patience : nextAt);
    }
    return earliest;
  }

  /** A datagram of type dialBack came; undefined unless it answers a question of ours. */
  arrived(body: Uint8Array): AskEffect | undefined {
    const parts = decodeDialBackBody(body);
    const candidate = parts && this.#find(parts.nonce);
    if (!candidate) return undefined;
    const { prover, nonce } = candidate.asked!;
    return { kind: 'sendMesh', to: prover, bytes: encodeDialBack({ kind: 'arrived', nonce, proof: parts.proof }) };
  }

  /** The prover's word. True when an endpoint's standing has changed. */
  answered(prover: NodeNumber, message: DialBackMessage & { kind: 'proven' | 'refused' }, now: Millis): boolean {
    const candidate = this.#find(message.nonce);
    if (candidate?.asked?.prover !== prover) return false;
    if (message.kind === 'refused') {
      // It did not dial: that says nothing of the endpoint. Another one is asked at once.
      const refusing = this.#prover(prover);
      refusing.asks.splice(refusing.asks.indexOf(candidate.asked.since), 1);
      refusing.refusedUntil = now + refusalPause;
      candidate.asked = undefined;
      candidate.nextAt = now;
      return false;
    }
    const before = candidate.proven;
    Object.assign(candidate, { ...fresh(candidate.endpoint, now), nextAt: now + proofLasts, proven: true });
    return !before;
  }

  #find(nonce: Uint8Array): Candidate | undefined {
    return [...this.#candidates.values()].find(({ asked }) => asked && equalBytes(asked.nonce, nonce));
  }

  #ask(candidate: Candidate, proversOf: (endpoint: Endpoint) => readonly NodeNumber[], now: Millis): AskEffect[] {
    const provers = proversOf(candidate.endpoint).map((node) => ({
      node,
      from: this.#allowedFrom(node, candidate, now),
    }));
    const ready = provers.filter(({ from }) => from <= now);
    if (ready.length === 0) {
      candidate.nextAt = Math.min(never, ...provers.map(({ from }) => from));
      return [];
    }
    const prover = ready[this.#random.below(ready.length)]!.node;
    const nonce = this.#random.bytes(8);
    candidate.asked = { prover, nonce, since: now };
    this.#prover(prover).asks.push(now);
    const { endpoint } = candidate;
    return [{ kind: 'sendMesh', to: prover, bytes: encodeDialBack({ kind: 'ask', nonce, endpoint }) }];
  }

  #allowedFrom(node: NodeNumber, { tries, retries, proven }: Candidate, now: Millis): Millis {
    const prover = this.#prover(node);
    prover.asks = prover.asks.filter((at) => at > now - proverPeriod);
    const { asks, refusedUntil } = prover;
    const most = tries > 0 || retries > 0 || proven ? repeatsPerProver : asksPerProver;
    const allowed = asks.length < most ? now : asks[asks.length - most]! + proverPeriod;
    return Math.max(allowed, refusedUntil);
  }

  #prover(node: NodeNumber): Prover {
    const known = this.#provers.get(node) ?? { asks: [], refusedUntil: 0 };
    this.#provers.set(node, known);
    return known;
  }

  #missed(candidate: Candidate, now: Millis): void {
    candidate.asked = undefined;
    candidate.nextAt = now;
    if (++candidate.tries < triesInARow) return;
    candidate.proven = false;
    candidate.failed = this.#failed = true;
    candidate.tries = 0;
    candidate.nextAt = now + Math.min(lastRetry, firstRetry * 2 ** Math.min(candidate.retries++, 8));
  }
}

function fresh(endpoint: Endpoint, nextAt: Millis): Candidate {
  return { endpoint, proven: false, failed: false, tries: 0, retries: 0, notBefore: nextAt, nextAt, asked: undefined };
}
