import { type CertificateChain, decodeChain, encodeChain } from '../addr/certificate-chain.js';
import type { Endpoint } from '../addr/endpoint.js';
import type { RecordedEndpoint } from '../addr/endpoint-record.js';
import { integerField, octetsField } from '../addr/fields.js';
import { NodeIdentity } from '../addr/identity.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { TlsEndpoint } from '../addr/tls-endpoint.js';
import { equalBytes } from '../bytes.js';
import { CheckBudgets } from '../check-budgets.js';
import type { PublicKey } from '../crypto.js';
import { MeshError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, never, second, type UnixSeconds } from '../time.js';
import { ClockWatch } from './clock-watch.js';
import { Directory } from './directory.js';
import { blobs, type MeshEffect } from './effects.js';
import { Gossip } from './gossip.js';
import { Issuer } from './issuer.js';
import { decodeJoinBody, decodeJoinDatagram, requestDatagramLength } from './join-datagram.js';
import { JoinRelay } from './join-relay.js';
import { JoinResponder, type Reply } from './join-responder.js';
import { isForgery, Membership, type Verdict } from './membership.js';
import { MeshMessages, sendMesh } from './messages.js';
import { NetworkKey } from './network-key.js';
import { Renewal } from './renewal.js';
import { unreadable } from './stored.js';

/** Past facts the mesh is told. */
export type MeshEvent =
  /** A tunnel to this node came up, and its chain was verified by `verify`. */
  | { readonly kind: 'neighbourUp'; readonly node: NodeNumber }
  | { readonly kind: 'neighbourDown'; readonly node: NodeNumber }
  | {
      readonly kind: 'meshReceived';
      readonly from: NodeNumber;
      readonly neighbour: boolean;
      readonly bytes: Uint8Array;
    }
  /** A joining datagram that passed the guard. */
  | { readonly kind: 'joinDatagram'; readonly from: Endpoint; readonly bytes: Uint8Array }
  /** Where we can be reached, best first; an empty list too. */
  | { readonly kind: 'endpointsChanged'; readonly endpoints: readonly RecordedEndpoint[] }
  /** Where we take TLS connections. */
  | { readonly kind: 'tlsChanged'; readonly tls: readonly TlsEndpoint[] }
  /** A route to this node was announced by a neighbour, and its certificate is not held. */
  | { readonly kind: 'certificateWanted'; readonly node: NodeNumber; readonly neighbour: NodeNumber }
  /** The directory is on the disk. `took`: how long the daemon did nothing else. */
  | { readonly kind: 'directoryWritten'; readonly took: Millis };

/** What a node starts from: the blobs it last persisted. */
export interface StoredMesh {
  readonly identity: Uint8Array | undefined;
  readonly membership: Uint8Array | undefined;
  readonly issuer: Uint8Array | undefined;
  readonly networkKey: Uint8Array | undefined;
  readonly directory: Uint8Array | undefined;
}

/** Our own record is signed anew at most this often, and the directory written to disk at most that often. */
const announcePause: Millis = 500;
/** Newer records of nodes that are on the disk anyway wait so long. */
const persistPause: Millis = 30 * second;
/** Nodes that are not wait for those that come with them, and longer from write to write where they are many. */
const growthSettle: Millis = 100;
const growthPause: Millis = 250;
const growthPauseEach: Millis = 2;
/** And so many times as long as the last write took: a daemon on a slow disk answers nobody meanwhile. */
const growthPauseParts = 4;

const identityCure =
  'put back a copy of it, or move it and membership.state away and join again with "weft invite --as NAME": the address stays';

/** A member's membership, directory and gossip as one machine. Operator's commands are in src/mesh/commands.ts. */
export class Mesh implements Machine<MeshEvent, MeshEffect> {
  readonly membership: Membership;
  readonly directory: Directory;
  readonly gossip: Gossip;
  readonly clock: ClockWatch;
  /** Signatures that other members may have us check, of whatever kind. */
  readonly checks: CheckBudgets<NodeNumber> = new CheckBudgets();
  /** Other mesh machines register their message types here. */
  readonly messages: MeshMessages = new MeshMessages();
  #networkKey: NetworkKey | undefined;
  readonly #random: Random;
  readonly #wallClock: () => UnixSeconds;
  readonly #incarnation: Uint8Array;
  readonly #relay: JoinRelay;
  readonly #renewal: Renewal;
  #issuer: Issuer | undefined;
  #responder: JoinResponder | undefined;
  #endpoints: readonly RecordedEndpoint[] = [];
  #tls: readonly TlsEndpoint[] = [];
  #announceAt: Millis = never;
  #announcedAt: Millis = Number.NEGATIVE_INFINITY;
  #persistAt: Millis = never;
  #persistedAt: Millis = Number.NEGATIVE_INFINITY;
  /** How long the last write of the directory took. */
  #writeTook: Millis = 0;
  #started = false;

