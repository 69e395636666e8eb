import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from '../src/addr/endpoint.js';
import { bridgeAddress, bridgeSources, isBridged, type StreamEndpoint } from '../src/control/fallback.js';
import { hmacSha256 } from '../src/crypto.js';
import type { MeshError } from '../src/errors.js';
import { systemRandom } from '../src/random.js';
import { type Millis, second } from '../src/time.js';
import { AcceptRate } from './accept-rate.js';
import { dialStream } from './dial-stream.js';
import { portProblem } from './port-problem.js';
import { StreamMark } from './stream-mark.js';
import { givesWay, type Holder, sourceOf } from './stream-share.js';
import { frameForStream, StreamCutter } from './tcp-frames.js';

/** So many of a kind may come from outside at once; each is closed when the plane has not answered it for a while. */
const maxInbound = 64;
const maxOutbound = 16;
/**
 * Plain connections a second: each costs a socket, its port and a timer. Of 64 places a burst fills half, so that who is about to be
 * answered has at least 32 / 50 s before strangers from many sources have taken his place.
 */
const overall = { perSecond: 50, burst: 32 };
const silenceLimit: Millis = 15 * second;
const connectLimit: Millis = 5 * second;
/** What waits for a slow line beyond this is dropped, as a router would. */
const maxWaiting = 256 * 1024;

/** How often a port is tried again on which nothing could listen. */
const retryPause: Millis = 30 * second;

const loopback = '127.0.0.1';

export type StreamKind = StreamEndpoint['kind'];

/** Where a stream leads, and over what. */
export interface StreamWay {
  readonly kind: StreamKind;
  /** Of the far end, as text; undefined when the connection was gone before it was looked at. */
  readonly far: string | undefined;
}

/**
 * Carries tunnels over TCP, plain or in TLS, where UDP is blocked. To the plane each connection is a peer on loopback, at a port of its
 * own and an address that is its source's, so neither plane nor protocol know of it, and each source has its share of handshakes:
 *
 *     plane ◄── UDP on loopback ──► bridge ◄── TCP, length before each datagram ──► bridge ◄── UDP on loopback ──► plane
 *
 * Nothing is said on a connection before the plane has answered what came in on it. Those that it never answered are strangers',
 * and each source has a share of the places (./stream-share.ts): who comes from another one gets in.
 */
export class TcpBridge {
  /** Resolves when connections are taken. */
  readonly listening: Promise<void>;
  readonly #plane: Endpoint;
  readonly #mark: StreamMark;
  readonly #dial: typeof dialStream;
  readonly #now: () => Millis;
  readonly #rate = new AcceptRate(overall);
  /** Of the hash that gives a source its loopback address: nobody can aim at another's. */
  readonly #key = systemRandom().bytes(32);
  readonly #streams = new Set<Stream>();
  readonly #drops = new Map<string, number>();
  #server: Server | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #heard: () => void = () => {};
  /** Connections on their way out. */
  #opening = 0;

  /** Where our own plane listens: its UDP port, and its address where that is not any. `dial`: begins a stream. */
  constructor(
    planePort: number,
    listen = '0.0.0.0',
    mark = new StreamMark(),
    dial = dialStream,
    now = () => performance.now(),
  ) {
    this.#mark = mark;
    this.#dial = dial;
    this.#now = now;
    this.listening = new Promise((resolve) => {
      this.#heard = resolve;
    });
    this.#plane = { address: listen === '0.0.0.0' ? loopback : listen, port: planePort };
  }

  /** Takes connections on this TCP port; resolves in why it cannot: until a later try succeeds, the fallback is for dialling only. */
  async listen(port: number, address: string, pause = retryPause): Promise<MeshError | undefined> {
    const problem = await this.#listen(port, address);
    if (problem && !this.#isClosed) {
      this.#retry = setTimeout(() => void this.listen(port, address, pause), pause);
      this.#retry.unref();
    }
    return problem;
  }

