import type { Random } from '../../random.js';
import { type Millis, never } from '../../time.js';
import { FrameType } from '../frame.js';
import type { TunPort, UdpPort } from './adapters.js';
import type { Aead } from './aead.js';
import { Answers } from './answers.js';
import type { Arena } from './arena.js';
import type { Carriage, PlaneCommand, PlaneEvent } from './contract.js';
import type { Drops } from './drops.js';
import { Glue } from './glue.js';
import type { DatagramGuard } from './guard.js';
import { Inbound } from './inbound.js';
import { wipeKeys } from './keys-under-way.js';
import { Link, Session, sessionLifetime } from './link.js';
import { LinkShared } from './link-shared.js';
import { Moment } from './moment.js';
import { Outbound } from './outbound.js';
import { Outbox } from './outbox.js';
import { type ProbeReport, Prober } from './prober.js';
import { RelayMeter } from './relay-meter.js';
import { SentHeads } from './sent-heads.js';
import { PlaneState, Way } from './state.js';
import { Transmitter } from './transmitter.js';
import { toUnderlay } from './underlay-address.js';

/** Sessions a link keeps (src/tunnel/session-list.ts). */
const sessionsPerLink = 6;
const sendAt = 2048;
const longestControl = 1400;
const burstsPerTurn = 8;
/** Keys that packets wait for may be taken or confirmed by another worker, which tells this one nothing. */
const retryInterval: Millis = 5;

/** Where something waits to be read. */
export const Waiting = { tun: 1, udp: 2, handshakes: 4, anywhere: 7 } as const;

/** A command, and the memory the workers share for what it opens. */
export interface PlaneOrder {
  readonly command: PlaneCommand;
  /** `openLink` and `installSession` only. */
  readonly shared?: SharedArrayBuffer;
}

export interface DataPlaneParts {
  /** Which of `workers` symmetric planes this one is; 0 also probes and speaks for the control plane. */
  readonly worker: number;
  readonly workers: number;
  readonly arena: Arena;
  /** Other planes work in it too: nothing is to stay there between two calls. */
  readonly sharesArena?: boolean;
  readonly tun: TunPort;
  readonly udp: UdpPort;
  /** Where handshake-class datagrams come in a queue of their own; else they come by `udp`, by which they leave. */
  readonly handshakes?: UdpPort;
  readonly aead: Aead;
  readonly random: Random;
  readonly drops: Drops;
  /** One for all workers of a plane; without it, its own. */
  readonly heads?: SentHeads;
  /** Over memory that all workers of a plane share; without it, its own. */
  readonly meter?: RelayMeter;
  /** Makes the checks of handshake-class datagrams for our public key; without it all pass. */
  readonly guard?: (publicKey: Uint8Array) => DatagramGuard;
  /** Carries a report to `probeReported` of worker 0; may be missing where there is one worker. */
  readonly toFirst?: (report: ProbeReport) => void;
  /** Called while the plane works: queue, do not call back. */
  readonly emit: (event: PlaneEvent) => void;
}

/**
 * One worker's share of the data plane: pure, driven by its shell. `now` is monotonic and one time in all workers.
 *
 *   kernel ─► tun ─► Outbound ─► Transmitter ─► Outbox ─► udp ─► underlay
 *   kernel ◄─ tun ◄─ Glue ◄───── Inbound ◄─────────────── udp ◄─ underlay
 *                                   └─ relayed: sealed again where it lies ─► udp
 */
export class DataPlane {
  readonly #parts: DataPlaneParts;
  readonly #state = new PlaneState();
  readonly #outbox: Outbox;
  readonly #transmitter: Transmitter;
  readonly #prober: Prober;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #way = new Way();
  readonly #meter: RelayMeter;
  #carried = false;
  /** Packets that wait for keys are looked at from then on; the first that ever waits at once, which sets the rest. */
  #retryAt: Millis = Number.NEGATIVE_INFINITY;
  /** When the oldest session ends, or earlier. */
  #expiresAt: Millis = never;
  /** As it was found last. */
  readonly #deadline = new Moment();

