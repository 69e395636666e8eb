import { type Server, Socket } from 'node:net';
import { defaultMark } from '../src/tunnel/plane/linux.js';
import { openMarkedStream, setMark } from '../src/tunnel/plane/linux-tcp.js';

/**
 * A TCP socket, not connected yet, whose packets carry the mark of the tunnels: they never go into the overlay, which else would
 * carry the very stream it travels on where the overlay has the best route to the far end.
 */
export function markedSocket(address: string): Socket {
  const fd = openMarkedStream(address.includes(':') ? 6 : 4, defaultMark);
  if (fd === undefined) return new Socket();
  // manualStart: nothing is read before it is connected.
  return new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
}

/** Marks a server that listens, and by it what it accepts. False where the kernel does not let us. */
export function markServer(server: Server): boolean {
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } | null })._handle ?? { fd: -1 };
  return fd >= 0 && setMark(fd, defaultMark);
}
