/** What a mistyped word was probably meant to be: the nearest of the known ones, at most two slips of the finger away. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { readonly word: string; readonly slips: number } | undefined;
  for (const other of known) {
    const slips = distance(word.toLowerCase(), other.toLowerCase());
    // Of a short word two slips leave nothing that is alike.
    if (slips > 2 || slips * 2 >= Math.max(word.length, other.length) + 1) continue;
    if (!best || slips < best.slips) best = { word: other, slips };
  }
  return best?.word;
}

/** What to do about a word that nobody knows: `all` says where the known ones are listed. */
export function meant(word: string, known: Iterable<string>, all: string): string {
  const near = nearest(word, known);
  return near === undefined ? all : `did you mean "${near}"? ${all}`;
}

/** Levenshtein distance, two neighbours exchanged being one slip; both words are short. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (exchanged) next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
