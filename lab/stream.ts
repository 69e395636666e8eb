import { once } from 'node:events';
import type { Host } from './machines.js';

export interface StreamOptions {
  readonly seconds?: number;
  /** Streams at once. */
  readonly parallel?: number;
  /** Send so many octets rather than for some time. */
  readonly octets?: number;
}

/** Megabits a second that arrive over TCP (iperf3, cubic) from one machine at an address of another. */
export async function stream(from: Host, to: Host, address: string, options: StreamOptions = {}): Promise<number> {
  const server = to.namespace.spawn(['iperf3', '-s', '-1', '-B', address, '--forceflush']);
  const ended = once(server, 'exit');
  await once(server.stdout, 'data');
  const amount = options.octets === undefined ? ['-t', String(options.seconds ?? 2)] : ['-n', String(options.octets)];
  const client = ['iperf3', '-c', address, ...amount, '-P', String(options.parallel ?? 1), '-C', 'cubic', '-J'];
  const { stdout } = await from.namespace.run(client, { timeout: 30_000 + (options.seconds ?? 2) * 1000 });
  server.kill('SIGKILL');
  await ended;
  const report = JSON.parse(stdout) as { error?: string; end: { sum_received?: { bits_per_second: number } } };
  if (!report.end.sum_received) throw new Error(`iperf3 from ${from.name} to ${address}: ${report.error}`);
  return report.end.sum_received.bits_per_second / 1e6;
}
