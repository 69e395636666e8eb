import { type Endpoint, sameEndpoint } from '../addr/endpoint.js';
import { isOpen, type RecordedEndpoint } from '../addr/endpoint-record.js';
import type { FieldMap } from '../addr/fields.js';
import type { InvitingMember } from '../addr/invitation.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { TlsEndpoint } from '../addr/tls-endpoint.js';
import type { MeshEffect } from '../mesh/effects.js';
import type { Mesh } from '../mesh/mesh.js';
import type { NatClass } from '../mesh/nat-class.js';
import { Punching, type PunchingEffect, type PunchingEvent } from '../mesh/punching.js';
import { canSendOver, familiesOf, leadsOutside, worthDialling } from '../mesh/reachability-candidates.js';
import { Topology, type TopologyEffect, type TopologyEvent, type TopologyLimits } from '../mesh/topology.js';
import type { Random } from '../random.js';
import type { Millis } from '../time.js';
import { maxPaths } from '../tunnel/attempt.js';
import { isBridged } from './fallback.js';
import type { FormerNeighbour } from './neighbours.js';

/** A node and how to reach it. */
export interface Way {
  readonly node: NodeNumber;
  readonly publicKey: Uint8Array;
  readonly endpoints: readonly Endpoint[];
  /** Where it takes TLS connections. */
  readonly tls: readonly TlsEndpoint[];
}

export type ConnectorEffect =
  | ({ readonly kind: 'dial' } & Way)
  | { readonly kind: 'hangUp'; readonly node: NodeNumber; readonly reason: string }
  | { readonly kind: 'sendPunch'; readonly to: Endpoint; readonly body: Uint8Array }
  | { readonly kind: 'failed'; readonly node: NodeNumber; readonly reason: string }
  | MeshEffect;

const maxOnLan = 256;
const maxFormer = 64;

/** A dial that was ordered and has come to no end yet. */
interface Running {
  readonly endpoints: readonly Endpoint[];
  /**
   * News of where the node is was taken in under way. Once for a dial: each time the handshake begins anew, and who signs a
   * record a second, with others' addresses, would have us dial those without an end.
   */
  readonly isRedirected: boolean;
}

/**
 * Gets the tunnels the topology wants: dials what can be dialled, has holes punched where neither side is open.
 *
 *     Topology ──dial──► endpoints worth it? ──► Peers
 *                             └─ nobody proven ──► Punching ──dial──► Peers
 */
export class Connector {
  readonly #mesh: Mesh;
  readonly #seeds: readonly InvitingMember[];
  readonly #isDiallable: (endpoint: Endpoint) => boolean;
  readonly #topology: Topology;
  readonly #punching: Punching;
  readonly #running = new Map<NodeNumber, Running>();
  /** Where nodes on our LAN say they are: hints, as many as the beacons' table holds. */
  readonly #onLan = new Map<NodeNumber, Endpoint>();
  /** Where tunnels that fell had stood, the newest last: holes and forwarded ports may still be there. */
  readonly #former = new Map<NodeNumber, Endpoint>();
  #own: readonly RecordedEndpoint[] = [];

  /**
   * `seeds`: the members our invitation named, for as long as the directory does not know them. `former`: with whom tunnels
   * stood before the restart. `isDiallable`: where datagrams and streams may go at all, whoever names it. `carried`: how many
   * packets the tunnel to a node has carried.
   */
  constructor(
    mesh: Mesh,
    seeds: readonly InvitingMember[],
    former: readonly FormerNeighbour[],
    random: Random,
    isDiallable: (endpoint: Endpoint) => boolean,
    carried: (node: NodeNumber) => number,
    limits?: TopologyLimits,
    mostPunches?: number,
  ) {
    this.#mesh = mesh;
    this.#seeds = seeds;
    this.#isDiallable = isDiallable;
    this.#topology = new Topology(random, mesh.messages, undefined, limits, carried);
    this.#punching = new Punching(mesh.membership.number, random, isDiallable, mostPunches);
    const known = [
      ...seeds.map((seed) => seed.number),
      ...[...mesh.directory.records()].map(({ node }) => node.number),
    ];
    for (const node of known)
      if (node !== mesh.membership.number) this.#topology.handle({ kind: 'nodeKnown', node }, 0);
    for (const { node, endpoint } of former) this.#stoodAt(node, endpoint);
    this.#topology.handle({ kind: 'restarted', former: former.map(({ node }) => node) }, 0);
  }

