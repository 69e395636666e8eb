import type { Endpoint } from '../addr/endpoint.js';
import { isUsableEndpoint } from '../addr/endpoint.js';
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
  #kept: Uint8Array | undefined;
  #keptAt: Millis = Number.NEGATIVE_INFINITY;
  #dueAt: Millis = never;
  readonly #writes = new Bucket(second / pause, mostInRow);

  /** A tunnel came up, or moved. */
  stands(now: Millis): void {
    this.#dueAt = Math.min(this.#dueAt, now + settle);
  }

  /** A tunnel went down. */
  fell(now: Millis): void {
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
    if (standing.length === 0) return undefined;
    const bytes = encodeNeighbours(standing);
    if (this.#kept && equalBytes(this.#kept, bytes)) return undefined;
    this.#kept = bytes;
    this.#keptAt = now;
    return bytes;
  }

  deadline(): Millis {
    return this.#dueAt;
  }
}

/** The newest of them, when there are too many. */
function encodeNeighbours(neighbours: readonly FormerNeighbour[]): Uint8Array {
  return encodeCbor(neighbours.slice(-most).map(({ node, endpoint }) => [node, endpoint.address, endpoint.port]));
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
