import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { StreamEndpoint } from '../src/control/fallback.js';
import { StreamMark } from './stream-mark.js';

/**
 * Begins a stream to a member: plain TCP, or TLS. No certificate is checked: the handshake inside authenticates both ends and
 * seals what they say, and TLS is there for firewalls that let nothing else out. What is written before `opened` waits.
 */
export function dialStream(
  to: StreamEndpoint,
  mark = new StreamMark(),
): { readonly socket: Socket; readonly opened: Promise<void> } {
  const { address: host, port } = to.endpoint;
  const isTls = to.kind === 'tls';
  const plain = mark.socket(host).connect({ host, port });
  const socket = isTls
    ? connectTls({
        socket: plain,
        minVersion: 'TLSv1.2',
        rejectUnauthorized: false,
        ...(to.endpoint.name === undefined ? {} : { servername: to.endpoint.name }),
      })
    : plain;
  if (isTls) plain.on('error', (error) => socket.destroy(error));
  const opened = new Promise<void>((resolve, reject) => {
    socket.once(isTls ? 'secureConnect' : 'connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
  opened.catch(() => {}); // who does not wait for it sees the socket end
  return { socket, opened };
}
