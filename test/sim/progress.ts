/** Shows what is going on, on standard error: in one line of a terminal, elsewhere a line each half minute. */
export function progressOf(name: string): (text: string) => void {
  let shownAt = 0;
  return (text) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name}: ${text}`);
    else if (performance.now() - shownAt > 30_000) {
      shownAt = performance.now();
      process.stderr.write(`${name}: ${text}\n`);
    }
  };
}
