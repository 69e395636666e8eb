import type { IpBytes } from '../addr/ip.js';
import { nodePrefix } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import { equalBytes } from '../bytes.js';
import { type Millis, never } from '../time.js';
import { Admission, importRefusal, signedOctets } from './admission.js';
import type { PacketReader } from './codec/packet-reader.js';
import type { UpdateFields } from './codec/packet-writer.js';
import type { Interner, RouteChange, RouteChoice, RouteRow } from './contract.js';
import { chain, type Destination, type Proof, type Source } from './destination.js';
import { none, ourselves } from './hot-fields.js';
import { type Interface, listCovers } from './interface.js';
import { addMetric, infinity, type Metric } from './metric.js';
import type { Neighbour } from './neighbour.js';
import { mayBeRouter } from './next-hop.js';
import type { Outlet } from './outlet.js';
import { Ripening } from './ripening.js';
import { Flag } from './route-matrix.js';
import { Selection } from './selection.js';
import { isNewer, seqnoPlus } from './seqno.js';
import { SideUpdates } from './side-updates.js';
import { expiryOf, type Tables, tenthsOf } from './tables.js';
import { spec } from './tuning.js';

/** More router-ids than this are looked through at every sweep: there is room for 65,535. */
const manyRouters = 48_000;
/** Destinations that are to be looked at again are looked through no oftener than this. */
const reviewPause: Millis = 50;
/** Said things that a newer version makes void. */
const saidOfVersion = Flag.proofKnown | Flag.awaiting;

/**
 * Routes come in, are selected among, and go out: acquisition, selection, propagation, requests (RFC 8966 §3.5 to §3.8).
 *
 *        update, retraction, expiry, cost, certificate
 *                          |
 *                      reselect ──── betterSince ──► review after the dwell
 *                          |
 *      lost ──► held ──► gone (all have acknowledged)      found, changed
 *        |                                                      |
 *      retraction, seqno request                    triggered or lazy updates
 */
export class Routes {
  readonly admission: Admission;
  readonly #tables: Tables;
  readonly #selection: Selection;
  readonly #side: SideUpdates;
  #version = 0;
  /** Destinations whose entry in the forwarding table may have changed. */
  readonly #touched = new Set<Destination>();
  /** Whose way has changed while somebody waits for a newer seqno. */
  readonly #moved = new Set<Destination>();
  /** For which a better way is known, and when to look at them again; each once, however often its way changes. */
  readonly #reviews = new Map<Destination, Millis>();
  #reviewAt: Millis = never;
  /** Lost and not let go, with when they were lost. */
  readonly #held = new Map<Destination, Millis>();
  #heldDeadline: Millis = never;
  /** Retracted on LANs, where nobody acknowledges, with when even who heard nothing of it believes in it no more. */
  readonly #unheard = new Map<Destination, Millis>();
  readonly #lazy = new Set<Destination>();
  readonly #ripening: Ripening;
  #lazyAt: Millis = never;
  #sweepAt: Millis;
  /** When prefixes of LANs last made room for others. */
  #roomAt: Millis = Number.NEGATIVE_INFINITY;
  #routersKept = 256;

  constructor(tables: Tables, interner: Interner | undefined, now: Millis) {
    this.#tables = tables;
    this.admission = new Admission(tables, interner);
    this.#selection = new Selection(tables.matrix, tables.columns, tables.tuning);
    this.#side = new SideUpdates(tables);
    this.#ripening = new Ripening(tables.tuning, tables.random, now);
    this.#sweepAt = now + tables.tuning.sweepInterval;
  }

  // ---- coming in

  /** The Update on which the reader stands. */
  updateReceived(reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations } = this.#tables;
    if (reader.wildcard) {
      this.retractAllOf(neighbour, now);
      return;
    }
    const { numbering } = this.#tables;
    const { epoch, seqno } = numbering;
    if (reader.metric === infinity) {
      this.admission.takenBack(reader, neighbour);
      if (reader.signatureLength > 0) this.admission.shown(reader, neighbour, now);
      if (numbering.epoch !== epoch || numbering.seqno !== seqno) this.#overtook(now);
      const destination = destinations.find(reader.prefix, reader.prefixLength);
      if (destination) this.#retract(destination, neighbour, now);
      return;
    }
    if (!neighbour.interface.lan && this.#side.take(reader, neighbour, now)) return;
    const isOwn = this.#tables.numbering.isOurs(reader.routerIdHigh, reader.routerIdLow);
    // Ours, gone round; only one that is ahead of us is of interest, and `judge` looks for that.
    if (isOwn && neighbour.interface.lan) {
      this.#tables.reports.dropped('own-router-id');
      return;
    }
    const believed = this.admission.judge(reader, neighbour, now);
    if (numbering.epoch !== epoch || numbering.seqno !== seqno) this.#overtook(now);
    if (this.admission.isAskedFor) this.#ask(reader.prefix, reader.prefixLength, neighbour, now);
    if (!neighbour.interface.lan) this.#remindOwner(reader, neighbour, now);
    if (this.admission.isBeyondShare) this.#retract(this.admission.destination!, neighbour, now);
    if (isOwn || !believed) return;
    const { destination, router, egress, isUnproven } = this.admission;
    const nextHop = neighbour.interface.lan ? reader.nextHop : neighbour.address;
    if (!destination) return;
    const { row } = destination;
    if (!isUnproven && this.#keepsSelected(destination, neighbour, router, reader, now)) return;
    const flags = matrix.flags(row, neighbour.column);
    const known = (flags & Flag.present) !== 0;
    const isRefresh =
      known &&
      (flags & Flag.unproven) === (isUnproven ? Flag.unproven : 0) &&
      matrix.refmetric(row, neighbour.column) === reader.metric &&
      matrix.seqno(row, neighbour.column) === reader.seqno &&
      matrix.router(row, neighbour.column) === router &&
      matrix.egress(row, neighbour.column) === egress;
    if (!known) neighbour.routes++;
    matrix.set(row, neighbour.column, reader.metric, reader.seqno, router, reader.interval, egress);
    matrix.lower(row, neighbour.column, Flag.asked | Flag.unproven);
    if (isUnproven) matrix.raise(row, neighbour.column, Flag.unproven);
    this.#expireAfter(destination, neighbour, reader.interval, now);
    if (neighbour.interface.lan) this.#noteNextHop(destination, neighbour, nextHop);
    const good = destination.selected >= 0 && this.#hasGoodRoute(destination);
    const behind = good && this.#selection.isBehind(destination, neighbour.column);
    if (!behind && (!isRefresh || destination.selected === none)) this.reselect(destination, now);
    this.#watchExpiry(destination, neighbour);
    if (!isUnproven) this.#askNewerIfBetter(destination, neighbour, router, reader, now);
  }

  /**
   * An owner that announces its prefix behind what it once signed has lost its disk: its own signature tells it where
   * to go on from. Without it, it would be unfeasible everywhere until sources are forgotten.
   */
  #remindOwner(reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    const { destinations, routers } = this.#tables;
    if (neighbour.node === undefined || reader.routerIdHigh >>> 8 !== neighbour.node) return;
    const destination = destinations.find(reader.prefix, reader.prefixLength);
    if (!destination || destination.owner !== neighbour.node) return;
    const proof = destination.newestProof();
    if (!proof) return;
    const { router, seqno } = proof;
    const [high, low] = [routers.high(router), routers.low(router)];
    const sameEpoch = high === reader.routerIdHigh && low === reader.routerIdLow;
    const epoch = (reader.routerIdHigh & 0xff) * 2 ** 32 + reader.routerIdLow;
    if (sameEpoch ? !isNewer(seqno, reader.seqno) : routers.epoch(router) < epoch) return;
    if (!neighbour.requests.take(now)) return;
    const { bytes, length } = destination.prefix;
    const { signature } = proof;
    neighbour.outlet.request({ kind: 'proof', prefix: bytes, length, seqno, high, low, signature }, this.#soon(now));
  }

  /**
   * An unfeasible update for the very route we use, while there is no other: it may be ignored (RFC 8966 §3.5.3), and is,
   * since the route stays loop-free as long as the metric we know is the one we answer for; a newer seqno is asked for.
   * It does not keep the route alive: the expiry is not moved.
   */
  #keepsSelected(
    destination: Destination,
    neighbour: Neighbour,
    router: number,
    reader: PacketReader,
    now: Millis,
  ): boolean {
    if (destination.selected !== neighbour.column || destination.router !== router) return false;
    if (destination.isFeasible(router, reader.seqno, reader.metric)) return false;
    this.#requestSeqno(destination, router, neighbour, now);
    this.#selection.rank(destination);
    const [first, second] = this.#selection.best;
    return (first === neighbour.column ? second : first) === none;
  }

