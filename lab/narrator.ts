/** Tells a person at a terminal, or a log, what a scenario does. */
export class Narrator {
  readonly #started = performance.now();
  readonly #print: (line: string) => void;
  readonly #colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;

  /** `print` takes what is told, line by line; a test hands in its log. */
  constructor(print: (line: string) => void = console.log) {
    this.#print = print;
  }

  /** What happens now, with the seconds since the start. */
  step(text: string): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(6);
    this.#print(`${this.#paint('2', seconds)}  ${text}`);
  }

  /** A detail of the last step, of one or more lines. */
  show(text: string): void {
    this.#print(text.replace(/^/gm, '        '));
  }

  /** Something that had to hold, and held. */
  good(text: string): void {
    this.step(`${this.#paint('32', '✓')} ${text}`);
  }

  bad(text: string): void {
    this.step(`${this.#paint('31', '✗')} ${text}`);
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** "1.2 s", "340 ms". */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
