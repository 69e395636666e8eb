import type { Endpoint } from '../addr/endpoint.js';
import { AgreementKey } from '../crypto.js';
import { appendMacs } from '../datagram-mac.js';
import { type Millis, never, second } from '../time.js';
import type { IncomingHandshake } from './handshake.js';
import { encodeLinkMessage, type LinkMessage, secondMachine } from './link-message.js';
import type { Peer, PeerHost } from './peer.js';
import type { LinkId, PlaneCommand } from './plane/contract.js';
import { SessionKeys } from './session-keys.js';

const trialLifetime: Millis = 5 * second;

interface Trial<Certificate> {
  readonly peer: Peer<Certificate>;
  readonly endpoint: Endpoint;
  readonly localIndex: number;
  readonly until: Millis;
}

/**
 * A second machine with the key of a peer that lives: is it there, or is this a replay? It is answered on a link of its
 * own to node number 0, which is nobody's: no packet is ever sealed for it or taken from it. So the answer waits for no other
 * worker than the first, which sends it, and alone is spoken to. It stays for the newcomer's answer to what it is told. A peer has one trial in ten seconds.
 */
export class Trials<Certificate> {
  readonly #host: PeerHost<Certificate>;
  readonly #takeLink: () => LinkId;
  readonly #trials = new Map<LinkId, Trial<Certificate>>();

  constructor(host: PeerHost<Certificate>, takeLink: () => LinkId) {
    this.#host = host;
    this.#takeLink = takeLink;
  }

  has(link: LinkId): boolean {
    return this.#trials.has(link);
  }

  get deadline(): Millis {
    let soonest = never;
    for (const { until } of this.#trials.values()) soonest = Math.min(soonest, until);
    return soonest;
  }

  open(peer: Peer<Certificate>, newcomer: IncomingHandshake, endpoint: Endpoint, now: Millis): void {
    const { random, aesFaster, lanes } = this.#host;
    const localIndex = this.#host.takeIndex(peer);
    const ephemeral = AgreementKey.ephemeral(random);
    const body = newcomer.respond(ephemeral, localIndex, this.#host.hello('response', endpoint));
    ephemeral.wipe();
    if (!body) {
      newcomer.wipe();
      this.#host.giveIndexBack(localIndex);
      return;
    }
    const keys = new SessionKeys((send, receive) => newcomer.split(send, receive));
    const link = this.#takeLink();
    this.#trials.set(link, { peer, endpoint, localIndex, until: now + trialLifetime });
    const to = { kind: 'direct', endpoint } as const;
    this.#command({ kind: 'openLink', link, node: 0, carriage: to });
    this.#command({
      kind: 'installSession',
      session: {
        link,
        cipher: newcomer.hello.aesFaster && aesFaster ? 'aes-256-gcm' : 'chacha20-poly1305',
        localIndex,
        localLanes: lanes,
        remoteIndex: newcomer.remoteIndex,
        remoteLanes: newcomer.hello.lanes,
        sendKey: keys.send,
        receiveKey: keys.receive,
        role: 'responder',
      },
    });
    this.#command({ kind: 'sendDatagram', to, bytes: appendMacs(newcomer.remotePublicKey, body) });
  }

  /**
   * The newcomer sent a frame under keys just made, and the peer we know answered a probe: both are there. Whose key it
   * is.
   */
  confirmed(link: LinkId): { readonly peer: Peer<Certificate>; readonly endpoint: Endpoint } | undefined {
    const trial = this.#trials.get(link);
    if (!trial) return undefined; // a link of a peer we know
    const first = trial.peer.incarnation;
    const bytes = encodeLinkMessage({ kind: 'bye', reason: secondMachine, ...(first !== undefined && { first }) });
    this.#command({ kind: 'sendControl', link, bytes });
    return trial;
  }

  /** The newcomer answers the `bye` with its proof: that is for the machine we know, and nothing more is expected of it. */
  heard(
    link: LinkId,
    message: LinkMessage,
  ): { readonly peer: Peer<Certificate>; readonly endpoint: Endpoint; readonly proof: Uint8Array } | undefined {
    const trial = this.#trials.get(link);
    if (!trial || message.kind !== 'second') return undefined;
    this.#end(link, trial);
    return { ...trial, proof: message.proof };
  }

  /** Ends those whose time is over. */
  expire(now: Millis): void {
    for (const [link, trial] of [...this.#trials]) if (trial.until <= now) this.#end(link, trial);
  }

  #end(link: LinkId, trial: Trial<Certificate>): void {
    this.#trials.delete(link);
    this.#host.giveIndexBack(trial.localIndex);
    this.#command({ kind: 'closeLink', link });
  }

  #command(command: PlaneCommand): void {
    this.#host.emit({ kind: 'plane', command });
  }
}
