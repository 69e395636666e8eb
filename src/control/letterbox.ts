import type { NodeNumber } from '../addr/node-number.js';
import { type Millis, never, second } from '../time.js';

/** How long and how many: a letter is a mesh message to a node that is not a neighbour. */
const patience: Millis = 5 * second;
const maxLettersEach = 16;
const maxNodes = 256;

interface Letter {
  readonly bytes: Uint8Array;
  readonly expires: Millis;
}

/** Mesh messages that wait for an end-to-end session with their receiver. Bounded; what does not fit or waits too long is lost. */
export class Letterbox {
  readonly #letters = new Map<NodeNumber, Letter[]>();

  put(to: NodeNumber, bytes: Uint8Array, now: Millis): void {
    const waiting = this.#letters.get(to) ?? [];
    if (waiting.length >= maxLettersEach || (waiting.length === 0 && this.#letters.size >= maxNodes)) return;
    waiting.push({ bytes, expires: now + patience });
    this.#letters.set(to, waiting);
  }

  /** Nodes that something waits for. */
  receivers(): NodeNumber[] {
    return [...this.#letters.keys()];
  }

  /** Takes out what waits for this node, oldest first. */
  take(to: NodeNumber): Uint8Array[] {
    const waiting = this.#letters.get(to) ?? [];
    this.#letters.delete(to);
    return waiting.map((letter) => letter.bytes);
  }

  expire(now: Millis): void {
    for (const [to, waiting] of this.#letters) {
      const kept = waiting.filter((letter) => letter.expires > now);
      if (kept.length > 0) this.#letters.set(to, kept);
      else this.#letters.delete(to);
    }
  }

  deadline(): Millis {
    let earliest = never;
    for (const waiting of this.#letters.values()) earliest = Math.min(earliest, waiting[0]?.expires ?? never);
    return earliest;
  }
}
