/** What the views are printed on. A file or a pipe is endlessly wide and has no colours. */
export interface Paper {
  readonly width: number;
  readonly colour: boolean;
}

/** The terminal behind standard output, or none. `COLUMNS` speaks where there is no terminal; `NO_COLOR` (no-color.org) everywhere. */
export function paperOf(
  out: { readonly isTTY?: boolean; readonly columns?: number },
  env: Readonly<Record<string, string | undefined>>,
): Paper {
  const told = Number(env.COLUMNS);
  const width = (out.isTTY && out.columns) || (told >= leastWidth ? told : Number.POSITIVE_INFINITY);
  const colour = out.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  return { width: Math.max(leastWidth, width), colour };
}

/** Narrower than this nothing is laid out for. */
const leastWidth = 40;

const green = 32;
const yellow = 33;
const red = 31;
const tints: Readonly<Record<string, number>> = {
  well: green,
  ok: green,
  direct: green,
  warning: yellow,
  relayed: yellow,
  connecting: yellow,
  unknown: yellow,
  'not well': red,
  error: red,
  unreachable: red,
  revoked: red,
};

/** A word of state in its colour, on paper that has colours; `word` may be padded. */
export function tint(word: string, paper: Paper): string {
  const colour = paper.colour ? tints[word.trim()] : undefined;
  return colour === undefined ? word : `\u001b[${colour}m${word}\u001b[39m`;
}

/** Words in lines of the paper's width; lines after the first begin with `indent` spaces, and so does the count for the first. */
export function wrap(text: string, paper: Paper, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of printable(text).split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > paper.width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}

/** What other nodes chose, such as reasons, may hold control characters; a terminal must not obey them. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?');
}
