import type { IpBytes } from '../addr/ip.js';
import { type NodeNumber, nodeNumberOf, nodePrefix, tunnelLinkLocal } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import { Bucket } from '../bucket.js';
import { Buckets } from '../buckets.js';
import { equalBytes } from '../bytes.js';
import { type CheckBudget, CheckBudgets } from '../check-budgets.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, never, second } from '../time.js';
import { Alarm, Alarms } from './alarm.js';
import { PacketReader, type TlvKind } from './codec/packet-reader.js';
import { PacketWriter, type UpdateFields } from './codec/packet-writer.js';
import { type DropReason, dropReasons } from './codec/tlv.js';
import type {
  InterfaceId,
  Interner,
  LanOptions,
  LanPolicy,
  NeighbourRow,
  OriginAuthority,
  QuietReason,
  ReportCode,
  RouteRow,
  SpeakerEffect,
  SpeakerEvent,
  StoredSeqno,
} from './contract.js';
import { stampOf } from './delay.js';
import { DestinationTable } from './destination.js';
import { Interface, routerIdBurst, routerIdRate } from './interface.js';
import { infinity } from './metric.js';
import { Neighbour } from './neighbour.js';
import { Outlet, type OutletHost } from './outlet.js';
import { OwnNumbering } from './own-numbering.js';
import { PendingRequests } from './pending-requests.js';
import { Reports } from './reports.js';
import { Flag, RouteMatrix } from './route-matrix.js';
import type { Epoch } from './router-id.js';
import { RouterTable } from './router-table.js';
import { Routes } from './routes.js';
import type { Tables } from './tables.js';
import { defaultTuning, spec, type Tuning } from './tuning.js';

export interface SpeakerOptions {
  readonly node: NodeNumber;
  readonly network: Prefix;
  readonly authority: OriginAuthority;
  readonly random: Random;
  readonly now: Millis;
  /** What `persist` wrote last; undefined when it cannot be read. */
  readonly stored: StoredSeqno | undefined;
  /** Used when nothing is stored: higher than any before, as the seconds of the wall clock are likely to be. */
  readonly freshEpoch: Epoch;
  /** ::/0 and 0.0.0.0/0 from granted gateways; by the operator's word only. */
  readonly acceptDefaultRoutes?: boolean;
  /**
   * False: what came by one tunnel is announced in no other, so nobody sends through us (relay.mode = "no"). Default:
   * true.
   */
  readonly relays?: boolean;
  readonly interner?: Interner;
  /** What neighbours may have us check, where that is not signatures of routes alone. */
  readonly checks?: { of(node: NodeNumber): CheckBudget };
  readonly tuning?: Partial<Tuning>;
}

/** How often a change is said on a LAN, where nothing is acknowledged (RFC 8966 §3.7.2). */
const lanCopies = { wired: 2, tunnel: 2, wireless: 3 } as const;
/** Greetings repeated early while a tunnel's neighbour does not answer: 250 ms, doubling. */
const earlyHello: Millis = 250;
const earlyHellos = 7;
/** A neighbour that restarts more often than this is not believed. */
const restartPause: Millis = 5000;
/** Greetings sent early to a neighbour that has just been heard, at most so often. */
const greetPause: Millis = 300;
/** A LAN router heard anew may count us only when it has heard two Hellos of three (A.2.1): it gets three, soon. */
const quickHellos = 3;
/** At our own start: 2-out-of-3 sensing needs a pair. */
const firstHellos = 2;
/** Costs that move are looked at again at moments all of them share. */
const costPause: Millis = 500;
/** The longest interval that can be promised, in hundredths of a second. */
const longestInterval = 0xffff;
/** A tunnel's Hello that is due so soon goes with another's, so that one wake-up serves several. */
const helloTogether: Millis = 2 * second;

/**
 * Babel (RFC 8966, with RFC 9229 and RFC 9616) as one machine: tunnels and LANs in, packets and forwarding changes out.
 *
 *     tunnelUp/lanUp ──► Interface ──► Neighbours ── Hello, IHU ──► cost
 *                                          |                         |
 *     packetReceived ── PacketReader ──► Routes ◄────────────────────┘
 *                                          |
 *                           Outlets ◄──────┴──► routesChanged, persist, reported, certificateWanted
 */
