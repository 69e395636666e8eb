import { once } from 'node:events';
import type { Namespace } from '../../lab/namespace.js';

/** A running tcpdump that writes whole packets to a file. */
export interface Capture {
  readonly file: string;
  stop(): Promise<void>;
}

/**
 * Returns when it listens; `stop` throws what tcpdump complained about. `filter` in the words of pcap-filter(7). `longest`: packets
 * are no longer, so that many fit its memory; then each is written when it comes. Else what came within the last second is lost,
 * for tcpdump is handed blocks of them.
 */
export async function capture(
  namespace: Namespace,
  device: string,
  file: string,
  filter: string,
  longest?: number,
): Promise<Capture> {
  const how = longest === undefined ? ['-s', '0'] : ['-s', `${longest}`, '-B', '65536', '--immediate-mode'];
  const words = ['-i', device, '-U', '-w', file, ...how, '-Z', 'root', ...filter.split(' ')];
  const child = namespace.spawn(['tcpdump', ...words]);
  const ended = once(child, 'exit');
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
      if (said.includes('listening on')) resolve(); // it may say other things before
    });
    child.once('exit', (code) => reject(new Error(`tcpdump ended with ${code}: ${said}`)));
  });
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
