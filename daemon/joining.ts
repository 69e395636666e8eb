import { createSocket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { NodeIdentity } from '../src/addr/identity.js';
import type { Invitation } from '../src/addr/invitation.js';
import { MeshError } from '../src/errors.js';
import { blobs, type MeshEffect } from '../src/mesh/effects.js';
import { noWayOut } from '../src/mesh/join-errors.js';
import { type JoinEvent, JoinInitiator } from '../src/mesh/join-initiator.js';
import { UdpTurns } from '../src/mesh/udp-turns.js';
import { systemRandom } from '../src/random.js';
import { type Millis, second } from '../src/time.js';
import { Driver, timedClock } from './driver.js';
import { JoinStreams } from './join-streams.js';
import type { State } from './state.js';

/** How long UDP alone is tried. */
const udpAlone: Millis = second;
/** When nothing at all can be sent for so long, this machine has no network, or not the one. */
const noWayAfter: Millis = 5 * second;
/** Streams that were refused, or have ended, are opened again this often: a member may be just restarting. */
const reopenPause: Millis = 5 * second;

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
  const streams = new JoinStreams(invitation.members);
  const turns = new UdpTurns();
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
            // An IPv6 door is asked by streams alone: that this socket cannot send there says nothing of the network.
            if (isIPv4(effect.to.address) && turns.takes(effect.bytes, streams.isAnyOpen)) {
              socket.send(effect.bytes, effect.to.port, effect.to.address, (error) => {
                if (error) failure = (error as NodeJS.ErrnoException).code ?? error.message;
                else hasSent = true;
              });
            }
            streams.send(effect.to, effect.bytes);
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
        turns.heard();
        const endpoint = { address: from.address, port: from.port };
        driver.post({ kind: 'datagram', from: endpoint, bytes: new Uint8Array(bytes) });
      });
      socket.on('error', (cause) => {
        reject(new MeshError('no-network', `nothing can be sent: ${cause.message}`, 'check the network', { cause }));
      });
      socket.bind(0, () => driver.wake());
      patience = setTimeout(() => {
        if (failure !== undefined && !hasSent && !streams.isAnyOpen) reject(noWayOut(invitation, failure));
      }, noWayAfter);
      const keepOpen = () => {
        streams.open((from, bytes) => driver.post({ kind: 'datagram', from, bytes }));
        fallback = setTimeout(keepOpen, reopenPause);
      };
      fallback = setTimeout(keepOpen, udpAlone);
    });
  } finally {
    clearTimeout(fallback);
    clearTimeout(patience);
    clock.cancel();
    socket.close();
    streams.close();
  }
}
