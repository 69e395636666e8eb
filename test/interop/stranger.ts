import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { babelPort } from '../../daemon/lan/sockets.js';

/**
 * Sends one datagram from an address and port of its choice to the Babel port, and ends:
 *
 *   node stranger.js '{"device":"lan0","source":"fe80::1","port":7000,"to":"ff02::1:6","octets":"2a020000"}'
 */
export interface StrangerWords {
  readonly device: string;
  readonly source: string;
  readonly port: number;
  readonly to: string;
  /** Hexadecimal. */
  readonly octets: string;
}

const { device, source, port, to, octets } = JSON.parse(process.argv[2]!) as StrangerWords;
const socket = createSocket('udp6');
socket.bind({ port, address: source.startsWith('fe80:') ? `${source}%${device}` : source });
await once(socket, 'listening');
socket.setMulticastInterface(`::%${device}`);
socket.send(Buffer.from(octets, 'hex'), babelPort, `${to}%${device}`, () => socket.close());
