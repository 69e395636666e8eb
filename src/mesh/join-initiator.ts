import { type CertificateChain, chainFault, decodeChain } from '../addr/certificate-chain.js';
import { type Endpoint, sameEndpoint } from '../addr/endpoint.js';
import type { FieldMap } from '../addr/fields.js';
import type { NodeIdentity } from '../addr/identity.js';
import type { Invitation } from '../addr/invitation.js';
import { Network, networkId } from '../addr/network.js';
import { nodeKey } from '../addr/public-key.js';
import { equalBytes } from '../bytes.js';
import { cookieReplyLength, mac1Of, openCookieReply } from '../cookie-reply.js';
import { VerifyingKey } from '../crypto.js';
import { checkMac1, mac1Key } from '../datagram-mac.js';
import type { MeshError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, never, second, type UnixSeconds } from '../time.js';
import type { MeshEffect } from './effects.js';
import { persistIdentity } from './found.js';
import { decodeJoinDatagram, encodeJoinDatagram, JoinType } from './join-datagram.js';
import { joinRefused, noAnswer } from './join-errors.js';
import { type Asker, JoinExchange } from './join-exchange.js';
import { Membership } from './membership.js';
import { octetLists } from './stored.js';

export interface JoinEvent {
  readonly kind: 'datagram';
  readonly from: Endpoint;
  readonly bytes: Uint8Array;
}

/** How long we ask before we say that nobody answered. */
const patience: Millis = 30 * second;
/** A round through all members, however many: the first, and the longest that rounds grow to. */
const firstRound: Millis = 0.5 * second;
const longestRound: Millis = 3 * second;
/** Messages that the member which answered may leave unanswered before the others are asked as well. */
const sendsAlone = 2;
/**
 * An exchange that came no further for so long is followed by a fresh one: the issuer was restarted and has forgotten it, or a
 * member ties it to an address that we had before. Satellites and disks of home servers take two or three seconds.
 */
const exchangePatience: Millis = 6 * second;

/**
 * ```
 *          initiation                 request
 * asking ───────────── response ────────────────── answer ──► done (joined)
 *  │ ▲ └── to each member in turn ──┐ │ ▲              └─────► done (joinFailed)
 *  │ └─── six seconds of nothing: ───┘ │ └── to who answered, then to each in turn
 *  │      a fresh exchange; what the   │
 *  └────── one before brings counts ───┘
 * ```
 */
type State = 'asking' | 'requesting' | 'done';