  /** The directory holds something newer about it. */
  nodeChanged(node: NodeNumber, now: Millis): ConnectorEffect[] {
    if (node === this.#mesh.membership.number) return [];
    const running = this.#running.get(node);
    // It is being dialled where it was said to be before: do not wait until that has failed.
    const again = running && !running.isRedirected ? this.#redirect(node, running.endpoints) : [];
    return [...again, ...this.#choose({ kind: 'nodeKnown', node }, now)];
  }

  #redirect(node: NodeNumber, before: readonly Endpoint[]): ConnectorEffect[] {
    const way = this.wayTo(node);
    const endpoints = way ? this.#endpointsOf(way) : [];
    const news = endpoints.filter((endpoint) => !before.some((other) => sameEndpoint(other, endpoint)));
    return way && news.length > 0 ? [this.#order(way, [...news, ...before], true)] : [];
  }

  nodeGone(node: NodeNumber, now: Millis): ConnectorEffect[] {
    this.#running.delete(node);
    this.#former.delete(node);
    return [...this.#choose({ kind: 'nodeGone', node }, now), ...this.#punch({ kind: 'directUnwanted', node }, now)];
  }

  tunnelUp(node: NodeNumber, now: Millis): ConnectorEffect[] {
    const own = this.#running.delete(node);
    return [...this.#punch({ kind: 'tunnelUp', node }, now), ...this.#choose({ kind: 'tunnelUp', node, own }, now)];
  }

  /** `endpoint`: where it stood. */
  tunnelDown(node: NodeNumber, endpoint: Endpoint | undefined, now: Millis): ConnectorEffect[] {
    if (endpoint) this.#stoodAt(node, endpoint);
    return [...this.#punch({ kind: 'tunnelDown', node }, now), ...this.#choose({ kind: 'tunnelDown', node }, now)];
  }

  dialFailed(node: NodeNumber, now: Millis): ConnectorEffect[] {
    this.#running.delete(node);
    return this.#choose({ kind: 'dialFailed', node }, now);
  }

  measured(node: NodeNumber, rtt: Millis, now: Millis): ConnectorEffect[] {
    return this.#choose({ kind: 'measured', node, rtt }, now);
  }

  /** Its tunnel carried packets lately. */
  used(node: NodeNumber, now: Millis): ConnectorEffect[] {
    return this.#choose({ kind: 'tunnelUsed', node }, now);
  }

  /** A flow of ours to this node keeps relays busy. */
  flowBusy(node: NodeNumber, now: Millis): ConnectorEffect[] {
    return this.#choose({ kind: 'flowBusy', node }, now);
  }

  /** Whether this node may open a tunnel with us now: those that stand, and those we ask for ourselves, always may. */
  admits(node: NodeNumber, now: Millis): boolean {
    const isNew = this.#mesh.directory.byNumber(node) === undefined;
    return this.#running.has(node) || this.#topology.admits(node, now, isNew);
  }

  /** It was not admitted. */
  knocked(node: NodeNumber, now: Millis): ConnectorEffect[] {
    return this.#choose({ kind: 'knocked', node }, now);
  }

  /** Where we may be reached, and what our NAT does. */
  sideChanged(endpoints: readonly RecordedEndpoint[], nat: NatClass, now: Millis): ConnectorEffect[] {
    this.#own = endpoints;
    const side = { open: familiesOf(endpoints.filter(isOpen)), nat };
    return this.#punch({ kind: 'sideChanged', endpoints, side }, now);
  }

  /** It says it is on our LAN. `standing`: it has a tunnel elsewhere, which moves there when it answers. */
  foundOnLan(node: NodeNumber, endpoint: Endpoint, standing: boolean, now: Millis): ConnectorEffect[] {
    const way = this.wayTo(node);
    if (!way || !this.#isDiallable(endpoint)) return [];
    this.#onLan.delete(node);
    if (this.#onLan.size >= maxOnLan) this.#onLan.delete(this.#onLan.keys().next().value!);
    this.#onLan.set(node, endpoint);
    if (!standing && !this.#running.has(node)) return this.#choose({ kind: 'nearby', node }, now);
    const endpoints = standing ? [endpoint] : this.#endpointsOf(way);
    return [this.#order(way, endpoints)];
  }

  tunnelMoved(node: NodeNumber): void {
    this.#running.delete(node);
  }

  networkChanged(now: Millis): ConnectorEffect[] {
    this.#onLan.clear();
    return this.#choose({ kind: 'networkChanged' }, now);
  }

  /** We slept, and all tunnels have fallen: what is waited for begins anew. */
  wokeUp(now: Millis): ConnectorEffect[] {
    this.#running.clear();
    return this.#choose({ kind: 'wokeUp' }, now);
  }

  /** One of `punchTypes`. */
  messageReceived(from: NodeNumber, message: FieldMap, now: Millis): ConnectorEffect[] {
    const admitted = this.admits(from, now);
    const punched = this.#punch({ kind: 'messageReceived', from, message, admitted }, now);
    return admitted ? punched : [...punched, ...this.knocked(from, now)];
  }

  tick(now: Millis): ConnectorEffect[] {
    const chosen = now >= this.#topology.deadline() ? this.#translate(this.#topology.tick(now), now) : [];
    const punched = now >= this.#punching.deadline() ? this.#translatePunching(this.#punching.tick(now), now) : [];
    return [...chosen, ...punched];
  }

  deadline(): Millis {
    return Math.min(this.#topology.deadline(), this.#punching.deadline());
  }

  isTrying(node: NodeNumber): boolean {
    return this.#running.has(node);
  }

  /** Whether we have sent something to this node lately, to reach it. */
  hasCalled(node: NodeNumber): boolean {
    return this.#running.has(node) || this.#punching.isArranging(node);
  }

  /** The dials that run, and where streams may go in their stead: where a datagram would, and over TLS no further. */
  trying(): Way[] {
    return [...this.#running.keys()].flatMap((node) => {
      const way = this.wayTo(node);
      return way ? [{ ...way, endpoints: this.#endpointsOf(way), tls: this.#tlsOf(way) }] : [];
    });
  }

  /** Key and endpoints of a node, from its record or from our invitation. */
  wayTo(node: NodeNumber): Way | undefined {
    const record = this.#mesh.directory.byNumber(node);
    if (record) return { node, publicKey: record.node.dh, endpoints: record.endpoints, tls: record.tls };
    const seeds = this.#seeds.filter((seed) => seed.number === node);
    if (!seeds[0]) return undefined;
    const tls = seeds.map((seed) => seed.tls).filter((endpoint) => endpoint !== undefined);
    return { node, publicKey: seeds[0].dh, endpoints: seeds.map((seed) => seed.endpoint), tls };
  }

  /** The same with those of its endpoints alone that are worth a datagram from here. */
  openWayTo(node: NodeNumber): Way | undefined {
    const way = this.wayTo(node);
    return way && { ...way, endpoints: this.#endpointsOf(way) };
  }

  /** Whether UDP to this endpoint of another node leaves our own network. */
  leadsOutside(endpoint: Endpoint): boolean {
    return leadsOutside(endpoint, this.#own);
  }

  #choose(event: TopologyEvent, now: Millis): ConnectorEffect[] {
    return this.#translate(this.#topology.handle(event, now), now);
  }

  #punch(event: PunchingEvent, now: Millis): ConnectorEffect[] {
    return this.#translatePunching(this.#punching.handle(event, now), now);
  }

  #translate(effects: readonly TopologyEffect[], now: Millis): ConnectorEffect[] {
    return effects.flatMap((effect): ConnectorEffect[] => {
      if (effect.kind === 'dial') return this.#dial(effect.node, now);
      if (effect.kind !== 'hangUp') return [effect];
      return [effect, ...this.#punch({ kind: 'directUnwanted', node: effect.node }, now)];
    });
  }

  #dial(node: NodeNumber, now: Millis): ConnectorEffect[] {
    const way = this.wayTo(node);
    if (!way) return this.#choose({ kind: 'dialFailed', node }, now);
    const punched = this.#meetByDialling(node) ? [] : this.#punch({ kind: 'directWanted', node }, now);
    const endpoints = this.#endpointsOf(way);
    // Where TLS alone leads, a dial to nowhere yet is kept up, so that the fallback finds it among those that run.
    if (endpoints.length + this.#tlsOf(way).length === 0)
      return [...punched, ...this.#choose({ kind: 'dialFailed', node }, now)];
    return [this.#order(way, endpoints), ...punched];
  }

  /** One of the two lets everybody in, over a family that the other has. Of a node without a record nothing is known. */
  #meetByDialling(node: NodeNumber): boolean {
    const theirs = this.#mesh.directory.byNumber(node)?.endpoints;
    if (!theirs || getsIn(theirs, this.#own)) return true;
    return getsIn(
      this.#own,
      theirs.filter((endpoint) => this.#isDiallable(endpoint)),
    );
  }

  #order(way: Way, all: readonly Endpoint[], isRedirected = false): ConnectorEffect {
    const endpoints = all.slice(0, maxPaths);
    this.#running.set(way.node, { endpoints, isRedirected });
    return { kind: 'dial', ...way, endpoints };
  }

  #endpointsOf(way: Way): Endpoint[] {
    const onLan = this.#onLan.get(way.node);
    const former = this.#former.get(way.node);
    const all = [
      ...(onLan ? [onLan] : []),
      ...worthDialling([...(former ? [former] : []), ...way.endpoints], this.#own),
    ];
    return all
      .filter(
        (endpoint, i) => this.#isDiallable(endpoint) && all.findIndex((other) => sameEndpoint(other, endpoint)) === i,
      )
      .slice(0, maxPaths);
  }

  #tlsOf(way: Way): TlsEndpoint[] {
    const worth = new Set(worthDialling<Endpoint>([...way.endpoints, ...way.tls], this.#own));
    return way.tls.filter((endpoint) => worth.has(endpoint) && this.#isDiallable(endpoint));
  }

  #stoodAt(node: NodeNumber, endpoint: Endpoint): void {
    if (isBridged(endpoint)) return;
    this.#former.delete(node);
    if (this.#former.size >= maxFormer) this.#former.delete(this.#former.keys().next().value!);
    this.#former.set(node, endpoint);
  }

  /** Where any of many nodes will do, it is asked again when the topology has chosen it again, and not for its own sake. */
  #punchFailed(node: NodeNumber, reason: string, now: Millis): ConnectorEffect[] {
    const after = this.#topology.isSmall ? [] : this.#punch({ kind: 'directUnwanted', node }, now);
    return [{ kind: 'failed', node, reason }, ...after];
  }

  #translatePunching(effects: readonly PunchingEffect[], now: Millis): ConnectorEffect[] {
    return effects.flatMap((effect): ConnectorEffect[] => {
      if (effect.kind === 'punchFailed') return this.#punchFailed(effect.node, effect.reason, now);
      if (effect.kind !== 'dial') return [effect];
      const way = this.wayTo(effect.node);
      if (!way) return [];
      return [this.#order(way, effect.endpoints)];
    });
  }
}

/** Whether who has the endpoints `from` gets in at one of `to`. */
function getsIn(from: readonly Endpoint[], to: readonly RecordedEndpoint[]): boolean {
  return canSendOver(familiesOf(to.filter(isOpen)), from);
}
