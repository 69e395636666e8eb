/** From here on whoever waits is told that something is being done. */
const patience = 1000;

interface Screen {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/**
 * Says on the terminal what takes so long, and for how many seconds, from the first second on; the line is gone with the
 * answer. Where there is no terminal nothing is said: whoever reads a pipe wants the answer alone.
 */
export async function withProgress<T>(what: string, work: Promise<T>, screen: Screen = process.stderr): Promise<T> {
  if (screen.isTTY !== true) return work;
  let seconds = 0;
  const timer = setInterval(() => screen.write(`\r${what}: ${++seconds} s`), patience);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (seconds > 0) screen.write('\r\u001b[K');
  }
}