  /**
   * `incarnation`: 8 octets, fresh at every start. Throws a MeshError that names the file when a blob cannot be read; never for
   * the directory of an older version, which is only a memory.
   */
  constructor(
    membership: Membership,
    stored: Partial<Pick<StoredMesh, 'issuer' | 'networkKey' | 'directory'>>,
    incarnation: Uint8Array,
    random: Random,
    wallClock: () => UnixSeconds,
  ) {
    this.membership = membership;
    this.#random = random;
    this.#wallClock = wallClock;
    this.#incarnation = incarnation;
    this.directory = new Directory(membership, stored.directory);
    const networkKey = stored.networkKey && NetworkKey.restore(stored.networkKey);
    // One of a network this machine was in before is left where it is, and means nothing here.
    const isOurs = networkKey && equalBytes(networkKey.key.publicKey, membership.network.publicKey);
    this.#networkKey = isOurs ? networkKey : undefined;
    // Who was an issuer before this start and has no table has lost it; or never used it, which cannot be told.
    this.#becomeIssuer(stored.issuer ?? 'lost');
    this.clock = new ClockWatch(wallClock);
    this.gossip = new Gossip(membership, this.directory, this.messages, random, this.clock, this.checks);
    this.#relay = new JoinRelay(this.messages);
    this.#renewal = new Renewal(membership, this.messages, () => this.issuer, this.checks);
    this.messages.on('join', (message, sender, now) => {
      const join = decodeJoinBody(octetsField(message, 'b', 1, requestDatagramLength) ?? new Uint8Array(0));
      if (join?.issuer !== this.membership.number) return [];
      return this.#answerJoin(join, (d) => sendMesh(sender.node, 'joinback', { x: join.exchange, d }), now);
    });
    this.messages.on('askcert', (message, sender) => {
      const number = integerField(message, 'n', 1, 0xff_ffff);
      const chain = number === undefined ? undefined : this.directory.chainOf(number);
      return chain ? [sendMesh(sender.node, 'cert', { c: encodeChain(chain) })] : [];
    });
    this.messages.on('cert', (message, sender, now) => {
      const chain = decodeChain(octetsField(message, 'c', 1, 1200) ?? new Uint8Array(0));
      const budget = this.checks.of(sender.node);
      if (!chain || !budget.take(now)) return [];
      const verdict = this.verify(chain, chain.node.dh);
      if (verdict.ok || !isForgery(verdict.fault)) budget.wasTrue();
      return verdict.ok ? [{ kind: 'certificateShown', number: chain.node.number }] : [];
    });
  }

  /** A member from its blobs; undefined when there is no membership: found or join a network. Throws a MeshError. */
  static restore(stored: StoredMesh, random: Random, wallClock: () => UnixSeconds): Mesh | undefined {
    if (!stored.membership) return undefined;
    const identity = stored.identity && NodeIdentity.decode(stored.identity);
    if (!identity) throw unreadable(blobs.identity, identityCure);
    const membership = Membership.restore(identity, stored.membership, wallClock);
    return new Mesh(membership, stored, random.bytes(8), random, wallClock);
  }

