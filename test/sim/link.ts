import type { Random } from '../../src/random.js';
import type { Millis } from '../../src/time.js';

/** How a link treats what is sent over it; the same in both directions. */
export interface LinkQuality {
  /** One way. */
  readonly delay: Millis;
  /** Up to so much more, uniform; packets keep their order. */
  readonly jitter: Millis;
  /** Chances in [0, 1]. */
  readonly loss: number;
  readonly duplicate: number;
  /** A packet so late that others overtake it: by up to `lateBy`. */
  readonly late: number;
  readonly lateBy: Millis;
}

export const cleanLink: LinkQuality = { delay: 10, jitter: 0, loss: 0, duplicate: 0, late: 0, lateBy: 0 };

/** A tunnel between two nodes. Direction 0 is from a to b, 1 from b to a. */
export interface Link {
  readonly index: number;
  /** Node indexes. */
  readonly a: number;
  readonly b: number;
  quality: LinkQuality;
  /** Whether it carries packets. Its ends hear of a change only when they are told. */
  carries: boolean;
  /** Whether its ends believe it is there. */
  up: boolean;
  /** Grows with every session: packets of an older one are dropped, as a tunnel drops them. */
  session: number;
  readonly lastArrival: LastArrival;
}

export function peerOf(link: Link, node: number): number {
  return link.a === node ? link.b : link.a;
}

/** When the last packet of each direction arrives. */
export type LastArrival = [Millis, Millis];

/** When what is sent now arrives. Only what is late is overtaken; the rest keeps its order, by `last`, which is moved. */
export function arrivalOver(
  quality: LinkQuality,
  random: Random,
  now: Millis,
  last: LastArrival,
  direction: 0 | 1,
): Millis {
  let arrival = now + quality.delay;
  if (quality.jitter > 0) arrival += quality.jitter * random.unit();
  if (quality.late > 0 && random.unit() < quality.late) return arrival + quality.lateBy * random.unit();
  arrival = Math.max(arrival, last[direction]);
  last[direction] = arrival;
  return arrival;
}
