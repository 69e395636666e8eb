import { decodeEndpointRecord, isSignedByItsNode } from '../addr/endpoint-record.js';
import { type FieldMap, integerField, octetsField } from '../addr/fields.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import type { NodeNumber } from '../addr/node-number.js';
import { type NodeKey, nodeKey } from '../addr/public-key.js';
import { decodeRevocation } from '../addr/revocation.js';
import { Bucket } from '../bucket.js';
import { equalBytes } from '../bytes.js';
import type { CheckBudget } from '../check-budgets.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second, type UnixSeconds } from '../time.js';
import type { ClockWatch } from './clock-watch.js';
import { bucketCount, Digest, type Item, itemHashLength, itemOf, sumLength } from './digest.js';
import type { Directory, RecordOutcome } from './directory.js';
import type { MeshEffect } from './effects.js';
import { isForgery, type Learnt, type Membership } from './membership.js';
import { type MeshMessages, sendMesh } from './messages.js';

/** The sets that all nodes come to hold alike, in the order they are mended: who may sign, who is out, who is where. */
const kinds = ['issuers', 'revocations', 'records'] as const;
type Kind = (typeof kinds)[number];

/** Neighbours that agree compare again this often. */
const calm: Millis = minute;
/** Neighbours not known to agree compare again after this long, then after twice that, up to calm: messages may be lost. */
const busy: Millis = second;
/** So long after news they compare: what was sent at once may be lost. */
const afterNews: Millis = 2 * second;
/** Who agreed last time may be asked so much early, when another neighbour is: one wake-up serves several. */
const together: Millis = 15 * second;
/** Items a second we take from, and give to, one neighbour; each taken costs two signature checks. */
const itemsPerSecond = 200;
const itemBurst = 400;
/** Newer records of one node: one in this time after the first few, or its news wait for the next comparison. */
const recordPause: Millis = second;
const recordBurst = 4;
/** Buckets mended in one comparison, so that one message does not call for hundreds. */
const bucketsAtOnce = 16;
const maxHashes = 128;
/** A clock beyond this year 9999 is none. */
const furthestClock: UnixSeconds = 253_402_300_799;

interface Neighbour {
  /** When to compare next, and the pause after that. */
  next: Millis;
  pause: Millis;
  /** How many items are taken from it, and given to it. */
  readonly taken: Bucket;
  readonly given: Bucket;
}

/**
 * Spreads issuers, revocations and endpoint records by anti-entropy (PROTOCOL.md, Gossip). Right after a handshake and every
 * minute neighbours compare totals (`sum`); where they differ, sums of buckets (`sums`), then the hashes in a bucket (`have`);
 * missing items are sent (`item`) or asked for (`want`). What is news is passed on to all other neighbours at once.
 *
 * Only neighbours are listened to: who is not our neighbour has neighbours of its own.
 */
