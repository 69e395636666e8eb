import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Endpoint } from '../src/addr/endpoint.js';
import { type Millis, second } from '../src/time.js';
import { frameForStream, StreamCutter } from './tcp-frames.js';

/** Strangers may open so many at once; each is closed when the plane has not answered it for a while. */
const maxInbound = 64;
const maxOutbound = 16;
const silenceLimit: Millis = 15 * second;
const connectLimit: Millis = 5 * second;
/** What waits for a slow line beyond this is dropped, as a router would. */
const maxWaiting = 256 * 1024;

const loopback = '127.0.0.1';

/**
 * Carries tunnels over TCP where UDP is blocked. To the plane each connection is a peer at a port of its own on loopback, so
 * neither plane nor protocol know of it:
 *
 *     plane ◄── UDP on loopback ──► bridge ◄── TCP, length before each datagram ──► bridge ◄── UDP on loopback ──► plane
 *
 * Nothing is said on a connection before the plane has answered what came in on it.
 */
export class TcpBridge {
  readonly #plane: Endpoint;
  readonly #streams = new Set<Stream>();
  #server: Server | undefined;

  /** Where our own plane listens: its UDP port, and its address where that is not any. */
  constructor(planePort: number, listen = '0.0.0.0') {
    this.#plane = { address: listen === '0.0.0.0' ? loopback : listen, port: planePort };
  }

  /** Takes connections on this TCP port; resolves false when the port is taken: the fallback is then for dialling only. */
  listen(port: number, address: string): Promise<boolean> {
    const server = createServer((socket) => {
      const inbound = [...this.#streams].filter((stream) => stream.inbound).length;
      if (inbound >= maxInbound) socket.destroy();
      else void this.#carry(socket, true);
    });
    this.#server = server;
    return new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, address, () => resolve(true));
    });
  }

  /** Connects to a peer; the endpoint at which our plane finds it then, or why not, in words. */
  async connect(to: Endpoint): Promise<Endpoint | string> {
    if ([...this.#streams].filter((stream) => !stream.inbound).length >= maxOutbound) return 'too many TCP tunnels';
    const socket = connect({ host: to.address, port: to.port });
    socket.setTimeout(connectLimit, () => socket.destroy(new Error('no answer')));
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
    } catch (error) {
      return `TCP ${to.address} port ${to.port}: ${(error as Error).message}`;
    }
    socket.setTimeout(0);
    return { address: loopback, port: await this.#carry(socket, false) };
  }

  close(): void {
    this.#server?.close();
    for (const stream of this.#streams) stream.end();
  }

  async #carry(socket: Socket, inbound: boolean): Promise<number> {
    const stream = new Stream(socket, inbound, this.#plane, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream.open();
  }
}

/** One TCP connection and its loopback port. */
class Stream {
  readonly inbound: boolean;
  readonly #socket: Socket;
  readonly #udp: UdpSocket;
  readonly #cutter = new StreamCutter();
  readonly #plane: Endpoint;
  readonly #ended: () => void;
  #over = false;

  constructor(socket: Socket, inbound: boolean, plane: Endpoint, ended: () => void) {
    this.inbound = inbound;
    this.#socket = socket;
    this.#plane = plane;
    this.#ended = ended;
    this.#udp = createSocket('udp4');
    socket.setNoDelay(true);
    socket.on('error', () => this.end());
    socket.on('close', () => this.end());
    socket.on('timeout', () => this.end());
    this.#udp.on('error', () => this.end());
  }

  /** The loopback port, once datagrams flow both ways. Only what the plane says counts as life. */
  open(): Promise<number> {
    let lastAnswer = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - lastAnswer > silenceLimit) this.end();
    }, silenceLimit / 3);
    watch.unref();
    this.#socket.on('close', () => clearInterval(watch));
    this.#udp.on('message', (datagram, from) => {
      if (from.port !== this.#plane.port || this.#socket.writableLength > maxWaiting) return;
      lastAnswer = performance.now();
      const frame = frameForStream(datagram);
      if (frame) this.#socket.write(frame);
    });
    this.#socket.on('data', (chunk) => {
      const datagrams = this.#cutter.push(chunk);
      if (!datagrams) return this.end();
      for (const datagram of datagrams) this.#udp.send(datagram, this.#plane.port, this.#plane.address);
    });
    return new Promise((resolve) => {
      this.#udp.bind(0, loopback, () => resolve(this.#udp.address().port));
    });
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#udp.close();
    this.#ended();
  }
}
