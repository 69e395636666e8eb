import { type NodeNumber, nodeNumberOf } from '../addr/node-number.js';
import { Prefix } from '../addr/prefix.js';
import { Bucket } from '../bucket.js';
import { type Millis, never, second } from '../time.js';
import type { PacketReader } from './codec/packet-reader.js';
import type { InterfaceId, Interner, LanPolicy, ReportCode } from './contract.js';
import { type Claim, chain, type Destination, type Proof } from './destination.js';
import { none } from './hot-fields.js';
import { isDefaultRoute, listCovers, listOverlaps } from './interface.js';
import { isMartian } from './martians.js';
import type { Neighbour } from './neighbour.js';
import { mayBeRouter } from './next-hop.js';
import { type Refusal, Refusals } from './refusals.js';
import { type Epoch, type RouterId, routerIdFrom } from './router-id.js';
import { seqnoDistance } from './seqno.js';
import { Shares } from './shares.js';
import type { Tables } from './tables.js';
import { spec } from './tuning.js';

/** An update this far behind the newest proven seqno is a replay, not a slow neighbour. */
const staleBy = 64;
const certificateRetry: Millis = 2 * second;
const certificateTries = 5;
const maxWanted = 4096;
const maxUngranted = 256;
/** New router-ids its owner signs for a prefix: so many at once, then so many a second. */
const renameBurst = 3;
const renameRate = 1 / 60;

/**
 * What an origin or an egress signs (PROTOCOL.md, Babel): prefix length u8 ‖ prefix 16 ‖ router-id 8 ‖ seqno u16 ‖ egress
 * node u24 (0: of an overlay prefix, whose router-id names its owner).
 */
export function signedOctets(prefix: Prefix, high: number, low: number, seqno: number, egress: NodeNumber): Uint8Array {
  const out = new Uint8Array(30);
  out[0] = prefix.length;
  out.set(prefix.bytes, 1);
  putU32(out, 17, high);
  putU32(out, 21, low);
  out[25] = seqno >> 8;
  out[26] = seqno;
  out[27] = egress >> 16;
  out[28] = egress >> 8;
  out[29] = egress;
  return out;
}

/** By hand: a DataView would need a buffer outside the heap for so few octets, and one is made for every proof. */
function putU32(out: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) out[at + i] = value >>> (24 - 8 * i);
}

/** The last 5 octets of a weft router-id. */
function epochIn({ routerIdHigh, routerIdLow }: PacketReader): Epoch {
  return (routerIdHigh & 0xff) * 2 ** 32 + routerIdLow;
}

function isAmong({ signature, rivals }: Proof, reader: PacketReader): boolean {
  if (reader.signatureIs(signature)) return true;
  if (rivals) for (const rival of rivals) if (reader.signatureIs(rival.signature)) return true;
  return false;
}

/** A finite update, as it is told of when it is refused; the interval in hundredths of a second. */
interface Announcement {
  readonly prefix: Prefix;
  readonly routerId: RouterId;
  readonly announced: number;
  readonly seqno: number;
  readonly interval: number;
}

function announcementIn(said: PacketReader): Announcement {
  return {
    prefix: new Prefix(said.prefix, said.prefixLength),
    routerId: routerIdFrom(said.routerIdHigh, said.routerIdLow),
    announced: said.metric,
    seqno: said.seqno,
    interval: said.interval,
  };
}

/** Why a prefix announced on a LAN is not taken from it; undefined when it is. */
export function importRefusal(policy: LanPolicy, prefix: Prefix): ReportCode | undefined {
  if (isDefaultRoute(prefix))
    return policy.imports.some((entry) => entry.key === prefix.key) ? undefined : 'default-route';
  if (!listCovers(policy.imports, prefix)) return 'foreign-import';
  return listOverlaps(policy.connected, prefix) ? 'import-meets-connected' : undefined;
}

/**
 * Which finite updates are believed (docs/protocol/babel.md): an overlay /64 only from the owner of its node number, a
 * LAN prefix only through a gateway whose certificate grants it, both proven by signature; from a LAN only what the
 * operator lists. After `judge` its fields hold the verdict until the next call.
 */
export class Admission {
  destination: Destination | undefined;
  router = none;
  egress: NodeNumber = 0;
  /** To be kept, but not used until its proof or its certificate comes. */
  isUnproven = false;
  /** Its gateway's share, or that of all, is full: nothing of it is kept, and what this neighbour said before is over. */
  isBeyondShare = false;
  /** The neighbour sent no signature though we need one: ask it. */
  isAskedFor = false;