/** The newcomer's side of joining: asks the issuer through each member the token names, in turn, until one passes it on. */
export class JoinInitiator implements Machine<JoinEvent, MeshEffect> {
  readonly #invitation: Invitation;
  readonly #asker: Asker;
  readonly #random: Random;
  readonly #wallClock: () => UnixSeconds;
  readonly #ownMac: Uint8Array;
  #current: JoinExchange | undefined;
  /** The one before: its answer may be long under way, and is as good. */
  #previous: JoinExchange | undefined;
  #isDone = false;
  /** By member, in the token's order: what a member under load gave us to show that we hear it. */
  readonly #cookies: (Uint8Array | undefined)[] = [];
  /** The member, by its place in the token, that the next round goes on with, and the last one asked. */
  #turn = 0;
  #asked = 0;
  /** Messages that go to the last one asked alone: it has answered. */
  #alone = 0;
  #round: Millis = firstRound;
  #next: Millis = Number.NEGATIVE_INFINITY;
  #freshAt: Millis = Number.NEGATIVE_INFINITY;
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
    this.#asker = { identity, name, network: networkId(invitation.network) };
    this.#random = random;
    this.#wallClock = wallClock;
    this.#ownMac = mac1Key(identity.agreement.publicKey);
  }

  get #state(): State {
    if (this.#isDone) return 'done';
    return this.#current?.isAnswered ? 'requesting' : 'asking';
  }

  handle(event: JoinEvent, now: Millis): MeshEffect[] {
    if (this.#state === 'done') return [];
    if (event.bytes.length === cookieReplyLength) return this.#onCookie(event.bytes);
    if (!checkMac1(this.#ownMac, event.bytes)) return [];
    const message = decodeJoinDatagram(event.bytes);
    const exchange = message && [this.#current, this.#previous].find((each) => each?.isOf(message));
    if (!exchange) return [];
    if (message.type === JoinType.response && this.#state === 'asking') {
      const fields = exchange.readResponse(message);
      return fields ? this.#onResponse(exchange, fields, event.from, now) : [];
    }
    if (message.type === JoinType.transport && exchange.isAnswered) {
      const fields = exchange.readAnswer(message);
      return fields ? this.#onAnswer(fields) : [];
    }
    return [];
  }

  tick(now: Millis): MeshEffect[] {
    if (this.#state === 'done' || now < this.#next) return [];
    const effects: MeshEffect[] = [];
    if (this.#giveUp === undefined) {
      this.#giveUp = now + patience;
      effects.push(persistIdentity(this.#asker.identity));
    }
    if (now >= this.#giveUp || this.#invitation.members.length === 0) {
      return this.#fail(noAnswer(this.#invitation, this.#wallClock()));
    }
    if (now >= this.#freshAt && !this.#begin(now)) return this.#fail(joinRefused('bad-answer'));
    effects.push(this.#send(now));
    return effects;
  }

  deadline(): Millis {
    return this.#state === 'done' ? never : this.#next;
  }

  /** False when the token's key is none. */
  #begin(now: Millis): boolean {
    const fresh = JoinExchange.begin(this.#invitation, this.#asker, this.#random);
    if (!fresh) return false;
    this.#previous?.wipe();
    this.#previous = this.#current;
    this.#current = fresh;
    this.#freshAt = now + exchangePatience;
    return true;
  }

  /** To who has answered, as long as it does not fall silent; else to the next member. The rounds grow longer. */
  #send(now: Millis): MeshEffect {
    const count = this.#invitation.members.length;
    let pause = firstRound;
    if (this.#alone > 0) {
      this.#alone--;
    } else {
      this.#asked = this.#turn;
      this.#turn = (this.#turn + 1) % count;
      pause = this.#round / count;
      if (this.#turn === 0) this.#round = Math.min(longestRound, this.#round * 2);
    }
    this.#next = now + pause * (0.9 + 0.2 * this.#random.unit());
    return this.#datagramTo(this.#asked);
  }

  /** `place`: of the member in the token. */
  #datagramTo(place: number): Extract<MeshEffect, { kind: 'sendDatagram' }> {
    const { endpoint, dh } = this.#invitation.members[place]!;
    const bytes = encodeJoinDatagram(this.#current!.outgoing, dh, this.#cookies[place]);
    return { kind: 'sendDatagram', to: endpoint, bytes };
  }

  /**
   * A member under load asks to be shown that we hear it: it gets the same again with its cookie, at once the first time;
   * after that at our own pace, so that a flood of cookies buys nothing.
   */
  #onCookie(reply: Uint8Array): MeshEffect[] {
    if (!this.#current) return [];
    for (const [i, member] of this.#invitation.members.entries()) {
      const cookie = openCookieReply(member.dh, mac1Of(this.#datagramTo(i).bytes), reply);
      if (!cookie) continue;
      const isFirst = this.#cookies[i] === undefined;
      this.#cookies[i] = cookie;
      return isFirst ? [this.#datagramTo(i)] : [];
    }
    return [];
  }

  #onResponse(exchange: JoinExchange, fields: FieldMap, from: Endpoint, now: Millis): MeshEffect[] {
    if (typeof fields.error === 'string') return this.#fail(joinRefused(fields.error));
    if (exchange === this.#previous) [this.#current, this.#previous] = [exchange, this.#current];
    // It has just shown that it works. Two may be behind one endpoint; and one may answer from another than the token says.
    const { members } = this.#invitation;
    const isThere = (place: number) => sameEndpoint(members[place]!.endpoint, from);
    const place = isThere(this.#asked) ? this.#asked : members.findIndex((_, i) => isThere(i));
    if (place >= 0) this.#asked = place;
    this.#alone = sendsAlone;
    this.#round = firstRound;
    this.#freshAt = now + exchangePatience;
    return [this.#send(now)];
  }

  #onAnswer(fields: FieldMap): MeshEffect[] {
    if (typeof fields.error === 'string') return this.#fail(joinRefused(fields.error));
    const chain = fields.chain instanceof Uint8Array ? decodeChain(fields.chain) : undefined;
    const network = chain && this.#networkOf(chain);
    if (!chain || !network) return this.#fail(joinRefused('bad-answer'));
    const membership = new Membership(this.#asker.identity, network, chain, this.#wallClock);
    for (const issuer of octetLists(fields.issuers)) membership.learnIssuer(issuer);
    for (const revocation of octetLists(fields.revocations)) membership.learnRevocation(revocation);
    this.#finish();
    return [...membership.changes(), { kind: 'joined', chain, members: this.#invitation.members }];
  }

  /** The network the chain proves, when it is the token's and the certificate is about us. */
  #networkOf(chain: CertificateChain): Network | undefined {
    const key = VerifyingKey.from(this.#invitation.network);
    if (!key || nodeKey(chain.node.key) !== this.#asker.identity.id) return undefined;
    if (!equalBytes(chain.node.dh, this.#asker.identity.agreement.publicKey)) return undefined;
    const network = new Network(key, chain.issuer.networkPrefix);
    return chainFault(network, chain) === undefined ? network : undefined;
  }

  #fail(error: MeshError): MeshEffect[] {
    this.#finish();
    return [{ kind: 'joinFailed', error }];
  }

  #finish(): void {
    this.#isDone = true;
    this.#current?.wipe();
    this.#previous?.wipe();
  }
}
