import { execFile } from 'node:child_process';

/** One ICMPv6 echo through the overlay, as the host's own ping sends it. */
export interface Echo {
  /** Undefined: nothing came back in time. */
  readonly rttMs: number | undefined;
  /** Who answered: the target, or the node where the hop limit ran out. */
  readonly from: string | undefined;
}

export function sendEcho(
  address: string,
  options: { readonly size?: number; readonly hopLimit?: number; readonly signal?: AbortSignal } = {},
): Promise<Echo> {
  const { size = 56, hopLimit, signal } = options;
  const limit = hopLimit === undefined ? [] : ['-t', String(hopLimit)];
  const args = ['-6', '-n', '-c', '1', '-W', '1', '-s', String(size), ...limit, address];
  const started = performance.now();
  return new Promise((resolve) => {
    execFile('ping', args, { ...(signal ? { signal } : {}), timeout: 5000 }, (_error, stdout) => {
      const answer = /from ([0-9a-f:]*[0-9a-f]):? .*time=([\d.]+) ms/.exec(stdout);
      const onTheWay = /From ([0-9a-f:]*[0-9a-f]):? .*(?:hop limit|exceeded)/i.exec(stdout);
      if (answer) resolve({ from: answer[1], rttMs: Number(answer[2]) });
      else if (onTheWay) resolve({ from: onTheWay[1], rttMs: performance.now() - started });
      else resolve({ from: undefined, rttMs: undefined });
    });
  });
}
