import { once } from 'node:events';
import type { Namespace } from '../../lab/namespace.js';

/** A running tcpdump that writes whole packets to a file. */
export interface Capture {
  readonly file: string;
  stop(): Promise<void>;
}

/** Returns when it listens; `stop` throws what tcpdump complained about. `filter` in the words of pcap-filter(7). */
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
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  await once(child.stderr, 'data');
  return {
    file,
    stop: async () => {
      // In order: it writes what it has seen to the end, and the last packet is whole.
      child.kill('SIGINT');
      const [code] = await ended;
      if (code !== 0) throw new Error(`tcpdump ended with ${code}: ${said}`);
    },
  };
}