  constructor(parts: DataPlaneParts) {
    const { arena, tun, udp, drops, emit } = parts;
    this.#parts = parts;
    this.#outbox = new Outbox(arena, udp, drops);
    const heads = parts.heads ?? new SentHeads();
    const answers = new Answers(arena, tun);
    this.#transmitter = new Transmitter(arena, this.#outbox, this.#state, drops, emit, heads);
    const toFirst = parts.worker === 0 ? undefined : (parts.toFirst ?? (() => {}));
    this.#prober = new Prober(arena, this.#transmitter, parts.random, drops, emit, toFirst);
    this.#outbound = new Outbound(arena, tun, this.#state, this.#transmitter, drops, emit, answers);
    this.#meter = parts.meter ?? new RelayMeter(new SharedArrayBuffer(RelayMeter.byteLength(1)), 0);
    const glue = new Glue(arena, tun, drops);
    this.#inbound = new Inbound(
      arena,
      parts.sharesArena ?? false,
      udp,
      parts.handshakes,
      this.#state,
      glue,
      this.#outbox,
      this.#transmitter,
      this.#prober,
      drops,
      emit,
      heads,
      answers,
      this.#meter,
    );
  }

  /**
   * Moves packets both ways until nothing waits or the budgets are used; how many reads found something. `waiting` says
   * where something waits, so that no system call is spent on the rest. `isLone`: after a rest; then one read each way is all, since
   * looking whether more waits would only delay what came. It will be said that it does.
   */
  work(now: Moment, waiting: number = Waiting.anywhere, isLone = false): number {
    let fromUdp = 0;
    if ((waiting & Waiting.udp) !== 0) fromUdp = this.#inbound.drain(isLone ? 1 : burstsPerTurn, now);
    // Our kernel answers many a lone packet while it is handed over, as it does an echo request: that waits by now.
    const readsTun = (waiting & Waiting.tun) !== 0 || (fromUdp > 0 && this.#inbound.deliveredOne);
    if ((waiting & Waiting.handshakes) !== 0) fromUdp += this.#inbound.drainHandshakes(now);
    if (fromUdp > 0) {
      if (this.#inbound.confirmedAny) {
        this.#inbound.confirmedAny = false;
        this.#prober.wake(now.millis);
        this.#outbound.retry(now);
      }
      this.#outbox.flush();
    }
    const fromTun = readsTun ? this.#outbound.drain(now, isLone ? 1 : undefined) : 0;
    if (fromTun > 0) this.#outbox.flush();
    this.#carried = fromTun > 0 || (fromUdp > 0 && this.#inbound.carried);
    return fromTun + fromUdp;
  }

  /** The last `work` found packets, and not only what nodes say to each other. */
  get carried(): boolean {
    return this.#carried;
  }

  /** What can be done for the next lone packet before it comes. */
  prime(): void {
    this.#inbound.lastKey?.prime();
    this.#transmitter.lastKey?.prime();
  }

  tick(now: Moment): void {
    this.#prober.tick(now);
    if (now.millis >= this.#expiresAt) this.#expireSessions(now);
    if (this.#outbound.isWaiting || now.millis >= this.#outbound.keptDeadline) this.#outbound.retry(now);
    if (this.#inbound.isWaiting && now.millis >= this.#inbound.joinDeadline.millis) this.#inbound.expire(now);
    this.#inbound.endRest(now);
    this.#outbox.flush();
    this.#retryAt = now.millis + retryInterval;
  }

  deadline(): Millis {
    return this.#findDeadline().millis;
  }

  /** How long until then, as `Moment.until` says it. */
  wait(now: Moment, most: Millis): Millis {
    return now.until(this.#findDeadline(), most);
  }

  #findDeadline(): Moment {
    const retry = this.#outbound.isWaiting ? this.#retryAt : never;
    const halves = this.#inbound.isWaiting ? this.#inbound.joinDeadline.millis : never;
    const kept = this.#outbound.keptDeadline;
    const deadline = this.#deadline;
    deadline.millis = Math.min(this.#prober.deadline(), this.#expiresAt, retry, halves, kept, this.#inbound.restEnd);
    return deadline;
  }

  /** While true the socket of handshakes is not to be waited for: `deadline` says when it is looked at again. */
  get restsFromHandshakes(): boolean {
    return this.#inbound.restEnd !== never;
  }

  /** Worker 0 only: what another worker heard of its probes. */
  probeReported(report: ProbeReport): void {
    this.#prober.reported(report);
    this.#outbox.flush();
  }

  apply(order: PlaneOrder, now: Moment): void {
    const { command } = order;
    switch (command.kind) {
      case 'openLink':
        return this.#openLink(command.link, command.node, command.carriage, order.shared, now);
      case 'closeLink':
        return this.#closeLink(command.link);
      case 'setCarriage':
        return this.#setCarriage(command.link, command.carriage, now);
      case 'installSession':
        return this.#install(command.session, order.shared, now);
      case 'dropSession':
        return this.#dropSession(command.link, command.localIndex);
      case 'patchRoutes':
        this.#state.table.patchNodes(command.nodes);
        for (const { prefix, length } of command.removedPrefixes) this.#state.table.removePrefix(prefix, length);
        for (const route of command.prefixes) this.#state.table.setPrefix(route);
        this.#outbound.retry(now);
        return this.#outbox.flush();
      case 'sendControl':
        return this.#sendControl(command, now);
      case 'sendDatagram':
        return this.#sendDatagram(command, now);
      case 'setSources':
        this.#state.links.get(command.link)?.setSources(command.prefixes);
        return;
      case 'setProbing':
        return this.#prober.setPace(command.link, command.pace);
      case 'configure':
        return this.#configure(command, now);
    }
  }

  /** Wipes every key. The plane is not to be used again. */
  wipe(): void {
    for (const link of this.#state.links.values()) for (const session of link.sessions.splice(0)) session.wipe();
    this.#state.lanes.clear();
  }

  #configure(command: Extract<PlaneCommand, { kind: 'configure' }>, now: Moment): void {
    this.#state.configure(command);
    this.#inbound.guard = this.#parts.guard?.(command.publicKey);
    this.#meter.limit(command.relay === 'limited' ? command.relayLimitBitsPerSecond / 8 : undefined, now);
  }

  #openLink(id: number, node: number, carriage: Carriage, shared: SharedArrayBuffer | undefined, now: Moment): void {
    if (!shared || this.#state.links.has(id)) throw new Error(`link ${id} cannot be opened`);
    const link = new Link(id, node, this.#sharedOf(id, shared), addressOf(carriage));
    this.#state.addLink(link);
    this.#prober.watch(link, now.millis);
  }

  #sharedOf(id: number, shared: SharedArrayBuffer): LinkShared {
    return new LinkShared(shared, this.#parts.worker, () => this.#prober.usedAgain(id));
  }

  #closeLink(id: number): void {
    const link = this.#state.links.get(id);
    if (!link) return;
    for (const session of link.sessions.splice(0)) this.#forget(session);
    this.#state.removeLink(link);
    this.#prober.forget(link);
    if (link.shared.close(this.#parts.workers)) this.#parts.emit({ kind: 'closed', link: id });
  }

  #setCarriage(id: number, carriage: Carriage, now: Moment): void {
    const link = this.#state.links.get(id);
    if (!link) return;
    const address = addressOf(carriage);
    const same = address && link.address && address.every((octet, i) => octet === link.address![i]);
    if (same) return;
    const left = link.address;
    link.address = address;
    if (this.#parts.worker === 0) this.#prober.sentElsewhere(link, left, now.millis);
  }

  #install(
    install: Extract<PlaneCommand, { kind: 'installSession' }>['session'],
    shared: SharedArrayBuffer | undefined,
    now: Moment,
  ): void {
    const link = this.#state.links.get(install.link);
    if (!link || !shared) return;
    const { aead, worker, workers, emit } = this.#parts;
    const session = new Session(install, link, shared, aead, worker, workers, now);
    link.sessions.unshift(session);
    for (const old of link.sessions.splice(sessionsPerLink)) this.#forget(old);
    for (const lane of session.lanes) this.#state.lanes.set(lane.index, lane);
    this.#expiresAt = Math.min(this.#expiresAt, now.millis + sessionLifetime);
    if (session.completedInstall) {
      wipeKeys(install);
      emit({ kind: 'installed', link: link.id, localIndex: session.localIndex });
    }
    this.#prober.wake(now.millis);
    this.#outbound.retry(now);
    this.#outbox.flush();
  }

  #dropSession(id: number, localIndex: number): void {
    const link = this.#state.links.get(id);
    const at = link?.sessions.findIndex((session) => session.localIndex === localIndex) ?? -1;
    if (link && at >= 0) for (const session of link.sessions.splice(at, 1)) this.#forget(session);
  }

  /** Keys end with their session, also where no newer ones came. */
  #expireSessions(now: Moment): void {
    this.#expiresAt = never;
    for (const { sessions } of this.#state.links.values()) {
      for (let i = sessions.length - 1; i >= 0; i--) {
        const session = sessions[i]!;
        if (session.isExpired(now)) for (const old of sessions.splice(i, 1)) this.#forget(old);
        else this.#expiresAt = Math.min(this.#expiresAt, session.installedAt + sessionLifetime);
      }
    }
  }

  #forget(session: Session): void {
    for (const lane of session.lanes) this.#state.lanes.delete(lane.index);
    session.wipe();
  }

  #sendControl({ link: id, bytes, to }: Extract<PlaneCommand, { kind: 'sendControl' }>, now: Moment): void {
    const link = this.#state.links.get(id);
    const session = link?.sending(now);
    if (!link || !session || bytes.length > longestControl) return this.#parts.drops.count('no-session');
    this.#parts.arena.bytes.set(bytes, sendAt);
    const { address } = link;
    if (to) link.address = toUnderlay(to);
    this.#sendAlong(link, session, bytes.length, now);
    link.address = address;
  }

  /** A control frame of so many octets, which lies at `sendAt`. */
  #sendAlong(link: Link, session: Session, length: number, now: Moment): void {
    const way = this.#way;
    way.link = link;
    way.session = session;
    way.via = link.address ? link : this.#state.nextHop(link.node, now, undefined);
    way.viaSession = way.via?.sending(now);
    this.#transmitter.send(way, FrameType.control, 0, sendAt, length);
    this.#outbox.flush();
  }

  #sendDatagram(command: Extract<PlaneCommand, { kind: 'sendDatagram' }>, now: Moment): void {
    const { to, bytes, fresh } = command;
    if (bytes.length > longestControl) return this.#parts.drops.count('too-long');
    if (to.kind === 'overlay') {
      this.#parts.arena.bytes.set(bytes, sendAt);
      this.#transmitter.sendHandshake(to.node, sendAt, bytes.length, now);
      return this.#outbox.flush();
    }
    const address = toUnderlay(to.endpoint);
    if (!address) return this.#parts.drops.count('send-failed');
    if (fresh) return this.#parts.udp.sendFresh(address, bytes);
    this.#parts.arena.bytes.set(bytes, sendAt);
    if (!this.#parts.udp.sendCuttable(address, sendAt, bytes.length)) this.#parts.drops.count('send-failed');
  }
}

function addressOf(carriage: Carriage): Uint8Array | undefined {
  return carriage.kind === 'direct' ? toUnderlay(carriage.endpoint) : undefined;
}