  /** An unfeasible route that would be better: one request to that neighbour (RFC 8966 §3.8.2.2). */
  #askNewerIfBetter(
    destination: Destination,
    neighbour: Neighbour,
    router: number,
    reader: PacketReader,
    now: Millis,
  ): void {
    if (destination.selected === neighbour.column || destination.selected < 0) return;
    if (destination.isFeasible(router, reader.seqno, reader.metric)) return;
    if (destination.owner !== 0 && router !== destination.newestRouter) return;
    if (this.#selection.isWorthwhile(addMetric(reader.metric, neighbour.cost), destination.metric)) {
      this.#requestSeqno(destination, router, neighbour, now);
    }
  }

  /**
   * The same, when not the other route became better but ours worse: its neighbour has nothing new to say until the next
   * full table, which in tunnels is minutes away.
   */
  #askForBetter(destination: Destination, now: Millis): void {
    const { unfeasible, unfeasibleRank } = this.#selection;
    const neighbour = this.#tables.columns[unfeasible];
    if (!neighbour || destination.selected < 0 || this.#selection.leftLately(destination, unfeasible, now)) return;
    if (!this.#selection.isWorthwhile(unfeasibleRank, destination.metric)) return;
    this.#requestSeqno(destination, this.#tables.matrix.router(destination.row, unfeasible), neighbour, now);
  }

  #requestSeqno(destination: Destination, router: number, neighbour: Neighbour, now: Millis): void {
    const source = destination.source(router);
    if (!source) return;
    const seqno = seqnoPlus(source.seqno, 1);
    // Marked as forwarded: what is merely better is asked for once, not repeated.
    if (!this.#tables.pending.note(destination.row, router, seqno, neighbour.column, now)) return;
    this.#sendSeqnoRequest(destination, router, seqno, spec.requestHops, neighbour, now);
  }

  #retract(destination: Destination, neighbour: Neighbour, now: Millis): void {
    const { matrix } = this.#tables;
    const { row } = destination;
    if (!matrix.has(row, neighbour.column, Flag.present)) return;
    if (matrix.refmetric(row, neighbour.column) === infinity) return;
    matrix.setRefmetric(row, neighbour.column, infinity);
    this.#forgetSoon(destination, neighbour, now);
    const wasSelected = destination.selected === neighbour.column;
    this.reselect(destination, now);
    // Was it an old retraction overtaken on the way? One question to who sent it settles that.
    if (wasSelected && destination.selected === none && neighbour.isReachable && !neighbour.interface.lan) {
      this.#ask(destination.prefix.bytes, destination.prefix.length, neighbour, now);
    }
  }

  retractAllOf(neighbour: Neighbour, now: Millis): void {
    this.admission.allTakenBack(neighbour);
    for (const destination of this.#tables.destinations) this.#retract(destination, neighbour, now);
  }

  /** The neighbour is gone or began anew: its routes with it. */
  forgetRoutesOf(neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations } = this.#tables;
    this.admission.allTakenBack(neighbour);
    for (const destination of destinations) {
      if (!matrix.has(destination.row, neighbour.column, Flag.present)) continue;
      this.#flush(destination, neighbour);
      destination.left?.forget(now, neighbour.column);
      if (destination.selected === neighbour.column || destination.isToldBy(neighbour.column)) {
        this.reselect(destination, now);
      }
    }
    neighbour.routesDeadline = never;
  }

  /** That it was left lately counts no more: it was for what its path was like. */
  forgetLeaving(neighbour: Neighbour, now: Millis): void {
    for (const destination of this.#tables.destinations) {
      destination.left?.forget(now, neighbour.column);
    }
    this.costChanged(neighbour, now);
  }

  /** The neighbour's cost changed: what uses it, or would. */
  costChanged(neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations } = this.#tables;
    for (const destination of destinations) {
      const { row } = destination;
      if (!matrix.has(row, neighbour.column, Flag.present)) continue;
      const affected =
        destination.selected === neighbour.column ||
        destination.selected === none ||
        destination.toldThird === none ||
        destination.isToldBy(neighbour.column) ||
        addMetric(matrix.refmetric(row, neighbour.column), neighbour.cost) < destination.metric;
      if (affected) this.reselect(destination, now);
    }
  }

  #noteNextHop(destination: Destination, neighbour: Neighbour, nextHop: IpBytes): void {
    const { row } = destination;
    const before = neighbour.nextHops.get(row);
    if (equalBytes(nextHop, neighbour.address)) {
      if (before) neighbour.nextHops.delete(row);
    } else if (!before || !equalBytes(before, nextHop)) neighbour.nextHops.set(row, nextHop.slice());
    else return;
    if (destination.isToldBy(neighbour.column)) {
      destination.toldFirst = destination.toldSecond = destination.toldThird = none; // the columns are the same, the forwarding entry is not
      this.#touched.add(destination);
    }
  }

  // ---- expiry

  #expireAfter(destination: Destination, neighbour: Neighbour, interval: number, now: Millis): void {
    this.#tables.matrix.setExpiry(destination.row, neighbour.column, expiryOf(this.#tables, interval, now));
  }

  #watchExpiry(destination: Destination, neighbour: Neighbour): void {
    const at = this.#askAt(destination, neighbour);
    if (at >= neighbour.routesDeadline) return;
    neighbour.routesDeadline = at;
    this.#tables.timers.by(at);
  }

  /** When a route is to be asked for again, or else expires. */
  #askAt(destination: Destination, neighbour: Neighbour): Millis {
    const { matrix, epochStart } = this.#tables;
    const { row } = destination;
    const expiry = epochStart + 100 * matrix.expiry(row, neighbour.column);
    if (destination.selected !== neighbour.column || matrix.has(row, neighbour.column, Flag.asked)) return expiry;
    return expiry - 10 * matrix.interval(row, neighbour.column);
  }

  /** Routes of this neighbour not heard again in time: first infinite, then forgotten (RFC 8966 §3.5.3). */
  expireRoutesOf(neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations } = this.#tables;
    const tenths = tenthsOf(this.#tables, now);
    let deadline = never;
    for (const destination of destinations) {
      const { row } = destination;
      if (!matrix.has(row, neighbour.column, Flag.present)) continue;
      if (matrix.expiry(row, neighbour.column) <= tenths) {
        if (matrix.refmetric(row, neighbour.column) === infinity) {
          this.#flush(destination, neighbour);
          continue;
        }
        matrix.setRefmetric(row, neighbour.column, infinity);
        this.#expireAfter(destination, neighbour, matrix.interval(row, neighbour.column), now);
        this.#forgetSoon(destination, neighbour, now);
        this.reselect(destination, now);
      } else if (now >= this.#askAt(destination, neighbour)) {
        matrix.raise(row, neighbour.column, Flag.asked);
        this.#ask(destination.prefix.bytes, destination.prefix.length, neighbour, now);
      }
      deadline = Math.min(deadline, this.#askAt(destination, neighbour));
    }
    neighbour.routesDeadline = deadline;
  }

  /** An infinite route outside the overlay, which takes a place of its gateway's: no longer than what was said of it counts. */
  #forgetSoon(destination: Destination, neighbour: Neighbour, now: Millis): void {
    if (destination.owner !== 0) return;
    const { matrix } = this.#tables;
    const latest = tenthsOf(this.#tables, now + spec.sourceTime);
    if (matrix.expiry(destination.row, neighbour.column) <= latest) return;
    matrix.setExpiry(destination.row, neighbour.column, latest);
    this.#watchExpiry(destination, neighbour);
  }

  #flush(destination: Destination, neighbour: Neighbour): void {
    this.#tables.matrix.lower(destination.row, neighbour.column, Flag.present | Flag.asked | Flag.unproven);
    neighbour.nextHops.delete(destination.row);
    neighbour.routes--;
  }

  // ---- selecting

  reselect(destination: Destination, now: Millis): void {
    if (destination.own !== undefined) {
      this.#forgetReview(destination);
      this.#apply(destination, ourselves, now);
      return;
    }
    this.#selection.rank(destination);
    const before = destination.betterSince;
    const column = this.#selection.choose(destination, now);
    this.#noteOthers(destination, column);
    if (destination.betterSince === 0) this.#forgetReview(destination);
    else if (before === 0) this.#review(destination, now);
    this.#apply(destination, column, now);
    if (destination.left) this.#reviewLeft(destination, destination.left.worseByItselfAt, now);
    if (this.#selection.hasUnfeasible && !this.#hasGoodRoute(destination)) this.#starve(destination, now);
    else if (this.#selection.unfeasible !== none) this.#askForBetter(destination, now);
  }

  /**
   * A route is selected, and nothing is wrong with its neighbour. Where not, a newer seqno may make another route
   * usable.
   */
  #hasGoodRoute({ selected }: Destination): boolean {
    return selected === ourselves || (selected >= 0 && !this.#tables.columns[selected]!.isSuspected);
  }

  /** The two best beside the chosen one. */
  #noteOthers(destination: Destination, chosen: number): void {
    destination.second = destination.third = none;
    for (const column of this.#selection.best) {
      if (column === chosen || column === none) continue;
      if (destination.second === none) destination.second = column;
      else if (destination.third === none) destination.third = column;
    }
  }

  /**
   * What we have just announced is the new bound of what is feasible. The forwarding table takes a spare next hop
   * before we are asked, so one that is not feasible any more has to go: it may reach the destination by us.
   */
  #recheckSpares(destination: Destination): void {
    const { second, third } = destination;
    const isGone = (column: number) => column !== none && !this.#selection.isUsable(destination, column);
    if (!isGone(second) && !isGone(third)) return;
    this.#selection.rank(destination);
    this.#noteOthers(destination, destination.selected);
    this.#touched.add(destination);
  }

  /** Looks again when ways left before may be returned to, if only because what is in use stays as it is. */
  #reviewLeft(destination: Destination, at: Millis, now: Millis): void {
    if (at === never || at <= now || this.#reviews.has(destination)) return;
    this.#reviews.set(destination, at);
    this.#reviewAt = Math.min(this.#reviewAt, at);
  }

  /** Looks again after the dwell; a quarter of it by chance, so that two nodes do not change their minds together. */
  #review(destination: Destination, now: Millis): void {
    const { dwell } = this.#tables.tuning;
    const at = destination.betterSince + dwell * (1 + this.#tables.random.unit() / 4);
    this.#reviews.set(destination, Math.max(at, now));
    this.#reviewAt = Math.min(this.#reviewAt, Math.max(at, now));
  }

  /** Nothing is better any more. Of a review among others only the moment stays, which finds nothing to do. */
  #forgetReview(destination: Destination): void {
    destination.betterSince = 0;
    if (this.#reviews.delete(destination) && this.#reviews.size === 0) this.#reviewAt = never;
  }

  #apply(destination: Destination, column: number, now: Millis): void {
    const { matrix, numbering, routers, node } = this.#tables;
    const wasSelected = destination.selected;
    const { router: oldRouter, seqno: oldSeqno, egress: oldEgress } = destination;
    destination.selected = column;
    this.#touched.add(destination);
    if (column === none) {
      if (wasSelected !== none) this.#lost(destination, now);
      return;
    }
    const { row } = destination;
    if (column === ourselves) {
      destination.router = routers.internOwn(numbering.routerId);
      destination.seqno = numbering.seqno;
      destination.metric = destination.own!;
      destination.egress = node;
    } else {
      destination.router = matrix.router(row, column);
      destination.seqno = matrix.seqno(row, column);
      destination.metric = this.#selection.metricOf(destination, column);
      const neighbour = this.#tables.columns[column]!;
      destination.egress = destination.owner || (neighbour.interface.lan ? node : matrix.egress(row, column));
    }
    if (wasSelected !== column) destination.chosenMetric = destination.metric;
    destination.left?.uses(column, destination.metric, now);
    if (column >= 0) this.#watchExpiry(destination, this.#tables.columns[column]!);
    destination.heldUntil = 0;
    const isNew = wasSelected === none;
    if (isNew) destination.foundAt = Math.ceil(now);
    const newRouter = destination.router !== oldRouter;
    if (newRouter && !isNew) destination.noteUnused(oldRouter, now);
    if (isNew || newRouter || destination.seqno !== oldSeqno || destination.egress !== oldEgress) {
      this.#newVersion(destination, now);
    }
    if (isNew) this.#ripening.found(now);
    if (isNew ? this.#ripens(destination) : destination.ripeAt !== 0) this.#ripen(destination, now);
    else {
      if (isNew) this.#announce(destination, this.#soon(now));
      else if (newRouter) this.#announceUrgently(destination, this.#soon(now));
      else this.#announceMetric(destination, now);
      if (!isNew && wasSelected !== column) this.#retell(destination, wasSelected, column, now);
    }
    for (const asker of this.#tables.pending.satisfied(destination)) {
      const neighbour = this.#tables.columns[asker];
      if (neighbour) this.#tell(destination, neighbour.outlet, this.#soon(now));
    }
    if (wasSelected !== column && this.#tables.pending.size > 0) this.#moved.add(destination);
  }

  /** Found in the overlay: what we originate, and import from a LAN, is told as soon as it is known. */
  #ripens({ selected }: Destination): boolean {
    return selected >= 0 && !this.#tables.columns[selected]!.interface.lan;
  }

  #ripen(destination: Destination, now: Millis): void {
    if (this.#ripens(destination)) {
      this.#ripening.add(destination, this.#tables.columns[destination.selected]!.cost, now);
      return;
    }
    this.#ripening.forget(destination);
    this.#announce(destination, this.#soon(now));
  }

  #newVersion(destination: Destination, now: Millis): void {
    const { matrix, columns, interfaces, destinations } = this.#tables;
    destinations.setVersion(destination.row, ++this.#version);
    // What was on its way says the old thing; who has not acknowledged it is told the new one.
    for (const { outlet } of interfaces.values()) {
      if (matrix.has(destination.row, outlet.column, Flag.awaiting)) this.#tell(destination, outlet, this.#soon(now));
    }
    for (let column = 0; column < columns.length; column++) {
      // Perhaps it was told of the route and has not heard the retraction: should we have nothing to tell it now, that
      // is said.
      if (matrix.has(destination.row, column, Flag.awaiting)) matrix.raise(destination.row, column, Flag.announced);
      matrix.lower(destination.row, column, saidOfVersion);
    }
  }

  #lost(destination: Destination, now: Millis): void {
    const { matrix, tuning } = this.#tables;
    destination.noteUnused(destination.router, now);
    destination.metric = destination.sentMetric = infinity;
    this.#forgetReview(destination);
    this.#ripening.forget(destination);
    this.#lazy.delete(destination);
    this.#newVersion(destination, now);
    let announced = false;
    for (const at of this.#tables.interfaces.values()) {
      if (!matrix.has(destination.row, at.outlet.column, Flag.announced)) continue;
      announced = true;
      this.#tellLost(destination, at, at.outlet, now);
    }
    for (const { interface: at, outlet } of this.#toldAlone(destination)) {
      announced = true;
      this.#tellLost(destination, at, outlet, now);
    }
    if (announced) destination.heldUntil = now + tuning.holdTime;
    if (this.#mayBeUnheard(destination, now)) {
      destination.heldUntil = Math.max(destination.heldUntil, Math.ceil(this.#unheard.get(destination)!));
    } else if (!announced) return;
    this.#held.set(destination, now);
    this.#heldDeadline = Math.min(this.#heldDeadline, destination.heldUntil);
  }

  #tellLost(destination: Destination, at: Interface, outlet: Outlet, now: Millis): void {
    this.#mayMiss(destination, at, outlet, now);
    outlet.urgentUpdate(this.#tables.matrix, destination.row, this.#soon(now));
  }

  /** Of a retraction: on a LAN somebody may go on believing the old, if anybody was there to. */
  #mayMiss(destination: Destination, at: Interface, outlet: Outlet, now: Millis): void {
    const longest = Math.max(this.#tables.tuning.holdTime, at.believedFor);
    if (outlet.reliable || !at.hadNeighbourSince(now - longest)) return;
    this.#unheard.set(destination, Math.max(this.#unheard.get(destination) ?? 0, now + longest));
  }

  /** The LAN routers that asked, and were told what split horizon keeps from all. */
  #toldAlone({ row }: Destination): Neighbour[] {
    const { matrix, columns } = this.#tables;
    return columns.filter(
      (neighbour): neighbour is Neighbour =>
        neighbour !== undefined &&
        neighbour.interface.lan !== undefined &&
        matrix.has(row, neighbour.outlet.column, Flag.announced) &&
        !matrix.has(row, neighbour.interface.outlet.column, Flag.announced),
    );
  }

  /** Soon, but not quite at once: what comes together leaves together. */
  #soon(now: Millis): Millis {
    return now + this.#tables.tuning.urgentDelay * (1 + this.#tables.random.unit());
  }

  #announce(destination: Destination, at: Millis): void {
    destination.sentMetric = destination.metric;
    this.#lazy.delete(destination);
    for (const { outlet } of this.#tables.interfaces.values()) this.#tell(destination, outlet, at);
  }

  /** Another router-id: old news of the other would mislead (RFC 8966 §3.7.2). */
  #announceUrgently(destination: Destination, at: Millis): void {
    destination.sentMetric = destination.metric;
    this.#lazy.delete(destination);
    const { interfaces, matrix } = this.#tables;
    for (const { outlet } of interfaces.values()) outlet.urgentUpdate(matrix, destination.row, at);
  }

  /** Noticeable changes of the metric are told soon, small ones some time, none not at all (RFC 8966 §3.7.2). */
  #announceMetric(destination: Destination, now: Millis): void {
    const { sentMetric, metric } = destination;
    const change = Math.abs(metric - sentMetric);
    if (change === 0) {
      this.#lazy.delete(destination);
      return;
    }
    const { tuning, random } = this.#tables;
    if (change >= Math.max(tuning.switchMargin, sentMetric >> 3)) {
      this.#announce(destination, now + tuning.triggeredDelay * (1 + random.unit()));
      // They go by what they were told then, for up to its hold time, and hear nothing of what is told to all.
      for (const neighbour of this.#toldAlone(destination)) this.#answer(destination, neighbour, now);
    } else if (!this.#lazy.has(destination)) {
      this.#lazy.add(destination);
      if (this.#lazyAt === never) this.#lazyAt = now + tuning.lazyDelay * (1 + random.unit());
    }
  }

  /** Another next hop: who is it now need not hear of it from us any more, who was it may again. */
  #retell(destination: Destination, before: number, after: number, now: Millis): void {
    const at = now + this.#tables.tuning.triggeredDelay * (1 + this.#tables.random.unit());
    for (const column of [before, after]) {
      const neighbour = column >= 0 ? this.#tables.columns[column] : undefined;
      if (neighbour?.interface.splitsHorizon) this.#tell(destination, neighbour.interface.outlet, at);
    }
  }

  #tell(destination: Destination, outlet: Outlet, at: Millis): void {
    outlet.update(this.#tables.matrix, destination.row, at);
  }

  // ---- requests

  /**
   * No feasible route is left, or only by a neighbour under suspicion, but unfeasible ones are: a newer seqno would do
   * (RFC 8966 §3.8.2.1). Asked at the first suspicion, so that the answer is there long before the tunnel is given up.
   */
  #starve(destination: Destination, now: Millis): void {
    for (const neighbour of this.#tables.columns) {
      if (!neighbour) continue;
      this.#askStarving(destination, routerOf(destination), neighbour, now);
      const its = this.#tables.matrix.router(destination.row, neighbour.column);
      if (its !== routerOf(destination)) this.#askStarving(destination, its, neighbour, now);
    }
  }

  #askStarving(destination: Destination, router: number, neighbour: Neighbour, now: Millis): void {
    const source = router === none ? undefined : destination.source(router);
    if (!source || !this.#mayHaveNewer(destination, router, neighbour)) return;
    const { pending } = this.#tables;
    pending.note(destination.row, router, seqnoPlus(source.seqno, 1), undefined, now);
    const entry = pending.get(destination.row, router);
    if (!entry || entry.asked.has(neighbour.column)) return;
    entry.asked.add(neighbour.column);
    this.#sendSeqnoRequest(destination, router, entry.seqno, spec.requestHops, neighbour, now);
  }

  /**
   * Of a neighbour with a route: by the router-id in use or just lost, and by that of its own route. They differ where a
   * prefix has several originators, and then the one that is lost has nothing to say of the ways to the others.
   */
  #mayHaveNewer(destination: Destination, router: number, neighbour: Neighbour): boolean {
    const { matrix } = this.#tables;
    const { row, owner } = destination;
    if (!neighbour.isReachable || !matrix.has(row, neighbour.column, Flag.present)) return false;
    if (matrix.refmetric(row, neighbour.column) === infinity) return false;
    return router === routerOf(destination) || (owner === 0 && router === matrix.router(row, neighbour.column));
  }

  #sendSeqnoRequest(
    destination: Destination,
    router: number,
    seqno: number,
    hops: number,
    neighbour: Neighbour,
    now: Millis,
  ): void {
    const { routers } = this.#tables;
    const { bytes, length } = destination.prefix;
    const [high, low] = [routers.high(router), routers.low(router)];
    neighbour.outlet.request({ kind: 'seqno', prefix: bytes, length, seqno, hops, high, low }, this.#soon(now));
  }

  #ask(prefix: IpBytes, length: number, neighbour: Neighbour, now: Millis): void {
    neighbour.outlet.request({ kind: 'route', prefix: prefix.slice(), length }, this.#soon(now));
  }

  #asksTooMuch(neighbour: Neighbour, now: Millis): boolean {
    if (neighbour.requests.take(now)) return false;
    this.#tables.reports.dropped('too-many-requests');
    return true;
  }

  /** RFC 8966 §3.8.1.1. */
  routeRequested(reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    if (this.#asksTooMuch(neighbour, now)) return;
    const { destinations, tuning } = this.#tables;
    if (reader.wildcard) {
      const { outlet, interface: there } = neighbour;
      const kind = outlet.reliable ? 'asked' : 'periodic';
      // Only a dump that will be sent moves the next: who asks often is not put off for longer.
      if (outlet.dumps(kind) || (there.lan && !there.dumps.take(now))) return;
      const at = Math.max(now, neighbour.dumpAfter);
      neighbour.dumpAfter = at + tuning.dumpPause;
      outlet.dump(kind, at + tuning.urgentDelay);
      return;
    }
    const destination = destinations.find(reader.prefix, reader.prefixLength);
    if (!destination) {
      const prefix = reader.prefix.slice();
      neighbour.outlet.request({ kind: 'retraction', prefix, length: reader.prefixLength }, this.#soon(now));
      return;
    }
    this.#answer(destination, neighbour, now);
  }

  /** Tells one neighbour, with the proof, whatever split horizon says. */
  #answer(destination: Destination, neighbour: Neighbour, now: Millis): void {
    const { matrix } = this.#tables;
    matrix.raise(destination.row, neighbour.outlet.column, Flag.forced);
    matrix.lower(destination.row, neighbour.outlet.column, Flag.proofKnown);
    this.#tell(destination, neighbour.outlet, this.#soon(now));
  }

  /** RFC 8966 §3.8.1.2. */
  seqnoRequested(reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    if (this.#asksTooMuch(neighbour, now)) return;
    const { destinations, routers, numbering, pending } = this.#tables;
    const destination = destinations.find(reader.prefix, reader.prefixLength);
    if (!destination || destination.selected === none) return;
    const { router } = destination;
    const same = routers.high(router) === reader.routerIdHigh && routers.low(router) === reader.routerIdLow;
    const ahead = (reader.seqno - destination.seqno) & 0xffff;
    if (!same || ahead === 0 || ahead >= 0x8000) {
      this.#answer(destination, neighbour, now);
      return;
    }
    if (destination.selected === ourselves) {
      pending.note(destination.row, router, seqnoPlus(numbering.seqno, 1), neighbour.column, now);
      if (numbering.increment(now)) this.renumbered(now);
      return;
    }
    if (reader.hopCount < 2) return;
    const via = this.#forwardTo(destination, neighbour);
    const hops = reader.hopCount - 1;
    if (!via || !pending.note(destination.row, router, reader.seqno, neighbour.column, now, hops)) return;
    pending.passedTo(destination.row, router, via.column);
    this.#sendSeqnoRequest(destination, router, reader.seqno, hops, via, now);
  }

  /** To be called when all of an event is done, and ways that changed twice stand where they stood. */
  followMoved(now: Millis): void {
    if (this.#moved.size === 0) return;
    for (const destination of this.#moved) this.#followRequest(destination, now);
    this.#moved.clear();
  }

  /**
   * A neighbour waits for a newer seqno, and our way to the originator has changed: what answers the request we sent
   * the old way will not be our route, so it goes the new way too.
   */
  #followRequest(destination: Destination, now: Millis): void {
    const { pending, columns } = this.#tables;
    const entry = pending.get(destination.row, destination.router);
    const via = columns[destination.selected];
    if (!via || !entry || entry.hops < 1 || entry.askers.has(via.column) || entry.passedTo === via.column) return;
    if (isNewer(entry.seqno, destination.seqno)) {
      pending.passedTo(destination.row, destination.router, via.column);
      this.#sendSeqnoRequest(destination, destination.router, entry.seqno, entry.hops, via, now);
    }
  }

  /** One neighbour, not the asker: with a feasible route, or else with any. */
  #forwardTo(destination: Destination, asker: Neighbour): Neighbour | undefined {
    const { matrix, columns } = this.#tables;
    this.#selection.rank(destination);
    const candidates = [destination.selected, ...this.#selection.best];
    const feasible = candidates.find((column) => column >= 0 && column !== asker.column);
    if (feasible !== undefined) return columns[feasible];
    return columns.find(
      (other) =>
        other !== undefined &&
        other !== asker &&
        other.isReachable &&
        matrix.has(destination.row, other.column, Flag.present) &&
        matrix.refmetric(destination.row, other.column) < infinity,
    );
  }

  #requestsDue(now: Millis): void {
    const { pending, destinations, columns } = this.#tables;
    for (const entry of pending.due(now)) {
      const destination = destinations.at(entry.row);
      const starving = destination !== undefined && !this.#hasGoodRoute(destination);
      if (!destination || !entry.own || !starving || entry.tries >= spec.requestTries) {
        pending.forget(entry);
        continue;
      }
      pending.again(entry, now);
      for (const neighbour of columns) {
        if (!neighbour || !this.#mayHaveNewer(destination, entry.router, neighbour)) continue;
        this.#sendSeqnoRequest(destination, entry.router, entry.seqno, spec.requestHops, neighbour, now);
      }
    }
  }

  // ---- our own

  originate(prefix: Prefix, owner: number, metric: Metric, now: Millis): void {
    const { destinations, matrix, columns } = this.#tables;
    let destination = destinations.find(prefix.bytes, prefix.length);
    if (!destination) {
      destination = destinations.add(destinations.prefixOf(prefix.bytes, prefix.length), owner);
      matrix.reserve(destinations.rows, columns.length);
      matrix.clearRow(destination.row);
    }
    if (destination.owner === 0) this.admission.letOutOurselves(destination);
    destination.own = metric;
    this.reselect(destination, now);
  }

  withdraw(prefix: Prefix, now: Millis): void {
    const destination = this.#tables.destinations.find(prefix.bytes, prefix.length);
    if (destination?.own === undefined) return;
    destination.own = undefined;
    this.reselect(destination, now);
  }

  /** Our seqno or router-id is another. */
  renumbered(now: Millis): void {
    for (const destination of this.#tables.destinations) {
      if (destination.own !== undefined) this.reselect(destination, now);
    }
  }

  /** We moved past what we had announced before: everybody is to know at once. */
  #overtook(now: Millis): void {
    this.renumbered(now);
    for (const destination of this.#tables.destinations) {
      if (destination.own !== undefined) this.#announce(destination, this.#soon(now));
    }
  }

  // ---- certificates

  certificateHeld(destination: Destination | undefined, node: number, now: Millis): void {
    for (const { prefix, neighbour } of this.admission.takeGranted(node)) {
      if (this.#tables.columns[neighbour.column] === neighbour) this.#ask(prefix.bytes, prefix.length, neighbour, now);
    }
    if (!destination && node !== 0) {
      const home = nodePrefix(this.#tables.network, node);
      for (const neighbour of this.#tables.columns) {
        if (neighbour?.hasUntold) this.#ask(home.bytes, home.length, neighbour, now);
      }
    }
    const candidates = [...this.admission.foreign].filter((candidate) => candidate.hasProofBy(node));
    if (destination?.hasProofBy(node)) candidates.unshift(destination);
    const isStillProven = this.admission.isStillProven(candidates, node);
    for (const candidate of candidates) {
      const hasPlace = this.admission.certificateHeld(candidate, node, isStillProven, now);
      this.#reprove(candidate, node);
      if (!hasPlace) this.#dropProven(candidate, node, now);
      this.#askUnproven(candidate, node, now);
      this.reselect(candidate, now);
    }
  }

  /** Others brought signatures that were false, in the place of theirs perhaps, or too many to be checked. */
  #askUnproven(destination: Destination, node: number, now: Millis): void {
    const { matrix, columns } = this.#tables;
    const { row, prefix } = destination;
    for (const neighbour of columns) {
      if (!neighbour || neighbour.interface.lan || !matrix.has(row, neighbour.column, Flag.present)) continue;
      if (!matrix.has(row, neighbour.column, Flag.unproven)) continue;
      const signer = destination.owner || matrix.egress(row, neighbour.column);
      if (signer === node) this.#ask(prefix.bytes, prefix.length, neighbour, now);
    }
  }

  /** What waited for its certificate is beyond its gateway's share: nothing of it is kept, as if it came now. */
  #dropProven(destination: Destination, node: number, now: Millis): void {
    const { matrix, columns } = this.#tables;
    const { row } = destination;
    for (const neighbour of columns) {
      if (!neighbour || neighbour.interface.lan || matrix.egress(row, neighbour.column) !== node) continue;
      if (!matrix.has(row, neighbour.column, Flag.present) || !matrix.has(row, neighbour.column, Flag.unproven))
        continue;
      this.admission.refuseProven(destination, node, neighbour, now);
      this.#flush(destination, neighbour);
    }
  }

  /** Our own certificate grants something else: what we let out of the overlay is announced, or retracted, anew. */
  ownGrantsChanged(now: Millis): void {
    for (const destination of this.admission.foreign) {
      if (destination.selected !== none && destination.egress === this.#tables.node) {
        this.#announce(destination, this.#soon(now));
      }
    }
  }

  /**
   * We pass packets on from now on, or no longer: what we have from one neighbour is told to the others anew, or
   * retracted.
   */
  relaysChanged(now: Millis): void {
    for (const destination of this.#tables.destinations) {
      if (destination.selected >= 0) this.#announce(destination, this.#soon(now));
    }
  }

  /** A LAN's policy is another: what it refuses now goes. */
  policyChanged(neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations } = this.#tables;
    const { ownAddress, lan } = neighbour.interface;
    const { policy } = lan!;
    for (const destination of destinations) {
      const { row } = destination;
      if (!matrix.has(row, neighbour.column, Flag.present)) continue;
      const nextHop = neighbour.nextHops.get(row) ?? neighbour.address;
      if (!importRefusal(policy, destination.prefix) && mayBeRouter(nextHop, ownAddress, policy)) continue;
      this.#flush(destination, neighbour);
      this.reselect(destination, now);
    }
  }

  /** Which routes of the row its proofs speak for now. */
  #reprove(destination: Destination, node: number): void {
    const { matrix, columns } = this.#tables;
    const { row } = destination;
    for (const neighbour of columns) {
      if (!neighbour || neighbour.interface.lan || !matrix.has(row, neighbour.column, Flag.present)) continue;
      const signer = destination.owner || matrix.egress(row, neighbour.column);
      if (signer !== node) continue;
      const router = matrix.router(row, neighbour.column);
      const proof = destination.proof(router, matrix.seqno(row, neighbour.column), signer);
      if (proof?.valid) matrix.lower(row, neighbour.column, Flag.unproven);
      else matrix.raise(row, neighbour.column, Flag.unproven);
    }
  }

  certificateLost(destination: Destination | undefined, node: number, now: Millis): void {
    for (const candidate of destination ? [destination, ...this.admission.foreign] : this.admission.foreign) {
      candidate.dropProofs((proof) => proof.signer === node);
      this.#reprove(candidate, node);
      this.reselect(candidate, now);
    }
  }

  // ---- going out

  /** Fills an Update for this outlet; see OutletHost. The feasibility distance is set before it leaves. */
  describe(row: number, outlet: Outlet, periodic: boolean, fields: UpdateFields, now: Millis) {
    const { matrix, routers, tuning, interfaces, columns } = this.#tables;
    const destination = this.#tables.destinations.at(row);
    if (!destination) return 'nothing';
    const at = columns[outlet.column]?.interface ?? interfaces.get(outlet.interface)!;
    const flags = matrix.flags(row, outlet.column);
    const speaks =
      destination.selected !== none && destination.metric < infinity && this.#mayTell(destination, at, outlet, flags);
    // Awaiting: a retraction that was sent and not acknowledged is sent again.
    if (!speaks && (flags & (Flag.announced | Flag.forced | Flag.awaiting)) === 0) return 'nothing';
    fields.prefix = destination.prefix.bytes;
    fields.prefixLength = destination.prefix.length;
    fields.interval = Math.min(0xffff, Math.round(at.updateInterval / 10));
    fields.seqno = destination.seqno;
    fields.nextHop4 = at.lan?.ownIpv4;
    fields.egress = fields.signature = undefined;
    if (!speaks) {
      fields.metric = infinity;
      if (flags & Flag.announced) this.#mayMiss(destination, at, outlet, now);
      return 'surely';
    }
    fields.metric = destination.metric;
    fields.routerIdHigh = routers.high(destination.router);
    fields.routerIdLow = routers.low(destination.router);
    if (destination.selected !== ourselves) {
      const { router, seqno, metric } = destination;
      if (destination.noteSent(router, seqno, metric, now, tuning.maxSources)) this.#recheckSpares(destination);
    }
    if (at.lan) return periodic ? 'once' : 'surely';
    if (destination.owner === 0) fields.egress = destination.egress;
    if (!this.#knowsProof(destination, outlet, flags)) {
      fields.signature = this.#proofOf(destination);
      return 'surely';
    }
    return periodic ? 'once' : 'surely';
  }

  #mayTell(destination: Destination, at: Interface, outlet: Outlet, flags: number): boolean {
    if (destination.ripeAt !== 0 && (flags & Flag.forced) === 0) return false;
    const via = destination.selected >= 0 ? this.#tables.columns[destination.selected] : undefined;
    if (via && via.interface === at && at.splitsHorizon && (flags & Flag.forced) === 0) return false;
    if (via && via.column === outlet.column && !at.lan && (flags & Flag.forced) === 0) return false;
    const { lan } = at;
    const { node, authority, relays } = this.#tables;
    if (via && !via.interface.lan && !lan && !relays) return false;
    if (lan) {
      if (!listCovers(lan.policy.exports, destination.prefix)) return false;
      return !listCovers(lan.policy.onLink, destination.prefix);
    }
    if (destination.owner !== 0 || destination.egress !== node) return true;
    return authority.grants(node, destination.prefix);
  }

  /** True when this neighbour said it knows the proof, or told us of it itself. */
  #knowsProof(destination: Destination, outlet: Outlet, flags: number): boolean {
    if (flags & Flag.forced) return false;
    if (flags & Flag.proofKnown) return true;
    const { matrix } = this.#tables;
    return (
      (flags & (Flag.present | Flag.unproven)) === Flag.present &&
      matrix.router(destination.row, outlet.column) === destination.router &&
      matrix.seqno(destination.row, outlet.column) === destination.seqno &&
      (destination.owner !== 0 || matrix.egress(destination.row, outlet.column) === destination.egress)
    );
  }

  #proofOf(destination: Destination): Uint8Array | undefined {
    const { authority, node, routers } = this.#tables;
    const { router, seqno, prefix } = destination;
    const signer = destination.owner || destination.egress;
    const proof = destination.proof(router, seqno, signer);
    if (proof) return proof.valid ? proof.signature : undefined;
    if (signer !== node) return undefined;
    const egress = destination.owner === 0 ? node : 0;
    const signature = authority.sign(signedOctets(prefix, routers.high(router), routers.low(router), seqno, egress));
    this.admission.makeRoom(destination);
    destination.addProof(router, seqno, signer, true, { signature, by: node });
    return signature;
  }

  versionOf(row: number): number {
    return this.#tables.destinations.versionOf(row);
  }

  /** How many destinations wait to be told of or to be looked at again. */
  get waiting(): number {
    return this.#reviews.size + this.#ripening.size;
  }

  /**
   * A held destination is let go once every neighbour knows that it is lost (RFC 8966 §3.5.4), which of a LAN's routers
   * is never known. That is enough where packets come by neighbours; what is outside the overlay is sealed for its
   * gateway by whoever believes in it, however far away, so it is held until the news can be everywhere.
   */
  acknowledged(row: number, now: Millis): void {
    if (this.#held.size === 0) return;
    const destination = this.#tables.destinations.at(row);
    if (!destination || destination.heldUntil === 0 || !this.#isKnownLost(destination, now)) return;
    const least = destination.owner === 0 ? this.#held.get(destination)! + this.#tables.tuning.holdLeast : now;
    if (now >= least) this.#release(destination);
    else {
      destination.heldUntil = Math.min(destination.heldUntil, Math.ceil(least));
      this.#heldDeadline = Math.min(this.#heldDeadline, destination.heldUntil);
    }
  }

  #mayBeUnheard(destination: Destination, now: Millis): boolean {
    return (this.#unheard.get(destination) ?? now) > now;
  }

  #isKnownLost(destination: Destination, now: Millis): boolean {
    if (this.#mayBeUnheard(destination, now)) return false;
    const { interfaces, matrix } = this.#tables;
    for (const { outlet } of interfaces.values()) {
      const waiting = Flag.announced | Flag.pending | Flag.awaiting;
      if (matrix.has(destination.row, outlet.column, waiting)) return false;
    }
    return true;
  }

  #release(destination: Destination): void {
    destination.heldUntil = 0;
    this.#held.delete(destination);
    this.#touched.add(destination);
  }

  // ---- time

  get deadline(): Millis {
    return Math.min(
      this.#reviewAt,
      this.#heldDeadline,
      this.#lazyAt,
      this.#ripening.deadline,
      this.#sweepAt,
      this.#tables.pending.deadline,
      this.#tables.numbering.deadline,
      this.admission.wantedDeadline,
    );
  }

  tick(now: Millis): void {
    this.#reviewsDue(now);
    this.#requestsDue(now);
    this.admission.askAgain(now);
    this.#incrementDue(now);
    if (now >= this.#heldDeadline) {
      this.#heldDeadline = never;
      for (const destination of this.#held.keys()) {
        if (destination.heldUntil <= now) this.#release(destination);
        else this.#heldDeadline = Math.min(this.#heldDeadline, destination.heldUntil);
      }
    }
    if (now >= this.#lazyAt) {
      this.#lazyAt = never;
      for (const destination of this.#lazy) this.#announce(destination, now);
      this.#lazy.clear();
    }
    if (now >= this.#ripening.deadline) {
      for (const destination of this.#ripening.take(now)) this.#announce(destination, now);
    }
    if (now >= this.#sweepAt) this.#sweep(now);
  }

  #incrementDue(now: Millis): void {
    const { numbering } = this.#tables;
    if (now < numbering.deadline) return;
    const { isBehind } = numbering;
    if (!numbering.increment(now)) return;
    if (isBehind) this.#overtook(now);
    else this.renumbered(now);
  }

  #reviewsDue(now: Millis): void {
    if (now < this.#reviewAt) return;
    this.#reviewAt = never;
    const later = now + reviewPause;
    const due: Destination[] = [];
    for (const [destination, at] of this.#reviews) {
      if (at <= now) due.push(destination);
      else this.#reviewAt = Math.min(this.#reviewAt, Math.max(at, later));
    }
    for (const destination of due) {
      this.#reviews.delete(destination);
      this.reselect(destination, now);
      if (destination.betterSince !== 0) this.#review(destination, later);
    }
  }

  /**
   * How long sources are kept that are not used. Three minutes are more than what is told every 16 s is believed, by who hears nothing of
   * its end, and repeated to us; where LANs are told more seldom it is as much longer as theirs may be believed and, once more, held.
   */
  #sourceTime(): Millis {
    let time: Millis = spec.sourceTime;
    for (const at of this.#tables.interfaces.values()) {
      if (at.lan) time = Math.max(time, at.believedFor + this.#tables.tuning.holdTime);
    }
    return time;
  }

  /** Forgets sources nobody can hold against us any more, proofs and destinations without a route. */
  #sweep(now: Millis): void {
    const { destinations, tuning, routers } = this.#tables;
    this.#sweepAt = now + tuning.sweepInterval;
    for (const [destination, until] of this.#unheard) if (until <= now) this.#unheard.delete(destination);
    const sourceTime = this.#sourceTime();
    for (const destination of destinations) this.#sweepDestination(destination, sourceTime, now);
    if (routers.size > Math.min(2 * this.#routersKept, manyRouters)) this.#retainRouters();
    this.#askOwed(now);
    this.#askUnchecked(now);
  }

  /** Who had us check too much, and has not for as long as it takes to forget that, may be well again. */
  #askUnchecked(now: Millis): void {
    for (const neighbour of this.#tables.columns) {
      if (!neighbour?.wasUnchecked || !neighbour.checks!.isFull(now)) continue;
      neighbour.wasUnchecked = false;
      neighbour.outlet.requestAll = true;
      neighbour.outlet.by(this.#soon(now));
    }
  }

  /** A share has room again: who was refused does not know, and tells all of its own accord with its next full table only. */
  #askOwed(now: Millis): void {
    if (this.admission.hasGivenBack) this.#roomAt = now;
    this.admission.hasGivenBack = false;
    for (const neighbour of this.#tables.columns) {
      if (!neighbour?.isOwed || this.#roomAt <= neighbour.owedAskedAt) continue;
      if (now - neighbour.owedAskedAt < spec.sourceTime) continue;
      neighbour.isOwed = false;
      neighbour.owedAskedAt = now;
      neighbour.outlet.requestAll = true;
      neighbour.outlet.by(this.#soon(now));
    }
  }

  /**
   * Whose shares a destination outside the overlay is of. What is lost is its last gateways' for as long as it takes a place; what
   * only unproven routes are left of is its neighbour's, or nobody's and dropped: it does not know, and is asked again.
   */
  #recount(destination: Destination): void {
    if (destination.selected === none && destination.sources !== undefined) return;
    const { matrix, columns, node } = this.#tables;
    const { row } = destination;
    const nodes = new Set<number>(destination.own === undefined ? [] : [node]);
    const routers: Neighbour[] = [];
    const unproven: Neighbour[] = [];
    for (const neighbour of columns) {
      if (!neighbour || !matrix.has(row, neighbour.column, Flag.present)) continue;
      if (neighbour.interface.lan) {
        routers.push(neighbour);
        nodes.add(node);
      } else if (matrix.has(row, neighbour.column, Flag.unproven)) unproven.push(neighbour);
      else nodes.add(matrix.egress(row, neighbour.column));
    }
    this.admission.recount(destination, [...nodes], routers);
    if (nodes.size > 0) return;
    for (const neighbour of unproven) {
      if (this.admission.waits(destination, neighbour)) continue;
      this.#flush(destination, neighbour);
      neighbour.isOwed = true;
    }
  }

  #sweepDestination(destination: Destination, sourceTime: Millis, now: Millis): void {
    const { matrix, columns, destinations, pending } = this.#tables;
    const isOld = (source: Source) =>
      (source.router !== destination.router || destination.selected < 0) && now - source.at >= sourceTime;
    // What was not feasible may be now, and better than what is in use.
    if (destination.dropSources(isOld)) this.reselect(destination, now);
    if (destination.owner === 0) this.#recount(destination);
    let routes = 0;
    for (let column = 0; column < columns.length; column++) {
      if (matrix.has(destination.row, column, Flag.present)) routes++;
    }
    destination.dropProofs((proof: Proof) => !this.#isProofUsed(destination, proof.router, proof.seqno));
    this.#forgiveLeft(destination, now);
    if (routes > 0 || destination.own !== undefined || destination.heldUntil !== 0) return;
    if (destination.selected !== none || destination.sources !== undefined || !this.#isKnownLost(destination, now))
      return;
    pending.forgetRow(destination.row);
    this.#lazy.delete(destination);
    this.#forgetReview(destination);
    this.#touched.delete(destination);
    this.#moved.delete(destination);
    this.admission.forget(destination);
    destinations.remove(destination);
    matrix.clearRow(destination.row);
  }

  /** A neighbour left long enough ago may be returned to; nothing else would make us look again when nothing changes. */
  #forgiveLeft(destination: Destination, now: Millis): void {
    const { left } = destination;
    if (!left) return;
    const isAny = left.forget(now);
    if (left.isEmpty) destination.left = undefined;
    if (isAny) this.reselect(destination, now);
  }

  #isProofUsed(destination: Destination, router: number, seqno: number): boolean {
    if (destination.selected !== none && destination.router === router && destination.seqno === seqno) return true;
    const { matrix, columns } = this.#tables;
    for (let column = 0; column < columns.length; column++) {
      if (!matrix.has(destination.row, column, Flag.present)) continue;
      if (matrix.router(destination.row, column) === router && matrix.seqno(destination.row, column) === seqno)
        return true;
    }
    return false;
  }

  #retainRouters(): void {
    const { destinations, matrix, columns, routers, pending } = this.#tables;
    const used = new Set<number>();
    for (const destination of destinations) {
      used.add(destination.router);
      used.add(destination.newestRouter);
      for (const source of chain(destination.sources)) used.add(source.router);
      for (const proof of chain(destination.proofs)) used.add(proof.router);
      for (let column = 0; column < columns.length; column++) {
        if (matrix.has(destination.row, column, Flag.present)) used.add(matrix.router(destination.row, column));
      }
    }
    for (const entry of pending) used.add(entry.router);
    routers.retain(used);
    this.#routersKept = Math.max(256, routers.size);
  }

  // ---- telling the rest of the node

  /** What changed for the forwarding table since the last call. */
  takeChanges(): RouteChange[] {
    const changes: RouteChange[] = [];
    for (const destination of this.#touched) {
      const change = this.#changeOf(destination);
      if (change) changes.push(change);
    }
    this.#touched.clear();
    return changes;
  }

  #changeOf(destination: Destination): RouteChange | undefined {
    const isRouted = destination.selected >= 0;
    const own = destination.selected === ourselves;
    const first = isRouted || own ? destination.selected : none;
    const second = isRouted ? destination.second : none;
    const third = isRouted ? destination.third : none;
    const held = destination.heldUntil !== 0;
    const router = isRouted ? destination.router : none;
    const egress = isRouted ? destination.egress : 0;
    const same =
      destination.toldFirst === first &&
      destination.toldSecond === second &&
      destination.toldThird === third &&
      destination.toldHeld === held &&
      destination.toldRouter === router &&
      destination.toldEgress === egress;
    if (same) return undefined;
    destination.toldFirst = first;
    destination.toldSecond = second;
    destination.toldThird = third;
    destination.toldHeld = held;
    destination.toldRouter = router;
    destination.toldEgress = egress;
    const choices = this.#choicesOf(destination, first, second, third);
    return { prefix: destination.prefix, choices, own, held };
  }

  /** Columns, best first, or none. As literals: an array that grows has room for 17. */
  #choicesOf(destination: Destination, first: number, second: number, third: number): RouteChoice[] {
    if (first < 0) return [];
    const best = this.#choiceOf(destination, first);
    if (second < 0) return [best];
    const next = this.#choiceOf(destination, second);
    return third < 0 ? [best, next] : [best, next, this.#choiceOf(destination, third)];
  }

  #choiceOf(destination: Destination, column: number): RouteChoice {
    const { matrix, columns, routers } = this.#tables;
    const neighbour = columns[column]!;
    const { row } = destination;
    return {
      interface: neighbour.interface.id,
      neighbour: neighbour.address,
      neighbourNode: neighbour.node,
      nextHop: neighbour.nextHops.get(row) ?? neighbour.address,
      metric: this.#selection.metricOf(destination, column),
      seqno: matrix.seqno(row, column),
      routerId: routers.id(matrix.router(row, column)),
      egress: this.#egressOf(destination, neighbour),
    };
  }

  #egressOf(destination: Destination, neighbour: Neighbour): number | undefined {
    if (neighbour.interface.lan) return undefined;
    return destination.owner || this.#tables.matrix.egress(destination.row, neighbour.column);
  }

  /**
   * Every candidate, for `weft routes` and `weft why`; of one prefix alone, if one is given. What is over because the neighbour's
   * next update was refused is among `refused`: nobody has taken it back.
   */
  view(now: Millis, only?: Prefix): RouteRow[] {
    const { destinations, columns, matrix } = this.#tables;
    const rows: RouteRow[] = [];
    const one = only && destinations.find(only.bytes, only.length);
    for (const destination of only ? (one ? [one] : []) : destinations) {
      const { row, prefix } = destination;
      if (destination.own !== undefined) rows.push(this.#ownRow(destination));
      for (const neighbour of columns) {
        if (!neighbour || !matrix.has(row, neighbour.column, Flag.present)) continue;
        const isOver = matrix.refmetric(row, neighbour.column) === infinity;
        if (isOver && this.admission.isRefused(prefix, neighbour, now)) continue;
        rows.push(this.#rowOf(destination, neighbour, now));
      }
    }
    return rows;
  }

  /** What was refused, in the same form, where nothing finite of that neighbour is in the table. */
  refused(now: Millis): RouteRow[] {
    const { destinations, matrix } = this.#tables;
    const rows: RouteRow[] = [];
    for (const refusal of this.admission.refused(now)) {
      const { prefix, neighbour, announced } = refusal;
      const known = destinations.find(prefix.bytes, prefix.length);
      const isHeld = known !== undefined && matrix.has(known.row, neighbour.column, Flag.present);
      if (isHeld && matrix.refmetric(known.row, neighbour.column) < infinity) continue;
      rows.push({
        prefix,
        routerId: refusal.routerId,
        origin: undefined,
        egress: undefined,
        interface: neighbour.interface.id,
        neighbour: neighbour.address,
        nextHop: neighbour.address,
        metric: addMetric(announced, neighbour.cost),
        announced,
        cost: neighbour.cost,
        seqno: refusal.seqno,
        ageSeconds: Math.max(0, Math.round((now - refusal.at) / 1000)),
        feasible: false,
        selected: false,
        standing: 'refused',
        held: known !== undefined && known.heldUntil !== 0,
        refusal: refusal.code,
      });
    }
    return rows;
  }

  #ownRow(destination: Destination): RouteRow {
    const { node, numbering } = this.#tables;
    return {
      prefix: destination.prefix,
      routerId: numbering.routerId,
      origin: node,
      egress: undefined,
      interface: undefined,
      neighbour: undefined,
      nextHop: undefined,
      metric: destination.metric,
      announced: destination.metric,
      cost: 0,
      seqno: numbering.seqno,
      ageSeconds: 0,
      feasible: true,
      selected: true,
      standing: 'selected',
      held: false,
    };
  }

  #rowOf(destination: Destination, neighbour: Neighbour, now: Millis): RouteRow {
    const { matrix, routers } = this.#tables;
    const { row } = destination;
    const { column } = neighbour;
    const router = matrix.router(row, column);
    const announced = matrix.refmetric(row, column);
    const seqno = matrix.seqno(row, column);
    const lifetime = (spec.routeExpiryFactor * matrix.interval(row, column)) / 100;
    const source = destination.source(router);
    const left = matrix.expiry(row, column) / 10 - (now - this.#tables.epochStart) / 1000;
    return {
      prefix: destination.prefix,
      routerId: routers.id(router),
      origin: destination.owner || undefined,
      egress: this.#egressOf(destination, neighbour),
      interface: neighbour.interface.id,
      neighbour: neighbour.address,
      nextHop: neighbour.nextHops.get(row) ?? neighbour.address,
      metric: addMetric(announced, neighbour.cost),
      announced,
      cost: neighbour.cost,
      seqno,
      ageSeconds: Math.max(0, Math.round(lifetime - left)),
      feasible: announced < infinity && destination.isFeasible(router, seqno, announced),
      selected: destination.selected === column,
      standing: this.#selection.standing(destination, column, now),
      held: destination.heldUntil !== 0,
      ...(source ? { distance: { seqno: source.seqno, metric: source.metric } } : {}),
    };
  }
}

/** The router-id in use, or last in use; of a node's own prefix the newest, which alone may be used. */
function routerOf(destination: Destination): number {
  return destination.owner !== 0 ? destination.newestRouter : destination.router;
}
