import { once } from 'node:events';
import type { Namespace } from '../../lab/namespace.js';

/** A running tcpdump that writes whole packets to a file. */
export interface Capture {
  readonly file: string;
  stop(): Promise<void>;
}

/** Returns when it listens. `filter` in the words of pcap-filter(7). */
export async function capture(namespace: Namespace, device: string, file: string, filter: string): Promise<Capture> {
  const child = namespace.spawn([
    'tcpdump',
    '-i',
    device,
    '-U',
    '-w',
    file,
    '-s',
    '0',
    '-Z',
    'root',
    ...filter.split(' '),
  ]);
  const ended = once(child, 'exit');
  await once(child.stderr, 'data');
  return {
    file,
    stop: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}
