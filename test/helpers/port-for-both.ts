import type { Socket } from 'node:dgram';
import { once } from 'node:events';

/** Below those from which Linux takes the ports of outgoing connections (ip_local_port_range, from 32768 on). */
const [lowest, count] = [20_000, 12_000];

/**
 * Binds a UDP socket to a port on which TCP can listen as well. Of the ports that the kernel chooses by itself, an outgoing
 * connection of another test may have the same over TCP.
 */
export async function bindForBoth(socket: Socket, address: string): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * count);
    socket.bind(port, address);
    const isBound = await once(socket, 'listening').then(
      () => true,
      () => false,
    );
    if (isBound) return port;
  }
}
