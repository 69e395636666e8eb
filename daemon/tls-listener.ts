import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import type { Endpoint } from '../src/addr/endpoint.js';
import { formatEndpoint } from '../src/addr/endpoint.js';
import { Bucket } from '../src/bucket.js';
import { MeshError } from '../src/errors.js';
import { type Millis, second, type UnixSeconds } from '../src/time.js';
import { markServer } from './stream-mark.js';
import { readTlsCertificate, type TlsCertificate, type TlsFiles, versionOf } from './tls-certificate.js';

/** Handshakes at once, and how long one may take: a caller that says nothing is soon out again. */
const maxHandshakes = 32;
const handshakeLimit: Millis = 5 * second;
/** Handshakes a second: each costs a signature, about a millisecond where the key is RSA. */
const handshakesPerSecond = 50;
const handshakeBurst = 64;
/** How often we look whether the files were changed, and try again what failed. */
const lookPause: Millis = 30 * second;

export interface TlsListenerSetting {
  readonly listen: Endpoint;
  readonly files: TlsFiles;
  /** Takes a stream whose TLS handshake is done. */
  readonly accept: (socket: Socket) => void;
  /** Something is served from now on, or served no more, or under another certificate. */
  readonly changed: () => void;
  readonly lookPause?: Millis;
}

/** What became of callers that did not get through; names as in `weft status`. */
export type TlsDrop = 'tls-handshake-failed' | 'tls-handshake-timeout' | 'tls-too-many';

/**
 * Takes TLS connections and hands on the streams inside. Without a good certificate or port it serves nothing, says why, and
 * tries again; a certificate that is renewed on the disk is taken without a restart.
 *
 *     TCP ──► few enough, slow enough? ──► TLS handshake ──► accept
 *                     └─ no: closed, counted     └─ failed, or too slow: closed, counted
 */
export class TlsListener {
  readonly #setting: TlsListenerSetting;
  readonly #rate = new Bucket(handshakesPerSecond, handshakeBurst);
  /** By the caller's address and port. */
  readonly #handshakes = new Map<string, Socket>();
  readonly #drops = new Map<TlsDrop, number>();
  readonly #watch: NodeJS.Timeout;
  #served: TlsCertificate | undefined;
  #problem: MeshError | undefined;
  #version = '';
  #tls: TlsServer | undefined;
  #tcp: Server | undefined;
  #port: number;
  #isClosed = false;

  constructor(setting: TlsListenerSetting) {
    this.#setting = setting;
    this.#port = setting.listen.port;
    this.#watch = setInterval(() => void this.look(), setting.lookPause ?? lookPause);
    this.#watch.unref();
  }

  /** Undefined while nothing is served. */
  get served():
    | { readonly name: string | undefined; readonly expires: UnixSeconds; readonly port: number }
    | undefined {
    return this.#tcp && this.#served && { name: this.#served.name, expires: this.#served.expires, port: this.#port };
  }

  /** Why nothing is served, or why a changed certificate was not taken. */
  get problem(): MeshError | undefined {
    return this.#problem;
  }

  drops(): ReadonlyMap<string, number> {
    return this.#drops;
  }

  /** Serves, if that is possible by now, and by what is on the disk now. */
  async look(): Promise<void> {
    const version = versionOf(this.#setting.files);
    // After a failure even the same files are read: they may have been gone, and are back.
    if (this.#tcp && !this.#problem && version === this.#version) return;
    try {
      this.#take(readTlsCertificate(this.#setting.files));
      this.#version = version;
      const tcp = this.#tcp ?? (await this.#listen());
      if (this.#isClosed) return void tcp.close();
      this.#tcp = tcp;
      this.#problem = undefined;
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      const isNews = error.message !== this.#problem?.message;
      this.#problem = error;
      if (!isNews) return;
    }
    this.#setting.changed();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#watch);
    this.#tcp?.close();
    this.#tcp = undefined;
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  #take(certificate: TlsCertificate): void {
    const context = { cert: certificate.certificate, key: certificate.key, minVersion: 'TLSv1.2' } as const;
    this.#served = certificate;
    if (this.#tls) return this.#tls.setSecureContext(context);
    const server = createTlsServer({ ...context, handshakeTimeout: handshakeLimit });
    server.on('secureConnection', (socket) => {
      this.#handshakes.delete(callerOf(socket));
      this.#setting.accept(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      const { code } = error as NodeJS.ErrnoException;
      this.#drop(code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'tls-handshake-timeout' : 'tls-handshake-failed');
      socket.destroy();
    });
    this.#tls = server;
  }

  #listen(): Promise<Server> {
    const { address, port } = this.#setting.listen;
    const server = createServer((socket) => this.#called(socket));
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => reject(portProblem(this.#setting.listen, cause)));
      server.listen(port, address, () => {
        markServer(server);
        server.on('error', () => {}); // of a single accept: the next one may work
        this.#port = (server.address() as { readonly port: number }).port;
        resolve(server);
      });
    });
  }

  #called(socket: Socket): void {
    if (this.#handshakes.size >= maxHandshakes || !this.#rate.take(performance.now())) {
      this.#drop('tls-too-many');
      socket.destroy();
      return;
    }
    const caller = callerOf(socket);
    this.#handshakes.set(caller, socket);
    socket.once('close', () => {
      if (this.#handshakes.get(caller) === socket) this.#handshakes.delete(caller);
    });
    this.#tls!.emit('connection', socket);
  }

  #drop(reason: TlsDrop): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }
}

function callerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function portProblem(listen: Endpoint, cause: Error): MeshError {
  const { code } = cause as NodeJS.ErrnoException;
  const where = formatEndpoint(listen);
  switch (code) {
    case 'EADDRINUSE':
      return new MeshError('tls-port-taken', `another program listens on TCP ${where}`, 'end it, or set tls.listen', {
        cause,
      });
    case 'EACCES':
      return new MeshError(
        'tls-port-forbidden',
        `weftd may not listen on TCP ${where}`,
        'give it CAP_NET_BIND_SERVICE (packaging/weft.service does), or set tls.listen to a port from 1024 on',
        { cause },
      );
    default:
      return new MeshError('tls-no-listener', `TCP ${where}: ${cause.message}`, 'correct tls.listen', { cause });
  }
}
