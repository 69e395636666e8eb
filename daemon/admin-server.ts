import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { MeshError } from '../src/errors.js';
import { parseRequest } from './admin-request.js';
import { type Emit, maxRequestLength, type NodeApi, type Request, type Response } from './api.js';
import type { Log } from './log.js';

/** How long a client may take to say what it wants. */
const requestTimeout = 10_000;
/** A client that reads this much too slowly is cut off rather than remembered for. */
const maxBacklog = 4 * 1024 * 1024;
const maxClients = 64;

/** Serves a NodeApi on a Unix socket; the protocol is described in daemon/api.ts. */
export class AdminServer {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  readonly #path: string;

  private constructor(path: string, api: NodeApi, log: Log) {
    this.#path = path;
    this.#server = createServer((socket) => {
      this.#clients.add(socket);
      socket.on('close', () => this.#clients.delete(socket));
      serve(socket, api, log);
    });
    this.#server.maxConnections = maxClients;
  }

  /**
   * Listens; folder 0750 when it has to be made, socket 0660. A socket left by a dead daemon is replaced. Throws MeshError
   * when a live daemon answers there or the folder cannot be written.
   */
  static async listen(path: string, api: NodeApi, log: Log): Promise<AdminServer> {
    if (await answers(path)) {
      throw new MeshError(
        'socket-in-use',
        `another weftd answers at ${path}`,
        'stop it, or give this one a socket of its own with --socket',
      );
    }
    const admin = new AdminServer(path, api, log);
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      rmSync(path, { force: true });
      await new Promise<void>((resolve, reject) => {
        admin.#server.once('error', reject);
        admin.#server.listen(path, resolve);
      });
      // Until here the usual umask keeps others out: connecting needs the right to write.
      chmodSync(path, 0o660);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new MeshError(
        'socket-unusable',
        `cannot listen at ${path} (${code})`,
        'run as root, or name another path with --socket',
        {
          cause: error,
        },
      );
    }
    return admin;
  }

  /** Stops listening, cuts off all clients and removes the socket. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const client of this.#clients) client.destroy();
    await closed;
    rmSync(this.#path, { force: true });
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}

function serve(socket: Socket, api: NodeApi, log: Log): void {
  const gone = new AbortController();
  let text = '';
  socket.setEncoding('utf8');
  socket.setTimeout(requestTimeout, () => socket.destroy());
  // A client that vanishes is no fault of ours; whatever it asked for ends.
  socket.on('error', () => gone.abort());
  socket.on('close', () => gone.abort());
  socket.on('end', () => gone.abort());
  const onData = (chunk: string) => {
    text += chunk;
    const end = text.indexOf('\n');
    if (end < 0) {
      if (text.length > maxRequestLength) refuse('request-too-long', 'the request is too long');
      return;
    }
    socket.off('data', onData);
    socket.resume();
    socket.setTimeout(0);
    void answer(text.slice(0, end));
  };
  const send = (response: Response) => {
    if (socket.writable) socket.write(`${JSON.stringify(response)}\n`);
  };
  const refuse = (code: string, message: string) => {
    socket.off('data', onData);
    send({ error: { code, message, cure: 'use the weft command of the same version' } });
    socket.destroySoon();
  };
  const answer = async (line: string) => {
    const request = parseRequest(line);
    if (!request) return refuse('bad-request', 'the request is not one this weftd knows');
    try {
      const emit: Emit<unknown> = (item) => {
        send({ item });
        if (socket.writableLength > maxBacklog) socket.destroy();
      };
      send({ result: (await perform(api, request, emit, gone.signal)) ?? null });
    } catch (error) {
      send({ error: toError(error, request, log) });
    }
    socket.end();
  };
  socket.on('data', onData);
}

function perform(
  api: NodeApi,
  { method, options }: Request,
  emit: Emit<unknown>,
  signal: AbortSignal,
): Promise<unknown> | unknown {
  const work = api[method] as (options: object, emit: Emit<unknown>, signal: AbortSignal) => unknown;
  return work.call(api, options ?? {}, emit, signal);
}

function toError(error: unknown, { method }: Request, log: Log): { code: string; message: string; cure: string } {
  if (error instanceof MeshError) return { code: error.code, message: error.message, cure: error.cure };
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error('admin call failed', { method, reason });
  return { code: 'internal', message: `weftd failed at "${method}"`, cure: 'see its log, and report it please' };
}
