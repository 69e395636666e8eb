import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { StreamEndpoint } from '../src/control/fallback.js';

/**
 * Begins a stream to a member: plain TCP, or TLS. No certificate is checked: the handshake inside authenticates both ends and
 * seals what they say, and TLS is there for firewalls that let nothing else out. What is written before `opened` waits.
 */
export function dialStream(to: StreamEndpoint): { readonly socket: Socket; readonly opened: Promise<void> } {
  const { address: host, port } = to.endpoint;
  const isTls = to.kind === 'tls';
  const socket = isTls
    ? connectTls({
        host,
        port,
        minVersion: 'TLSv1.2',
        rejectUnauthorized: false,
        ...(to.endpoint.name === undefined ? {} : { servername: to.endpoint.name }),
      })
    : connectTcp({ host, port });
  const opened = new Promise<void>((resolve, reject) => {
    socket.once(isTls ? 'secureConnect' : 'connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
  opened.catch(() => {}); // who does not wait for it sees the socket end
  return { socket, opened };
}
