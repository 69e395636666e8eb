import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

/** Characters of the built files that have run: V8's block coverage, painted range over range, outer before inner. */
export type Painted = Map<string, Uint8Array>;

/** Reached and existing lines of code. */
export interface Lines {
  readonly reached: number;
  readonly total: number;
}

/**
 * What of the built files in dist/ has run in this thread since the start. To be started before they are imported, so
 * that the first run of each module counts too.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #reached: Painted = new Map();
  readonly #texts = new Map<string, string>();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last look and never before, in files whose path ends with one of these. */
  takeNew(files: readonly string[]): Painted {
    const fresh: Painted = new Map();
    for (const [file, painted] of this.#paint(files)) {
      const reached = this.#reached.get(file);
      if (!reached) {
        this.#reached.set(file, painted);
        fresh.set(file, painted.slice());
        continue;
      }
      let gain: Uint8Array | undefined;
      for (let i = 0; i < painted.length; i++) {
        if (painted[i] === 0 || reached[i] !== 0) continue;
        gain ??= new Uint8Array(painted.length);
        gain[i] = 1;
        reached[i] = 1;
      }
      if (gain) fresh.set(file, gain);
    }
    return fresh;
  }

  /** Whether any of these characters ran since the last look. */
  ran(wanted: Painted): boolean {
    for (const [file, painted] of this.#paint([...wanted.keys()])) {
      const of = wanted.get(file);
      if (of?.some((is, i) => is !== 0 && painted[i] !== 0)) return true;
    }
    return false;
  }

  /** Lines with code in them, and those of them that were reached at all. */
  lines(files: readonly string[]): Lines {
    let reached = 0;
    let total = 0;
    for (const [file, painted] of this.#reached) {
      if (!files.some((end) => file.endsWith(end))) continue;
      let at = 0;
      for (const line of this.#textOf(file).split('\n')) {
        const code = line.trim();
        if (/[a-z]/i.test(code) && !/^(\/\/|\/\*|\*|import |export \{)/.test(code)) {
          total++;
          const from = at + line.indexOf(code);
          if (painted.subarray(from, from + code.length).includes(1)) reached++;
        }
        at += line.length + 1;
      }
    }
    return { reached, total };
  }

  stop(): void {
    this.#session.disconnect();
  }

  #paint(files: readonly string[]): Painted {
    const result: Painted = new Map();
    for (const { url, functions } of this.#scripts()) {
      if (!url.startsWith('file:') || !files.some((end) => url.endsWith(end))) continue;
      const painted = new Uint8Array(this.#textOf(url).length);
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) painted.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      }
      result.set(url, painted);
    }
    return result;
  }

  #scripts(): readonly Script[] {
    return (this.#post('Profiler.takePreciseCoverage') as { result: readonly Script[] }).result;
  }

  #textOf(url: string): string {
    const text = this.#texts.get(url) ?? readFileSync(fileURLToPath(url), 'utf8');
    this.#texts.set(url, text);
    return text;
  }

  /** The answer is there when post returns: the session is with this very thread. */
  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    let failed: Error | null = null;
    this.#session.post(method, parameters, (error, result) => {
      failed = error;
      answer = result;
    });
    if (failed) throw failed;
    return answer;
  }
}
