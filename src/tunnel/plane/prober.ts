import { isIpv4Bytes } from '../../addr/ip.js';
import { Bucket } from '../../bucket.js';
import type { Random } from '../../random.js';
import { type Millis, never, second } from '../../time.js';
import type { UnderlayAddress } from './adapters.js';
import type { Arena } from './arena.js';
import type { LinkId, PlaneEvent } from './contract.js';
import type { Drops } from './drops.js';
import type { Link } from './link.js';
import { Liveness } from './liveness.js';
import { Moment } from './moment.js';
import { PathSize } from './path-size.js';
import { frameOverhead, type Transmitter } from './transmitter.js';
import { toEndpoint } from './underlay-address.js';

/**
 * A probe frame's plaintext (PROTOCOL.md, The plane):
 *
 *   kind u8 │ zero u8 │ size u16 │ sequence u32 │ token 8 octets │ padding
 *
 * Answers repeat size, sequence and token. A challenge's token is random and its answer must come from the address that
 * was challenged; size is the whole datagram's, of size probes only.
 */
export const ProbeKind = { ping: 1, pong: 2, challenge: 3, answer: 4, size: 5, passed: 6 } as const;
const probeLength = 16;
const probeAt = 128;

/** Own tuning: see Liveness. */
const mostSlack = 500;
/** One that got lost is soon repeated; but whoever makes us challenge others' addresses gets no more out of a tunnel than this. */
const challengeEvery: Millis = 50;
const challenges = { perSecond: 5, burst: 3 };
/** Answers that a worker hands to the first for one tunnel: far more than are asked for, few enough for the threads' queues. */
const handedAnswers = { perSecond: 200, burst: 50 };
/** Whoever sends our frames on from addresses of its own has us challenged there, and this often may make us measure anew. */
const ownMoves = { perSecond: 1, burst: 3 };
const reportEvery: Millis = second;
/**
 * A tunnel that was sent another way, or followed its peer twice in this time, is not called back for so long, and by chance up to
 * as much longer: where both ways work, frames of the peer that has not moved yet still come the old way, and two that follow each
 * other would change places once a round trip. Who moves away and back is followed at once.
 */
const staysFor: Millis = second;

/** What a worker hands to the first one, which alone starts probes. */
export type ProbeReport =
  /** An answer to a probe, 16 octets, when it was received and from where. */
  | {
      readonly kind: 'answer';
      readonly link: LinkId;
      readonly answer: Uint8Array;
      readonly source: UnderlayAddress;
      readonly at: Millis;
    }
  /** The tunnel's newest frame came from another address than its own. */
  | { readonly kind: 'elsewhere'; readonly link: LinkId; readonly source: UnderlayAddress; readonly at: Millis }
  /** A tunnel that had come to rest is used again. */
  | { readonly kind: 'used'; readonly link: LinkId }
  /** The other end hears us from elsewhere. */
  | { readonly kind: 'moved'; readonly link: LinkId; readonly at: Millis };

interface Watched {
  readonly link: Link;
  readonly liveness: Liveness;
  readonly pathSize: PathSize;
  /** Challenged, always with the same token: on a long path the next challenge goes out before the first answer comes. */
  candidate: { readonly address: UnderlayAddress; readonly token: Uint8Array } | undefined;
  readonly challenges: Bucket;
  readonly handedAnswers: Bucket;
  challengedAt: Millis;
  /** The token of the last challenge that came: repetitions have the same. */
  heardToken: Uint8Array;
  readonly ownMoves: Bucket;
  /** Where it was before it moved, and until when frames from there mean nothing. */
  left: { readonly address: UnderlayAddress; readonly until: Millis } | undefined;
  movedAt: Millis;
  reportedAt: Millis;
  reported: { rtt: number; jitter: number; loss: number; mtu: number } | undefined;
}

/**
 * Liveness, path measurement, path size and roaming of the tunnels. Only worker 0 starts probes; every worker answers.
 */
export class Prober {
  readonly #arena: Arena;
  readonly #transmitter: Transmitter;
  readonly #random: Random;
  readonly #drops: Drops;
  readonly #emit: (event: PlaneEvent) => void;
  readonly #watched = new Map<LinkId, Watched>();
  /** Undefined in the first worker itself. */
  readonly #toFirst: ((report: ProbeReport) => void) | undefined;
  #deadline: Millis = never;

