import { createConnection } from 'node:net';
import { MeshError } from '../src/errors.js';
import { callMethods, type Emit, maxResponseLength, type NodeApi, type Response, streamMethods } from './api.js';
import { noDaemon } from './no-daemon.js';

/**
 * The node behind a Unix socket, as a NodeApi. Every call opens a connection of its own. Throws what the daemon threw, or
 * MeshError "no-daemon" (nothing listens), "no-permission", "daemon-gone" (it stopped in the middle).
 */
export function adminClient(socket: string): NodeApi {
  const calls = callMethods.map((method) => [method, (options?: object) => request(socket, method, options)]);
  const streams = streamMethods.map((method) => [
    method,
    (options: object, emit: Emit<unknown>, signal: AbortSignal) => request(socket, method, options, emit, signal),
  ]);
  return Object.fromEntries([...calls, ...streams]) as unknown as NodeApi;
}

function request(
  socket: string,
  method: string,
  options: object = {},
  emit?: Emit<unknown>,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return resolve(null);
    const connection = createConnection(socket);
    let rest = '';
    const finish = (settle: () => void) => {
      signal?.removeEventListener('abort', stop);
      connection.destroy();
      settle();
    };
    const stop = () => finish(() => resolve(null));
    signal?.addEventListener('abort', stop);
    connection.setEncoding('utf8');
    connection.on('connect', () => connection.write(`${JSON.stringify({ method, options })}\n`));
    connection.on('error', (error) => finish(() => reject(unreached(socket, error))));
    connection.on('close', () => finish(() => reject(gone(socket))));
    connection.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      if (rest.length > maxResponseLength) return finish(() => reject(gone(socket)));
      for (const line of lines) {
        const response = JSON.parse(line) as Response;
        if ('item' in response) emit?.(response.item);
        else if ('result' in response) return finish(() => resolve(response.result));
        else {
          const { code, message, cure } = response.error;
          return finish(() => reject(new MeshError(code, message, cure)));
        }
      }
    });
  });
}

function unreached(socket: string, error: NodeJS.ErrnoException): MeshError {
  const options = { cause: error };
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new MeshError(
      'no-permission',
      `not allowed to use ${socket}`,
      'use sudo, or join the group that owns the socket',
      options,
    );
  }
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR') {
    return noDaemon(socket, error);
  }
  return gone(socket, error);
}

function gone(socket: string, cause?: Error): MeshError {
  return new MeshError('daemon-gone', `weftd at ${socket} stopped in the middle`, 'look at its log and try again', {
    cause,
  });
}
