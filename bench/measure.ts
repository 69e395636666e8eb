import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../lab/machines.js';
import { median } from '../lab/median.js';
import { second } from '../src/time.js';

/** What one iperf3 run said. */
export interface Throughput {
  /** What arrived, both directions together. */
  readonly gbits: number;
  readonly octets: number;
  /** Of UDP, in percent; 0 for TCP. */
  readonly lostPercent: number;
}

export interface Load {
  readonly seconds: number;
  readonly streams?: number;
  readonly congestion?: 'cubic' | 'bbr';
  readonly bothWays?: boolean;
  /** UDP at so many Mbit/s, in datagrams of so many octets. */
  readonly udp?: { readonly mbits: number; readonly octets: number };
}

/** One iperf3 run from a host to an address of another. */
export async function iperf(from: Host, to: Host, address: string, load: Load): Promise<Throughput> {
  const server = to.namespace.spawn(['iperf3', '--server', '--one-off', '--forceflush', '--bind', address]);
  const ended = new Promise((resolve) => server.once('exit', resolve));
  let said = '';
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  try {
    await new Promise<void>((resolve, reject) => {
      server.stdout.on('data', (chunk: Buffer) => {
        if (/listening/i.test(chunk.toString())) resolve();
      });
      server.once('exit', (code) => reject(new Error(`iperf3 server ended with ${code}: ${said.trim()}`)));
    });
    const { seconds, streams = 1, congestion = 'cubic', bothWays = false, udp } = load;
    const kind = udp
      ? ['--udp', '--bitrate', `${udp.mbits}M`, '--length', String(udp.octets)]
      : ['--congestion', congestion];
    const timeout = (seconds + 20) * second;
    const { stdout, stderr, code } = await from.namespace.run(
      [
        ...['iperf3', '--client', address, '--json', '--time', String(seconds), '--parallel', String(streams)],
        ...kind,
        ...(bothWays ? ['--bidir'] : []),
      ],
      { timeout },
    );
    if (code === null)
      throw new Error(`iperf3 of ${seconds} s to ${address} had not ended after ${timeout / second} s`);
    return readIperf(stdout, stderr);
  } finally {
    server.kill('SIGKILL');
    await ended; // the next one binds the same port
  }
}

interface IperfSum {
  readonly bytes: number;
  readonly bits_per_second: number;
  readonly lost_percent?: number;
}

function readIperf(stdout: string, stderr: string): Throughput {
  const report = JSON.parse(stdout || '{}') as { end?: Record<string, IperfSum | undefined>; error?: string };
  const end = report.end;
  if (report.error || !end) throw new Error(`iperf3: ${report.error ?? stderr}`);
  const udp = end.sum_received === undefined || end.sum?.lost_percent !== undefined ? end.sum : undefined;
  if (udp?.lost_percent !== undefined) {
    const share = 1 - udp.lost_percent / 100;
    return { gbits: (udp.bits_per_second * share) / 1e9, octets: udp.bytes * share, lostPercent: udp.lost_percent };
  }
  const sums = [end.sum_received, end.sum_received_bidir_reverse].filter((sum) => sum !== undefined);
  return {
    gbits: sums.reduce((total, sum) => total + sum.bits_per_second, 0) / 1e9,
    octets: sums.reduce((total, sum) => total + sum.bytes, 0),
    lostPercent: 0,
  };
}

/**
 * A receiver that was not scheduled for a moment loses datagrams whoever carried them: a rate is bad when it fails
 * thrice, or loses more than such a moment explains.
 */
const triesPerRate = 3;
const hopelessPercent = 20;
const step = 1.08;

/**
 * The highest rate of datagrams that arrive with less than 1 % lost, in Mbit/s of payload: doubled while it holds, then
 * halved between the last good and the first bad rate until they are 8 % apart. Where the sender cannot offer more, what
 * it offered is the answer. `before`: what an earlier round found; the search then begins there, in steps of 8 %.
 */
export async function highestUdpRate(
  from: Host,
  to: Host,
  address: string,
  octets: number,
  seconds: number,
  before?: number,
): Promise<number> {
  let good = 0;
  let bad = Number.POSITIVE_INFINITY;
  let rate = before ?? 100;
  const [up, down] = before === undefined ? [2, 1 / 2] : [step, 1 / step];
  while (bad / Math.max(good, 1) > step * 1.001 && rate > 1) {
    let carried: number | undefined;
    for (let i = 0; i < triesPerRate && carried === undefined; i++) {
      const { lostPercent, gbits } = await iperf(from, to, address, { seconds, udp: { mbits: rate, octets } });
      if (lostPercent < 1) carried = gbits * 1000;
      if (lostPercent > hopelessPercent) break;
    }
    if (carried === undefined) bad = rate;
    else if (carried < rate * 0.97) return Math.max(good, carried);
    else good = rate;
    if (bad === Number.POSITIVE_INFINITY) rate *= up;
    else if (good === 0) rate *= down;
    else rate = (good + bad) / 2;
  }
  return good;
}

/**
 * The median round trip of a hundred pings a second, in milliseconds, of so many pings at once that share them: iperf3
 * sends UDP in bursts a millisecond apart, and what one ping sends meets all of them in the same phase. One that is lost
 * counts as longer than all others.
 */
export async function roundTrip(from: Host, address: string, pings: number, seconds = 1): Promise<number> {
  const perSecond = 100;
  const count = perSecond * seconds;
  const ping = ['ping', '-n', '-c', String(count / pings), '-i', String(pings / perSecond), '-W', '3', address];
  const outputs = await Promise.all(Array.from({ length: pings }, () => from.namespace.run(ping)));
  const times = outputs.flatMap(({ stdout }) =>
    [...stdout.matchAll(/time=([\d.]+)/g)].map((match) => Number(match[1])),
  );
  if (2 * times.length <= count) throw new Error(`only ${times.length} of ${count} pings to ${address} came back`);
  return median([...times, ...Array<number>(Math.max(0, count - times.length)).fill(Number.POSITIVE_INFINITY)]);
}

/** Runs a load and, once it flows, something else beside it. */
export async function beside<T>(load: Promise<unknown>, measure: () => Promise<T>): Promise<T> {
  // Together, so that neither's failure is left without anybody to hear it.
  const [result, carried] = await Promise.allSettled([sleep(500).then(measure), load]);
  if (result.status === 'rejected') throw result.reason; // only now: what comes next needs the port of the load
  if (carried.status === 'rejected') throw carried.reason;
  return result.value;
}

const ticksPerSecond = 100; // sysconf(_SC_CLK_TCK), the same on every Linux Node.js runs on

/** Processor time of these processes so far, their threads and kernel work included, in seconds. */
export function processorSeconds(pids: readonly number[]): number {
  return pids.reduce((total, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return total + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }, 0);
}

/** Resident memory of the largest of these processes, in MB. */
export function residentMegabytes(pids: readonly number[]): number {
  return Math.max(
    0,
    ...pids.map((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024),
  );
}