  /** Prefixes outside the overlay: those a certificate's grants decide on. */
  readonly foreign: Set<Destination> = new Set();
  /**
   * Of those, what is proven, by the nodes that let it out: `maxForeignPerEgress` each, ourselves for all our LANs. Routers
   * behind a gateway need no signature, so what they invent is its share, and never a place of a node's own prefix. Added to as
   * updates are taken; every sweep counts anew (`recount`).
   */
  readonly #letOut = new Shares();
  /** Of what we let out ourselves, by which of our LANs it comes. */
  readonly #lans = new Shares();
  /** Of each LAN's, the router that was the first to bring it, even when it has gone since: what others say too takes no place more. */
  readonly #bringers = new Shares<Neighbour>();
  /** A share has room that it had not: for whoever counts with it to take back. */
  hasGivenBack = false;
  /** Of those whose owner has begun another epoch: how often it may again. No more than there are destinations. */
  readonly #renames = new Map<Destination, Bucket>();

  /**
   * Never proven yet, and who brought them: at most `maxUnprovenPerNeighbour` each, counted by node, so that a tunnel that ends and
   * comes back brings no more, and `maxUnproven` of all.
   */
  readonly #unproven = new Shares();

  readonly #refusals = new Refusals();
  readonly #tables: Tables;
  readonly #interner: Interner | undefined;
  #ungranted: { readonly node: NodeNumber; readonly prefix: Prefix; readonly neighbour: Neighbour }[] = [];
  readonly #wanted = new Map<NodeNumber, { from: number; at: Millis; tries: number }>();

  constructor(tables: Tables, interner: Interner | undefined) {
    this.#tables = tables;
    this.#interner = interner;
  }

  /** True when the update on which the reader stands may be taken into the table. */
  judge(reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    this.destination = undefined;
    this.egress = 0;
    this.isUnproven = this.isAskedFor = this.isBeyondShare = false;
    const known = this.#tables.destinations.find(reader.prefix, reader.prefixLength);
    if (!known && isMartian(reader.prefix, reader.prefixLength)) {
      this.#tables.reports.dropped('martian');
      return false;
    }
    const lan = neighbour.interface.lan !== undefined;
    const isTaken = lan
      ? this.#judgeLan(known, reader, neighbour, now)
      : this.#judgeOverlay(known, reader, neighbour, now);
    if (isTaken) this.#refusals.forget(neighbour, this.destination!.prefix);
    return isTaken;
  }

  /** A retraction: what was refused of it would be a route no more. */
  takenBack(reader: PacketReader, neighbour: Neighbour): void {
    if (!this.#refusals.has(neighbour)) return;
    this.#refusals.forget(neighbour, new Prefix(reader.prefix, reader.prefixLength));
  }

  /** All the neighbour said is over. */
  allTakenBack(neighbour: Neighbour): void {
    this.#refusals.forgetAllOf(neighbour);
  }

  /** A signed retraction: of interest when it is about our own prefix. */
  shown(reader: PacketReader, neighbour: Neighbour, now: Millis): void {
    const { network, node } = this.#tables;
    if (neighbour.interface.lan || reader.prefixLength !== 64 || reader.routerIdHigh >>> 8 !== node) return;
    if (network.contains(reader.prefix) && nodeNumberOf(network, reader.prefix) === node) {
      this.#judgeOwn(reader, neighbour, now);
    }
  }

  #refuse(
    code: Parameters<Tables['reports']['refused']>[0],
    reader: PacketReader,
    neighbour: Neighbour,
    now: Millis,
  ): false {
    const said = announcementIn(reader);
    const detail = () => `${said.prefix} by ${said.routerId} seqno ${said.seqno}`;
    this.#tables.reports.refused(code, neighbour, detail, now);
    this.#note(code, said, neighbour, now);
    return false;
  }