  #listen(port: number, address: string): Promise<MeshError | undefined> {
    const server = createServer((socket) => this.#called(socket));
    this.#server = server;
    return new Promise((resolve) => {
      // Those that come later are of a single accept: the next one may work.
      server.on('error', (cause) => resolve(portProblem('tcp', { address, port }, 'listen', cause)));
      server.listen(port, address, () => {
        if (this.#isClosed) server.close();
        else this.#heard();
        this.#mark.server(server);
        resolve(undefined);
      });
    });
  }

  #called(socket: Socket): void {
    const source = sourceOf(socket);
    if (source !== undefined && this.#rate.take(source, this.#now())) return this.accept(socket, 'tcp');
    if (source !== undefined) this.#drop('tcp-too-many');
    socket.destroy();
  }

  /** Carries what a stranger opened. */
  accept(socket: Socket, kind: StreamKind): void {
    const source = sourceOf(socket);
    if (source === undefined) return void socket.destroy();
    const inbound = [...this.#streams].filter((stream) => stream.inbound && stream.kind === kind);
    const allAreTaken = inbound.length >= maxInbound;
    const strangers = inbound.filter((stream) => !stream.isAnswered);
    const leaving = givesWay(strangers, source, allAreTaken);
    if (leaving || allAreTaken) this.#drop(`${kind}-too-many`);
    if (!leaving && allAreTaken) return void socket.destroy();
    leaving?.end();
    void this.#carry(socket, kind, true);
  }

  /** Connects to a peer; the endpoint at which our plane finds it then, or why not, in words. */
  async connect(to: StreamEndpoint): Promise<Endpoint | string> {
    const outbound = [...this.#streams].filter((stream) => !stream.inbound).length;
    if (outbound + this.#opening >= maxOutbound) return 'too many TCP tunnels';
    this.#opening++;
    try {
      return await this.#connect(to);
    } finally {
      this.#opening--;
    }
  }

  async #connect(to: StreamEndpoint): Promise<Endpoint | string> {
    const { socket, opened } = this.#dial(to, this.#mark);
    const limit = setTimeout(() => socket.destroy(new Error('no answer')), connectLimit);
    try {
      await opened;
    } catch (error) {
      const { address, port } = to.endpoint;
      return `${to.kind.toUpperCase()} ${address} port ${port}: ${(error as Error).message}`;
    } finally {
      clearTimeout(limit);
    }
    const near = await this.#carry(socket, to.kind, false);
    return near ?? `${to.kind.toUpperCase()} to ${to.endpoint.address}: closed at once`;
  }

  /** The stream that the plane knows by this endpoint; undefined when there is none. */
  wayOf(endpoint: Endpoint): StreamWay | undefined {
    if (!isBridged(endpoint)) return undefined;
    return [...this.#streams].find((stream) => stream.port === endpoint.port && stream.address === endpoint.address)
      ?.way;
  }

  /** Connections and streams that were closed for what they are, by reason. */
  drops(): ReadonlyMap<string, number> {
    return this.#drops;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#server?.close();
    for (const stream of this.#streams) stream.end();
  }

  async #carry(socket: Socket, kind: StreamKind, inbound: boolean): Promise<Endpoint | undefined> {
    const source = sourceOf(socket) ?? '';
    const address = bridgeAddress(inbound ? 'theirs' : 'ours', this.#placeOf(source));
    const stream = new Stream(socket, { kind, inbound, source, address }, this.#plane, (isMalformed) => {
      this.#streams.delete(stream);
      if (isMalformed) this.#drop(`${kind}-malformed`);
    });
    this.#streams.add(stream);
    const port = await stream.open();
    return port === undefined ? undefined : { address, port };
  }

  #placeOf(source: string): number {
    const hash = hmacSha256(this.#key, new TextEncoder().encode(source));
    return new DataView(hash.buffer, hash.byteOffset).getUint32(0) % bridgeSources;
  }

  #drop(reason: string): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }
}

/** One TCP connection and its loopback port. */
class Stream implements Holder {
  readonly kind: StreamKind;
  readonly inbound: boolean;
  readonly source: string;
  readonly way: StreamWay;
  /** Its end on loopback, whose port is known once it is open. */
  readonly address: string;
  port: number | undefined;
  /** The plane has said something on it. */
  isAnswered = false;
  readonly #socket: Socket;
  readonly #udp: UdpSocket;
  readonly #cutter = new StreamCutter();
  readonly #plane: Endpoint;
  readonly #ended: (isMalformed: boolean) => void;
  #over = false;
  #watch: NodeJS.Timeout | undefined;
  #opened: (port: number | undefined) => void = () => {};

  constructor(
    socket: Socket,
    { kind, inbound, source, address }: Pick<Stream, 'kind' | 'inbound' | 'source' | 'address'>,
    plane: Endpoint,
    ended: (isMalformed: boolean) => void,
  ) {
    this.kind = kind;
    this.inbound = inbound;
    this.source = source;
    this.address = address;
    const { remoteAddress, remotePort } = socket;
    const far = remoteAddress && remotePort ? formatEndpoint({ address: remoteAddress, port: remotePort }) : undefined;
    this.way = { kind, far };
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

  /** The loopback port, once datagrams flow both ways; undefined: it ended before. Only what the plane says counts as life. */
  open(): Promise<number | undefined> {
    let lastAnswer = performance.now();
    this.#watch = setInterval(() => {
      if (performance.now() - lastAnswer > silenceLimit) this.end();
    }, silenceLimit / 3);
    this.#watch.unref();
    this.#udp.on('message', (datagram, from) => {
      if (from.port !== this.#plane.port || this.#socket.writableLength > maxWaiting) return;
      lastAnswer = performance.now();
      this.isAnswered = true;
      const frame = frameForStream(datagram);
      if (frame) this.#socket.write(frame);
    });
    this.#socket.on('data', (chunk) => {
      const datagrams = this.#cutter.push(chunk);
      if (!datagrams) return this.end(true);
      for (const datagram of datagrams) this.#udp.send(datagram, this.#plane.port, this.#plane.address);
    });
    return new Promise((resolve) => {
      this.#opened = resolve;
      if (this.#socket.destroyed) return this.end();
      this.#udp.bind(0, this.address, () => {
        this.port = this.#udp.address().port;
        resolve(this.port);
      });
    });
  }

  end(isMalformed = false): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#watch);
    this.#socket.destroy();
    this.#udp.close();
    this.#opened(undefined);
    this.#ended(isMalformed);
  }
}