export class Gossip {
  readonly #membership: Membership;
  readonly #directory: Directory;
  readonly #random: Random;
  readonly #clock: ClockWatch;
  readonly #checks: { of(node: NodeNumber): CheckBudget };
  readonly #digests: Readonly<Record<Kind, Digest>> = {
    issuers: new Digest(),
    revocations: new Digest(),
    records: new Digest(),
  };
  readonly #recordItems = new Map<NodeKey, Item>();
  readonly #recordTimes = new Map<NodeKey, Millis>();
  readonly #neighbours = new Map<NodeNumber, Neighbour>();
  readonly #refused = new Map<string, number>();

  /** `checks`: signatures that neighbours may have us check. */
  constructor(
    membership: Membership,
    directory: Directory,
    messages: MeshMessages,
    random: Random,
    clock: ClockWatch,
    checks: { of(node: NodeNumber): CheckBudget },
  ) {
    this.#membership = membership;
    this.#directory = directory;
    this.#random = random;
    this.#clock = clock;
    this.#checks = checks;
    for (const record of directory.records()) this.#recordChanged(nodeKey(record.node.key), record.bytes);
    const handlers = {
      sum: this.#onSum,
      sums: this.#onSums,
      have: this.#onHave,
      want: this.#onWant,
      item: this.#onItem,
    };
    for (const [type, handler] of Object.entries(handlers)) {
      messages.on(type, (message, sender, now) => {
        const neighbour = sender.neighbour ? this.#neighbours.get(sender.node) : undefined;
        if (!neighbour) return this.#refuse('not-a-neighbour');
        return handler.call(this, message, sender.node, neighbour, now);
      });
    }
  }

  /** Items refused since the start, by reason. */
  get refused(): ReadonlyMap<string, number> {
    return this.#refused;
  }

  /** A tunnel came up: compare at once, before routes are exchanged. */
  neighbourUp(node: NodeNumber, now: Millis): MeshEffect[] {
    this.#neighbours.set(node, {
      next: now + busy,
      pause: 2 * busy,
      taken: new Bucket(itemsPerSecond, itemBurst),
      given: new Bucket(itemsPerSecond, itemBurst),
    });
    return [this.#sum(node)];
  }

  neighbourDown(node: NodeNumber): void {
    this.#neighbours.delete(node);
    this.#clock.forget(node);
  }

  tick(now: Millis): MeshEffect[] {
    const effects: MeshEffect[] = [];
    if (now < this.deadline()) return effects;
    for (const [node, neighbour] of this.#neighbours) {
      if (neighbour.next > now + (neighbour.pause === calm ? together : 0)) continue;
      neighbour.next = now + neighbour.pause * (0.75 + 0.5 * this.#random.unit());
      neighbour.pause = Math.min(calm, 2 * neighbour.pause);
      effects.push(this.#sum(node));
    }
    return effects;
  }

  deadline(): Millis {
    let soonest = never;
    for (const neighbour of this.#neighbours.values()) soonest = Math.min(soonest, neighbour.next);
    return soonest;
  }

  /** News of our own making: an issuer added, a node revoked, our record signed anew. To all neighbours but `except`. */
  spread(kind: Kind, bytes: Uint8Array, now: Millis, except?: NodeNumber): MeshEffect[] {
    if (kind === 'records') {
      const record = decodeEndpointRecord(bytes)!;
      this.#recordChanged(nodeKey(record.node.key), bytes);
    }
    const effects: MeshEffect[] = [];
    for (const [node, neighbour] of this.#neighbours) {
      this.#compareSoon(neighbour, now + afterNews * (1 + this.#random.unit()));
      if (node !== except && neighbour.given.take(now)) effects.push(this.#item(node, kind, bytes));
    }
    return effects;
  }

  /** Drops the record of a node that is out from what we offer. */
  forget(key: NodeKey): void {
    this.#recordTimes.delete(key);
    const item = this.#recordItems.get(key);
    if (item) this.#digests.records.remove(item);
    this.#recordItems.delete(key);
  }

  #recordChanged(key: NodeKey, bytes: Uint8Array): void {
    const old = this.#recordItems.get(key);
    if (old) this.#digests.records.remove(old);
    const item = itemOf(bytes, new TextEncoder().encode(key));
    this.#recordItems.set(key, item);
    this.#digests.records.add(item);
  }

  /** The set as it is now: membership also learns from handshakes. */
  #digest(kind: Kind): Digest {
    const digest = this.#digests[kind];
    const { issuerCount, revocationCount } = this.#membership;
    if (kind === 'issuers' && digest.size !== issuerCount) {
      for (const { bytes } of this.#membership.issuers()) digest.add(itemOf(bytes, bytes));
    }
    if (kind === 'revocations' && digest.size !== revocationCount) {
      for (const { bytes } of this.#membership.revocations()) digest.add(itemOf(bytes, bytes));
    }
    return digest;
  }

  #compareSoon(neighbour: Neighbour, at: Millis): void {
    neighbour.next = Math.min(neighbour.next, at);
    neighbour.pause = busy;
  }

  #sum(node: NodeNumber, isAnswer = false): MeshEffect {
    const fields = { s: kinds.map((kind) => this.#digest(kind).total()), c: this.#clock.said() };
    return sendMesh(node, 'sum', isAnswer ? { ...fields, r: 1 } : fields);
  }

  #onSum(message: FieldMap, node: NodeNumber, neighbour: Neighbour, now: Millis): MeshEffect[] {
    const totals = message.s;
    if (!Array.isArray(totals) || totals.length < kinds.length) return this.#refuse('malformed');
    const clock = integerField(message, 'c', 0, furthestClock);
    if (clock !== undefined) this.#clock.heard(node, clock);
    const effects: MeshEffect[] = [];
    kinds.forEach((kind, i) => {
      const total = totals[i];
      const digest = this.#digest(kind);
      if (!(total instanceof Uint8Array) || equalBytes(total, digest.total())) return;
      effects.push(sendMesh(node, 'sums', { k: i, s: digest.sums() }));
    });
    if (effects.length > 0) {
      this.#compareSoon(neighbour, now + busy);
      return effects;
    }
    // We agree; the other side is told so, unless this is how we were told.
    neighbour.next = now + calm * (0.75 + 0.5 * this.#random.unit());
    neighbour.pause = calm;
    return message.r === 1 ? [] : [this.#sum(node, true)];
  }

  #onSums(message: FieldMap, node: NodeNumber, neighbour: Neighbour, now: Millis): MeshEffect[] {
    const kind = this.#kindOf(message);
    const theirs = octetsField(message, 's', bucketCount * sumLength);
    if (!kind || !theirs) return this.#refuse('malformed');
    const ours = this.#digest(kind).sums();
    const effects: MeshEffect[] = [];
    // From a random bucket on, so that one that cannot be mended does not starve the others.
    const start = this.#random.below(bucketCount);
    for (let i = 0; i < bucketCount && effects.length < bucketsAtOnce; i++) {
      const bucket = (start + i) % bucketCount;
      const from = bucket * sumLength;
      if (equalBytes(ours.subarray(from, from + sumLength), theirs.subarray(from, from + sumLength))) continue;
      const hashes = this.#digest(kind)
        .bucket(bucket)
        .map((item) => item.hash);
      effects.push(sendMesh(node, 'have', { k: kinds.indexOf(kind), b: bucket, h: joined(hashes) }));
    }
    if (effects.length > 0) this.#compareSoon(neighbour, now + busy);
    return effects;
  }

  #onHave(message: FieldMap, node: NodeNumber, neighbour: Neighbour, now: Millis): MeshEffect[] {
    const kind = this.#kindOf(message);
    const bucket = integerField(message, 'b', 0, bucketCount - 1);
    const hashes = hashesOf(message);
    if (!kind || bucket === undefined || !hashes) return this.#refuse('malformed');
    const digest = this.#digest(kind);
    const theirs = new Set(hashes.map(String));
    const effects: MeshEffect[] = [];
    for (const item of digest.bucket(bucket)) {
      if (!theirs.has(String(item.hash)) && neighbour.given.take(now)) effects.push(this.#item(node, kind, item.bytes));
    }
    const missing = hashes.filter((hash) => !digest.find(bucket, hash));
    if (missing.length > 0) {
      effects.push(sendMesh(node, 'want', { k: kinds.indexOf(kind), b: bucket, h: joined(missing) }));
      this.#compareSoon(neighbour, now + busy);
    }
    return effects;
  }

  #onWant(message: FieldMap, node: NodeNumber, neighbour: Neighbour, now: Millis): MeshEffect[] {
    const kind = this.#kindOf(message);
    const bucket = integerField(message, 'b', 0, bucketCount - 1);
    const hashes = hashesOf(message);
    if (!kind || bucket === undefined || !hashes) return this.#refuse('malformed');
    const found = hashes.map((hash) => this.#digest(kind).find(bucket, hash)).filter((item) => item !== undefined);
    return found.filter(() => neighbour.given.take(now)).map((item) => this.#item(node, kind, item.bytes));
  }

  #onItem(message: FieldMap, node: NodeNumber, neighbour: Neighbour, now: Millis): MeshEffect[] {
    const kind = this.#kindOf(message);
    const bytes = octetsField(message, 'd', 1, 1024);
    if (!kind || !bytes) return this.#refuse('malformed');
    if (!neighbour.taken.take(now)) return this.#refuse('too-many');
    const checks = this.#checks.of(node);
    if (!checks.take(now)) return [];
    if (kind === 'records') return this.#takeRecord(bytes, node, neighbour, checks, now);
    return kind === 'issuers'
      ? this.#takeIssuer(bytes, node, checks, now)
      : this.#takeRevocation(bytes, node, checks, now);
  }

  /** Who sent what is false has paid for it. */
  #settle(checks: CheckBudget, outcome: Learnt | RecordOutcome): void {
    if (outcome === 'known' || outcome === 'malformed') checks.wasNeedless();
    else if (!isForgery(outcome)) checks.wasTrue();
  }

  #takeIssuer(bytes: Uint8Array, node: NodeNumber, checks: CheckBudget, now: Millis): MeshEffect[] {
    const learnt = this.#membership.learnIssuer(bytes);
    this.#settle(checks, learnt);
    if (learnt !== 'new') return learnt === 'known' ? [] : this.#refuse(learnt);
    return [...this.#membership.changes(), ...this.spread('issuers', bytes, now, node)];
  }

  /** Takes a revocation of our own making: who is out by it is closed before the news goes on. */
  takeRevocation(bytes: Uint8Array, now: Millis): MeshEffect[] {
    return this.#learnt(bytes, this.#membership.learnRevocation(bytes), now);
  }

  #takeRevocation(bytes: Uint8Array, node: NodeNumber, checks: CheckBudget, now: Millis): MeshEffect[] {
    const learnt = this.#membership.learnRevocation(bytes);
    this.#settle(checks, learnt);
    return this.#learnt(bytes, learnt, now, node);
  }

  #learnt(revocation: Uint8Array, learnt: Learnt, now: Millis, except?: NodeNumber): MeshEffect[] {
    if (learnt !== 'new') return learnt === 'known' ? [] : this.#refuse(learnt);
    return this.revocationsChanged([revocation], now, except);
  }

  /** The same for revocations that membership has learnt already. */
  revocationsChanged(revocations: readonly Uint8Array[], now: Millis, except?: NodeNumber): MeshEffect[] {
    const effects: MeshEffect[] = this.#membership.changes();
    const news = revocations.map(decodeRevocation).filter((said) => said !== undefined);
    // An issuer's end may void many certificates; a node's end is its own.
    const gone = new Map<NodeKey, NodeCertificate | undefined>();
    if (news.some((said) => said.kind === 'issuer')) {
      for (const node of this.#directory.removeVoid()) gone.set(nodeKey(node.key), node);
    }
    for (const said of news) {
      if (said.kind !== 'node' || !this.#membership.isRevoked(said.key)) continue;
      const key = nodeKey(said.key);
      if (!gone.has(key)) gone.set(key, this.#directory.remove(key));
    }
    for (const [key, node] of gone) {
      const number = node?.number;
      this.forget(key);
      if (key === this.#membership.identity.id) continue;
      // Who is out hears it while its tunnel stands, so that its operator can see why nobody answers any more.
      if (number !== undefined && this.#neighbours.has(number)) {
        for (const bytes of revocations) effects.push(this.#item(number, 'revocations', bytes));
      }
      effects.push({ kind: 'revoked', key, number, name: node?.name });
    }
    if (!this.#membership.verifyNode(this.#membership.chain.node).ok) effects.push({ kind: 'expelled' });
    for (const bytes of revocations) effects.push(...this.spread('revocations', bytes, now, except));
    return effects;
  }

  #takeRecord(
    bytes: Uint8Array,
    node: NodeNumber,
    neighbour: Neighbour,
    checks: CheckBudget,
    now: Millis,
  ): MeshEffect[] {
    const record = decodeEndpointRecord(bytes);
    const held = record && this.#directory.byKey(record.node.key);
    if (!record || (held && equalBytes(held.bytes, bytes))) {
      checks.wasNeedless();
      return record ? [] : this.#refuse('malformed');
    }
    const key = nodeKey(record.node.key);
    // The time that so many records would have taken at the pause; it may run ahead of now by the burst.
    const due = Math.max(this.#recordTimes.get(key) ?? 0, now - recordPause) + recordPause;
    if (held && due > now + recordBurst * recordPause) {
      this.#compareSoon(neighbour, now + recordPause);
      checks.wasNeedless();
      return this.#refuse('too-often');
    }
    const own = key === this.#membership.identity.id ? this.#directory.own : undefined;
    if (own && record.sequence >= own.sequence && isSignedByItsNode(this.#membership.network.id, record)) {
      // Ours from before a lost disk, or our clone's: what we say now goes above it.
      checks.wasTrue();
      this.#recordTimes.set(key, due);
      const above = this.#directory.announce(own, own.incarnation, record.sequence);
      return this.spread('records', above.bytes, now);
    }
    const replaced = this.#directory.byNumber(record.node.number);
    const outcome = this.#directory.learn(bytes);
    this.#settle(checks, outcome);
    if (outcome !== 'newer') return this.#refuse(outcome);
    this.#recordTimes.set(key, due); // only now: a forger must not use up the budget of the node it names
    if (replaced && nodeKey(replaced.node.key) !== key) this.forget(nodeKey(replaced.node.key));
    return [{ kind: 'nodeChanged', number: record.node.number }, ...this.spread('records', bytes, now, node)];
  }

  #item(node: NodeNumber, kind: Kind, bytes: Uint8Array): MeshEffect {
    return sendMesh(node, 'item', { k: kinds.indexOf(kind), d: bytes });
  }

  #kindOf(message: FieldMap): Kind | undefined {
    return kinds[integerField(message, 'k', 0, kinds.length - 1) ?? -1];
  }

  #refuse(reason: string): MeshEffect[] {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    return [];
  }
}

function joined(hashes: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(hashes.slice(0, maxHashes)));
}

function hashesOf(message: FieldMap): Uint8Array[] | undefined {
  const octets = octetsField(message, 'h', 0, maxHashes * itemHashLength);
  if (!octets || octets.length % itemHashLength !== 0) return undefined;
  return Array.from({ length: octets.length / itemHashLength }, (_, i) =>
    octets.subarray(i * itemHashLength, (i + 1) * itemHashLength),
  );
}