  constructor(
    arena: Arena,
    transmitter: Transmitter,
    random: Random,
    drops: Drops,
    emit: (event: PlaneEvent) => void,
    toFirst: ((report: ProbeReport) => void) | undefined,
  ) {
    this.#arena = arena;
    this.#transmitter = transmitter;
    this.#random = random;
    this.#drops = drops;
    this.#emit = emit;
    this.#toFirst = toFirst;
  }

  watch(link: Link, now: Millis): void {
    this.#watched.set(link.id, {
      link,
      liveness: new Liveness(now, this.#toFirst ? 0 : this.#random.below(mostSlack)),
      pathSize: new PathSize(now),
      candidate: undefined,
      challenges: new Bucket(challenges.perSecond, challenges.burst),
      handedAnswers: new Bucket(handedAnswers.perSecond, handedAnswers.burst),
      challengedAt: Number.NEGATIVE_INFINITY,
      heardToken: new Uint8Array(8),
      ownMoves: new Bucket(ownMoves.perSecond, ownMoves.burst),
      left: undefined,
      movedAt: Number.NEGATIVE_INFINITY,
      reportedAt: Number.NEGATIVE_INFINITY,
      reported: undefined,
    });
    this.#deadline = now;
  }

  forget(link: Link): void {
    this.#watched.delete(link.id);
  }

  setPace(link: LinkId, pace: 'fast' | 'slow'): void {
    this.#watched.get(link)?.liveness.setPace(pace);
    this.#deadline = Number.NEGATIVE_INFINITY;
  }

  /** A packet or relayed frame was sent on a tunnel at rest. The sooner that is seen, the sooner its silence is. */
  usedAgain(link: LinkId): void {
    if (this.#toFirst) this.#toFirst({ kind: 'used', link });
    else this.#deadline = Number.NEGATIVE_INFINITY;
  }

  /** A session may have become usable. */
  wake(now: Millis): void {
    this.#deadline = Math.min(this.#deadline, now);
  }

  /** It was sent another way. `left`: where its frames went before. */
  sentElsewhere(link: Link, left: UnderlayAddress | undefined, now: Millis): void {
    const watched = this.#watched.get(link.id);
    if (!watched) return;
    if (left) this.#leave(watched, left, now);
    this.#pathChanged(watched, now);
  }

  #leave(watched: Watched, address: UnderlayAddress, now: Millis): void {
    watched.left = { address, until: now + staysFor + this.#random.below(staysFor) };
    watched.movedAt = now;
  }

  /** The path is another: its size and liveness are measured anew. */
  #pathChanged(watched: Watched, now: Millis): void {
    const { link } = watched;
    watched.liveness.pathChanged(now);
    watched.reported = undefined;
    watched.reportedAt = Number.NEGATIVE_INFINITY;
    watched.pathSize.restart(now);
    link.shared.pathSize = watched.pathSize.size;
    this.#deadline = now;
  }

  deadline(): Millis {
    return this.#deadline;
  }

  tick(now: Moment): void {
    if (now.millis < this.#deadline) return;
    this.#deadline = never;
    if (this.#toFirst) return;
    const wanted = [...this.#watched.values()].some(({ liveness }) => liveness.wantsProbe(now.millis));
    for (const watched of this.#watched.values()) this.#tickLink(watched, wanted, now);
  }

  /** `othersToo`: some tunnel is probed now. */
  #tickLink(watched: Watched, othersToo: boolean, now: Moment): void {
    const { link, liveness, pathSize } = watched;
    this.#heedDevice(watched, now.millis);
    const session = link.sending(now);
    if (!link.address || !session) {
      // `wake` comes when it can send; another worker may have heard the frame that confirms a session.
      if (link.address) this.#deadline = Math.min(this.#deadline, now.millis + 500);
      return;
    }
    // First, so that what another worker sends while we look is noticed one way or the other.
    if (!liveness.isBusy) link.shared.rests = true;
    const news = liveness.look(now.millis, link.shared.lastHeard, link.shared.used);
    if (liveness.isBusy) link.shared.rests = false;
    if (news) {
      link.shared.suspected = news !== 'recovered';
      this.#emit({ kind: news, link: link.id });
    }
    if (liveness.wantsProbe(now.millis) || (othersToo && liveness.takesProbe(now.millis))) {
      this.#write(ProbeKind.ping, 0, liveness.probeSent(now.millis));
      this.#transmitter.sendProbe(link, session, link.address, probeAt, probeLength);
    }
    const alive = !link.shared.suspected && link.shared.lastHeard > 0;
    // Over IPv6, Ethernet has 20 octets less: a longer probe would only fail in our own kernel.
    const most = isIpv4Bytes(link.address) ? 1472 : 1452;
    for (const size of pathSize.due(now.millis, alive, liveness.isBusy, liveness.answerTime)) {
      if (size > most) continue;
      this.#write(ProbeKind.size, size, 0);
      this.#arena.bytes.fill(0, probeAt + probeLength, probeAt + size - frameOverhead);
      this.#transmitter.sendProbe(link, session, link.address, probeAt, size - frameOverhead);
    }
    link.shared.pathSize = pathSize.size;
    this.#report(watched, now.millis);
    const soonest = Math.min(liveness.deadline(), alive ? pathSize.deadline(liveness.answerTime) : never);
    this.#deadline = Math.min(this.#deadline, Math.max(soonest, now.millis + 5));
  }

  /** A worker's frame was too long for our own device, and it says so there: the path is searched anew. */
  #heedDevice({ link, pathSize }: Watched, now: Millis): void {
    if (link.shared.pathSize < pathSize.size) pathSize.restart(now);
  }

  #report(watched: Watched, now: Millis): void {
    const { link, liveness, pathSize, reported } = watched;
    if (liveness.rtt === undefined || !liveness.isMeasured || now - watched.reportedAt < reportEvery) return;
    const current = { rtt: liveness.rtt, jitter: liveness.jitter, loss: liveness.loss, mtu: pathSize.size };
    // What the path's own jitter explains is no news: each report is a metric, told on to every neighbour.
    const noise = Math.max(1, reported ? reported.rtt / 10 : 0, 2 * current.jitter);
    const changed =
      !reported ||
      reported.mtu !== current.mtu ||
      Math.abs(reported.rtt - current.rtt) > noise ||
      Math.abs(reported.loss - current.loss) > 0.02;
    if (!changed) return;
    watched.reportedAt = now;
    watched.reported = current;
    this.#emit({ kind: 'measured', link: link.id, ...current });
  }

  /**
   * An opened probe frame of `length` octets at `at`. Answers go where the link's frames go; a challenge's too, since who
   * challenges wants to hear us from where it heard us.
   */
  received(link: Link, at: number, length: number, source: UnderlayAddress, now: Moment): void {
    if (length < probeLength) return;
    const { bytes } = this.#arena;
    const kind = bytes[at]!;
    if (kind === ProbeKind.ping) this.#echo(link, at, ProbeKind.pong, now);
    else if (kind === ProbeKind.challenge) {
      this.#echo(link, at, ProbeKind.answer, now);
      this.#heardFromElsewhere(link, bytes.subarray(at + 8, at + probeLength), now.millis);
    } else if (kind === ProbeKind.size) this.#echo(link, at, ProbeKind.passed, now);
    else
      this.#answered({
        kind: 'answer',
        link: link.id,
        answer: bytes.slice(at, at + probeLength),
        source: new Uint8Array(source),
        at: now.millis,
      });
  }

  /** What another worker received. */
  reported(report: ProbeReport): void {
    const link = this.#watched.get(report.link)?.link;
    if (report.kind === 'answer') this.#answered(report);
    else if (report.kind === 'used') this.usedAgain(report.link);
    else if (report.kind === 'moved') this.#movedOurselves(report.link, report.at);
    else if (link) this.heardElsewhere(link, report.source, Moment.at(report.at));
  }

  #answered(report: Extract<ProbeReport, { kind: 'answer' }>): void {
    // Every worker may hear an answer: receive offload can hand a burst of one lane to the worker of another.
    const watched = this.#watched.get(report.link);
    const { answer, at } = report;
    if (!watched) return;
    if (this.#toFirst) {
      if (watched.handedAnswers.take(at)) return this.#toFirst(report);
      return this.#drops.count('control-rate');
    }
    const view = new DataView(answer.buffer);
    const kind = answer[0]!;
    if (kind === ProbeKind.pong) {
      watched.liveness.answered(view.getUint32(4), at);
      // At once, not at the next probe: routing counts an unmeasured tunnel as slow, and one at rest is probed rarely.
      this.#report(watched, at);
      // Both may want their next one sooner than was thought, now that the round trip is known.
      const { liveness, pathSize } = watched;
      this.#deadline = Math.min(this.#deadline, liveness.deadline(), pathSize.deadline(liveness.answerTime));
    } else if (kind === ProbeKind.passed) {
      this.#heedDevice(watched, at);
      watched.pathSize.passed(view.getUint16(2), at);
      watched.link.shared.pathSize = watched.pathSize.size;
    } else if (kind === ProbeKind.answer) this.#challengeAnswered(watched, answer, report.source, at);
  }

  /** The newest frame of a tunnel came from another address: challenge it there. */
  heardElsewhere(link: Link, source: UnderlayAddress, now: Moment): void {
    const watched = this.#watched.get(link.id);
    const session = link.sending(now);
    if (!watched || !session) return;
    if (now.millis < watched.challengedAt + challengeEvery) return;
    if (this.#toFirst) {
      watched.challengedAt = now.millis;
      return this.#toFirst({ kind: 'elsewhere', link: link.id, source: new Uint8Array(source), at: now.millis });
    }
    if (watched.left && now.millis < watched.left.until && isSame(watched.left.address, source)) return;
    if (!watched.challenges.take(now.millis)) return;
    watched.challengedAt = now.millis;
    const known = watched.candidate && isSame(watched.candidate.address, source) ? watched.candidate : undefined;
    const candidate = known ?? { address: new Uint8Array(source), token: this.#random.bytes(8) };
    watched.candidate = candidate;
    this.#write(ProbeKind.challenge, 0, 0);
    this.#arena.bytes.set(candidate.token, probeAt + 8);
    this.#transmitter.sendProbe(link, session, candidate.address, probeAt, probeLength);
  }

  /**
   * We are challenged: the other end hears us from another address than before, so the path is another for us too, though
   * our frames go where they went.
   */
  #heardFromElsewhere(link: Link, token: Uint8Array, now: Millis): void {
    const watched = this.#watched.get(link.id);
    if (!watched || watched.heardToken.every((octet, i) => octet === token[i])) return;
    if (!watched.ownMoves.take(now)) return;
    watched.heardToken.set(token);
    if (this.#toFirst) this.#toFirst({ kind: 'moved', link: link.id, at: now });
    else this.#movedOurselves(link.id, now);
  }

  #movedOurselves(link: LinkId, now: Millis): void {
    const watched = this.#watched.get(link);
    if (watched) this.#pathChanged(watched, now);
  }

  #challengeAnswered(watched: Watched, answer: Uint8Array, source: UnderlayAddress, now: Millis): void {
    const { link, candidate } = watched;
    if (!candidate || !link.address) return;
    for (let i = 0; i < 8; i++) if (answer[8 + i] !== candidate.token[i]) return;
    if (!isSame(source, candidate.address)) return;
    watched.candidate = undefined;
    watched.challengedAt = Number.NEGATIVE_INFINITY;
    if (isSame(link.address, candidate.address)) return; // it was sent there meanwhile
    if (now < watched.movedAt + staysFor) this.#leave(watched, link.address, now);
    else watched.left = undefined;
    watched.movedAt = now;
    link.address = candidate.address;
    this.#pathChanged(watched, now);
    this.#emit({ kind: 'moved', link: link.id, endpoint: toEndpoint(candidate.address) });
  }

  #echo(link: Link, at: number, kind: number, now: Moment): void {
    const session = link.sending(now);
    if (!link.address || !session) return;
    const { bytes } = this.#arena;
    bytes.copyWithin(probeAt, at, at + probeLength);
    bytes[probeAt] = kind;
    this.#transmitter.sendProbe(link, session, link.address, probeAt, probeLength);
  }

  #write(kind: number, size: number, sequence: number): void {
    const { bytes, view } = this.#arena;
    bytes.fill(0, probeAt, probeAt + probeLength);
    bytes[probeAt] = kind;
    view.setUint16(probeAt + 2, size);
    view.setUint32(probeAt + 4, sequence);
  }
}

function isSame(a: UnderlayAddress, b: UnderlayAddress): boolean {
  for (let i = 0; i < 18; i++) if (a[i] !== b[i]) return false;
  return true;
}
