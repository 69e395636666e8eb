import type { Endpoint } from '../addr/endpoint.js';
import { sameEndpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { SecondMachine } from '../addr/second-machine.js';
import { Bucket } from '../bucket.js';
import type { Buckets } from '../buckets.js';
import { concatBytes, toHex } from '../bytes.js';
import { mac1Of } from '../cookie-reply.js';
import { AgreementKey } from '../crypto.js';
import { appendMacs } from '../datagram-mac.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { Asking, type Response } from './asking.js';
import { Challenge, type Outcomes } from './challenge.js';
import { ControlChannel } from './frame.js';
import { type Answer, GivenAnswers } from './given-answers.js';
import type { HandshakeIdentity, Hello, IncomingHandshake } from './handshake.js';
import { KeyWatch, type LinkUse } from './key-watch.js';
import { encodeLinkMessage, type LinkMessage, secondMachine } from './link-message.js';
import type { Carriage, Cipher, LinkId, Path, PlaneCommand } from './plane/contract.js';
import { SeenCounters } from './seen-counters.js';
import { type Session, SessionKeys } from './session-keys.js';
import { SessionList } from './session-list.js';
import { Showing } from './showing.js';
import type { Through } from './through.js';
import type { TunnelEffect } from './tunnel-effect.js';

/** What a peer needs of the node it is a peer of. */
export interface PeerHost<Certificate> {
  readonly node: NodeNumber;
  readonly identity: HandshakeIdentity;
  readonly random: Random;
  /** Our side of the hello of a handshake. */
  hello(kind: 'initiation' | 'response', observed: Endpoint | undefined): Hello;
  readonly aesFaster: boolean;
  readonly lanes: number;
  readonly secondMachine: Pick<SecondMachine, 'prove' | 'isProven'>;
  /** Words of copies of our own key, each of which costs a signature: a peer has one in some minutes, over whichever tunnel. */
  readonly wordsOfCopies: Buckets<NodeNumber>;
  emit(effect: TunnelEffect<Certificate>): void;
  /** A receiver index, unguessable and unique in this node; what is heard for it goes to this peer. */
  takeIndex(peer: Peer<Certificate>): number;
  giveIndexBack(index: number): void;
  takeLink(peer: Peer<Certificate>): LinkId;
  /** A cookie reply to the datagram with this mac1 goes to this peer. */
  expectCookie(peer: Peer<Certificate>, mac1: Uint8Array): void;
  /** Initiations with this mac1 (in hex) are repetitions that this peer can answer; undefined: no more. */
  remember(mac1: string, peer: Peer<Certificate> | undefined): void;
  counters(link: LinkId): LinkUse;
  /** Answers a newcomer on a link of its own, to learn whether it lives beside the peer we know. */
  openTrial(peer: Peer<Certificate>, newcomer: IncomingHandshake, from: Endpoint, now: Millis): void;
}

/** Our tuning. */
const trialPause: Millis = 10 * second; // a replay from an old incarnation buys one Diffie-Hellman in this time
const clonePause: Millis = 5 * minute; // a clone that goes on is told of again: `weft status` forgets after twice that
const idleAfter: Millis = 60 * second; // an overlay association unheard for this long gets no new keys

/**
 * One association with one node: its link in the plane, the sessions on it, and the handshakes under way. A direct tunnel
 * and end-to-end keys over the overlay are the same association in other carriage.
 *
 *              dial, sessionWanted                 response
 *     (none) ─────────────────────► asking ───────────────────┐
 *        │ initiation                                          ▼          direct handshake
 *        └────────────► answered ──first frame opens──► session (overlay) ◄──────────► tunnel
 *                          └─ 30 s ─► (none)                  │             silent, part   │
 *                                                              └─ expiry, bye, revoked ────┴─► (none)
 *
 * While a session lives, new ones begin by `rekey` and replace it without a gap.
 */
export class Peer<Certificate> {
  readonly node: NodeNumber;
  readonly publicKey: Uint8Array;
  readonly #host: PeerHost<Certificate>;
  readonly #sessions = new SessionList();
  readonly #rekeyJitter: number;
  /** From the newest handshake. */
  #certificate: Certificate | undefined;
  #link: LinkId | undefined;
  #carriage: Carriage = { kind: 'overlay' };
  /** What the rest of the daemon was told. */
  #standing: 'none' | 'session' | 'tunnel' = 'none';
  /** Nothing was heard lately, said the plane: a newcomer need not be asked about. */
  #isSilent = false;
  readonly #asking: Asking;
  #challenge: Challenge | undefined;
  #showing: Showing | undefined;
  readonly #answers = new GivenAnswers<Certificate>();
  #incarnation: bigint | undefined;
  #seen = new SeenCounters();
  #roundTrip: Millis = 0;
  #noTrialBefore = Number.NEGATIVE_INFINITY;
  #noCloneToldBefore = Number.NEGATIVE_INFINITY;
  /** A newcomer at the tunnel's own endpoint is answered unasked at most this often. */
  #noQuickAnswerBefore = Number.NEGATIVE_INFINITY;
  #rekeyNotBefore = Number.NEGATIVE_INFINITY;
  readonly #watch = new KeyWatch();
  /** Handshakes inside the session have passed no guard: a renewal needs two, and some more where frames are lost. */
  readonly #inside = new Bucket(1, 8);
  /** A session whose answer came from none of the ways we had asked along, and those of them that its first frame is not sent by. */
  #untriedWays: { readonly localIndex: number; readonly paths: readonly Path[] } | undefined;

  constructor(host: PeerHost<Certificate>, node: NodeNumber, publicKey: Uint8Array) {
    this.#host = host;
    this.node = node;
    this.publicKey = publicKey;
    this.#rekeyJitter = host.random.unit();
    this.#asking = new Asking(
      {
        identity: host.identity,
        random: host.random,
        hello: (observed) => host.hello('initiation', observed),
        takeIndex: () => host.takeIndex(this),
        giveIndexBack: (index) => host.giveIndexBack(index),
        expectCookie: (mac1) => host.expectCookie(this, mac1),
        send: (to, bytes) => this.#send(to, bytes),
        dialFailed: (via, reason) => this.#dialFailed(via, reason),
      },
      publicKey,
    );
  }

  get link(): LinkId | undefined {
    return this.#link;
  }

  /** Of the machine we know. */
  get incarnation(): bigint | undefined {
    return this.#incarnation;
  }

  get standing(): 'none' | 'session' | 'tunnel' {
    return this.#standing;
  }

  /** The endpoint of the tunnel, if there is one. */
  get endpoint(): Endpoint | undefined {
    return this.#carriage.kind === 'direct' ? this.#carriage.endpoint : undefined;
  }

  /** The way that frames take now. */
  get path(): Path {
    return this.#carriage.kind === 'direct' ? this.#carriage : { kind: 'overlay', node: this.node };
  }

  /** Whether one more handshake inside the session may be looked at. */
  takesInside(now: Millis): boolean {
    return this.#inside.take(now);
  }

  get isLive(): boolean {
    return this.#sessions.isLive && !this.#isSilent;
  }

  /** Nothing is left to remember. */
  get isOver(): boolean {
    return this.#link === undefined && this.#asking.isIdle && this.#challenge === undefined;
  }

  get lastUsed(): Millis {
    return this.#link === undefined ? never : this.#host.counters(this.#link).lastHeard;
  }

  // Asking

  /** Tries these endpoints, or the overlay. A tunnel that stands at one of them is left as it is. */
  dial(endpoints: readonly Endpoint[] | 'overlay', now: Millis): void {
    if (endpoints === 'overlay') {
      if (this.isLive || this.#asking.has('overlay')) return;
      this.#asking.begin('dial', 'overlay', [{ kind: 'overlay', node: this.node }], undefined, now);
      return;
    }
    const here = this.endpoint;
    if (this.#standing === 'tunnel' && here && endpoints.some((endpoint) => sameEndpoint(endpoint, here))) return;
    const paths = endpoints.map((endpoint): Path => ({ kind: 'direct', endpoint }));
    this.#asking.begin('dial', 'direct', paths, undefined, now);
  }

  #dialFailed(via: Carriage['kind'], reason: string): void {
    this.#host.emit({ kind: 'dialFailed', node: this.node, via, reason });
  }

  /** Reads a response to a handshake under way; undefined when it is none. */
  readResponse(receiverIndex: number, datagram: Uint8Array): Response | undefined {
    return this.#asking.read(receiverIndex, datagram);
  }

  /** A session brings its own two ends new keys, whether they were silent or not: no dial's end, and no other start. */
  mayAnswerInside({ hello, attempt }: Response): boolean {
    return attempt.renews && hello.incarnation === this.#incarnation;
  }

  /** The answer is good, but its certificate is not, or the way it came. */
  refuseResponse({ attempt }: Response, reason: string): void {
    this.#asking.giveUp(attempt.way, reason, attempt.purpose);
  }

  /** The answer is good: its sender is there now, and holds the peer's key. */
  acceptResponse(response: Response, certificate: Certificate, from: Path, now: Millis): void {
    const { hello, remoteIndex, attempt } = response;
    const { way } = attempt;
    const isKnown = attempt.asksAlong(from) || (way === 'direct' && this.#asking.dialsAlong(from));
    this.#asking.settle(response, from);
    if (way === 'direct') this.#asking.end('overlay');
    const session = this.#session('initiator', attempt.handshake, hello, remoteIndex, now);
    const install = () => {
      if (this.#incarnation !== hello.incarnation) this.#begin(hello.incarnation);
      this.#certificate = certificate;
      this.#isSilent = false;
      this.#observedUs(hello, from);
      // Where an answer comes from nobody has sealed: copied by somebody who reads along it may come from anywhere. So it only
      // chooses among the ways we asked along. Who answers from elsewhere is challenged there by the plane, as one that moved.
      const [path, ...others] = isKnown ? [from] : attempt.pathsTowards(from);
      const isBetter =
        way === 'direct'
          ? attempt.purpose === 'dial' && (isKnown || this.#standing !== 'tunnel')
          : this.#standing === 'none';
      if (isBetter || this.#link === undefined) {
        // Before the session, so that its first frame already takes the new way.
        this.#carry(path!);
        this.#untriedWays = isKnown ? undefined : { localIndex: session.localIndex, paths: others };
      }
      this.#install(session);
      const isInVain = attempt.purpose === 'dial' && !isKnown && !isBetter;
      if (isInVain && !this.#asking.has(way, 'dial')) this.#dialFailed(way, 'it was answered from elsewhere');
    };
    if (!this.#isNewcomer(hello) || this.#isAtItsPlace(from)) {
      install();
      return;
    }
    const discard = (reason: string) => {
      session.keys.wipe();
      this.#host.giveIndexBack(session.localIndex);
      if (attempt.purpose === 'dial') this.#dialFailed(way, reason);
    };
    const report = () => {
      this.reportClone(from.kind === 'direct' ? from.endpoint : undefined, now);
      discard('two machines run with its key');
    };
    const drop = () => discard('the association with it was closed');
    // It is there now; a challenge begun by an initiation, perhaps its own and perhaps a replay, is settled by this one.
    this.#challengeFor({ replace: install, keep: report, drop }, now);
  }

  // Answering

  /** An initiation that `remember` was told of came again: the answer may have been lost, or this is another way. */
  repeatAnswer(datagram: Uint8Array, from: Through, now: Millis): void {
    const answer = this.#answers.get(toHex(mac1Of(datagram)));
    if (!answer || answer.session.isConfirmed) return;
    answer.to = from;
    this.#sendAnswer(answer, now);
  }

  /** An initiation by a member: authentic, but perhaps a replay. The reason, when it is refused. */
  acceptInitiation(
    incoming: IncomingHandshake,
    datagram: Uint8Array,
    certificate: Certificate,
    from: Through,
    now: Millis,
  ): string | undefined {
    const { hello } = incoming;
    if (from === 'session' && hello.incarnation !== this.#incarnation) {
      return 'it is of another start than the session it came in';
    }
    if (from !== 'session' && this.#isNewcomer(hello)) {
      if (this.#challenge) return 'another start of this node is being looked into';
      if (this.#isAtItsPlace(from) && now >= this.#noQuickAnswerBefore) {
        this.#noQuickAnswerBefore = now + trialPause;
        this.#answer(incoming, datagram, certificate, from, now);
        return undefined;
      }
      if (now < this.#noTrialBefore) return 'another start of this node lives';
      const replace = () => this.#answer(incoming, datagram, certificate, from, now);
      const keep = () => this.#tryNewcomer(incoming, from, now);
      this.#challengeFor({ replace, keep, drop: () => incoming.wipe() }, now);
      return undefined;
    }
    if (hello.incarnation === this.#incarnation && !this.#seen.add(hello.counter)) return 'replayed';
    this.#answer(incoming, datagram, certificate, from, now);
    return undefined;
  }

  #answer(
    incoming: IncomingHandshake,
    datagram: Uint8Array,
    certificate: Certificate,
    from: Through,
    now: Millis,
  ): void {
    const key = toHex(mac1Of(datagram));
    // A copy of it may have been answered while the first was being looked into, if the old tunnel ended meanwhile.
    if (this.#answers.get(key)) {
      incoming.wipe();
      this.repeatAnswer(datagram, from, now);
      return;
    }
    const index = this.#host.takeIndex(this);
    const ephemeral = AgreementKey.ephemeral(this.#host.random);
    const path = from === 'session' ? this.path : from;
    const observed = path.kind === 'direct' ? path.endpoint : undefined;
    const body = incoming.respond(ephemeral, index, this.#host.hello('response', observed));
    ephemeral.wipe();
    if (!body) {
      incoming.wipe();
      this.#host.giveIndexBack(index);
      return;
    }
    const keyed = { localIndex: index, split: incoming.split.bind(incoming) };
    const session = this.#session('responder', keyed, incoming.hello, incoming.remoteIndex, now);
    if (this.#link === undefined) this.#carry(path);
    this.#install(session);
    const mac1 = mac1Of(appendMacs(this.publicKey, body));
    // It leaves when the session is installed: the initiator may send under it at once, to any worker.
    const answer = { session, body, to: from, mac1, hello: incoming.hello, certificate, isReady: false };
    this.#answers.add(key, answer);
    this.#host.remember(key, this);
    this.#host.expectCookie(this, mac1);
  }

  #sendAnswer(answer: Answer<Certificate>, now: Millis): void {
    if (!answer.isReady) return;
    const bytes = appendMacs(this.publicKey, answer.body, this.#asking.cookieAt(now));
    this.#send(answer.to, bytes);
  }

  /**
   * The first frame of a session we answered has opened: its initiator is there now, where the frame came `from`. Copies
   * of the initiation may have come from anywhere.
   */
  confirmed(localIndex: number, from: Path): void {
    if (!this.#sessions.confirm(localIndex)) return;
    const answer = this.#answers.withIndex(localIndex)!;
    const { hello } = answer;
    this.#certificate = answer.certificate;
    if (this.#incarnation !== hello.incarnation) this.#begin(hello.incarnation);
    this.#seen.add(hello.counter);
    // Both handshakes of a crossing are good; the one that stands makes the other needless. But a dial beside a tunnel that
    // stands looks for a way elsewhere, and is to find it or to say that there is none.
    this.#asking.end('overlay');
    if (from.kind === 'direct') this.#asking.end('direct', this.#standing === 'tunnel' ? 'rekey' : undefined);
    // A tunnel that stands moves by the plane's sealed challenge alone: the source of an initiation is nobody's word.
    if (this.#standing !== 'tunnel' && (from.kind === 'direct' || this.#standing === 'none')) this.#carry(from);
    this.#observedUs(hello, from);
    this.#isSilent = false;
    this.#stand();
  }

  // Newcomers: another process start with the same key

  #isNewcomer(hello: Hello): boolean {
    return this.isLive && this.#incarnation !== undefined && this.#incarnation !== hello.incarnation;
  }

  /**
   * It speaks from the very endpoint of the tunnel. Two processes cannot share that, so the one we know is gone: it
   * need not be asked for 0.6 s, which would be most of what a restart costs. A replay can be made to come from there,
   * but never confirms.
   */
  #isAtItsPlace(from: Path): boolean {
    const here = this.#standing === 'tunnel' ? this.endpoint : undefined;
    return from.kind === 'direct' && here !== undefined && sameEndpoint(from.endpoint, here);
  }

  #challengeFor(outcomes: Outcomes, now: Millis): void {
    if (this.#challenge) this.#challenge.supersede(outcomes);
    else this.#challenge = new Challenge(outcomes, this.#host.random.bytes(8), now);
    this.#probe(now);
  }

  /** Somebody with another key claims the number: if the one we know is gone, it may come again. */
  challengeNumber(now: Millis): void {
    if (this.#challenge) return;
    this.#challengeFor(
      { replace: () => this.close('another key has its number now'), keep: ignore, drop: ignore },
      now,
    );
  }

  #probe(now: Millis): void {
    const challenge = this.#challenge;
    const next = challenge?.next(this.#roundTrip, now);
    if (next === 'probe') this.#say({ kind: 'probe', nonce: challenge!.nonce });
    if (next !== 'replace') return;
    this.#challenge = undefined;
    this.#isSilent = true;
    challenge!.outcomes.replace();
  }

  #tryNewcomer(incoming: IncomingHandshake, from: Path, now: Millis): void {
    this.#noTrialBefore = now + trialPause;
    if (from.kind === 'direct') this.#host.openTrial(this, incoming, from.endpoint, now);
    else incoming.wipe();
  }

  /** Two live machines hold this peer's key: the first stays. */
  reportClone(other: Endpoint | undefined, now: Millis): void {
    if (now < this.#noCloneToldBefore) return;
    this.#noCloneToldBefore = now + clonePause;
    const endpoints = [this.endpoint, other].filter((endpoint) => endpoint !== undefined);
    this.#host.emit({ kind: 'cloned', node: this.node, endpoints });
  }

  /** A newcomer's trial has shown that; the next one may wait. (One that we dialled has asked for nothing, and is told nothing.) */
  trialFoundClone(other: Endpoint | undefined, now: Millis): void {
    this.#noTrialBefore = now + clonePause;
    this.reportClone(other, now);
  }

  /** Another start of the node takes over: what was said about the old one no longer holds. */
  #begin(incarnation: bigint): void {
    const restarted = this.#incarnation !== undefined;
    this.#incarnation = incarnation;
    this.#seen = new SeenCounters();
    this.#noTrialBefore = Number.NEGATIVE_INFINITY;
    this.#noQuickAnswerBefore = Number.NEGATIVE_INFINITY;
    if (!restarted) return;
    this.#drop(this.#sessions.remove((session) => session.isConfirmed && session.incarnation !== incarnation));
    this.#fall('the node was restarted');
  }

  #observedUs(hello: Hello, from: Path): void {
    if (from.kind !== 'direct' || !hello.observed) return;
    this.#host.emit({ kind: 'observed', by: this.node, endpoint: hello.observed });
  }

  // What the plane and the other side say

  heard(message: LinkMessage, now: Millis): void {
    this.#isSilent = false;
    switch (message.kind) {
      case 'hello':
        // Along the overlay it sees nothing of us: only a neighbour's word counts, and only while it is one.
        if (message.observed && this.#standing === 'tunnel')
          this.#host.emit({ kind: 'observed', by: this.node, endpoint: message.observed });
        break;
      case 'probe':
        this.#say({ kind: 'echo', nonce: message.nonce });
        break;
      case 'echo': {
        if (this.#showing?.isAnsweredBy(message.nonce)) this.#showing = undefined;
        const challenge = this.#challenge;
        if (!challenge?.isAnsweredBy(message.nonce)) break;
        this.#challenge = undefined;
        challenge.outcomes.keep();
        break;
      }
      case 'part':
        if (this.#standing === 'tunnel') this.#toOverlay(`the other side closed it: ${message.reason}`);
        break;
      case 'bye':
        if (message.reason === secondMachine) this.#hearOfFirst(message.first, now);
        this.close(`the other side closed it: ${message.reason}`);
        break;
      case 'second':
        this.#hearOfSecond(message.proof, message.endpoint, now);
        break;
    }
  }

  /** We are the second machine with our key. The first is to hear of it by a word that this peer cannot make up. */
  #hearOfFirst(first: bigint | undefined, now: Millis): void {
    if (!this.#host.wordsOfCopies.take(this.node, now)) return;
    this.#host.emit({ kind: 'clonedOurselves', by: this.node });
    const proof = first === undefined ? undefined : this.#host.secondMachine.prove(first);
    if (proof) this.#say({ kind: 'second', proof, endpoint: undefined });
  }

  /** We are the first, if it is true. */
  #hearOfSecond(proof: Uint8Array, endpoint: Endpoint | undefined, now: Millis): void {
    if (this.#host.wordsOfCopies.take(this.node, now) && this.#host.secondMachine.isProven(proof)) {
      this.#host.emit({ kind: 'copied', by: this.node, endpoint });
    } else {
      this.#host.emit({ kind: 'refused', reason: 'no proof that our key was copied', from: this.path });
    }
  }

  /** To the machine that we know: what the second one with its key has signed, and where that was heard from. */
  passProof(proof: Uint8Array, endpoint: Endpoint): void {
    this.#say({ kind: 'second', proof, endpoint });
  }

  silent(): void {
    this.#isSilent = true;
    if (this.#standing === 'tunnel') this.#toOverlay('nothing was heard for 2 s');
    else if (this.#standing === 'session') this.#closeLink('nothing was heard for 2 s');
  }

  recovered(): void {
    this.#isSilent = false;
  }

  moved(endpoint: Endpoint): void {
    if (this.#carriage.kind !== 'direct') return;
    this.#carriage = { kind: 'direct', endpoint };
    this.#askAgainElsewhere();
    this.#host.emit({ kind: 'tunnelMoved', link: this.#link!, node: this.node, endpoint });
    this.#say({ kind: 'hello', observed: endpoint }); // it may not know that its address changed
  }

  measured(roundTrip: Millis): void {
    this.#roundTrip = roundTrip;
  }

  worn(localIndex: number, now: Millis): void {
    this.#sessions.wear(localIndex);
    this.tick(now);
  }

  /**
   * Every worker of the plane has the keys; an initiator sends from now on, and so the other side learns that it is
   * there. A responder can open what comes, and answers.
   */
  installed(localIndex: number, now: Millis): void {
    const session = this.#sessions.find(localIndex);
    if (!session) return;
    if (session.role === 'responder') {
      const answer = this.#answers.withIndex(localIndex)!;
      answer.isReady = true;
      this.#sendAnswer(answer, now);
      return;
    }
    this.#say({ kind: 'hello', observed: this.endpoint });
    if (this.#untriedWays?.localIndex === localIndex) this.#sayAlong(this.#untriedWays.paths);
    this.#stand();
  }

  /** Which of the ways leads to it is not known: it hears us along all, and speaks then. */
  #sayAlong(paths: readonly Path[]): void {
    this.#untriedWays = undefined;
    for (const path of paths) {
      if (path.kind === 'direct') this.#say({ kind: 'hello', observed: path.endpoint }, path.endpoint);
    }
  }

  /** A cookie for a datagram we sent. */
  cookieCame(octets: Uint8Array, mac1: Uint8Array, now: Millis): void {
    this.#asking.cookieCame(octets, mac1, now);
    const answer = this.#answers.sentWith(mac1);
    if (answer && !answer.session.isConfirmed) this.#sendAnswer(answer, now);
  }

  /**
   * Our own network is another. Whoever has a tunnel with us hears us from our new address at once, challenges it, and
   * then sends there; without this an idle tunnel would lead to the old address until its next probe.
   */
  networkChanged(now: Millis): void {
    if (this.#standing === 'tunnel') this.#showing = new Showing(this.#host.random.bytes(8), now);
    this.#show(now);
    this.#asking.startOver(now);
  }

  #show(now: Millis): void {
    const showing = this.#showing;
    if (showing?.isDue(now)) this.#say({ kind: 'probe', nonce: showing.nonce });
  }

  /**
   * We slept. The other side most likely gave the tunnel up long ago, or does so now: then both tell their routing of
   * the same end and of the same beginning. Keys too old for anything are gone with it; dials under way are dropped
   * without a word.
   */
  wokeUp(now: Millis): void {
    this.#asking.end('direct');
    this.#asking.end('overlay');
    this.#drop(this.#sessions.expire(now));
    if (this.#sessions.all.length === 0) this.#closeLink('this machine slept');
    else if (this.#standing === 'tunnel') this.hangUp('this machine slept');
  }

  // Ending

  /**
   * Ends the tunnel, the keys go on serving over the overlay; or ends the association when it is not a tunnel. Of a dial that
   * ends with it is told last: who hears of that while the tunnel still seems to stand would hang up what is left of it.
   */
  hangUp(reason: string): void {
    if (this.#standing === 'tunnel') {
      this.#say({ kind: 'part', reason });
      this.#toOverlay(reason);
      this.#asking.giveUp('direct', reason);
    } else {
      this.dismiss(reason);
    }
  }

  /** Says goodbye and ends all of it. */
  dismiss(reason: string): void {
    if (this.#sessions.isLive) this.#say({ kind: 'bye', reason });
    this.close(reason);
  }

  /** Ends all of it without a word; of dials that end with it is told last. */
  close(reason: string): void {
    this.#closeLink(reason);
    this.#challenge?.outcomes.drop();
    this.#challenge = undefined;
    this.#asking.giveUp('direct', reason);
    this.#asking.giveUp('overlay', reason);
  }

  #closeLink(reason: string): void {
    if (this.#link === undefined) return;
    this.#drop(
      this.#sessions.remove(() => true),
      false,
    );
    this.#fall(reason);
    this.#command({ kind: 'closeLink', link: this.#link });
    this.#link = undefined;
    this.#carriage = { kind: 'overlay' };
    this.#incarnation = undefined;
  }

  #toOverlay(reason: string): void {
    this.#fall(reason);
    this.#carry({ kind: 'overlay', node: this.node });
    this.#stand();
  }

  // Time

  get deadline(): Millis {
    const { deadline } = this.#sessions;
    const challenged = this.#challenge?.deadline ?? never;
    const shown = this.#showing?.deadline ?? never;
    return Math.min(deadline, this.#asking.deadline, this.#rekeyAt, this.#watch.deadline, challenged, shown);
  }

  tick(now: Millis): void {
    this.#drop(this.#sessions.expire(now));
    if (this.#link !== undefined && this.#sessions.all.length === 0) this.#closeLink('its keys are too old');
    else if (!this.#sessions.isLive) this.#fall('its keys are too old');
    this.#probe(now);
    this.#show(now);
    this.#asking.tick(now);
    if (now >= this.#rekeyAt) this.#rekey(now);
    if (now >= this.#watch.deadline) this.#look(now);
  }

  #look(now: Millis): void {
    if (this.#standing !== 'session' || this.#link === undefined) {
      this.#watch.stop();
      return;
    }
    const news = this.#watch.look(this.#host.counters(this.#link), now);
    if (news === 'probe') this.#say({ kind: 'probe', nonce: this.#host.random.bytes(8) });
    if (news !== 'lost') return;
    this.#isSilent = true;
    if (!this.#asking.has('overlay')) this.#rekeyOver({ kind: 'overlay', node: this.node }, undefined, now);
  }

  get #rekeyAt(): Millis {
    if (this.#asking.has(this.#carriage.kind, 'rekey')) return never;
    return Math.max(this.#rekeyNotBefore, this.#sessions.rekeyAt(this.#rekeyJitter));
  }

  #rekey(now: Millis): void {
    // End-to-end keys nobody uses are left to end: they come again when a packet wants them.
    if (this.#standing === 'session' && now - this.#host.counters(this.#link!).lastHeard > idleAfter) {
      this.#rekeyNotBefore = now + 5 * second;
      return;
    }
    this.#rekeyOver(this.path, this.endpoint, now, true);
  }

  /** `renews`: it asks in the session that is there. */
  #rekeyOver(path: Path, observed: Endpoint | undefined, now: Millis, renews = false): void {
    this.#rekeyNotBefore = now + 5 * second;
    this.#asking.begin('rekey', path.kind, [path], observed, now, renews);
  }

  /** New keys were asked for along a way that is no longer the way. */
  #askAgainElsewhere(): void {
    if (this.#asking.endRekeys()) this.#rekeyNotBefore = Number.NEGATIVE_INFINITY;
  }

  // Helpers

  #session(
    role: Session['role'],
    keyed: { readonly localIndex: number; split(send: Uint8Array, receive: Uint8Array): void },
    hello: Hello,
    remoteIndex: number,
    now: Millis,
  ): Session {
    const cipher: Cipher = hello.aesFaster && this.#host.aesFaster ? 'aes-256-gcm' : 'chacha20-poly1305';
    return {
      localIndex: keyed.localIndex,
      keys: new SessionKeys((send, receive) => keyed.split(send, receive)),
      role,
      incarnation: hello.incarnation,
      cipher,
      remoteIndex,
      remoteLanes: hello.lanes,
      bornAt: now,
      isConfirmed: role === 'initiator',
      isByLower: (role === 'initiator') === this.#host.node < this.node,
    };
  }

  #install(session: Session): void {
    const dropped = this.#sessions.add(session);
    this.#drop(dropped);
    this.#command({
      kind: 'installSession',
      session: {
        link: this.#link!,
        cipher: session.cipher,
        localIndex: session.localIndex,
        localLanes: this.#host.lanes,
        remoteIndex: session.remoteIndex,
        remoteLanes: session.remoteLanes,
        sendKey: session.keys.send,
        receiveKey: session.keys.receive,
        role: session.role,
      },
    });
  }

  #drop(sessions: readonly Session[], tellPlane = true): void {
    for (const session of sessions) {
      for (const initiation of this.#answers.forget(session)) this.#host.remember(initiation, undefined);
      this.#host.giveIndexBack(session.localIndex);
      if (tellPlane) this.#command({ kind: 'dropSession', link: this.#link!, localIndex: session.localIndex });
    }
  }

  /** Makes frames travel this way. */
  #carry(path: Path): void {
    const carriage: Carriage = path.kind === 'direct' ? path : { kind: 'overlay' };
    const before = this.#carriage;
    this.#carriage = carriage;
    if (this.#link === undefined) {
      this.#link = this.#host.takeLink(this);
      this.#command({ kind: 'openLink', link: this.#link, node: this.node, carriage });
    } else if (
      carriage.kind !== before.kind ||
      (before.kind === 'direct' && carriage.kind === 'direct' && !sameEndpoint(before.endpoint, carriage.endpoint))
    ) {
      this.#command({ kind: 'setCarriage', link: this.#link, carriage });
      this.#askAgainElsewhere();
      if (this.#standing === 'tunnel' && carriage.kind === 'direct') {
        this.#host.emit({ kind: 'tunnelMoved', link: this.#link, node: this.node, endpoint: carriage.endpoint });
      }
    }
  }

  /** Tells of what stands now, if that is more than was told. */
  #stand(): void {
    if (!this.#sessions.isLive || this.#link === undefined) return;
    const shared = { link: this.#link, node: this.node, certificate: this.#certificate! };
    const endpoint = this.endpoint;
    if (endpoint && this.#standing !== 'tunnel') this.#host.emit({ kind: 'tunnelUp', ...shared, endpoint });
    else if (!endpoint && this.#standing === 'none') this.#host.emit({ kind: 'sessionUp', ...shared });
    this.#standing = endpoint ? 'tunnel' : 'session';
    if (this.#standing === 'session') this.#watch.start();
  }

  /** Tells that what stood does so no more. */
  #fall(reason: string): void {
    this.#showing = undefined;
    if (this.#link === undefined || this.#standing === 'none') return;
    const kind = this.#standing === 'tunnel' ? 'tunnelDown' : 'sessionDown';
    this.#host.emit({ kind, link: this.#link, node: this.node, reason });
    this.#standing = 'none';
  }

  /** `to`: along another way than the one that is used. */
  #say(message: LinkMessage, to?: Endpoint): void {
    if (this.#link === undefined) return;
    this.#command({ kind: 'sendControl', link: this.#link, bytes: encodeLinkMessage(message), ...(to && { to }) });
  }

  /** Sends a handshake. */
  #send(to: Through, bytes: Uint8Array): void {
    if (to !== 'session') this.#command({ kind: 'sendDatagram', to, bytes });
    else if (this.#link !== undefined) {
      const inside = concatBytes(Uint8Array.of(ControlChannel.handshake), bytes);
      this.#command({ kind: 'sendControl', link: this.#link, bytes: inside });
    }
  }

  #command(command: PlaneCommand): void {
    this.#host.emit({ kind: 'plane', command });
  }
}

function ignore(): void {
  // Nothing is to be done when the one we know answers.
}
