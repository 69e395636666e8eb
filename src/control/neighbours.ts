import { type Endpoint, isUsableEndpoint, sameEndpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Bucket } from '../bucket.js';
import { equalBytes } from '../bytes.js';
import { type CborValue, decodeCbor, encodeCbor } from '../cbor.js';
import { type Millis, never, second } from '../time.js';

/** A node, and where a tunnel with it stood last. */
export interface FormerNeighbour {
  readonly node: NodeNumber;
  readonly endpoint: Endpoint;
}

const most = 32;
/** Our tuning. */
/** Who is killed forgets no tunnel that stood for longer; tunnels come in bursts, and few writes have all of a start. */
const settle: Millis = 100;
/** So many writes may follow one another like that, and one in each `pause` when tunnels come and go all day. */
const mostInRow = 8;
const pause: Millis = 30 * second;
/** What fell is left out no sooner: where the line is away, all tunnels fall, and not at the same moment. */
const fallenSettle: Millis = 2 * second;

/**
 * The blob "neighbours": with whom tunnels stood last, kept so that a node which restarts asks them first. A memory like the
 * directory, [[number, address, port], ...]; losing it costs seconds.
 */
export class Neighbours {
  #kept: readonly FormerNeighbour[];
  #keptAt: Millis = Number.NEGATIVE_INFINITY;
  #dueAt: Millis = never;
  /**
   * Who is kept is left out no sooner. Never: no tunnel stands, and when the first does, the others have `pause` to come back as well.
   */
  #leaveOutAt: Millis = never;
  readonly #writes = new Bucket(second / pause, mostInRow);

  /** `former`: as the disk has them. */
  constructor(former: readonly FormerNeighbour[]) {
    this.#kept = former;
  }

  /** A tunnel came up, or moved. */
  stands(now: Millis): void {
    if (this.#leaveOutAt === never) this.#leaveOutAt = now + pause;
    this.#dueAt = Math.min(this.#dueAt, now + settle);
  }

  /** A tunnel went down. */
  fell(now: Millis): void {
    this.#leaveOutAt = Math.max(this.#leaveOutAt, now + fallenSettle);
    this.#dueAt = Math.min(this.#dueAt, Math.max(now + fallenSettle, this.#keptAt + pause));
  }

  /** What is to be kept now, if anything. A node that lost all its tunnels keeps those it had. */
  due(now: Millis, standing: () => readonly FormerNeighbour[]): Uint8Array | undefined {
    if (now < this.#dueAt) return undefined;
    if (this.#writes.take(now)) return this.unwritten(now, standing());
    this.#dueAt = Math.max(now + second, this.#keptAt + pause);
    return undefined;
  }

  /** The same, without waiting: the daemon ends. */
  unwritten(now: Millis, standing: readonly FormerNeighbour[]): Uint8Array | undefined {
    this.#dueAt = never;
    if (standing.length === 0) {
      this.#leaveOutAt = never;
      return undefined;
    }
    const kept = this.#kept;
    const isEarly = now < this.#leaveOutAt && kept.some(({ node }) => !standing.some((one) => one.node === node));
    const list = (isEarly ? merged(kept, standing) : standing).slice(-most);
    const bytes = encodeNeighbours(list);
    const isNew = !equalBytes(encodeNeighbours(kept), bytes);
    if (isNew) {
      this.#kept = list;
      this.#keptAt = now;
    }
    if (isEarly) this.#dueAt = Math.max(this.#leaveOutAt, this.#keptAt + pause);
    return isNew ? bytes : undefined;
  }

  deadline(): Millis {
    return this.#dueAt;
  }
}

/** Both, in the order they came in. */
function merged(kept: readonly FormerNeighbour[], standing: readonly FormerNeighbour[]): readonly FormerNeighbour[] {
  const isKept = ({ node, endpoint }: FormerNeighbour) =>
    kept.some((one) => one.node === node && sameEndpoint(one.endpoint, endpoint));
  const news = standing.filter((one) => !isKept(one));
  return [...kept.filter(({ node }) => !news.some((one) => one.node === node)), ...news];
}

function encodeNeighbours(neighbours: readonly FormerNeighbour[]): Uint8Array {
  return encodeCbor(neighbours.map(({ node, endpoint }) => [node, endpoint.address, endpoint.port]));
}

/** What is unreadable is left out. */
export function decodeNeighbours(bytes: Uint8Array | undefined): FormerNeighbour[] {
  const list = bytes && decodeCbor(bytes);
  if (!Array.isArray(list)) return [];
  return list
    .slice(0, most)
    .map(neighbourOf)
    .filter((each) => each !== undefined);
}

function neighbourOf(value: CborValue): FormerNeighbour | undefined {
  if (!Array.isArray(value)) return undefined;
  const [node, address, port] = value;
  if (typeof node !== 'number' || typeof address !== 'string' || typeof port !== 'number') return undefined;
  return isUsableEndpoint({ address, port }) ? { node, endpoint: { address, port } } : undefined;
}
