import { sameEndpoint } from '../addr/endpoint.js';
import { equalBytes } from '../bytes.js';
import { mac1Of } from '../cookie-reply.js';
import type { Random } from '../random.js';
import { type Millis, second } from '../time.js';
import type { OutgoingHandshake } from './handshake.js';
import type { Carriage, Path } from './plane/contract.js';
import type { Through } from './through.js';

function isOneFamily(one: Path, other: Path): boolean {
  if (one.kind !== 'direct' || other.kind !== 'direct') return one.kind === other.kind;
  return one.endpoint.address.includes(':') === other.endpoint.address.includes(':');
}

/** Our tuning. A first answer lost costs a quarter of a second; a dead peer ten datagrams a dial. */
const firstWait: Millis = 250;
const longestWait: Millis = 2 * second;
/** Waits vary by this share either way, so that nodes which started together do not stay in step. */
const jitter = 0.2;

/** How long a dial, and the renewing of a session that still works, are kept up. */
export const dialPatience: Millis = 15 * second;
const rekeyPatience: Millis = 60 * second;

/** An endpoint list longer than this is cut: it comes from records others wrote. */
export const maxPaths = 8;

/**
 * One outgoing handshake on its way: the same datagram goes along all paths at once, again and again with growing waits.
 * The responder knows a repetition by its octets and repeats its answer, so late answers and several ways do no harm.
 * A renewal goes inside the session that it renews first, where no flood of strangers' handshakes is in its way, and along its
 * paths as well once that was not answered: the other side may not know of this, or not have these keys any more.
 */
export class Attempt {
  /** dial: wanted by somebody who is told how it ends. rekey: new keys for a session that works. */
  readonly purpose: 'dial' | 'rekey';
  /** Of what kind all its paths are. */
  readonly way: Carriage['kind'];
  readonly handshake: OutgoingHandshake;
  /** It asks in the session that it renews, and may be answered there. */
  readonly renews: boolean;
  readonly #paths: readonly Path[];
  readonly #random: Random;
  readonly #giveUpAt: Millis;
  #dueAt: Millis;
  /** What the next message goes through. */
  #through: readonly Through[];
  #wait = firstWait;
  /** One answer to a cookie is sent at once, later ones wait their turn: a flood of cookie replies buys nothing. */
  #hurried = false;

  constructor(
    purpose: 'dial' | 'rekey',
    way: Carriage['kind'],
    handshake: OutgoingHandshake,
    paths: readonly Path[],
    random: Random,
    now: Millis,
    renews = false,
  ) {
    this.purpose = purpose;
    this.way = way;
    this.handshake = handshake;
    this.renews = renews;
    this.#paths = paths.slice(0, maxPaths);
    this.#random = random;
    this.#through = renews ? ['session'] : this.#paths;
    this.#dueAt = now;
    this.#giveUpAt = now + (purpose === 'dial' ? dialPatience : rekeyPatience);
  }

  get deadline(): Millis {
    return Math.min(this.#dueAt, this.#giveUpAt);
  }

  hasFailed(now: Millis): boolean {
    return now >= this.#giveUpAt;
  }

  /** What to send now, if anything is due. */
  send(now: Millis, cookie: Uint8Array | undefined): { readonly to: Through; readonly bytes: Uint8Array }[] {
    if (now < this.#dueAt) return [];
    this.#dueAt = now + this.#wait * (1 - jitter + 2 * jitter * this.#random.unit());
    this.#wait = Math.min(2 * this.#wait, longestWait);
    const bytes = this.handshake.datagram(cookie);
    const through = this.#through;
    if (through[0] === 'session') this.#through = ['session', ...this.#paths];
    return bytes ? through.map((to) => ({ to, bytes })) : [];
  }

  /** Its paths, to be gone on with in this order with who answered from elsewhere: the first of one family with that, then the others. */
  pathsTowards(from: Path): readonly Path[] {
    const first = this.#paths.find((path) => isOneFamily(path, from)) ?? this.#paths[0]!;
    return [first, ...this.#paths.filter((path) => path !== first)];
  }

  /** Whether it goes to where this answer came from. */
  asksAlong(from: Path): boolean {
    return this.#paths.some((path) =>
      path.kind === 'direct' && from.kind === 'direct'
        ? sameEndpoint(path.endpoint, from.endpoint)
        : path.kind === from.kind,
    );
  }

  /** Our network is another: what was lost before may arrive now. */
  startOver(now: Millis): void {
    this.#dueAt = now;
    this.#wait = firstWait;
  }

  /** A cookie came for the datagram with this mac1: if it is ours, repeat now. */
  hurry(mac1: Uint8Array, now: Millis): void {
    const datagram = this.#hurried ? undefined : this.handshake.datagram();
    if (!datagram || !equalBytes(mac1Of(datagram), mac1)) return;
    this.#hurried = true;
    this.#dueAt = now;
  }

  wipe(): void {
    this.handshake.wipe();
  }
}
