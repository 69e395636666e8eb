import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** A TCP connection to loopback that says nothing, from this address of 127.0.0.0/8; `destroyed` once the far end has closed it. */
export async function stranger(t: ExecutionContext, port: number, from: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: from });
  socket.on('error', () => {});
  socket.resume();
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}
