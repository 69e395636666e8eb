import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import type { Endpoint } from '../src/addr/endpoint.js';
import { MeshError } from '../src/errors.js';
import { type Millis, second, type UnixSeconds } from '../src/time.js';
import { AcceptRate } from './accept-rate.js';
import { portProblem } from './port-problem.js';
import type { StreamMark } from './stream-mark.js';
import { givesWay, type Holder, sourceOf } from './stream-share.js';
import { readTlsCertificate, type TlsCertificate, type TlsFiles, versionOf } from './tls-certificate.js';

/** Handshakes at once, and how long one may take: a caller that says nothing is soon out again. */
const maxHandshakes = 32;
const handshakeLimit: Millis = 5 * second;
/** Handshakes a second: each costs a signature, about a millisecond where the key is RSA. */
const overall = { perSecond: 50, burst: 64 };
/** How often we look whether the files were changed, and try again what failed. */
const lookPause: Millis = 30 * second;

export interface TlsListenerSetting {
  readonly listen: Endpoint;
  readonly files: TlsFiles;
  readonly mark: StreamMark;
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
 *     TCP ──► rate of its source, rate of all ──► a place ──► TLS handshake ──► accept
 *                     └─ above: closed, counted      │               └─ failed, or too slow: closed, counted
 *                                                    └─ its source has its share, or all are taken:
 *                                                       another gives way (./stream-share.ts), closed, counted
 */
export class TlsListener {
  readonly #setting: TlsListenerSetting;
  readonly #rate = new AcceptRate(overall);
  /** By the caller's address and port, the oldest first. */
  readonly #handshakes = new Map<string, Handshake>();
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
    for (const { socket } of this.#handshakes.values()) socket.destroy();
  }

  #take(certificate: TlsCertificate): void {
    const context = { cert: certificate.certificate, key: certificate.key, minVersion: 'TLSv1.2' } as const;
    this.#served = certificate;
    if (this.#tls) return this.#tls.setSecureContext(context);
    const server = createTlsServer(context);
    server.on('secureConnection', (socket) => {
      const handshake = this.#handshakes.get(callerOf(socket));
      if (!handshake) return void socket.destroy();
      this.#leave(handshake);
      this.#setting.accept(socket);
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#tls = server;
  }

  #listen(): Promise<Server> {
    const { address, port } = this.#setting.listen;
    const server = createServer((socket) => this.#called(socket));
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => reject(portProblem('tls', this.#setting.listen, 'tls.listen', cause)));
      server.listen(port, address, () => {
        this.#setting.mark.server(server);
        server.on('error', () => {}); // of a single accept: the next one may work
        this.#port = (server.address() as { readonly port: number }).port;
        resolve(server);
      });
    });
  }

  #called(socket: Socket): void {
    const source = sourceOf(socket);
    if (source === undefined) return void socket.destroy();
    if (!this.#rate.take(source, performance.now())) {
      this.#drop('tls-too-many');
      socket.destroy();
      return;
    }
    const leaving = givesWay([...this.#handshakes.values()], source, this.#handshakes.size >= maxHandshakes);
    if (leaving) this.#end(leaving, 'tls-too-many');
    const caller = callerOf(socket);
    const limit = setTimeout(() => this.#end(handshake, 'tls-handshake-timeout'), handshakeLimit);
    const handshake: Handshake = { source, caller, socket, limit };
    this.#handshakes.set(caller, handshake);
    socket.once('close', () => this.#end(handshake, 'tls-handshake-failed'));
    this.#tls!.emit('connection', socket);
  }

  /** Counted once, for the first reason; nothing of a handshake that was done. */
  #end(handshake: Handshake, reason: TlsDrop): void {
    if (this.#handshakes.get(handshake.caller) !== handshake) return;
    this.#leave(handshake);
    this.#drop(reason);
    handshake.socket.destroy();
  }

  #leave({ caller, limit }: Handshake): void {
    clearTimeout(limit);
    this.#handshakes.delete(caller);
  }

  #drop(reason: TlsDrop): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }
}

/** A TCP connection whose TLS handshake is under way. */
interface Handshake extends Holder {
  readonly caller: string;
  readonly socket: Socket;
  readonly limit: NodeJS.Timeout;
}

function callerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