export class Speaker implements Machine<SpeakerEvent, SpeakerEffect> {
  readonly #tables: Tables;
  readonly #routes: Routes;
  readonly #reader = new PacketReader();
  /** Both stamps of an IHU to us in the packet that is being read. */
  #echoed: readonly [number, number] | undefined;
  readonly #host: OutletHost;
  readonly #freeColumns: number[] = [];
  readonly #routerIds = new Buckets<NodeNumber>(routerIdRate, routerIdBurst);
  readonly #requests: Buckets<NodeNumber>;
  #columnCount = 0;
  #effects: SpeakerEffect[] = [];
  #hasStopped = false;

  constructor(options: SpeakerOptions) {
    const tuning = { ...defaultTuning, ...options.tuning };
    const effects: SpeakerEffect[] = [];
    this.#effects = effects;
    this.#requests = new Buckets(tuning.requestRate, tuning.requestBurst);
    this.#tables = {
      node: options.node,
      network: options.network,
      acceptDefaultRoutes: options.acceptDefaultRoutes ?? false,
      relays: options.relays ?? true,
      authority: options.authority,
      checks: options.checks ?? new CheckBudgets(),
      random: options.random,
      tuning,
      matrix: new RouteMatrix(),
      destinations: new DestinationTable(options.interner, options.random),
      routers: new RouterTable(options.random),
      columns: [],
      interfaces: new Map(),
      pending: new PendingRequests(tuning.maxPendingRequests),
      numbering: new OwnNumbering(options.node, options.stored, options.freshEpoch, tuning, options.now),
      timers: new Alarm(),
      outlets: [],
      sending: new Alarms(),
      reports: new Reports(effects),
      effects,
      epochStart: options.now,
    };
    this.#routes = new Routes(this.#tables, options.interner, options.now);
    this.#host = this.#makeHost(tuning);
  }

  handle(event: SpeakerEvent, now: Millis): SpeakerEffect[] {
    // Having said goodbye it is silent, or the answer to a neighbour's question would bring its routes back.
    if (this.#hasStopped) return [];
    switch (event.kind) {
      case 'packetReceived':
        this.#packetReceived(event.interface, event.from, event.bytes, event.receivedAt, now);
        break;
      case 'tunnelUp':
        this.#tunnelUp(event.interface, event.neighbour, event.mtu, now);
        break;
      case 'lanUp':
        this.#lanUp(event.interface, event.ownAddress, event.mtu, event.options, now);
        break;
      case 'lanPolicyChanged': {
        const lan = this.#tables.interfaces.get(event.interface)?.lan;
        if (lan) this.#policyChanged(event.interface, lan, event.policy, now);
        break;
      }
      case 'interfaceDown':
        this.#interfaceDown(event.interface, now);
        break;
      case 'measured':
        for (const neighbour of this.#neighboursAt(event.interface)) {
          const changed = neighbour.linkCost.measured(event.rtt, event.jitter, event.loss, now);
          this.#costMoved(neighbour, changed, now);
        }
        break;
      case 'suspected':
        this.#suspect(event.interface, true, now);
        break;
      case 'recovered':
        this.#suspect(event.interface, false, now);
        this.#greetAnew(event.interface, now);
        break;
      case 'moved':
        for (const neighbour of this.#neighboursAt(event.interface)) {
          neighbour.linkCost.pathChanged();
          this.#cameBack(neighbour, now);
          this.#routes.forgetLeaving(neighbour, now);
        }
        break;
      case 'silent':
        for (const neighbour of this.#neighboursAt(event.interface)) this.#lose(neighbour, now);
        break;
      case 'originate':
        this.#routes.originate(event.prefix, this.#ownerOf(event.prefix), event.metric, now);
        break;
      case 'withdraw':
        this.#routes.withdraw(event.prefix, now);
        break;
      case 'certificateHeld':
        if (event.node === this.#tables.node) this.#routes.ownGrantsChanged(now);
        else this.#routes.certificateHeld(this.#homeOf(event.node), event.node, now);
        break;
      case 'relaysChanged':
        this.#tables.relays = event.relays;
        this.#routes.relaysChanged(now);
        break;
      case 'certificateLost':
        this.#routes.certificateLost(this.#homeOf(event.node), event.node, now);
        break;
      case 'stopping':
        this.#stop(now);
        this.#hasStopped = true;
        return this.#effects.splice(0);
    }
    return this.#finish(now);
  }

  tick(now: Millis): SpeakerEffect[] {
    if (this.#hasStopped) return [];
    if (now >= this.#tables.timers.at) this.#timersDue(now);
    this.#routes.tick(now);
    return this.#finish(now);
  }

  deadline(): Millis {
    if (this.#hasStopped) return never;
    const { timers, sending } = this.#tables;
    return Math.min(this.#routes.deadline, timers.at, sending.at);
  }

  /** Every candidate route, ours included, for `weft routes` and `weft why`; of one prefix alone, if one is given. */
  view(now: Millis, only?: Prefix): RouteRow[] {
    return this.#routes.view(now, only);
  }

  /** What was refused lately and would be a candidate else, in the same form: one for each prefix and neighbour. */
  refused(now: Millis): RouteRow[] {
    return this.#routes.refused(now);
  }

  neighbours(): NeighbourRow[] {
    return this.#tables.columns
      .filter((neighbour) => neighbour !== undefined)
      .map((neighbour) => ({
        interface: neighbour.interface.id,
        address: neighbour.address,
        node: neighbour.node,
        cost: neighbour.cost,
        rxcost: neighbour.rxcost,
        txcost: neighbour.txcost,
        hellos: neighbour.multicast.bits,
        rtt: neighbour.delay.rtt,
        routes: neighbour.routes,
      }));
  }

  /** Packets and TLVs dropped by the codec, and updates refused, since the start. */
  counts(): ReadonlyMap<DropReason | ReportCode | QuietReason, number> {
    const counts = new Map<DropReason | ReportCode | QuietReason, number>(this.#tables.reports.counts);
    dropReasons.forEach((reason, i) => {
      if (this.#reader.drops[i]! > 0) counts.set(reason, this.#reader.drops[i]!);
    });
    return counts;
  }

  /** Sizes, for health and for the simulator's reports. */
  sizes(): {
    readonly destinations: number;
    readonly routerIds: number;
    readonly pending: number;
    /** Entries of queues: destinations to be looked at again or told of, and rows to be told each neighbour. */
    readonly waiting: number;
    readonly octets: number;
  } {
    const { destinations, routers, pending, matrix, outlets } = this.#tables;
    const queued = outlets.reduce((sum, outlet) => sum + (outlet?.queued ?? 0), 0);
    return {
      destinations: destinations.size,
      routerIds: routers.size,
      pending: pending.size,
      waiting: this.#routes.waiting + queued,
      octets: matrix.octets,
    };
  }

  // ---- interfaces

  #tunnelUp(id: InterfaceId, node: NodeNumber, mtu: number, now: Millis): void {
    if (this.#tables.interfaces.has(id)) this.#interfaceDown(id, now);
    const { tuning, random } = this.#tables;
    const address = tunnelLinkLocal(node);
    const column = this.#takeColumn();
    const outlet = this.#addOutlet(id, address, column, 1, mtu);
    const at = new Interface({
      id,
      type: 'overlay',
      ownAddress: tunnelLinkLocal(this.#tables.node),
      outlet,
      lan: undefined,
      helloInterval: tuning.tunnelHello,
      updateInterval: tuning.tunnelUpdate,
      helloSeqno: random.below(0x10000),
      routerIds: this.#routerIds.of(node),
      now,
    });
    at.updateAt = now + tuning.tunnelUpdate * random.unit();
    at.helloAt = now + earlyHello;
    this.#tables.timers.by(Math.min(at.helloAt, at.updateAt));
    this.#tables.interfaces.set(id, at);
    const budgets = { requests: this.#requests.of(node), checks: this.#tables.checks.of(node) };
    this.#tables.columns[column] = new Neighbour(at, address, node, column, outlet, budgets);
    at.neighbourCame();
    outlet.retractAll = true;
    outlet.greet(now);
  }

  #lanUp(id: InterfaceId, ownAddress: IpBytes, mtu: number, options: LanOptions, now: Millis): void {
    if (this.#tables.interfaces.has(id)) this.#interfaceDown(id, now);
    const { tuning, random } = this.#tables;
    const helloInterval = options.helloInterval ?? tuning.lanHello;
    const type = options.type ?? 'wired';
    const outlet = this.#addOutlet(id, 'multicast', this.#takeColumn(), lanCopies[type], mtu);
    const at = new Interface({
      id,
      type,
      ownAddress: ownAddress.slice(),
      outlet,
      lan: { policy: options, ownIpv4: options.ownIpv4 },
      helloInterval,
      updateInterval: options.updateInterval ?? Math.min(4 * helloInterval, 10 * longestInterval),
      helloSeqno: random.below(0x10000),
      routerIds: new Bucket(routerIdRate, routerIdBurst),
      now,
    });
    at.quickHellos = firstHellos;
    this.#tables.timers.by(at.updateAt);
    this.#tables.interfaces.set(id, at);
    outlet.retractAll = outlet.requestAll = true;
    outlet.greet(now);
    outlet.dump('periodic', now);
  }

  #policyChanged(id: InterfaceId, lan: NonNullable<Interface['lan']>, policy: LanPolicy, now: Millis): void {
    lan.policy = policy;
    // What may no longer be imported goes; what may now comes with the next update, which is asked for.
    for (const neighbour of this.#neighboursAt(id)) this.#routes.policyChanged(neighbour, now);
    const { outlet } = this.#tables.interfaces.get(id)!;
    outlet.requestAll = true;
    outlet.dump('asked', now + this.#tables.tuning.urgentDelay);
  }

  #interfaceDown(id: InterfaceId, now: Millis): void {
    const at = this.#tables.interfaces.get(id);
    if (!at) return;
    for (const neighbour of this.#neighboursAt(id)) this.#removeNeighbour(neighbour, now);
    this.#tables.interfaces.delete(id);
    if (at.lan) this.#giveColumn(at.outlet.column);
    for (const destination of this.#tables.destinations) this.#routes.acknowledged(destination.row, now);
  }

  #takeColumn(): number {
    const { matrix, destinations, columns } = this.#tables;
    const column = this.#freeColumns.pop() ?? this.#columnCount++;
    while (columns.length <= column) columns.push(undefined);
    matrix.reserve(destinations.rows, columns.length);
    return column;
  }

  #addOutlet(id: InterfaceId, to: IpBytes | 'multicast', column: number, copies: number, mtu: number): Outlet {
    const { random, sending, outlets } = this.#tables;
    const outlet = new Outlet(id, to, column, copies, mtu, random.below(0x10000), sending);
    outlets[column] = outlet;
    return outlet;
  }

  #giveColumn(column: number): void {
    const { matrix, destinations } = this.#tables;
    for (const { row } of destinations) matrix.clear(row, column);
    this.#tables.outlets[column] = undefined;
    this.#tables.sending.clear(column);
    this.#freeColumns.push(column);
  }

  #neighboursAt(id: InterfaceId): Neighbour[] {
    return this.#tables.columns.filter((neighbour) => neighbour?.interface.id === id) as Neighbour[];
  }

  #removeNeighbour(neighbour: Neighbour, now: Millis): void {
    neighbour.cost = infinity;
    this.#routes.forgetRoutesOf(neighbour, now);
    this.#tables.columns[neighbour.column] = undefined;
    neighbour.interface.neighbourWent(now);
    this.#tables.pending.forgetColumn(neighbour.column);
    this.#giveColumn(neighbour.column);
  }

  #ownerOf(prefix: Prefix): NodeNumber {
    const { network } = this.#tables;
    if (!network.covers(prefix) || prefix.length !== 64) return 0;
    return nodeNumberOf(network, prefix.bytes) ?? 0;
  }

  #homeOf(node: NodeNumber) {
    const prefix = nodePrefix(this.#tables.network, node);
    return this.#tables.destinations.find(prefix.bytes, prefix.length);
  }

  // ---- hearing

  #packetReceived(id: InterfaceId, from: IpBytes, bytes: Uint8Array, receivedAt: Millis, now: Millis): void {
    const at = this.#tables.interfaces.get(id);
    if (!at) return;
    const neighbour = at.lan ? this.#lanNeighbour(at, from, bytes, now) : this.#neighbourBehind(at);
    if (!neighbour) return;
    const reader = this.#reader;
    if (!reader.open(bytes, neighbour.address)) return;
    let helloStamped = false;
    let isOvertaken = false;
    let isGreeting = false;
    for (let kind = reader.next(); kind !== 'end'; kind = reader.next()) {
      if (kind === 'hello' && reader.hasTimestamp) helloStamped = true;
      isGreeting ||= kind === 'hello' || kind === 'ihu';
      // A greeting that a later one overtook says what was: its IHU would undo the newer one until the next, 20 s later,
      // and the retraction of everything with which a tunnel begins what was announced since.
      if (kind === 'hello' && !at.lan) isOvertaken = neighbour.multicast.isOvertaken(reader.seqno);
      if (isOvertaken && (kind === 'hello' || kind === 'ihu' || (kind === 'update' && reader.wildcard))) continue;
      this.#tlvReceived(kind, neighbour, receivedAt, now);
    }
    if (this.#echoed) this.#measure(neighbour, helloStamped, receivedAt, now);
    if (isGreeting) this.#tables.timers.by(neighbour.deadline);
  }

  /** The one neighbour of a tunnel. */
  #neighbourBehind(at: Interface): Neighbour | undefined {
    return this.#tables.columns[at.outlet.column];
  }

  /**
   * A LAN neighbour by its address; made when it says Hello, IHU or Update for the first time (RFC 8966 §3.4): a full
   * table may come shortly before the first Hello, and the next an Update interval later. Nothing of it is used until
   * both directions work. Not link-local, or our own: dropped before parsing.
   */
  #lanNeighbour(at: Interface, from: IpBytes, bytes: Uint8Array, now: Millis): Neighbour | undefined {
    if (from[0] !== 0xfe || (from[1]! & 0xc0) !== 0x80) {
      this.#tables.reports.dropped('not-link-local');
      return undefined;
    }
    if (equalBytes(from, at.ownAddress)) {
      // Our own multicast is not looped back, so somebody else on this machine speaks Babel here.
      if (bytes[0] === 42)
        this.#tables.reports.refusedFrom('other-daemon', at.id, from, 'speaks from our own address', now);
      return undefined;
    }
    let count = 0;
    for (const neighbour of this.#tables.columns) {
      if (neighbour?.interface !== at) continue;
      if (equalBytes(neighbour.address, from)) return neighbour;
      count++;
    }
    if (!this.#introducesItself(bytes, from)) return undefined;
    const { tuning } = this.#tables;
    if (count >= tuning.maxLanNeighbours) {
      this.#tables.reports.refusedFrom('quota', at.id, from, 'too many neighbours', now);
      return undefined;
    }
    const address = from.slice();
    const column = this.#takeColumn();
    const outlet = this.#addOutlet(at.id, address, column, at.outlet.copies, at.outlet.mtu);
    const budgets = { requests: new Bucket(tuning.requestRate, tuning.requestBurst), checks: undefined };
    const neighbour = new Neighbour(at, address, undefined, column, outlet, budgets);
    this.#tables.columns[column] = neighbour;
    at.neighbourCame();
    // Who never says Hello is forgotten then.
    neighbour.ihuDeadline = now + spec.ihuHoldFactor * spec.helloInterval;
    this.#tables.timers.by(neighbour.ihuDeadline);
    return neighbour;
  }

  #introducesItself(bytes: Uint8Array, from: IpBytes): boolean {
    const reader = this.#reader;
    if (!reader.open(bytes, from)) return false;
    const before = reader.drops.slice();
    let found = false;
    for (let kind = reader.next(); kind !== 'end' && !found; kind = reader.next())
      found = kind === 'hello' || kind === 'ihu' || (kind === 'update' && !reader.wildcard);
    reader.drops.set(before); // it is read once more
    return found;
  }

  #tlvReceived(kind: TlvKind, neighbour: Neighbour, receivedAt: Millis, now: Millis): void {
    const reader = this.#reader;
    switch (kind) {
      case 'update':
        this.#routes.updateReceived(reader, neighbour, now);
        break;
      case 'hello':
        this.#helloReceived(neighbour, receivedAt, now);
        break;
      case 'ihu':
        this.#ihuReceived(neighbour, now);
        break;
      case 'ackRequest':
        if (neighbour.requests.take(now)) {
          const patience = Math.min(this.#tables.tuning.ackDelay, reader.interval * 5);
          neighbour.outlet.acknowledge(reader.opaque, now + patience);
        } else this.#tables.reports.dropped('too-many-requests');
        break;
      case 'ack':
        neighbour.outlet.ackReceived(this.#host, reader.opaque, now);
        break;
      case 'routeRequest':
        // Who asks for all knows nothing, perhaps not even us: BIRD numbers its Hellos from 1 again, which looks like a
        // late one.
        if (reader.wildcard && neighbour.interface.lan) this.#greetNewcomer(neighbour, now);
        this.#routes.routeRequested(reader, neighbour, now);
        break;
      case 'seqnoRequest':
        this.#routes.seqnoRequested(reader, neighbour, now);
        break;
    }
  }

  #helloReceived(neighbour: Neighbour, receivedAt: Millis, now: Millis): void {
    const reader = this.#reader;
    const history = reader.unicastHello ? neighbour.unicast : neighbour.multicast;
    if (history.jumped(reader.seqno)) {
      if (now - neighbour.restartedAt < restartPause) {
        this.#tables.reports.refused('restarts-too-often', neighbour, () => `hello seqno ${reader.seqno}`, now);
        return;
      }
      neighbour.restartedAt = now;
      this.#restarted(neighbour, now);
    }
    const heardBefore = neighbour.rxcost < infinity;
    history.heard(reader.seqno, reader.interval * 10, now);
    if (reader.hasTimestamp) neighbour.delay.helloStamped(reader.timestamp, receivedAt);
    if (!heardBefore) this.#greetNewcomer(neighbour, now);
    this.#refreshCost(neighbour, now);
  }

  /**
   * A router that came, came back or restarted is not left waiting for our next Hellos and IHU (RFC 8966 §3.4.1,
   * §3.4.2).
   */
  #greetNewcomer(neighbour: Neighbour, now: Millis): void {
    if (now < neighbour.greetAfter) return;
    neighbour.greetAfter = now + greetPause;
    const at = neighbour.interface;
    at.ihuDue = true;
    if (!at.lan) at.outlet.greet(now);
    else if (at.early.take(now)) {
      at.quickHellos = quickHellos;
      at.outlet.greet(now + this.#tables.tuning.urgentDelay * this.#tables.random.unit());
    }
  }

  /** RFC 8966 appendix A.1: its numbering jumped, so it knows nothing of us and what we know of it is old. */
  #restarted(neighbour: Neighbour, now: Millis): void {
    neighbour.multicast.reset();
    neighbour.unicast.reset();
    neighbour.txcost = infinity;
    neighbour.ihuDeadline = never;
    neighbour.outlet.reset();
    this.#refreshCost(neighbour, now);
    this.#routes.forgetRoutesOf(neighbour, now);
  }

  #ihuReceived(neighbour: Neighbour, now: Millis): void {
    const reader = this.#reader;
    if (reader.hasAddress && !equalBytes(reader.address, neighbour.interface.ownAddress)) return;
    neighbour.txcost = reader.rxcost;
    neighbour.ihuDeadline = now + spec.ihuHoldFactor * reader.interval * 10;
    // It does not hear us although it speaks: in a tunnel, waiting for the next Hello would cost 20 s.
    if (reader.rxcost === infinity && !neighbour.interface.lan && now >= neighbour.greetAfter) {
      neighbour.greetAfter = now + greetPause;
      neighbour.interface.outlet.greet(now);
    }
    if (reader.hasTimestamp && neighbour.interface.lan) this.#echoed = [reader.timestamp, reader.timestamp2];
    this.#refreshCost(neighbour, now);
  }

  /** After a packet with our stamp in an IHU: a sample, if its Hello was stamped, before or after the IHU (RFC 9616 §3.2). */
  #measure(neighbour: Neighbour, helloStamped: boolean, receivedAt: Millis, now: Millis): void {
    const [origin, theirs] = this.#echoed!;
    this.#echoed = undefined;
    if (!helloStamped) return;
    if (!neighbour.delay.ihuStamped(origin, theirs, receivedAt)) this.#tables.reports.dropped('nonsense-timestamp');
    this.#refreshCost(neighbour, now);
  }

  // ---- cost

  #costMoved(neighbour: Neighbour, changed: boolean, now: Millis): void {
    neighbour.costAt = neighbour.linkCost.isMoving ? costPause * (1 + Math.ceil(now / costPause)) : never;
    this.#tables.timers.by(neighbour.costAt);
    if (changed) this.#refreshCost(neighbour, now);
  }

  #refreshCost(neighbour: Neighbour, now: Millis): void {
    const before = neighbour.cost;
    if (!neighbour.refreshCost(now)) return;
    if (before === infinity) this.#reached(neighbour, now);
    this.#routes.costChanged(neighbour, now);
  }

  /** Both directions work, again or for the first time: it is told everything. */
  #reached(neighbour: Neighbour, now: Millis): void {
    const { matrix, destinations, tuning } = this.#tables;
    neighbour.outlet.reset();
    this.#tables.pending.askAgain(neighbour.column);
    const { column } = neighbour.outlet;
    for (const { row } of destinations) {
      // Perhaps it heard our announcement and not the retraction that was on its way: that is said again.
      if (matrix.has(row, column, Flag.awaiting)) matrix.raise(row, column, Flag.announced);
      matrix.lower(row, column, Flag.proofKnown | Flag.awaiting);
    }
    neighbour.outlet.dump(neighbour.outlet.reliable ? 'first' : 'periodic', now);
    neighbour.dumpAfter = now + tuning.dumpPause;
    if (neighbour.interface.lan) neighbour.outlet.requestAll = true;
    if (neighbour.interface.type === 'wired') this.#cameBack(neighbour, now);
  }

  #cameBack(neighbour: Neighbour, now: Millis): void {
    if (neighbour.comebacks.take(now)) neighbour.settlesUntil = now + this.#tables.tuning.dwell;
  }

  /** The plane gave it up: as if every Hello had been missed. */
  #lose(neighbour: Neighbour, now: Millis): void {
    neighbour.multicast.reset();
    neighbour.unicast.reset();
    neighbour.txcost = infinity;
    neighbour.ihuDeadline = never;
    this.#refreshCost(neighbour, now);
  }

  #suspect(id: InterfaceId, isSuspected: boolean, now: Millis): void {
    for (const neighbour of this.#neighboursAt(id)) {
      if (neighbour.isSuspected === isSuspected) continue;
      neighbour.isSuspected = isSuspected;
      // Left for no other reason, it is returned to at once: what took its place may lead where the neighbour has been.
      if (!isSuspected) this.#cameBack(neighbour, now);
      this.#routes.costChanged(neighbour, now);
    }
  }

  #greetAnew(id: InterfaceId, now: Millis): void {
    const at = this.#tables.interfaces.get(id);
    if (!at) return;
    at.earlyHellos = 0;
    at.helloAt = now + earlyHello;
    this.#tables.timers.by(at.helloAt);
    at.outlet.greet(now);
  }

  // ---- time

  #timersDue(now: Millis): void {
    const { interfaces, columns, timers } = this.#tables;
    timers.at = never;
    const isGreeting = [...interfaces.values()].some((at) => !at.lan && now >= at.helloAt);
    for (const at of interfaces.values()) {
      const isSoon = isGreeting && !at.lan && now + helloTogether >= at.helloAt;
      if (isSoon && this.#neighbourBehind(at)?.isReachable) at.helloAt = now;
      this.#interfaceDue(at, now);
      // A Hello that is due is written when its outlet is flushed, which sets the next.
      timers.by(Math.min(at.updateAt, at.helloAt > now ? at.helloAt : never));
    }
    for (const neighbour of columns) if (neighbour) this.#neighbourDue(neighbour, now);
    for (const neighbour of columns) if (neighbour) timers.by(neighbour.deadline);
  }

  #interfaceDue(at: Interface, now: Millis): void {
    const { random } = this.#tables;
    // Written at the next flush, which is now.
    if (now >= at.helloAt) at.outlet.greet(now);
    if (now >= at.updateAt) {
      at.updateAt = now + at.updateInterval * (0.9 + 0.1 * random.unit());
      at.outlet.dump('periodic', now);
    }
  }

  #neighbourDue(neighbour: Neighbour, now: Millis): void {
    if (now >= neighbour.costAt) {
      const changed = neighbour.linkCost.rest(now);
      this.#costMoved(neighbour, changed, now);
    }
    let hellos = false;
    for (const history of [neighbour.multicast, neighbour.unicast]) {
      while (now >= history.deadline) {
        hellos = true;
        history.missed(now);
      }
    }
    const ihu = now >= neighbour.ihuDeadline;
    if (ihu) {
      neighbour.ihuDeadline = never;
      neighbour.txcost = infinity;
    }
    if (hellos || ihu) {
      this.#refreshCost(neighbour, now);
      if (neighbour.multicast.bits === 0 && neighbour.unicast.bits === 0) this.#forget(neighbour, now);
    }
    if (now >= neighbour.routesDeadline) this.#routes.expireRoutesOf(neighbour, now);
  }

  /** No Hello of the last sixteen came. A tunnel's neighbour is known beforehand and stays. */
  #forget(neighbour: Neighbour, now: Millis): void {
    if (neighbour.interface.lan) this.#removeNeighbour(neighbour, now);
    else this.#routes.forgetRoutesOf(neighbour, now);
  }

  #writeGreeting(outlet: Outlet, writer: PacketWriter, now: Millis): void {
    const at = this.#tables.interfaces.get(outlet.interface);
    if (!at || outlet !== at.outlet) return;
    const { random } = this.#tables;
    const interval = Math.round(at.helloInterval / 10);
    if (!writer.hello(at.helloSeqno, interval, at.lan ? stampOf(now) : undefined)) return;
    at.helloSeqno = (at.helloSeqno + 1) & 0xffff;
    at.hellos++;
    at.helloAt = now + at.helloInterval * (0.9 + 0.1 * random.unit());
    const neighbours = this.#neighboursAt(at.id);
    if (!at.lan && !neighbours[0]?.isReachable && at.earlyHellos < earlyHellos) {
      at.helloAt = Math.min(at.helloAt, now + earlyHello * 2 ** at.earlyHellos++);
    }
    if (at.quickHellos > 0) this.#hurry(at, neighbours, now);
    this.#tables.timers.by(at.helloAt);
    // Every third Hello on LANs; all of them where Hellos are rare or get lost (RFC 8966 §3.4.2), or where no IHU can promise to hold for
    // three of them.
    const promised = Math.min(longestInterval, 3 * interval);
    if (!at.ihuDue && at.type === 'wired' && promised === 3 * interval && at.hellos % 3 !== 0) return;
    at.ihuDue = at.quickHellos > 0;
    for (const neighbour of neighbours) {
      const to = at.lan ? neighbour.address : undefined;
      if (neighbour.multicast.bits === 0 && neighbour.unicast.bits === 0 && at.lan) continue;
      if (!writer.ihu(to, neighbour.rxcost, promised, at.lan ? neighbour.delay.echo : undefined)) break;
    }
  }

  /**
   * One of several quick Hellos was written. From the second on, who does not answer yet is asked for all: it sends its
   * IHU at once.
   */
  #hurry(at: Interface, neighbours: readonly Neighbour[], now: Millis): void {
    if (at.quickHellos-- < quickHellos) {
      for (const neighbour of neighbours) {
        if (neighbour.isReachable || neighbour.rxcost === infinity) continue;
        neighbour.outlet.requestAll = true;
        neighbour.outlet.by(now + this.#tables.tuning.urgentDelay); // behind the Hello
      }
    }
    if (at.quickHellos > 0 && at.early.take(now)) at.helloAt = now + Math.min(greetPause, at.helloInterval / 2);
    else at.quickHellos = 0;
  }

  #stop(now: Millis): void {
    for (const at of this.#tables.interfaces.values()) {
      const { writer } = this.#host;
      writer.begin(at.outlet.mtu);
      writer.wildcardRetraction();
      writer.hello(at.helloSeqno, 10, at.lan ? stampOf(now) : undefined);
      at.helloSeqno = (at.helloSeqno + 1) & 0xffff;
      this.#host.send(at.outlet, writer.finish());
    }
  }

  #makeHost(tuning: Tuning): OutletHost {
    const routes = this.#routes;
    const { matrix, destinations } = this.#tables;
    const fields: UpdateFields = {
      prefix: new Uint8Array(16),
      prefixLength: 0,
      routerIdHigh: 0,
      routerIdLow: 0,
      seqno: 0,
      metric: infinity,
      interval: 1,
      nextHop4: undefined,
      egress: undefined,
      signature: undefined,
    };
    return {
      matrix,
      tuning,
      fields,
      writer: new PacketWriter(1280),
      describe: (row, outlet, periodic, now) => routes.describe(row, outlet, periodic, fields, now),
      versionOf: (row) => routes.versionOf(row),
      writeGreeting: (outlet, writer, now) => this.#writeGreeting(outlet, writer, now),
      send: (outlet, bytes) =>
        this.#effects.push({ kind: 'sendPacket', interface: outlet.interface, to: outlet.to, bytes }),
      acknowledged: (_outlet, row, now) => routes.acknowledged(row, now),
      rowLimit: () => destinations.rows,
    };
  }

  #flushOutlet(column: number, now: Millis): void {
    const { outlets, sending } = this.#tables;
    const outlet = outlets[column];
    if (!outlet) return;
    if (now >= outlet.resendAt) outlet.resend(this.#host, now);
    if (now >= outlet.flushAt) outlet.flush(this.#host, now);
    sending.by(column, Math.min(outlet.flushAt, outlet.resendAt));
  }

  #finish(now: Millis): SpeakerEffect[] {
    const { numbering, sending } = this.#tables;
    const state = numbering.takeUnsaved();
    if (state) this.#effects.push({ kind: 'persist', state });
    this.#routes.followMoved(now);
    if (now >= sending.at) sending.ring(now, (column) => this.#flushOutlet(column, now));
    const changes = this.#routes.takeChanges();
    if (changes.length > 0) this.#effects.push({ kind: 'routesChanged', changes });
    if (this.#effects.length === 0) return [];
    return this.#effects.splice(0);
  }
}
