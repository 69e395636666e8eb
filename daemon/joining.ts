import { createSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { formatEndpoint } from '../src/addr/endpoint.js';
import { NodeIdentity } from '../src/addr/identity.js';
import type { Invitation } from '../src/addr/invitation.js';
import type { StreamEndpoint } from '../src/control/fallback.js';
import { MeshError } from '../src/errors.js';
import { blobs, type MeshEffect } from '../src/mesh/effects.js';
import { noWayOut } from '../src/mesh/join-errors.js';
import { type JoinEvent, JoinInitiator } from '../src/mesh/join-initiator.js';
import { systemRandom } from '../src/random.js';
import { type Millis, second } from '../src/time.js';
import { dialStream } from './dial-stream.js';
import { Driver, timedClock } from './driver.js';
import type { State } from './state.js';
import { frameForStream, StreamCutter } from './tcp-frames.js';

/** How long UDP alone is tried. */
const udpAlone: Millis = second;
/** When nothing at all can be sent for so long, this machine has no network, or not the one. */
const noWayAfter: Millis = 5 * second;
/** Octets that wait for a stream to open. */
const maxWaiting = 16 * 1024;

/**
 * Redeems a token over a UDP socket of its own, and over TCP too when nothing has come of it for a while. Resolves when the
 * membership is on the disk. An identity that is on the disk already, from a try whose answer was lost, asks again and gets the same certificate.
 */
export async function joinNetwork(state: State, invitation: Invitation, name: string): Promise<void> {
  const random = systemRandom();
  const stored = state.read(blobs.identity);
  const identity = (stored && NodeIdentity.decode(stored)) ?? NodeIdentity.make(random);
  const socket = createSocket('udp4');
  const machine = new JoinInitiator(invitation, identity, name, random, () => Date.now() / 1000);
  const clock = timedClock();
  /** By the member's endpoint: plain TCP, and TLS where it takes that. What is said on both is answered once. */
  const streams = new Map<string, Socket[]>();
  let fallback: NodeJS.Timeout | undefined;
  /** What came of sending: a datagram that cannot be sent is one lost, and sent again; but if none ever could, say so. */
  let hasSent = false;
  let failure: string | undefined;
  let patience: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const perform = (effect: MeshEffect) => {
        switch (effect.kind) {
          case 'persist':
            state.write(effect.name, effect.bytes);
            break;
          case 'sendDatagram':
            socket.send(effect.bytes, effect.to.port, effect.to.address, (error) => {
              if (error) failure = (error as NodeJS.ErrnoException).code ?? error.message;
              else hasSent = true;
            });
            for (const stream of streams.get(formatEndpoint(effect.to)) ?? [])
              write(stream, frameForStream(effect.bytes)!);
            break;
          case 'joined':
            resolve();
            break;
          case 'joinFailed':
            reject(effect.error);
            break;
          default:
            break;
        }
      };
      const driver = new Driver<JoinEvent, MeshEffect>(
        machine,
        (effect) => {
          try {
            perform(effect);
          } catch (error) {
            reject(error);
          }
        },
        clock,
      );
      socket.on('message', (bytes, from) => {
        const endpoint = { address: from.address, port: from.port };
        driver.post({ kind: 'datagram', from: endpoint, bytes: new Uint8Array(bytes) });
      });
      socket.on('error', (cause) => {
        reject(new MeshError('no-network', `nothing can be sent: ${cause.message}`, 'check the network', { cause }));
      });
      socket.bind(0, () => driver.wake());
      patience = setTimeout(() => {
        const isThrough = hasSent || [...streams.values()].flat().some(({ readyState }) => readyState === 'open');
        if (failure !== undefined && !isThrough) reject(noWayOut(invitation, failure));
      }, noWayAfter);
      fallback = setTimeout(() => {
        for (const { endpoint, tls } of invitation.members) {
          const heard = (bytes: Uint8Array) => driver.post({ kind: 'datagram', from: endpoint, bytes });
          const ways: StreamEndpoint[] = [
            { kind: 'tcp', endpoint },
            ...(tls ? [{ kind: 'tls', endpoint: tls } as const] : []),
          ];
          streams.set(
            formatEndpoint(endpoint),
            ways.map((to) => openStream(to, heard)),
          );
        }
      }, udpAlone);
    });
  } finally {
    clearTimeout(fallback);
    clearTimeout(patience);
    clock.cancel();
    socket.close();
    for (const stream of [...streams.values()].flat()) stream.destroy();
  }
}

/** A stream that fails is no way; the datagrams go on. */
function ignoreFailure(): void {}

/** What a stream that does not open cannot take is lost: the exchange is asked again. */
function write(stream: Socket, frame: Buffer): void {
  if (stream.writableLength < maxWaiting) stream.write(frame);
}

function openStream(to: StreamEndpoint, heard: (bytes: Uint8Array) => void): Socket {
  const { socket: stream } = dialStream(to);
  const cutter = new StreamCutter();
  stream.on('data', (chunk) => {
    const datagrams = cutter.push(chunk);
    if (!datagrams) stream.destroy();
    for (const datagram of datagrams ?? []) heard(new Uint8Array(datagram));
  });
  stream.on('error', ignoreFailure);
  return stream;
}
