import type { Millis } from '../../src/time.js';

/**
 * A map that forgets what was not touched for a while; it holds what one lifetime brings, and is looked through by
 * nobody.
 */
export class Remembered<V> {
  readonly #lifetime: Millis;
  /** The longest untouched first. */
  readonly #entries = new Map<string, { value: V; at: Millis }>();

  constructor(lifetime: Millis) {
    this.#lifetime = lifetime;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, now: Millis): V | undefined {
    const entry = this.#entries.get(key);
    return entry && now - entry.at <= this.#lifetime ? entry.value : undefined;
  }

  /** Sets it, or touches it, and drops what has grown old. */
  keep(key: string, value: V, now: Millis): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, at: now });
    for (const [old, { at }] of this.#entries) {
      if (now - at <= this.#lifetime) break;
      this.#entries.delete(old);
    }
  }

  forget(isGone: (key: string) => boolean): void {
    for (const key of this.#entries.keys()) if (isGone(key)) this.#entries.delete(key);
  }
}
