import type { Endpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { SecondMachine } from '../addr/second-machine.js';
import { Buckets } from '../buckets.js';
import { equalBytes, toHex } from '../bytes.js';
import { mac1Of, openCookieReply } from '../cookie-reply.js';
import { checkMac1, mac1Key } from '../datagram-mac.js';
import { MeshError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { DhKey } from '../noise.js';
import type { Random } from '../random.js';
import { type Millis, never } from '../time.js';
import { ControlChannel, FrameType } from './frame.js';
import {
  type HandshakeIdentity,
  type Hello,
  IncomingHandshake,
  maxChainLength,
  maxLanes,
  prologueOf,
  responseReceiver,
} from './handshake.js';
import type { LinkUse } from './key-watch.js';
import { decodeLinkMessage } from './link-message.js';
import { Peer, type PeerHost } from './peer.js';
import type { LinkId, Path, PlaneEvent } from './plane/contract.js';
import { Trials } from './trials.js';
import type { TunnelEffect } from './tunnel-effect.js';

/** What the tunnels must know of who is a member. */
export interface Membership<Certificate> {
  /**
   * Whose chain this is, given the static key that showed it; `now` is the machine's, not wall time. `refused`: a
   * reason in plain words.
   */
  identify(
    chain: Uint8Array,
    publicKey: Uint8Array,
    now: Millis,
  ): { readonly node: NodeNumber; readonly certificate: Certificate } | { readonly refused: string };
  /** The X25519 key of a node whose certificate we hold. */
  publicKeyOf(node: NodeNumber): Uint8Array | undefined;
}

export interface PeersOptions<Certificate> {
  readonly node: NodeNumber;
  /** 32 octets. */
  readonly networkId: Uint8Array;
  readonly key: DhKey;
  /** Our certificate chain, at most `maxChainLength` octets. */
  readonly chain: Uint8Array;
  /** 64 bits, chosen by chance at every process start. */
  readonly incarnation: bigint;
  /** How many lanes we want to hear: one a plane worker that opens frames, at most 8. */
  readonly lanes: number;
  /** AES-256-GCM is the faster cipher on this machine, as measured at start. */
  readonly aesFaster: boolean;
  /** Fit for keys. */
  readonly random: Random;
  readonly membership: Membership<Certificate>;
  /** Of our own key and this start. */
  readonly secondMachine: Pick<SecondMachine, 'prove' | 'isProven'>;
  /** `Plane.counters`. */
  readonly counters: (link: LinkId) => LinkUse;
  /** Whether a node without a tunnel may open one with us now; without it all may. */
  readonly admits?: (node: NodeNumber, now: Millis) => boolean;
}

export type TunnelEvent =
  | { readonly kind: 'plane'; readonly event: PlaneEvent }
  /** Reach this node: over the overlay, or at these endpoints; while there are none, others may be dialled in their place. */
  | {
      readonly kind: 'dial';
      readonly node: NodeNumber;
      readonly publicKey: Uint8Array;
      readonly endpoints: readonly Endpoint[] | 'overlay';
    }
  /** End the tunnel; its keys go on serving over the overlay while they are used. Without a tunnel: end the keys. */
  | { readonly kind: 'hangUp'; readonly node: NodeNumber; readonly reason: string }
  /** Our addresses or our way out are others: all peers are to see it, and what is being tried is tried at once. */
  | { readonly kind: 'networkChanged' }
  /** This X25519 key is no member's any more. */
  | { readonly kind: 'revoked'; readonly publicKey: Uint8Array }
  /** Our certificate was renewed; peers see it with their next keys. */
  | { readonly kind: 'credentialsChanged'; readonly chain: Uint8Array }
  /** Say goodbye to everybody: the daemon ends. */
  | { readonly kind: 'stop'; readonly reason: string };

const anothersHandshake = 'a handshake of another node than the session it came in';

/** Bounds of what others can make us hold. */
const maxTunnels = 1024;
const maxAssociations = 4096;
const maxAwaited = 4096;

/**
 * All associations of this node with others.
 *
 *     datagram ─► type ─► read (Diffie-Hellman) ─► membership ─► Peer of that node ─► effects
 *     control, confirmed, silent … ─► Peer of that link ───────────┘
 *        └─ handshake ─► type ─► read ─► membership ─► Peer of that link, and of no other
 *
 * What the guard let pass is still unproven here; each step that fails ends in one `refused`, and nothing is answered.
 */
export class Peers<Certificate> implements Machine<TunnelEvent, TunnelEffect<Certificate>> {
  readonly #options: PeersOptions<Certificate>;
  readonly #identity: HandshakeIdentity;
  readonly #mac1Key: Uint8Array;
  readonly #host: PeerHost<Certificate>;
  readonly #peers = new Map<NodeNumber, Peer<Certificate>>();
  readonly #wordsOfCopies = new Buckets<NodeNumber>(0.1, 3);
  readonly #links = new Map<LinkId, Peer<Certificate>>();
  readonly #closing = new Set<LinkId>();
  readonly #trials: Trials<Certificate>;
  readonly #indices = new Map<number, Peer<Certificate>>();
  /** By mac1 in hex: who answered that initiation. As many as there are sessions we answered. */
  readonly #answered = new Map<string, Peer<Certificate>>();
  /** By the first 8 octets of mac1 in hex: who may get a cookie. The oldest goes when it is full. */
  readonly #awaited = new Map<string, { readonly peer: Peer<Certificate>; readonly mac1: Uint8Array }>();
  #chain: Uint8Array;
  #counter = 0;
  #lastLink = 0;
  #due: Millis = never;
  #effects: TunnelEffect<Certificate>[] = [];

  /** Keeps what it is given and changes none of it. */
  constructor(options: PeersOptions<Certificate>) {
    this.#options = options;
    this.#chain = checkedChain(options.chain);
    if (options.lanes < 1 || options.lanes > maxLanes) throw new RangeError('1 to 8 lanes');
    this.#identity = { prologue: prologueOf(options.networkId), key: options.key };
    this.#mac1Key = mac1Key(options.key.publicKey);
    this.#host = this.#makeHost();
    this.#trials = new Trials(this.#host, () => this.#takeLink());
  }

  handle(event: TunnelEvent, now: Millis): TunnelEffect<Certificate>[] {
    switch (event.kind) {
      case 'plane':
        this.#fromPlane(event.event, now);
        break;
      case 'dial':
        this.#dial(event.node, event.publicKey, event.endpoints, now);
        break;
      case 'hangUp':
        this.#with(this.#peers.get(event.node), (peer) => peer.hangUp(event.reason));
        break;
      case 'networkChanged':
        for (const peer of [...this.#peers.values()]) this.#with(peer, () => peer.networkChanged(now));
        break;
      case 'revoked':
        for (const peer of [...this.#peers.values()]) {
          if (equalBytes(peer.publicKey, event.publicKey)) this.#with(peer, () => peer.close('its key was revoked'));
        }
        break;
      case 'credentialsChanged':
        this.#chain = checkedChain(event.chain);
        break;
      case 'stop':
        this.#trials.expire(never);
        for (const peer of [...this.#peers.values()]) this.#with(peer, () => peer.dismiss(event.reason));
        break;
    }
    return this.#take();
  }

  tick(now: Millis): TunnelEffect<Certificate>[] {
    if (now < this.#due) return [];
    this.#due = never;
    for (const peer of [...this.#peers.values()]) {
      this.#with(peer, () => {
        if (peer.deadline <= now) peer.tick(now);
      });
    }
    this.#trials.expire(now);
    this.#due = Math.min(this.#due, this.#trials.deadline);
    return this.#take();
  }

  deadline(): Millis {
    return this.#due;
  }

  /** How a node is reached now, for status; undefined when there is nothing between us. */
  reach(
    node: NodeNumber,
  ):
    | { readonly link: LinkId; readonly standing: 'session' | 'tunnel'; readonly endpoint: Endpoint | undefined }
    | undefined {
    const peer = this.#peers.get(node);
    if (!peer || peer.standing === 'none' || peer.link === undefined) return undefined;
    return { link: peer.link, standing: peer.standing, endpoint: peer.endpoint };
  }

  #take(): TunnelEffect<Certificate>[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Does something with a peer, then forgets it if nothing is left of it, or notes when it is due. */
  #with(peer: Peer<Certificate> | undefined, act: (peer: Peer<Certificate>) => void): void {
    if (!peer) return;
    act(peer);
    if (peer.isOver) {
      if (this.#peers.get(peer.node) === peer) this.#peers.delete(peer.node);
    } else {
      this.#due = Math.min(this.#due, peer.deadline);
    }
  }

  #fromPlane(event: PlaneEvent, now: Millis): void {
    switch (event.kind) {
      case 'datagram':
        this.#datagram(event.bytes, event.from, now);
        return;
      case 'sessionWanted': {
        const publicKey = this.#options.membership.publicKeyOf(event.node);
        if (publicKey) this.#dial(event.node, publicKey, 'overlay', now);
        return;
      }
      case 'closed':
        this.#closing.delete(event.link);
        return;
      case 'tunGone':
      case 'failed':
        return;
      case 'wokeUp':
        for (const peer of [...this.#peers.values()]) this.#with(peer, () => peer.wokeUp(now));
        return;
      case 'control':
        if (this.#trials.has(event.link)) {
          this.#fromTrial(event.link, event.bytes);
          return;
        }
        if (event.bytes[0] !== ControlChannel.handshake) break;
        this.#inside(this.#links.get(event.link), event.bytes.subarray(1), now);
        return;
      case 'confirmed':
        this.#isCloned(this.#trials.confirmed(event.link), now);
        break;
      default:
        break;
    }
    this.#with(this.#links.get(event.link), (peer) => fromLink(peer, event, now));
  }

  #isCloned(found: { readonly peer: Peer<Certificate>; readonly endpoint: Endpoint } | undefined, now: Millis): void {
    if (found) this.#with(found.peer, (peer) => peer.trialFoundClone(found.endpoint, now));
  }

  #fromTrial(link: LinkId, bytes: Uint8Array): void {
    const message = bytes[0] === ControlChannel.tunnel ? decodeLinkMessage(bytes) : undefined;
    const found = message && this.#trials.heard(link, message);
    if (found) this.#with(found.peer, (peer) => peer.passProof(found.proof, found.endpoint));
  }

  #datagram(bytes: Uint8Array, from: Path, now: Millis): void {
    const refused = this.#read(bytes, from, now);
    if (refused) this.#effects.push({ kind: 'refused', reason: refused, from });
  }

  /**
   * A handshake inside a session of this peer, which may have written what it likes into it. It is to bring nothing but new
   * keys of the same two ends: what is known by octets of it that no guard saw is proven here.
   */
  #inside(peer: Peer<Certificate> | undefined, bytes: Uint8Array, now: Millis): void {
    if (!peer) return;
    const from = peer.path;
    const refused = peer.takesInside(now) ? this.#readInside(peer, bytes, now) : 'too many handshakes in a session';
    if (refused) this.#effects.push({ kind: 'refused', reason: refused, from });
  }

  #readInside(peer: Peer<Certificate>, bytes: Uint8Array, now: Millis): string | undefined {
    // Repetitions are known by it: another's, written in here, would make all that one sends seem to be answered already.
    if (!checkMac1(this.#mac1Key, bytes)) return 'its mac1 is wrong';
    switch (bytes[0]) {
      case FrameType.initiation:
        return this.#initiation(bytes, peer.path, now, peer);
      case FrameType.response:
        return this.#response(bytes, peer.path, now, peer);
      default:
        return 'no handshake of a session';
    }
  }

  /** The reason when nothing came of it. Types that are not ours are somebody else's. */
  #read(bytes: Uint8Array, from: Path, now: Millis): string | undefined {
    switch (bytes[0]) {
      case FrameType.initiation:
        return this.#initiation(bytes, from, now);
      case FrameType.response:
        return this.#response(bytes, from, now);
      case FrameType.cookieReply:
        return this.#cookieReply(bytes, now);
      default:
        return undefined;
    }
  }

  /** `inside`: whose session it came in. */
  #initiation(bytes: Uint8Array, from: Path, now: Millis, inside?: Peer<Certificate>): string | undefined {
    const known = this.#answered.get(toHex(mac1Of(bytes)));
    if (known) {
      if (inside && known !== inside) return anothersHandshake;
      known.repeatAnswer(bytes, inside ? 'session' : from, now);
      return undefined;
    }
    const incoming = IncomingHandshake.read(this.#identity, bytes);
    if (!incoming) return 'not a handshake of this network';
    const refused = inside ? this.#renew(inside, incoming, bytes, now) : this.#admit(incoming, bytes, from, now);
    if (refused) incoming.wipe();
    return refused;
  }

  #renew(peer: Peer<Certificate>, incoming: IncomingHandshake, bytes: Uint8Array, now: Millis): string | undefined {
    if (!equalBytes(peer.publicKey, incoming.remotePublicKey)) return anothersHandshake;
    const who = this.#options.membership.identify(incoming.hello.chain, incoming.remotePublicKey, now);
    if ('refused' in who) return who.refused;
    if (who.node !== peer.node) return 'its certificate is for another number';
    let refused: string | undefined;
    this.#with(peer, () => {
      refused = peer.acceptInitiation(incoming, bytes, who.certificate, 'session', now);
    });
    return refused;
  }

  #admit(incoming: IncomingHandshake, bytes: Uint8Array, from: Path, now: Millis): string | undefined {
    const who = this.#options.membership.identify(incoming.hello.chain, incoming.remotePublicKey, now);
    if ('refused' in who) return who.refused;
    if (who.node === this.#options.node) return 'it comes from our own number';
    if (from.kind === 'overlay' && from.node !== who.node) return 'its relay header names another node';
    if (from.kind === 'direct' && !this.#mayMeet(who.node, now)) {
      this.#effects.push({ kind: 'knocked', node: who.node });
      return 'there are as many tunnels as this node keeps';
    }
    const peer = this.#peerFor(who.node, incoming.remotePublicKey, now);
    if (typeof peer === 'string') return peer;
    let refused: string | undefined;
    this.#with(peer, () => {
      refused = peer.acceptInitiation(incoming, bytes, who.certificate, from, now);
    });
    return refused;
  }

  #mayMeet(node: NodeNumber, now: Millis): boolean {
    return this.#peers.get(node)?.standing === 'tunnel' || (this.#options.admits?.(node, now) ?? true);
  }

  #response(bytes: Uint8Array, from: Path, now: Millis, inside?: Peer<Certificate>): string | undefined {
    const receiverIndex = responseReceiver(bytes) ?? 0;
    const peer = this.#indices.get(receiverIndex);
    if (inside && peer !== inside) return 'a response to nothing that was asked';
    const response = peer?.readResponse(receiverIndex, bytes);
    if (!peer || !response) return 'a response to nothing that was asked';
    const who = this.#options.membership.identify(response.hello.chain, peer.publicKey, now);
    const refused =
      'refused' in who
        ? who.refused
        : who.node !== peer.node
          ? 'its certificate is for another number'
          : inside && !peer.mayAnswerInside(response)
            ? 'it answers in a session what it does not renew'
            : undefined;
    this.#with(peer, () => {
      if ('refused' in who || refused) peer.refuseResponse(response, refused!);
      else peer.acceptResponse(response, who.certificate, from, now);
    });
    return refused;
  }

  #cookieReply(bytes: Uint8Array, now: Millis): string | undefined {
    const awaited = this.#awaited.get(toHex(bytes.subarray(4, 12)));
    const cookie = awaited && openCookieReply(awaited.peer.publicKey, awaited.mac1, bytes);
    if (!cookie) return 'a cookie for nothing that was sent';
    this.#with(awaited.peer, (peer) => peer.cookieCame(cookie, awaited.mac1, now));
    return undefined;
  }

  #dial(node: NodeNumber, publicKey: Uint8Array, endpoints: readonly Endpoint[] | 'overlay', now: Millis): void {
    const peer = node === this.#options.node ? 'it is this node itself' : this.#peerFor(node, publicKey, now);
    const via = endpoints === 'overlay' ? 'overlay' : 'direct';
    if (typeof peer === 'string') this.#effects.push({ kind: 'dialFailed', node, via, reason: peer });
    else this.#with(peer, () => peer.dial(endpoints, now));
  }

  /** The association with this node under this key, made if there is room; or why not. */
  #peerFor(node: NodeNumber, publicKey: Uint8Array, now: Millis): Peer<Certificate> | string {
    const known = this.#peers.get(node);
    if (known && equalBytes(known.publicKey, publicKey)) return known;
    if (known?.isLive) {
      this.#with(known, () => known.challengeNumber(now));
      return 'a node with another key uses this number';
    }
    this.#with(known, (peer) => peer.close('another key has its number now'));
    if (!this.#makeRoom()) return 'there are as many tunnels as this node can hold';
    const peer = new Peer(this.#host, node, publicKey);
    this.#peers.set(node, peer);
    return peer;
  }

  /** Ends the association used longest ago when there are too many. */
  #makeRoom(): boolean {
    if (this.#peers.size < maxAssociations) return true;
    const others = [...this.#peers.values()].filter((peer) => peer.standing !== 'tunnel');
    if (others.length < maxAssociations) return this.#peers.size < maxAssociations + maxTunnels;
    const oldest = others.reduce((a, b) => (b.lastUsed < a.lastUsed ? b : a));
    this.#with(oldest, (peer) => peer.dismiss('not used for long'));
    return true;
  }

  #makeHost(): PeerHost<Certificate> {
    const { node, random, aesFaster, lanes, incarnation, counters, secondMachine } = this.#options;
    return {
      node,
      random,
      aesFaster,
      lanes,
      counters,
      secondMachine,
      wordsOfCopies: this.#wordsOfCopies,
      identity: this.#identity,
      hello: (kind, observed) => this.#hello(kind, observed, incarnation),
      emit: (effect) => this.#emit(effect),
      takeIndex: (peer) => this.#takeIndex(peer),
      giveIndexBack: (index) => this.#indices.delete(index),
      takeLink: (peer) => {
        const link = this.#takeLink();
        this.#links.set(link, peer);
        return link;
      },
      expectCookie: (peer, mac1) => {
        const [oldest] = this.#awaited.keys();
        if (this.#awaited.size >= maxAwaited && oldest !== undefined) this.#awaited.delete(oldest);
        this.#awaited.set(toHex(mac1.subarray(0, 8)), { peer, mac1 });
      },
      remember: (mac1, peer) => {
        if (peer) this.#answered.set(mac1, peer);
        else this.#answered.delete(mac1);
      },
      openTrial: (peer, newcomer, from, now) => {
        this.#trials.open(peer, newcomer, from, now);
        this.#due = Math.min(this.#due, this.#trials.deadline);
      },
    };
  }

  #hello(kind: 'initiation' | 'response', observed: Endpoint | undefined, incarnation: bigint): Hello {
    const { aesFaster, lanes } = this.#options;
    const counter = kind === 'initiation' ? ++this.#counter : 0;
    return { aesFaster, lanes, incarnation, counter, observed, chain: this.#chain };
  }

  #emit(effect: TunnelEffect<Certificate>): void {
    this.#effects.push(effect);
    if (effect.kind !== 'plane' || effect.command.kind !== 'closeLink') return;
    this.#links.delete(effect.command.link);
    this.#closing.add(effect.command.link);
  }

  /** Blocks of 8 indices, aligned: 29 bits of chance. */
  #takeIndex(peer: Peer<Certificate>): number {
    for (;;) {
      const index = this.#options.random.below(2 ** 29) * maxLanes;
      // Lane n is heard by worker n, under these keys as under the last: what overtakes at a renewal is another flow's.
      if (index === 0 || index % this.#options.lanes !== 0 || this.#indices.has(index)) continue;
      this.#indices.set(index, peer);
      return index;
    }
  }

  #takeLink(): LinkId {
    for (let tries = 0; tries < 65535; tries++) {
      this.#lastLink = (this.#lastLink % 65535) + 1;
      const link = this.#lastLink;
      if (!this.#links.has(link) && !this.#closing.has(link) && !this.#trials.has(link)) return link;
    }
    throw new Error('the plane closes no links'); // the bounds above leave most of the numbers free
  }
}

type LinkEvent = Extract<PlaneEvent, { readonly link: LinkId }>;

function fromLink<Certificate>(peer: Peer<Certificate>, event: LinkEvent, now: Millis): void {
  switch (event.kind) {
    case 'control': {
      const message = event.bytes[0] === ControlChannel.tunnel ? decodeLinkMessage(event.bytes) : undefined;
      if (message) peer.heard(message, now);
      break;
    }
    case 'installed':
      peer.installed(event.localIndex, now);
      break;
    case 'confirmed':
      peer.confirmed(event.localIndex, event.from);
      break;
    case 'worn':
      peer.worn(event.localIndex, now);
      break;
    case 'moved':
      peer.moved(event.endpoint);
      break;
    case 'recovered':
      peer.recovered();
      break;
    case 'silent':
      peer.silent();
      break;
    case 'measured':
      peer.measured(event.rtt);
      break;
    default:
      break;
  }
}

function checkedChain(chain: Uint8Array): Uint8Array {
  if (chain.length <= maxChainLength) return chain;
  throw new MeshError(
    'certificate-too-long',
    `the certificate chain has ${chain.length} octets, a handshake carries ${maxChainLength}`,
    'issue a certificate with a shorter name or fewer LAN prefixes',
  );
}