  /** For who asks why there is no route by it. */
  #note(code: ReportCode, said: Announcement, neighbour: Neighbour, now: Millis): void {
    const { interval, ...refused } = said;
    this.#refusals.add({ code, ...refused, neighbour, at: now, until: now + spec.routeExpiryFactor * 10 * interval });
  }

  /** True when what this neighbour said last of the prefix is among `refused`. */
  isRefused(prefix: Prefix, neighbour: Neighbour, now: Millis): boolean {
    return this.#refusals.isCurrent(neighbour, prefix, now);
  }

  /** What was refused lately, and neither taken nor taken back since. */
  refused(now: Millis): Refusal[] {
    return this.#refusals.current(now);
  }

  /** Sets `destination` and `router`, which is none where nobody has named this router-id before: see `#name`. */
  #recall(destination: Destination, { routerIdHigh: high, routerIdLow: low }: PacketReader): void {
    const { routers } = this.#tables;
    const usual = destination.router;
    this.router = usual !== none && routers.is(usual, high, low) ? usual : routers.find(high, low);
    this.destination = destination;
  }

  /** False, reported, when there is no room for one more destination. */
  #hasRoom(reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const { destinations, tuning } = this.#tables;
    return destinations.size < tuning.maxDestinations || this.#refuse('quota', reader, neighbour, now);
  }

  /** False when this node would let out more than it may. */
  #isInShare(known: Destination | undefined, egress: NodeNumber): boolean {
    const { maxForeignPerEgress } = this.#tables.tuning;
    return (known && this.#letOut.has(known, egress)) || this.#letOut.of(egress) < maxForeignPerEgress;
  }

  /** False when all nodes together let out what they may, and this is none of it. */
  #isInTotal(known: Destination | undefined): boolean {
    if (known && this.#letOut.holders(known).length > 0) return true;
    return this.#letOut.size < this.#tables.tuning.maxForeign;
  }

  /** Names that node: only to be called once it is proven that it lets out the prefix. */
  #refuseShare(egress: NodeNumber, said: Announcement, neighbour: Neighbour, now: Millis): false {
    const { reports, tuning } = this.#tables;
    neighbour.isOwed ||= neighbour.interface.lan === undefined;
    const detail = () =>
      `${said.prefix}: it lets out ${tuning.maxForeignPerEgress} prefixes already, as many as one node may`;
    reports.refused('lan-quota', neighbour, detail, now, egress);
    this.#note('lan-quota', said, neighbour, now);
    return false;
  }

  /** Names who lets out most: whoever comes last is as a rule not the one that took all places. */
  #refuseTotal(said: Announcement, neighbour: Neighbour, now: Millis): false {
    const { reports, tuning, node } = this.#tables;
    neighbour.isOwed ||= neighbour.interface.lan === undefined;
    const largest = () => this.#letOut.largest() ?? node;
    const detail = () => {
      const most = this.#letOut.of(largest());
      return `${said.prefix}: all nodes together let out ${tuning.maxForeign} prefixes already, as many as they may, and it most, ${most}`;
    };
    reports.refused('lan-quota', neighbour, detail, now, largest);
    this.#note('lan-quota', said, neighbour, now);
    return false;
  }

  /** False, reported, when that node or all together let out as many as they may. What it says must be proven. */
  #mayLetOut(
    known: Destination | undefined,
    egress: NodeNumber,
    reader: PacketReader,
    neighbour: Neighbour,
    now: Millis,
  ): boolean {
    if (!this.#isInTotal(known)) return this.#refuseTotal(announcementIn(reader), neighbour, now);
    return this.#isInShare(known, egress) || this.#refuseShare(egress, announcementIn(reader), neighbour, now);
  }

  #mayWait(bringer: NodeNumber): boolean {
    const { maxUnproven, maxUnprovenPerNeighbour } = this.#tables.tuning;
    return this.#unproven.size < maxUnproven && this.#unproven.of(bringer) < maxUnprovenPerNeighbour;
  }

  /** What a node's signature proves has no place: to be let go, and named. */
  refuseProven(destination: Destination, egress: NodeNumber, neighbour: Neighbour, now: Millis): void {
    const { matrix, routers } = this.#tables;
    const { prefix, row } = destination;
    const { column } = neighbour;
    const said = {
      prefix,
      routerId: routers.id(matrix.router(row, column)),
      announced: matrix.refmetric(row, column),
      seqno: matrix.seqno(row, column),
      interval: matrix.interval(row, column),
    };
    if (this.#isInTotal(destination)) this.#refuseShare(egress, said, neighbour, now);
    else this.#refuseTotal(said, neighbour, now);
  }

  /** A prefix of our own operator's, whatever its number. */
  letOutOurselves(destination: Destination): void {
    this.foreign.add(destination);
    this.#letOut.add(destination, this.#tables.node);
  }

  /**
   * A new destination and, if it is new too, its router-id, bounded as destinations are. Only once nothing else speaks
   * against it: what is refused leaves no trace, or it would take the places of all.
   */
  #make(prefix: Prefix, reader: PacketReader, neighbour: Neighbour, owner: NodeNumber, now: Millis): boolean {
    const { destinations, routers, matrix, columns } = this.#tables;
    this.router = routers.intern(reader.routerIdHigh, reader.routerIdLow);
    if (this.router < 0) return this.#refuse('quota', reader, neighbour, now);
    const destination = destinations.add(prefix, owner);
    matrix.reserve(destinations.rows, columns.length);
    matrix.clearRow(destination.row);
    if (owner === 0) this.foreign.add(destination);
    this.destination = destination;
    return true;
  }

  /**
   * Gives a router-id that is new for a known destination its number, if there is one for it: a new name costs nothing,
   * and neither does the next. What its owner has signed is spared the neighbour's share, so that however many nodes
   * lose their disks at once all are told of; each may do so a few times.
   */
  #name(reader: PacketReader, neighbour: Neighbour, isByOwner: boolean, now: Millis): boolean {
    if (this.router >= 0) return true;
    const isGranted = (isByOwner && this.#mayRename(now)) || neighbour.interface.routerIds.take(now);
    if (isGranted) this.router = this.#tables.routers.intern(reader.routerIdHigh, reader.routerIdLow);
    return this.router >= 0 || this.#refuse('quota', reader, neighbour, now);
  }

  #mayRename(now: Millis): boolean {
    const destination = this.destination!;
    let renames = this.#renames.get(destination);
    if (!renames) {
      renames = new Bucket(renameRate, renameBurst);
      this.#renames.set(destination, renames);
    }
    return renames.take(now);
  }

  /**
   * These nodes let it out now, ourselves for these routers of our LANs: as its routes say, however it came to be in their shares. What a node
   * no longer lets out is not its, though another goes on letting it out.
   */
  recount(destination: Destination, nodes: readonly NodeNumber[], routers: readonly Neighbour[]): void {
    const bringers = new Map<InterfaceId, Neighbour>();
    for (const router of routers) {
      const { id } = router.interface;
      if (!bringers.has(id) || this.#bringers.has(destination, router)) bringers.set(id, router);
    }
    if (this.#letOut.set(destination, nodes)) this.hasGivenBack = true;
    if (this.#lans.set(destination, [...bringers.keys()])) this.hasGivenBack = true;
    this.#bringers.set(destination, [...bringers.values()]);
  }

  /** Nothing proves it any more: it is its neighbour's to answer for, if that may bring one more. */
  waits(destination: Destination, neighbour: Neighbour): boolean {
    if (this.#unproven.holders(destination).length > 0) return true;
    const mayWait = this.#mayWait(neighbour.node!);
    if (mayWait) this.#unproven.add(destination, neighbour.node!);
    return mayWait;
  }

  /** The destination is no more. */
  forget(destination: Destination): void {
    this.foreign.delete(destination);
    this.#renames.delete(destination);
    this.recount(destination, [], []);
    this.#unproven.set(destination, []);
  }

  /**
   * False, reported, when this router would leave fewer places to the routers that come after it than it has itself: of our share a LAN takes
   * half at most, and each router half of what its LAN has left. Whoever comes first is alone then, and keeps what it took.
   */
  #leavesOthers(known: Destination | undefined, reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const { node, reports, tuning } = this.#tables;
    const { id } = neighbour.interface;
    if (known && this.#lans.has(known, id)) return true;
    const ofLan = Math.floor(tuning.maxForeignPerEgress / 2) - this.#lans.of(id);
    const left = Math.min(ofLan, tuning.maxForeignPerEgress - this.#letOut.of(node));
    const its = this.#bringers.of(neighbour);
    if (its < left) return true;
    const said = announcementIn(reader);
    const detail = () =>
      `${said.prefix}: it brought ${its} prefixes there, and no more than ${left} are left to the other routers of that LAN`;
    reports.refused('lan-quota', neighbour, detail, now, node);
    this.#note('lan-quota', said, neighbour, now);
    return false;
  }

  #judgeLan(known: Destination | undefined, reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const { network } = this.#tables;
    const lan = neighbour.interface.lan!;
    if (network.contains(reader.prefix) && reader.prefixLength >= network.length) {
      // Another of our gateways on this LAN announces it with the router-id it came with: not worth a word.
      const echoed = known !== undefined && known.owner === reader.routerIdHigh >>> 8;
      return echoed ? false : this.#refuse('overlay-prefix-from-lan', reader, neighbour, now);
    }
    const prefix = known?.prefix ?? this.#tables.destinations.prefixOf(reader.prefix, reader.prefixLength);
    const refusal = importRefusal(lan.policy, prefix);
    if (refusal) {
      // Routers without split horizon repeat what we told them: not worth a word.
      const { routerIdHigh: high, routerIdLow: low } = reader;
      const echoed = known && known.selected !== none && this.#tables.routers.is(known.router, high, low);
      return echoed ? false : this.#refuse(refusal, reader, neighbour, now);
    }
    if (!mayBeRouter(reader.nextHop, neighbour.interface.ownAddress, lan.policy)) {
      this.#tables.reports.dropped('foreign-next-hop');
      return false;
    }
    const { node } = this.#tables;
    if (!this.#mayLetOut(known, node, reader, neighbour, now)) return false;
    if (!this.#leavesOthers(known, reader, neighbour, now)) return false;
    if (known) this.#recall(known, reader);
    else if (!this.#hasRoom(reader, neighbour, now) || !this.#make(prefix, reader, neighbour, 0, now)) return false;
    if (!this.#name(reader, neighbour, false, now)) return false;
    this.#letOut.add(this.destination!, node);
    if (!this.#lans.has(this.destination!, neighbour.interface.id)) this.#bringers.add(this.destination!, neighbour);
    this.#lans.add(this.destination!, neighbour.interface.id);
    this.#unproven.set(this.destination!, []);
    return true;
  }

  #judgeOverlay(known: Destination | undefined, reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const { network, node } = this.#tables;
    const { owner: usual } = known ?? { owner: 0 };
    // A prefix we know, by its owner: nearly all of them.
    if (usual !== 0 && usual !== node && usual === reader.routerIdHigh >>> 8) {
      return this.#weigh(known, reader, neighbour, usual, usual, now);
    }
    if (network.contains(reader.prefix) && reader.prefixLength >= network.length) {
      const owner = nodeNumberOf(network, reader.prefix)!;
      if (reader.prefixLength !== 64 || owner === 0 || reader.routerIdHigh >>> 8 !== owner) {
        return this.#refuse(owner === node ? 'own-prefix-by-another' : 'not-the-owner', reader, neighbour, now);
      }
      if (owner === node) return this.#judgeOwn(reader, neighbour, now);
      return this.#weigh(known, reader, neighbour, owner, owner, now);
    }
    const isDefault = reader.prefixLength === 0 || (reader.prefixLength === 96 && reader.prefix[10] === 0xff);
    if (isDefault && !this.#tables.acceptDefaultRoutes) return false; // others may use it: no offence
    if (reader.egress === node) return false; // our own, come back
    if (reader.egress <= 0) return this.#refuse('not-granted', reader, neighbour, now);
    this.egress = reader.egress;
    return this.#weigh(known, reader, neighbour, 0, reader.egress, now);
  }

  /** Our own prefix under another epoch or a seqno ahead: signed by us, it shows that our disk is behind. */
  #judgeOwn(reader: PacketReader, neighbour: Neighbour, now: Millis): false {
    const { node, numbering } = this.#tables;
    const epoch = epochIn(reader);
    const ahead =
      epoch > numbering.epoch || (epoch === numbering.epoch && seqnoDistance(reader.seqno, numbering.seqno) > 0);
    if (!ahead) return false;
    if (reader.signatureLength === 0) {
      this.isAskedFor = true;
      return false;
    }
    const prefix = new Prefix(reader.prefix, reader.prefixLength);
    const octets = signedOctets(prefix, reader.routerIdHigh, reader.routerIdLow, reader.seqno, 0);
    const verdict = this.#check(node, octets, reader.signature(), neighbour, now);
    if (verdict === 'unchecked') return false;
    if (verdict !== 'valid') return this.#refuse('own-prefix-by-another', reader, neighbour, now);
    numbering.overtake(epoch, reader.seqno, now);
    return false;
  }

  #weigh(
    known: Destination | undefined,
    reader: PacketReader,
    neighbour: Neighbour,
    owner: NodeNumber,
    signer: NodeNumber,
    now: Millis,
  ): boolean {
    if (!known) return this.#discover(reader, neighbour, owner, signer, now);
    this.#recall(known, reader);
    return this.#prove(reader, neighbour, signer, now);
  }

  /** A prefix we have not heard of: without a signature it is only asked for. */
  #discover(reader: PacketReader, neighbour: Neighbour, owner: NodeNumber, signer: NodeNumber, now: Millis): boolean {
    const { authority, destinations } = this.#tables;
    if (!this.#hasRoom(reader, neighbour, now)) return false;
    if (owner === 0 && !this.#isInTotal(undefined)) {
      return this.#refuseTotal(announcementIn(reader), neighbour, now);
    }
    if (reader.signatureLength === 0) {
      // Perhaps it is not said by this node at all: no word about it, but to who asks for this prefix.
      if (owner === 0 && !this.#isInShare(undefined, signer)) {
        this.#tables.reports.dropped('lan-quota');
        this.#note('lan-quota', announcementIn(reader), neighbour, now);
        neighbour.isOwed = true;
      } else this.isAskedFor = true;
      return false;
    }
    const prefix = destinations.prefixOf(reader.prefix, reader.prefixLength);
    const signature = reader.signature();
    const octets = signedOctets(prefix, reader.routerIdHigh, reader.routerIdLow, reader.seqno, this.egress);
    const verdict = this.#check(signer, octets, signature, neighbour, now);
    if (verdict === 'unchecked') return false;
    if (verdict === 'invalid') return this.#refuse('invalid-signature', reader, neighbour, now);
    if (verdict === 'valid' && owner === 0 && !authority.grants(signer, prefix)) {
      this.#noteUngranted(signer, prefix, neighbour);
      return this.#refuse('not-granted', reader, neighbour, now);
    }
    if (verdict === 'valid' && owner === 0 && !this.#mayLetOut(undefined, signer, reader, neighbour, now)) return false;
    const bringer = neighbour.node!; // only overlay neighbours come here
    if (verdict === 'unknown' && !this.#mayWait(bringer)) {
      if (owner === 0) this.#noteUngranted(signer, prefix, neighbour);
      else neighbour.hasUntold = true;
      this.#want(signer, neighbour, now);
      return this.#refuse('quota', reader, neighbour, now);
    }
    if (!this.#make(prefix, reader, neighbour, owner, now)) return false;
    const destination = this.destination!;
    this.#keep(reader.seqno, signer, { signature, by: bringer }, verdict === 'valid');
    if (verdict === 'valid') {
      neighbour.checks!.wasNews();
      if (owner === 0) this.#letOut.add(destination, signer);
      this.noteNewest(destination, this.router);
    } else {
      this.isUnproven = true;
      this.#unproven.add(destination, bringer);
      this.#want(signer, neighbour, now);
    }
    return true;
  }

  #prove(reader: PacketReader, neighbour: Neighbour, signer: NodeNumber, now: Millis): boolean {
    const { authority, routers } = this.#tables;
    const destination = this.destination!;
    if (destination.owner !== 0 && destination.newestRouter !== none && destination.newestRouter !== this.router) {
      const newest = routers.epoch(destination.newestRouter);
      if (epochIn(reader) < newest) return this.#refuse('old-epoch', reader, neighbour, now);
    }
    const known = destination.proof(this.router, reader.seqno, signer);
    if (known && (reader.signatureLength === 0 || isAmong(known, reader))) {
      this.isUnproven = !known.valid;
      if (this.isUnproven) this.#want(signer, neighbour, now);
      return known.valid ? this.#isCurrent(reader, neighbour, now) : true;
    }
    if (reader.signatureLength === 0) {
      if (!this.#name(reader, neighbour, false, now)) return false;
      this.isUnproven = this.isAskedFor = true;
      return true;
    }
    const { prefix } = destination;
    const signature = reader.signature();
    const octets = signedOctets(prefix, reader.routerIdHigh, reader.routerIdLow, reader.seqno, this.egress);
    const claim = { signature, by: neighbour.node! };
    switch (this.#check(signer, octets, signature, neighbour, now)) {
      case 'unchecked':
        return false;
      case 'invalid':
        return this.#refuse('invalid-signature', reader, neighbour, now);
      case 'unknown':
        if (!this.#name(reader, neighbour, false, now)) return false;
        this.isUnproven = true;
        this.#keep(reader.seqno, signer, claim, false);
        this.#want(signer, neighbour, now);
        return true;
      default:
        if (!this.#isCurrent(reader, neighbour, now)) return false;
        if (this.egress !== 0 && !authority.grants(this.egress, prefix)) {
          this.#noteUngranted(signer, prefix, neighbour);
          return this.#refuse('not-granted', reader, neighbour, now);
        }
        if (this.egress !== 0 && !this.#mayLetOut(destination, signer, reader, neighbour, now)) {
          this.isBeyondShare = true;
          return false;
        }
        if (!this.#name(reader, neighbour, destination.owner !== 0, now)) return false;
        if (this.egress !== 0) this.#letOut.add(destination, signer);
        this.#keep(reader.seqno, signer, claim, true);
        this.noteNewest(destination, this.router);
        return true;
    }
  }

  /** Announced before its grant came to us, or without one. */
  #noteUngranted(node: NodeNumber, prefix: Prefix, neighbour: Neighbour): void {
    const known = this.#ungranted.some((one) => one.neighbour === neighbour && one.prefix.key === prefix.key);
    if (known) return;
    if (this.#ungranted.length >= maxUngranted) this.#ungranted.shift();
    this.#ungranted.push({ node, prefix, neighbour });
  }

  /** What this node announced and was refused for want of a grant, if a certificate grants it now; forgotten here. */
  takeGranted(node: NodeNumber): readonly { readonly prefix: Prefix; readonly neighbour: Neighbour }[] {
    const granted = this.#ungranted.filter(
      (one) => one.node === node && this.#tables.authority.grants(node, one.prefix),
    );
    this.#ungranted = this.#ungranted.filter((one) => !granted.includes(one));
    return granted;
  }

  /** False, reported, for a seqno long overtaken. */
  #isCurrent(reader: PacketReader, neighbour: Neighbour, now: Millis): boolean {
    const destination = this.destination!;
    if (!this.#neverBeginsAnew(destination)) return true;
    for (let proof = destination.proofs; proof; proof = proof.next) {
      const behind = seqnoDistance(proof.seqno, reader.seqno);
      if (proof.valid && proof.router === this.router && behind > staleBy) {
        return this.#refuse('replayed-seqno', reader, neighbour, now);
      }
    }
    return true;
  }

  /**
   * True of a node's own prefix, whose owner is shown what it forgot; and of a LAN router's under the router-id in use. One that lost
   * its disk counts on from anywhere under the same router-id once all have forgotten it, and each node forgets at a moment of its own
   * (RFC 8966 §3.7.3): what is long lost here its gateway may rightly announce again. Until our own source is gone too it is kept and
   * not used, as unfeasible.
   */
  #neverBeginsAnew({ owner, selected, router }: Destination): boolean {
    return owner !== 0 || (selected !== none && router === this.router);
  }

  /**
   * Who checks it pays for it: `unchecked` where this neighbour has sent too much that was false. What a signer's certificate is
   * missing for costs nothing yet: it is checked, and paid for, when that comes.
   */
  #check(
    signer: NodeNumber,
    octets: Uint8Array,
    signature: Uint8Array,
    neighbour: Neighbour,
    now: Millis,
  ): 'valid' | 'invalid' | 'unknown' | 'unchecked' {
    const checks = neighbour.checks!; // only overlay neighbours come here
    if (!checks.take(now)) {
      this.#tables.reports.dropped('signature-rate');
      neighbour.wasUnchecked = true;
      return 'unchecked';
    }
    const verdict = this.#tables.authority.verify(signer, octets, signature);
    if (verdict === 'valid') checks.wasTrue();
    else if (verdict === 'unknown') checks.wasNeedless();
    return verdict;
  }

  #keep(seqno: number, signer: NodeNumber, { signature, by }: Claim, valid: boolean): void {
    const destination = this.destination!;
    const copy = this.#interner ? this.#interner.octets(signature) : signature.slice();
    const proof = destination.proof(this.router, seqno, signer);
    if (!proof) {
      this.makeRoom(destination);
      destination.addProof(this.router, seqno, signer, valid, { signature: copy, by });
    } else if (valid) {
      proof.signature = copy;
      proof.rivals = undefined;
      proof.valid = true;
    } else if (!proof.valid) this.#addRival(proof, { signature: copy, by });
  }

  /** The newest of each neighbour: what one invents leaves room for what others bring. */
  #addRival(proof: Proof, claim: Claim): void {
    if (proof.by === claim.by) {
      proof.signature = claim.signature;
      return;
    }
    const others = (proof.rivals ?? []).filter(({ by }) => by !== claim.by);
    if (others.length + 1 < this.#tables.tuning.maxProofs) proof.rivals = [...others, claim];
  }

  /** For one more proof: drops the one least worth keeping, unproven before proven, never that of the selected route. */
  makeRoom(destination: Destination): void {
    if (!destination.proofs) return;
    const oldestFirst = [...chain(destination.proofs)].reverse();
    if (oldestFirst.length < this.#tables.tuning.maxProofs) return;
    const spare = (proof: Proof) => proof.router !== destination.router || proof.seqno !== destination.seqno;
    const newest = destination.newestProof();
    const worst =
      oldestFirst.find((proof) => !proof.valid) ??
      oldestFirst.find((proof) => proof !== newest && spare(proof)) ??
      oldestFirst.find(spare) ??
      oldestFirst[0];
    destination.dropProofs((proof) => proof === worst);
  }

  noteNewest(destination: Destination, router: number): void {
    this.#unproven.set(destination, []);
    if (destination.owner === 0) return;
    const { routers } = this.#tables;
    const { newestRouter } = destination;
    if (newestRouter === none || routers.epoch(router) > routers.epoch(newestRouter)) destination.newestRouter = router;
    else destination.noteProven();
  }

  /**
   * True when what this node has proven is proven by the key it has now. Its certificate comes anew with each of its records, and
   * a gateway's signatures are thousands: the oldest two that count tell whether it has another key, since a key does not return.
   */
  isStillProven(destinations: readonly Destination[], node: NodeNumber): boolean {
    return destinations.slice(0, 2).every((destination) => {
      const valid = [...chain(destination.proofs)].filter((proof) => proof.signer === node && proof.valid);
      const oldest = valid.at(-1);
      return !oldest || this.#fits(oldest, destination, oldest.signature);
    });
  }

  #fits({ router, seqno, signer }: Proof, { prefix, owner }: Destination, signature: Uint8Array): boolean {
    const { authority, routers } = this.#tables;
    const egress = owner === 0 ? signer : 0;
    const octets = signedOctets(prefix, routers.high(router), routers.low(router), seqno, egress);
    return authority.verify(signer, octets, signature) === 'valid';
  }

  /** Of what waited: at the cost of who brought it, as if it had come now. */
  #fitsAtLast(proof: Proof, destination: Destination, { signature, by }: Claim, now: Millis): boolean {
    const checks = this.#tables.checks.of(by);
    if (!checks.take(now)) {
      this.#tables.reports.dropped('signature-rate');
      return false;
    }
    const fits = this.#fits(proof, destination, signature);
    if (fits) checks.wasTrue();
    return fits;
  }

  #goodOf(proof: Proof, destination: Destination, isStillProven: boolean, now: Millis): Uint8Array | undefined {
    const { signature, rivals = [] } = proof;
    if (proof.valid) return isStillProven || this.#fits(proof, destination, signature) ? signature : undefined;
    return [proof, ...rivals].find((claim) => this.#fitsAtLast(proof, destination, claim, now))?.signature;
  }

  /**
   * A certificate came: every signature of this node that waited is judged, and if it has another key every one. False when one of
   * them is good and there is no place for what it proves.
   */
  certificateHeld(destination: Destination, node: NodeNumber, isStillProven: boolean, now: Millis): boolean {
    this.#wanted.delete(node);
    const { authority } = this.#tables;
    let hasPlace = true;
    for (const proof of chain(destination.proofs)) {
      if (proof.signer !== node) continue;
      const egress = destination.owner === 0 ? node : 0;
      const good = this.#goodOf(proof, destination, isStillProven, now);
      proof.valid = good !== undefined && (egress === 0 || authority.grants(node, destination.prefix));
      if (good) {
        proof.signature = good;
        proof.rivals = undefined;
      }
      if (!proof.valid) continue;
      if (egress !== 0) {
        hasPlace = this.#isInTotal(destination) && this.#isInShare(destination, node);
        proof.valid = hasPlace;
        if (!hasPlace) continue;
        this.#letOut.add(destination, node);
      }
      this.noteNewest(destination, proof.router);
    }
    destination.dropProofs((proof) => proof.signer === node && !proof.valid);
    return hasPlace;
  }

  #want(node: NodeNumber, neighbour: Neighbour, now: Millis): void {
    const wanted = this.#wanted.get(node);
    if (wanted && now - wanted.at < certificateRetry) return;
    if (!wanted && this.#wanted.size >= maxWanted) return;
    this.#wanted.set(node, { from: neighbour.interface.id, at: now, tries: (wanted?.tries ?? 0) + 1 });
    this.wantedDeadline = Math.min(this.wantedDeadline, now + certificateRetry);
    this.#tables.effects.push({ kind: 'certificateWanted', node, from: neighbour.interface.id });
  }

  /** When `askAgain` has something to do. */
  wantedDeadline: Millis = never;

  /** Asks again for certificates that did not come; after a few times, only when the route is announced again. */
  askAgain(now: Millis): void {
    if (now < this.wantedDeadline) return;
    this.wantedDeadline = never;
    for (const [node, wanted] of this.#wanted) {
      if (now - wanted.at < certificateRetry) {
        this.wantedDeadline = Math.min(this.wantedDeadline, wanted.at + certificateRetry);
        continue;
      }
      if (wanted.tries >= certificateTries || !this.#tables.interfaces.has(wanted.from)) {
        this.#wanted.delete(node);
        continue;
      }
      wanted.at = now;
      wanted.tries++;
      this.wantedDeadline = Math.min(this.wantedDeadline, now + certificateRetry);
      this.#tables.effects.push({ kind: 'certificateWanted', node, from: wanted.from });
    }
  }
}
