import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Verdict, verdicts } from './floors.js';
import type { Part } from './part.js';
import { type Column, plot } from './plot.js';
import { figures } from './round.js';
import { summary } from './statistics.js';
import type { VerifiedRow } from './verified.js';

/** What a run is told by. */
export interface Circumstances {
  readonly machine: string;
  /** UTC, to the second: "2026-11-27 19:30:05". */
  readonly date: string;
  /** Of the tree; with a "+" when files differ from it. */
  readonly commit: string;
  readonly rounds: number;
  readonly seconds: number;
  /** Contenders that were asked for and are not to be had on this machine. */
  readonly absent: readonly string[];
}

/** Every value of every round of a run, and the files they are kept in. */
export class RunRecord {
  readonly parts: Part[] = [];
  readonly #circumstances: Circumstances;
  readonly #contenders: readonly { readonly name: string; readonly version: string }[];
  readonly #verified: readonly VerifiedRow[];
  readonly #values: Map<string, Map<string, (number | null)[]>>;

  /** `verified`: what `npm run verify` has found of what a bench has no time for. */
  constructor(
    circumstances: Circumstances,
    contenders: readonly { name: string; version: string }[],
    verified: readonly VerifiedRow[],
  ) {
    this.#circumstances = circumstances;
    this.#contenders = contenders;
    this.#verified = verified;
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
    return verdicts(this.columns(), this.parts, this.#verified);
  }

  /** Where `save` writes, without the ending. The time of day is in it: no run takes another's place. */
  fileIn(folder: string): string {
    return join(folder, this.#circumstances.date.replace(' ', '-').replaceAll(':', ''));
  }

  save(folder: string): void {
    const { date, machine, commit } = this.#circumstances;
    const columns = this.columns();
    const rounds = Math.max(
      0,
      ...columns.flatMap(({ figures: own }) => Object.values(own).map((value) => value.rounds)),
    );
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
