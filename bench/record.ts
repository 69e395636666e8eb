import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Verdict, verdicts } from './floors.js';
import type { Part } from './part.js';
import { type Column, plot } from './plot.js';
import { figures } from './round.js';
import { summary } from './statistics.js';

/** What a run is told by. */
export interface Circumstances {
  readonly machine: string;
  /** UTC, to the minute: "2026-11-27 19:30". */
  readonly date: string;
  /** Of the tree; with a "+" when files differ from it. */
  readonly commit: string;
  readonly rounds: number;
  readonly seconds: number;
}

/** Every value of every round of a run, and the files they are kept in. */
export class RunRecord {
  readonly parts: Part[] = [];
  readonly #circumstances: Circumstances;
  readonly #contenders: readonly { readonly name: string; readonly version: string }[];
  readonly #values: Map<string, Map<string, (number | null)[]>>;

  constructor(circumstances: Circumstances, contenders: readonly { name: string; version: string }[]) {
    this.#circumstances = circumstances;
    this.#contenders = contenders;
    this.#values = new Map(contenders.map(({ name }) => [name, new Map()]));
  }

  /** A figure of round `round`, the first is 0; a round that gave none is `null` in the file. */
  note(contender: string, key: string, round: number, value: number): void {
    const own = this.#values.get(contender)!;
    const values = own.get(key) ?? new Array<null>(this.#circumstances.rounds).fill(null);
    values[round] = value;
    own.set(key, values);
  }

  last(contender: string, key: string): number | undefined {
    return (
      this.#values
        .get(contender)!
        .get(key)
        ?.findLast((value) => value !== null) ?? undefined
    );
  }

  columns(): Column[] {
    return this.#contenders.map(({ name, version }) => ({
      name,
      version,
      figures: Object.fromEntries(
        [...this.#values.get(name)!].map(([key, values]) => [key, summary(values.filter((value) => value !== null))]),
      ),
    }));
  }

  verdicts(): Verdict[] {
    return verdicts(this.columns(), this.parts);
  }

  /** Where `save` writes, without the ending. The time of day is in it: no run takes another's place. */
  fileIn(folder: string): string {
    return join(folder, this.#circumstances.date.replace(' ', '-').replace(':', ''));
  }

  save(folder: string): void {
    const { date, rounds, machine, commit } = this.#circumstances;
    const columns = this.columns();
    const withValues = columns.map((column) => ({
      ...column,
      values: Object.fromEntries(this.#values.get(column.name)!),
    }));
    mkdirSync(folder, { recursive: true });
    const all = { ...this.#circumstances, figures, columns: withValues, parts: this.parts, floors: this.verdicts() };
    writeFileSync(`${this.fileIn(folder)}.json`, `${JSON.stringify(all, null, 2)}\n`);
    const caption = `${date} UTC, ${commit}, medians of ${rounds} rounds; ${machine}`;
    writeFileSync(`${this.fileIn(folder)}.svg`, plot(columns, caption));
  }
}
