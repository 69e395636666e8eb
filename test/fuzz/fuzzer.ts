import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../src/random.js';
import { processorTime } from '../helpers/processor-time.js';
import type { Coverage, Lines } from './coverage.js';
import { mutate } from './mutate.js';
import type { Target } from './target.js';

export interface FuzzOptions {
  readonly seed: number;
  /** One of both ends it: so many inputs (the same for the same seed), or this much time. */
  readonly executions?: number;
  readonly seconds?: number;
  /** Where inputs that reached something new are kept for later runs. */
  readonly folder?: string;
}

export interface FuzzResult {
  readonly target: string;
  readonly executions: number;
  readonly seconds: number;
  readonly corpus: number;
  readonly lines: Lines;
  readonly failure?: { readonly input: Uint8Array; readonly error: unknown };
}

/** An input that keeps the processor this long is a failure of its own. */
const slow = 2000;
/** Of a batch in a run with a time limit: that many milliseconds. */
const batchTime = 150;
const batchLength = 2000;
/** Of a batch in a run of so many executions, where the clock may decide nothing. */
const countedBatchLength = 100;
const mostCorpus = 5000;

/**
 * Coverage-guided: inputs run in batches; when a batch has reached something new, the one input that did is searched by
 * halves, joins the corpus, and later inputs are made from it. With a number of executions the same seed gives the same
 * inputs; with a time limit the machine's speed has a say.
 */
export function fuzz(target: Target, coverage: Coverage, options: FuzzOptions): FuzzResult {
  const random = seededRandom(options.seed);
  const folder = options.folder && join(options.folder, target.name);
  const corpus = [...target.seeds, ...storedIn(folder)];
  if (corpus.length === 0) corpus.push(new Uint8Array(0));
  let subject = target.make(random);
  const started = performance.now();
  let executions = 0;
  const result = (failure?: FuzzResult['failure']): FuzzResult => ({
    target: target.name,
    executions,
    seconds: (performance.now() - started) / 1000,
    corpus: corpus.length,
    lines: coverage.lines(target.files),
    ...(failure && { failure }),
  });
  const attempt = (input: Uint8Array): unknown => {
    const before = processorTime();
    try {
      subject(input);
      executions++;
    } catch (error) {
      return error;
    }
    const took = processorTime() - before;
    return took > slow ? new Error(`one input took ${Math.round(took)} ms`) : undefined;
  };
  const isOver = () =>
    options.executions === undefined
      ? performance.now() - started > (options.seconds ?? 1) * 1000
      : executions >= options.executions;

  for (const input of corpus) {
    const error = attempt(input);
    if (error !== undefined) return result({ input, error });
  }
  coverage.takeNew(target.files);
  while (!isOver()) {
    const batch: Uint8Array[] = [];
    const begun = performance.now();
    const isFull = () =>
      options.executions === undefined
        ? batch.length >= batchLength || performance.now() - begun > batchTime
        : batch.length >= countedBatchLength;
    while (!isFull() && !isOver()) {
      const input = mutate(random, corpus[random.below(corpus.length)]!, corpus[random.below(corpus.length)]!);
      batch.push(input);
      const error = attempt(input);
      if (error !== undefined) return result({ input, error });
    }
    const fresh = coverage.takeNew(target.files);
    if (fresh.size === 0 || corpus.length >= mostCorpus) continue;
    subject = target.make(random);
    let suspects = batch;
    while (suspects.length > 1) {
      const half = suspects.slice(0, suspects.length >> 1);
      for (const input of half) subject(input);
      suspects = coverage.ran(fresh) ? half : suspects.slice(half.length);
    }
    const [found] = suspects;
    if (found) {
      corpus.push(found);
      store(folder, found);
    }
  }
  return result();
}

function storedIn(folder: string | undefined): Uint8Array[] {
  if (!folder) return [];
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .sort()
    .map((name) => new Uint8Array(readFileSync(join(folder, name))));
}

function store(folder: string | undefined, input: Uint8Array): void {
  if (!folder) return;
  writeFileSync(join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16)), input);
}

/** One line of the table. */
export function describe({ target, executions, seconds, corpus, lines }: FuzzResult): string {
  const percent = lines.total === 0 ? 0 : (100 * lines.reached) / lines.total;
  const rate = Math.round(executions / Math.max(seconds, 0.001));
  return `${target.padEnd(16)}${String(executions).padStart(9)} executions ${String(rate).padStart(8)}/s  corpus ${String(corpus).padStart(4)}  lines ${lines.reached}/${lines.total} (${percent.toFixed(0)} %)`;
}