  /** Our duties as an issuer, while we may admit; undefined otherwise. */
  get issuer(): Issuer | undefined {
    if (!this.#issuer) this.#becomeIssuer(undefined);
    return this.#issuer && this.membership.isIssuerInGoodStanding(this.#issuer.certificate) ? this.#issuer : undefined;
  }

  /** The network key, where it lies on this machine. */
  get networkKey(): NetworkKey | undefined {
    return this.#networkKey;
  }

  holdNetworkKey(key: NetworkKey | undefined): void {
    this.#networkKey = key;
  }

  get endpoints(): readonly RecordedEndpoint[] {
    return this.#endpoints;
  }

  get tls(): readonly TlsEndpoint[] {
    return this.#tls;
  }

  /** For handshakes: is who proved to hold `staticKey` a member by this chain? */
  verify(chain: CertificateChain, staticKey: PublicKey): Verdict {
    const verdict = this.membership.verify(chain, staticKey);
    if (verdict.ok) {
      this.directory.show(chain.node);
      this.#issuer?.note(chain.node);
    }
    return verdict;
  }

  isRevoked(key: PublicKey): boolean {
    return this.membership.isRevoked(key);
  }

  handle(event: MeshEvent, now: Millis): MeshEffect[] {
    return [...this.#handle(event, now), ...this.#afterwards(now)];
  }

  tick(now: Millis): MeshEffect[] {
    const effects: MeshEffect[] = [];
    if (!this.#started) {
      this.#started = true;
      effects.push(...this.#start(now));
    }
    effects.push(...this.#renewal.tick(now), ...this.gossip.tick(now));
    if (now >= this.#announceAt) effects.push(...this.#announce(now));
    if (now >= this.#persistAt) effects.push(...this.flush(now));
    return [...effects, ...this.#afterwards(now)];
  }

  deadline(): Millis {
    if (!this.#started) return Number.NEGATIVE_INFINITY;
    return Math.min(this.#renewal.deadline(), this.gossip.deadline(), this.#announceAt, this.#persistAt);
  }

  /** What is not on the disk yet; also to be called before the daemon ends. */
  flush(now: Millis): MeshEffect[] {
    this.#persistAt = never;
    this.#persistedAt = now;
    return [...this.membership.changes(), ...this.directory.changes()];
  }

  /** Messages and items refused since the start, by reason. */
  drops(): ReadonlyMap<string, number> {
    const gossip = [...this.gossip.refused].map(([reason, count]) => [`gossip-${reason}`, count] as const);
    const own: [string, number][] = [
      ['join-not-passed', this.#relay.dropped],
      ['signature-rate', this.checks.dropped],
    ];
    return new Map([...this.messages.drops(), ...gossip, ...own]);
  }

  #handle(event: MeshEvent, now: Millis): MeshEffect[] {
    switch (event.kind) {
      case 'neighbourUp':
        return this.gossip.neighbourUp(event.node, now);
      case 'neighbourDown':
        this.gossip.neighbourDown(event.node);
        return [];
      case 'meshReceived':
        return this.messages.handle(event.bytes, { node: event.from, neighbour: event.neighbour }, now);
      case 'joinDatagram':
        return this.#onJoinDatagram(event, now);
      case 'endpointsChanged':
        this.#endpoints = event.endpoints;
        return this.#announceSoon(now);
      case 'tlsChanged':
        this.#tls = event.tls;
        return this.#announceSoon(now);
      case 'certificateWanted':
        return [sendMesh(event.neighbour, 'askcert', { n: event.node })];
      case 'directoryWritten':
        this.#persistedAt = now;
        this.#writeTook = event.took;
        return [];
    }
  }

  /** What an issuer did before a crash is made known again: takeovers revoke a key, and the news may not have left. */
  #start(now: Millis): MeshEffect[] {
    const effects: MeshEffect[] = [];
    for (const revocation of this.#issuer?.revocations() ?? [])
      effects.push(...this.gossip.takeRevocation(revocation, now));
    for (const record of this.directory.records()) this.#issuer?.note(record.node);
    return effects;
  }

  #onJoinDatagram(event: { readonly from: Endpoint; readonly bytes: Uint8Array }, now: Millis): MeshEffect[] {
    const message = decodeJoinDatagram(event.bytes);
    if (!message) return [];
    if (message.issuer !== this.membership.number) {
      return this.#relay.passOn(message, event.bytes.length, event.from, now);
    }
    return this.#answerJoin(message, (bytes) => ({ kind: 'sendDatagram', to: event.from, bytes }), now);
  }

  #answerJoin(message: Parameters<JoinResponder['handle']>[0], reply: Reply, now: Millis): MeshEffect[] {
    if (!this.issuer || !this.#responder) return [];
    const before = this.membership.revocationCount;
    const effects = this.#responder.handle(message, reply, now);
    if (this.membership.revocationCount === before) return effects;
    // A takeover: what it persists comes first, then who is out is closed, then the newcomer hears.
    const answer = effects.pop()!;
    const news = this.membership.revocations().slice(before);
    const spread = this.gossip.revocationsChanged(
      news.map((revocation) => revocation.bytes),
      now,
    );
    return [...effects, ...spread, answer];
  }

  #announceSoon(now: Millis): MeshEffect[] {
    this.#announceAt = Math.max(now, this.#announcedAt + announcePause);
    return now >= this.#announceAt ? this.#announce(now) : [];
  }

  #announce(now: Millis): MeshEffect[] {
    this.#announceAt = never;
    this.#announcedAt = now;
    const record = this.directory.announce({ endpoints: this.#endpoints, tls: this.#tls }, this.#incarnation);
    return this.gossip.spread('records', record.bytes, now);
  }

  #afterwards(now: Millis): MeshEffect[] {
    if (this.directory.isChanged) {
      const { isGrown, size } = this.directory;
      const [settle, pause] = isGrown
        ? [growthSettle, Math.min(persistPause, this.#growthPause(size))]
        : [second, persistPause];
      this.#persistAt = Math.min(this.#persistAt, Math.max(now + settle, this.#persistedAt + pause));
    }
    const own = this.directory.own;
    if (own && this.#announceAt === never && !equalBytes(own.node.bytes, this.membership.chain.node.bytes)) {
      this.#announceAt = Math.max(now, this.#announcedAt + announcePause); // renewed: others should know the new one
    }
    return this.membership.changes();
  }

  #growthPause(size: number): Millis {
    return Math.max(growthPause, growthPauseEach * size, growthPauseParts * this.#writeTook);
  }

  #becomeIssuer(stored: Uint8Array | 'lost' | undefined): void {
    const { identity } = this.membership;
    const certificate = this.membership.issuers().find((issuer) => equalBytes(issuer.key, identity.signing.publicKey));
    if (!certificate) return;
    this.#issuer = new Issuer(this.membership, certificate, this.#random, this.#wallClock, stored);
    this.#responder = new JoinResponder(this.membership, this.#issuer, this.#random);
    for (const record of this.directory.records()) this.#issuer.note(record.node);
  }
}

/** The issuer's duties, or a MeshError that says who may. */
export function requireIssuer(mesh: Mesh): Issuer {
  if (mesh.issuer) return mesh.issuer;
  throw new MeshError('not-an-issuer', 'this node is no issuer', 'run it on an issuer: weft issuer list shows them');
}
