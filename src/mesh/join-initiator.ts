import { type CertificateChain, chainFault, decodeChain } from '../addr/certificate-chain.js';
import type { Endpoint } from '../addr/endpoint.js';
import { decodeMap } from '../addr/fields.js';
import type { NodeIdentity } from '../addr/identity.js';
import type { Invitation, InvitingMember } from '../addr/invitation.js';
import { Network, networkId } from '../addr/network.js';
import { nodeKey } from '../addr/public-key.js';
import { equalBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { cookieReplyLength, mac1Of, openCookieReply } from '../cookie-reply.js';
import { AgreementKey, aeadOpen, aeadSeal, signed, VerifyingKey } from '../crypto.js';
import { checkMac1, mac1Key } from '../datagram-mac.js';
import type { MeshError } from '../errors.js';
import type { Machine } from '../machine.js';
import { NoiseInitiator } from '../noise.js';
import type { Random } from '../random.js';
import { secretBytes } from '../secret-bytes.js';
import { type Millis, never, second, type UnixSeconds } from '../time.js';
import type { MeshEffect } from './effects.js';
import { persistIdentity } from './found.js';
import {
  decodeJoinDatagram,
  decodeJoinPlaintext,
  encodeJoinDatagram,
  encodeJoinPlaintext,
  exchangeIdLength,
  type JoinMessage,
  JoinType,
  joinCipher,
  joinHeader,
  joinNonce,
  joinPreSharedKey,
  joinPrologue,
  transportPlaintextLength,
  unknownTokenKey,
} from './join-datagram.js';
import { joinRefused, noAnswer } from './join-errors.js';
import { Membership } from './membership.js';
import { octetLists } from './stored.js';

export interface JoinEvent {
  readonly kind: 'datagram';
  readonly from: Endpoint;
  readonly bytes: Uint8Array;
}

/** How long we ask before we say that nobody answered. */
const patience: Millis = 30 * second;
const firstPause: Millis = 250;
const longestPause: Millis = 3 * second;
/** Requests without an answer before a fresh exchange: the issuer was restarted and has forgotten this one. */
const requestsPerExchange = 4;

/**
 * ```
 *          initiation                 request
 * asking ───────────── response ────────────────── answer ──► done (joined)
 *   ▲  └── every pause, the next member ──┐   │ ▲       └─────► done (joinFailed)
 *   └──────── unanswered, a fresh exchange ───┘ └ every pause
 * ```
 */
type State = 'asking' | 'requesting' | 'done';

/** The newcomer's side of joining: asks the issuer through each member the token names, in turn, until one passes it on. */
export class JoinInitiator implements Machine<JoinEvent, MeshEffect> {
  readonly #invitation: Invitation;
  readonly #identity: NodeIdentity;
  readonly #name: string;
  readonly #random: Random;
  readonly #wallClock: () => UnixSeconds;
  readonly #network: Uint8Array;
  readonly #ownMac: Uint8Array;
  #state: State = 'asking';
  #exchange = new Uint8Array(0);
  #ephemeral: AgreementKey | undefined;
  #noise: NoiseInitiator | undefined;
  /** What is being sent again and again. */
  #outgoing: JoinMessage | undefined;
  readonly #receiveKey = secretBytes(32);
  /** By member, in the token's order: what a member under load gave us to show that we hear it. */
  readonly #cookies: (Uint8Array | undefined)[] = [];
  #sent = 0;
  #requestsSent = 0;
  #pause: Millis = firstPause;
  #next: Millis = Number.NEGATIVE_INFINITY;
  #giveUp: Millis | undefined;

  /** `name`: what we would like to be called; the issuer decides. The identity is persisted before the first datagram. */
  constructor(
    invitation: Invitation,
    identity: NodeIdentity,
    name: string,
    random: Random,
    wallClock: () => UnixSeconds,
  ) {
    this.#invitation = invitation;
    this.#identity = identity;
    this.#name = name;
    this.#random = random;
    this.#wallClock = wallClock;
    this.#network = networkId(invitation.network);
    this.#ownMac = mac1Key(identity.agreement.publicKey);
  }

  handle(event: JoinEvent, now: Millis): MeshEffect[] {
    if (this.#state === 'done') return [];
    if (event.bytes.length === cookieReplyLength && this.#outgoing) return this.#onCookie(event.bytes);
    if (!checkMac1(this.#ownMac, event.bytes)) return [];
    const message = decodeJoinDatagram(event.bytes);
    if (!message || !equalBytes(message.exchange, this.#exchange)) return [];
    if (message.type === JoinType.response && this.#state === 'asking') return this.#onResponse(message, now);
    if (message.type === JoinType.transport && this.#state === 'requesting') return this.#onAnswer(message);
    return [];
  }

  tick(now: Millis): MeshEffect[] {
    if (this.#state === 'done' || now < this.#next) return [];
    const effects: MeshEffect[] = [];
    if (this.#giveUp === undefined) {
      this.#giveUp = now + patience;
      effects.push(persistIdentity(this.#identity));
    }
    if (now >= this.#giveUp || this.#invitation.members.length === 0) {
      return this.#fail(noAnswer(this.#invitation, this.#wallClock()));
    }
    if (!this.#outgoing || (this.#state === 'requesting' && this.#requestsSent >= requestsPerExchange)) this.#begin();
    if (!this.#outgoing) return this.#fail(joinRefused('bad-answer'));
    effects.push(this.#send(now));
    return effects;
  }

  deadline(): Millis {
    return this.#state === 'done' ? never : this.#next;
  }

  #begin(): void {
    this.#forget();
    this.#ephemeral = AgreementKey.ephemeral(this.#random);
    this.#exchange = new Uint8Array(this.#random.bytes(exchangeIdLength));
    const { agreement } = this.#identity;
    const prologue = joinPrologue(this.#network);
    this.#noise = new NoiseInitiator('IKpsk2', prologue, agreement, this.#ephemeral, this.#invitation.dh);
    const part = this.#noise.writeInitiation(encodeCbor({ id: this.#invitation.id }));
    this.#state = 'asking';
    this.#requestsSent = 0;
    this.#outgoing = part && {
      type: JoinType.initiation,
      issuer: this.#invitation.issuer,
      exchange: this.#exchange,
      part,
    };
  }

  /** To the next member; the pause grows with every round through all of them. */
  #send(now: Millis): MeshEffect {
    const { members } = this.#invitation;
    const member = members[this.#sent % members.length]!;
    this.#sent++;
    if (this.#state === 'requesting') this.#requestsSent++;
    if (this.#sent % members.length === 0) this.#pause = Math.min(longestPause, this.#pause * 2);
    this.#next = now + this.#pause * (0.9 + 0.2 * this.#random.unit());
    return this.#datagramTo(member);
  }

  #datagramTo(member: InvitingMember): Extract<MeshEffect, { kind: 'sendDatagram' }> {
    const cookie = this.#cookies[this.#invitation.members.indexOf(member)];
    return { kind: 'sendDatagram', to: member.endpoint, bytes: encodeJoinDatagram(this.#outgoing!, member.dh, cookie) };
  }

  /**
   * A member under load asks to be shown that we hear it: it gets the same again with its cookie, at once the first time;
   * after that at our own pace, so that a flood of cookies buys nothing.
   */
  #onCookie(reply: Uint8Array): MeshEffect[] {
    for (const [i, member] of this.#invitation.members.entries()) {
      const cookie = openCookieReply(member.dh, mac1Of(this.#datagramTo(member).bytes), reply);
      if (!cookie) continue;
      const isFirst = this.#cookies[i] === undefined;
      this.#cookies[i] = cookie;
      return isFirst ? [this.#datagramTo(member)] : [];
    }
    return [];
  }

  #onResponse(message: JoinMessage, now: Millis): MeshEffect[] {
    const { id, secret } = this.#invitation;
    const noise = this.#noise!;
    const shared = joinPreSharedKey(id, secret);
    const payload = noise.readResponse(message.part, shared) ?? noise.readResponse(message.part, unknownTokenKey);
    shared.fill(0);
    if (!payload) return [];
    const fields = decodeMap(payload);
    if (!fields) return [];
    if (typeof fields.error === 'string') return this.#fail(joinRefused(fields.error));
    const sendKey = secretBytes(32);
    noise.split(sendKey, this.#receiveKey);
    this.#outgoing = this.#request(sendKey, noise.handshakeHash);
    sendKey.fill(0);
    this.#state = 'requesting';
    this.#sent += this.#invitation.members.length - 1; // to the same member again: it has just shown that it works
    this.#pause = firstPause;
    return [this.#send(now)];
  }

  /** The signature over the handshake hash shows that we hold the signing key we ask a certificate for. */
  #request(sendKey: Uint8Array, handshakeHash: Uint8Array): JoinMessage {
    const { signing } = this.#identity;
    const header = { type: JoinType.transport, issuer: this.#invitation.issuer, exchange: this.#exchange };
    const proof = signing.sign(signed('weft join request', this.#network, handshakeHash));
    const fields = { key: signing.publicKey, name: this.#name, proof };
    const plaintext = encodeJoinPlaintext(fields, transportPlaintextLength)!;
    return { ...header, part: aeadSeal(joinCipher, sendKey, joinNonce, plaintext, joinHeader(header)) };
  }

  #onAnswer(message: JoinMessage): MeshEffect[] {
    const plaintext = aeadOpen(joinCipher, this.#receiveKey, joinNonce, message.part, joinHeader(message));
    const fields = plaintext && decodeJoinPlaintext(plaintext);
    if (!fields) return [];
    if (typeof fields.error === 'string') return this.#fail(joinRefused(fields.error));
    const chain = fields.chain instanceof Uint8Array ? decodeChain(fields.chain) : undefined;
    const network = chain && this.#networkOf(chain);
    if (!chain || !network) return this.#fail(joinRefused('bad-answer'));
    const membership = new Membership(this.#identity, network, chain, this.#wallClock);
    for (const issuer of octetLists(fields.issuers)) membership.learnIssuer(issuer);
    for (const revocation of octetLists(fields.revocations)) membership.learnRevocation(revocation);
    this.#finish();
    return [...membership.changes(), { kind: 'joined', chain, members: this.#invitation.members }];
  }

  /** The network the chain proves, when it is the token's and the certificate is about us. */
  #networkOf(chain: CertificateChain): Network | undefined {
    const key = VerifyingKey.from(this.#invitation.network);
    if (!key || nodeKey(chain.node.key) !== this.#identity.id) return undefined;
    if (!equalBytes(chain.node.dh, this.#identity.agreement.publicKey)) return undefined;
    const network = new Network(key, chain.issuer.networkPrefix);
    return chainFault(network, chain) === undefined ? network : undefined;
  }

  #fail(error: MeshError): MeshEffect[] {
    this.#finish();
    return [{ kind: 'joinFailed', error }];
  }

  #finish(): void {
    this.#state = 'done';
    this.#forget();
  }

  #forget(): void {
    this.#noise?.wipe();
    this.#ephemeral?.wipe();
    this.#receiveKey.fill(0);
    this.#outgoing = undefined;
  }
}
