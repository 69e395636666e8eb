import type { Millis } from '../src/time.js';

/** What a run still has to do, and how long that will take: each kind of work as long as it took until now. */
export class Left {
  readonly #left = new Map<string, number>();
  readonly #took = new Map<string, { total: Millis; times: number }>();
  readonly #guess: Millis;

  /** `guess`: of work when nothing of its sort was done yet. */
  constructor(guess: Millis) {
    this.#guess = guess;
  }

  /** `kind` is "sort: name"; what was never done of a kind takes as long as others of its sort did. */
  plan(kind: string, times: number): void {
    this.#left.set(kind, (this.#left.get(kind) ?? 0) + times);
  }

  done(kind: string, took: Millis): void {
    this.#left.set(kind, Math.max(0, (this.#left.get(kind) ?? 0) - 1));
    for (const name of [kind, sortOf(kind)]) {
      const { total, times } = this.#took.get(name) ?? { total: 0, times: 0 };
      this.#took.set(name, { total: total + took, times: times + 1 });
    }
  }

  get time(): Millis {
    return [...this.#left].reduce((sum, [kind, times]) => sum + times * this.#each(kind), 0);
  }

  #each(kind: string): Millis {
    const known = this.#took.get(kind) ?? this.#took.get(sortOf(kind));
    return known ? known.total / known.times : this.#guess;
  }
}

function sortOf(kind: string): string {
  return kind.split(':')[0]!;
}
