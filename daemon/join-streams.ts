import type { Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from '../src/addr/endpoint.js';
import type { InvitingMember } from '../src/addr/invitation.js';
import type { StreamEndpoint } from '../src/control/fallback.js';
import { dialStream } from './dial-stream.js';
import { frameForStream, StreamCutter } from './tcp-frames.js';

/** Octets that wait for a stream to open. */
const maxWaiting = 16 * 1024;

type Heard = (from: Endpoint, bytes: Uint8Array) => void;

interface Way {
  readonly to: StreamEndpoint;
  socket: Socket | undefined;
}

/**
 * The newcomer's streams to the members of its token, for where no datagram gets through: plain TCP to each, and TLS where it
 * takes that. What is said on both is answered once.
 */
export class JoinStreams {
  /** By the member's endpoint. */
  readonly #ways = new Map<string, readonly Way[]>();

  constructor(members: readonly InvitingMember[]) {
    for (const { endpoint, tls } of members) {
      const ways: StreamEndpoint[] = [
        { kind: 'tcp', endpoint },
        ...(tls ? [{ kind: 'tls', endpoint: tls } as const] : []),
      ];
      this.#ways.set(
        formatEndpoint(endpoint),
        ways.map((to) => ({ to, socket: undefined })),
      );
    }
  }

  /**
   * Opens each that is not open or opening: the first time all of them, later those that were refused or have ended. `heard`: a
   * datagram has come by a stream to the member at this endpoint.
   */
  open(heard: Heard): void {
    for (const [member, way] of this.#all()) {
      if (way.socket && !way.socket.destroyed) continue;
      way.socket = openStream(way.to, (bytes) => heard(member, bytes));
    }
  }

  get isAnyOpen(): boolean {
    return this.#all().some(([, { socket }]) => socket?.readyState === 'open');
  }

  /** What a stream that does not open cannot take is lost: the exchange is asked again. */
  send(to: Endpoint, bytes: Uint8Array): void {
    const frame = frameForStream(bytes)!;
    for (const { socket } of this.#ways.get(formatEndpoint(to)) ?? []) {
      if (socket && socket.writableLength < maxWaiting) socket.write(frame);
    }
  }

  close(): void {
    for (const [, { socket }] of this.#all()) socket?.destroy();
  }

  #all(): (readonly [Endpoint, Way])[] {
    return [...this.#ways.values()].flatMap((ways) => ways.map((way) => [ways[0]!.to.endpoint, way] as const));
  }
}

function openStream(to: StreamEndpoint, heard: (bytes: Uint8Array) => void): Socket {
  const { socket } = dialStream(to);
  const cutter = new StreamCutter();
  socket.on('data', (chunk) => {
    const datagrams = cutter.push(chunk);
    if (!datagrams) socket.destroy();
    for (const datagram of datagrams ?? []) heard(new Uint8Array(datagram));
  });
  socket.on('error', ignoreFailure);
  return socket;
}

/** A stream that fails is no way; the datagrams go on. */
function ignoreFailure(): void {}
