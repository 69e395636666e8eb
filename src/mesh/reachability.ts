import {
  type Endpoint,
  type EndpointSource,
  formatEndpoint,
  isPrivateAddress,
  isUsableEndpoint,
  sameEndpoint,
} from '../addr/endpoint.js';
import { isOpen, type RecordedEndpoint } from '../addr/endpoint-record.js';
import type { FieldMap } from '../addr/fields.js';
import { parseIp } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, minute, never, second } from '../time.js';
import { decodeDialBack } from './dial-back.js';
import { DialBackAsker } from './dial-back-asker.js';
import { DialBackProver, type ProverEffect } from './dial-back-prover.js';
import { classifyNat, type Dependence, type NatClass } from './nat-class.js';
import { broadcastsOf, leadsOutside } from './reachability-candidates.js';

/** An address of this machine, and the device it is on. */
export interface LocalAddress {
  readonly device: string;
  readonly address: string;
  /** Of its network's prefix, where that is known. */
  readonly length?: number;
}

export type ReachabilityEvent =
  /** From the config file: what the operator says. */
  | { readonly kind: 'endpointsConfigured'; readonly endpoints: readonly Endpoint[] }
  /**
   * All addresses of the machine outside the overlay; told again after every change of the network. Nothing is advertised before
   * the first of these: who cannot find them out says that there are none.
   */
  | { readonly kind: 'addressesChanged'; readonly addresses: readonly LocalAddress[] }
  /** We slept: NATs have forgotten us, and nobody told us what changed. */
  | { readonly kind: 'wokeUp' }
  /** The router forwards this endpoint to us, or nothing any more. */
  | {
      readonly kind: 'mappingChanged';
      readonly endpoint: Endpoint | undefined;
      readonly source: 'upnp' | 'nat-pmp';
      /** Its address, or what else names it. */
      readonly router: string;
      /** It is being asked, for the first time or again, and may forward nothing meanwhile. */
      readonly asking: boolean;
    }
  /** The router says that it forwards this to us as well, for as long as a trial takes. */
  | { readonly kind: 'trialMapped'; readonly endpoint: Endpoint }
  /** It does so no more, and not because of `trialEnded`. */
  | { readonly kind: 'trialLost' }
  /** Datagrams of ours are on their way to these, and open our NAT to them. */
  | { readonly kind: 'called'; readonly endpoints: readonly Endpoint[] }
  /**
   * A tunnel stands, or its other end has moved; `endpoint` is where that node's frames come from. `uncalled`: the other side
   * has dialled us, and we had sent it nothing.
   */
  | {
      readonly kind: 'neighbourAt';
      readonly node: NodeNumber;
      readonly endpoint: Endpoint;
      readonly uncalled?: boolean;
    }
  | { readonly kind: 'neighbourDown'; readonly node: NodeNumber }
  /** Where a neighbour, or who is about to be one, sees our frames come from. It says so; it may lie. */
  | { readonly kind: 'observed'; readonly by: NodeNumber; readonly endpoint: Endpoint }
  /** One of `dialBackTypes`. */
  | { readonly kind: 'messageReceived'; readonly from: NodeNumber; readonly message: FieldMap }
  /** The body of a datagram of type dialBack. */
  | { readonly kind: 'dialBackReceived'; readonly body: Uint8Array };

export type ReachabilityEffect =
  | ProverEffect
  /** What may be advertised, best first. */
  | { readonly kind: 'endpointsChanged'; readonly endpoints: readonly RecordedEndpoint[] }
  | { readonly kind: 'natClassified'; readonly nat: NatClass }
  /** What is mapped is where our own traffic leaves: only a mapping at another port can show that the router forwards. */
  | { readonly kind: 'trialWanted' }
  /** It was shown, or not. */
  | { readonly kind: 'trialEnded' }
  /**
   * The address most neighbours outside see us at, undefined when none does any more: what a mapping's external address is
   * compared with.
   */
  | { readonly kind: 'observedExternally'; readonly address: string | undefined };

export interface ReachabilityConfig {
  /** The UDP port we listen on. */
  readonly port: number;
  readonly random: Random;
  /** In the network's own prefix: never advertised as a way to reach us. Imported prefixes need none of it (protocol). */
  readonly isInside: (address: string) => boolean;
  /** underlay.ipv6. */
  readonly ipv6: boolean;
}

/**
 * Devices of container and virtual machine hosts, whose addresses nobody outside can reach. Docker names the bridge of a network
 * of its own by twelve digits of the network's id; routers and people have bridges such as br-lan, with addresses to be reached at.
 */
const innerDevices = /^(docker|br-[0-9a-f]{12}$|veth|virbr|vnet|vmnet|cni|flannel|cali|lxc|lxd|podman|kube|weft)/;
/** Of the endpoints that peers see: behind a NAT that gives each peer another port they are of no use to others. */
const mostObserved = 2;
const mostNeighbours = 256;
/** NATs forget an unused binding within this time, most after one to five minutes (RFC 4787 §4.3). */
const holeLasts: Millis = 10 * minute;
/** No traffic of ours opens what is mapped. */
const closed: Millis = Number.NEGATIVE_INFINITY;
/** How long a router that was found may take to map our port, before what only peers tell of is asked about all the same. */
const answersWithin: Millis = 10 * second;
/** A router that was tried in vain, or had no port for a trial, is tried again after this. */
const trialPause: Millis = 10 * minute;
/** Several observations and proofs come at once: one record is signed for all. */
const settle: Millis = 0.05 * second;

const rank: Readonly<Record<EndpointSource, number>> = { configured: 0, upnp: 1, 'nat-pmp': 1, observed: 2, local: 3 };

interface Neighbour {
  /** Undefined before its tunnel stands: what it sees is told a moment sooner, and counts for nothing until then. */
  endpoint: Endpoint | undefined;
  /** Where it sees us. */
  sees: Endpoint | undefined;
}

interface MappedEndpoint {
  readonly endpoint: Endpoint;
  readonly source: 'upnp' | 'nat-pmp';
  readonly router: string;
  /** Until when our own frames may open it, whether the router forwards it or not: they are seen to come from there. */
  holeUntil: Millis;
}

/**
 * Knows how this node may be reached: collects endpoints from the config, the interfaces, the mapping and what neighbours
 * see, has them proven by dial-back, and proves those of others.
 */
export class Reachability implements Machine<ReachabilityEvent, ReachabilityEffect> {
  readonly #config: ReachabilityConfig;
  readonly #asker: DialBackAsker;
  readonly #prover: DialBackProver;
  readonly #neighbours = new Map<NodeNumber, Neighbour>();
  #configured: readonly Endpoint[] = [];
  #addresses: readonly LocalAddress[] = [];
  /** Addresses that mean all machines of a network of ours. */
  #broadcasts: ReadonlySet<string> = new Set();
  #mapping: MappedEndpoint | undefined;
  /** Until when the answer of a router is awaited, as nothing is mapped and one is asked; undefined: none is. */
  #answerUntil: Millis | undefined;
  /** Since the start, the last change of our network or the last mapping a router was asked and gave none: another try holds nothing up. */
  #askedInVain = false;
  /** The router that has let somebody in where only its forwarding could: its mappings are believed. */
  #forwarder: string | undefined;
  #trial: Endpoint | undefined;
  #trialAt: Millis = 0;
  /** The router has moved its entry to the trial's port, and is asked to move it back. */
  #movesBack = false;
  #tellAt: Millis = never;
  /** Empty until the machine's addresses were heard of, and what there is then told. */
  #told = '';
  #knowsAddresses = false;
  #toldNat = '';
  #toldAddress: string | undefined;
  /** Addresses that our NAT may be open to, because we sent there; and until when. */
  readonly #spokenTo = new Map<string, Millis>();
  /** Somebody we had sent nothing to got in: what lets in a fresh port lets in strangers. */
  #strangerCame = false;

  constructor(config: ReachabilityConfig) {
    this.#config = config;
    this.#asker = new DialBackAsker(config.random);
    this.#prover = new DialBackProver(config.random);
  }

  handle(event: ReachabilityEvent, now: Millis): ReachabilityEffect[] {
    this.#closeHole(now);
    this.#endWait(now);
    const effects = this.#handle(event, now);
    return [...effects, ...this.#ask(now), ...this.#try(now)];
  }

  tick(now: Millis): ReachabilityEffect[] {
    this.#closeHole(now);
    this.#endWait(now);
    const effects: ReachabilityEffect[] = [...this.#ask(now), ...this.#try(now)];
    if (now >= this.#tellAt) effects.push(...this.#tell());
    return effects;
  }

  deadline(): Millis {
    const holeUntil = this.#mapping?.holeUntil ?? never;
    const ends = [holeUntil, this.#answerUntil ?? closed].map((at) => (at === closed ? never : at));
    return Math.min(this.#asker.deadline(), this.#tellAt, this.#trialDue(), ...ends);
  }

  /** All endpoints of ours, best first: those open to everybody, then by how we came to know them. */
  endpoints(): RecordedEndpoint[] {
    const all = this.#collect().map((endpoint) => ({ ...endpoint, proven: this.#isProven(endpoint) }));
    return all.sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || rank[a.source] - rank[b.source]);
  }

  /** How long until one of our endpoints that is not proven is asked about again, as far as that is known. */
  waitFor(endpoint: Endpoint, now: Millis): Millis | undefined {
    return this.#asker.waitFor(endpoint, now);
  }

  nat(): NatClass {
    const own = this.#addresses.map(({ address }) => address);
    return classifyNat(this.#seers(), own, this.#config.port, this.#filtering());
  }

  #handle(event: ReachabilityEvent, now: Millis): ReachabilityEffect[] {
    switch (event.kind) {
      case 'endpointsConfigured':
        this.#configured = event.endpoints;
        return this.#collected(now);
      case 'addressesChanged':
        this.#broadcasts = new Set(event.addresses.flatMap(broadcastsOf));
        this.#addressesChanged(event.addresses.filter((each) => this.#isOwn(each)));
        this.#knowsAddresses = true;
        this.#startAnew(now);
        // At the start nobody knows anything of us: what there is is told at once, and an invitation can name it.
        if (this.#told === '') this.#tellAt = now;
        return [];
      case 'wokeUp':
        return this.#startAnew(now);
      case 'mappingChanged':
        return this.#mappingChanged(event, now);
      case 'trialMapped':
        this.#trial = event.endpoint;
        // Where our own traffic leaves nothing can be tried.
        if (!this.#mapping || this.#mostSeen().some((seen) => sameEndpoint(seen, event.endpoint)))
          return this.#endTrial(now);
        return this.#collected(now);
      case 'trialLost':
        this.#trial = undefined;
        this.#trialAt = now; // it has shown nothing
        return this.#collected(now);
      case 'called':
        for (const endpoint of event.endpoints) this.#spokeTo(endpoint, now + holeLasts);
        return [];
      case 'neighbourAt':
        return this.#neighbourAt(event.node, event.endpoint, event.uncalled === true, now);
      case 'neighbourDown': {
        const endpoint = this.#neighbours.get(event.node)?.endpoint;
        if (endpoint) this.#spokeTo(endpoint, now + holeLasts);
        this.#neighbours.delete(event.node);
        this.#asker.forgetProver(event.node, now);
        return this.#collected(now);
      }
      case 'observed':
        return this.#observed(event.by, event.endpoint, now);
      case 'dialBackReceived': {
        const effect = this.#asker.arrived(event.body);
        return effect ? [effect] : [];
      }
      case 'messageReceived':
        return this.#onMessage(event.from, event.message, now);
    }
  }

  /** With the same addresses we stand behind the same router, which may have been restarted. */
  #addressesChanged(addresses: readonly LocalAddress[]): void {
    const isSame =
      addresses.map(({ address }) => address).join() === this.#addresses.map(({ address }) => address).join();
    if (!isSame) this.#forwarder = undefined;
    this.#addresses = addresses;
  }

  /** Another place, as far as we know: nothing that was seen of the last one counts. */
  #startAnew(now: Millis): ReachabilityEffect[] {
    this.#asker.startOver(true, now);
    this.#strangerCame = false;
    this.#askedInVain = false;
    this.#trial = undefined;
    this.#trialAt = now;
    this.#movesBack = false;
    return this.#collected(now);
  }

  #mappingChanged(
    { endpoint, source, router, asking }: Extract<ReachabilityEvent, { kind: 'mappingChanged' }>,
    now: Millis,
  ): ReachabilityEffect[] {
    const before = this.#mapping;
    const isSame = before !== undefined && endpoint !== undefined && sameEndpoint(before.endpoint, endpoint);
    this.#mapping = endpoint && { endpoint, source, router, holeUntil: isSame ? before.holeUntil : closed };
    if (!isSame) {
      // Who came may have come through what is forwarded no more.
      if (before) this.#strangerCame = false;
      this.#trial = undefined;
      this.#trialAt = now;
      this.#movesBack = false;
    }
    // What comes back from a trial is new to the asker.
    const isBack = this.#movesBack && !asking;
    if (isBack) this.#movesBack = false;
    const waited = this.#answerUntil !== undefined;
    if (endpoint) this.#askedInVain = false;
    else if (waited && !asking) this.#askedInVain = true;
    const holds = asking && !endpoint && !this.#askedInVain;
    this.#answerUntil = holds ? (this.#answerUntil ?? now + answersWithin) : undefined;
    const effects = this.#collected(now);
    // What had to wait for the answer, and is not what is mapped.
    if (waited && this.#answerUntil === undefined) this.#asker.proversChanged(now);
    if (endpoint && !isSame) this.#asker.forwarded(endpoint, now);
    else if ((before || endpoint) && !asking && !isBack) this.#asker.startOver(false, now);
    return effects;
  }

  #onMessage(from: NodeNumber, map: FieldMap, now: Millis): ReachabilityEffect[] {
    const message = decodeDialBack(map);
    switch (message?.kind) {
      case 'ask':
        return this.#prover.asked(from, message, this.#neighbours.get(from)?.endpoint, now);
      case 'arrived':
        return this.#prover.arrived(from, message, now);
      case 'proven':
      case 'refused':
        if (this.#asker.answered(from, message, now)) this.#tellSoon(now);
        return [];
      case undefined:
        return [];
    }
  }

  #neighbourAt(node: NodeNumber, endpoint: Endpoint, uncalled: boolean, now: Millis): ReachabilityEffect[] {
    // Through a forwarded port everybody gets in: that says nothing about the others. But all may be one.
    const isForwarded = (this.#mapping !== undefined && !this.#isOurHole) || this.#configured.length > 0;
    const unspoken = (this.#spokenTo.get(endpoint.address) ?? now) <= now;
    if (uncalled && unspoken && !isForwarded && this.#isBeyond(endpoint)) this.#strangerCame = true;
    this.#spokeTo(endpoint, never);
    const known = this.#neighbours.get(node);
    if (known) known.endpoint = endpoint;
    else if (this.#hasRoom()) this.#neighbours.set(node, { endpoint, sees: undefined });
    this.#asker.proversChanged(now);
    return this.#collected(now);
  }

  /** One whose tunnel never came to stand gives way. */
  #hasRoom(): boolean {
    if (this.#neighbours.size < mostNeighbours) return true;
    const [absent] = [...this.#neighbours].find(([, { endpoint }]) => !endpoint) ?? [];
    return absent !== undefined && this.#neighbours.delete(absent);
  }

  /** The neighbours that have told where they see us. */
  #seers(): { readonly node: NodeNumber; readonly by: Endpoint; readonly seen: Endpoint }[] {
    return [...this.#neighbours].flatMap(([node, { endpoint, sees }]) =>
      endpoint && sees ? [{ node, by: endpoint, seen: sees }] : [],
    );
  }

  #spokeTo({ address }: Endpoint, until: Millis): void {
    this.#spokenTo.delete(address);
    if (this.#spokenTo.size >= mostNeighbours) this.#spokenTo.delete(this.#spokenTo.keys().next().value!);
    this.#spokenTo.set(address, until);
  }

  #observed(by: NodeNumber, endpoint: Endpoint, now: Millis): ReachabilityEffect[] {
    if (!this.isDiallable(endpoint)) return [];
    const neighbour = this.#neighbours.get(by) ?? { endpoint: undefined, sees: undefined };
    if (neighbour.sees && sameEndpoint(neighbour.sees, endpoint)) return [];
    if (!this.#neighbours.has(by) && !this.#hasRoom()) return [];
    // Seen elsewhere than before: whatever was proven was proven of another place of the network.
    if (neighbour.endpoint && neighbour.sees && neighbour.sees.address !== endpoint.address) {
      this.#asker.startOver(false, now);
      this.#strangerCame = this.#askedInVain = false;
    }
    // Our line is back, and the router that had none is asked anew.
    if (this.#seers().length === 0) this.#askedInVain = false;
    neighbour.sees = endpoint;
    this.#neighbours.set(by, neighbour);
    this.#asker.proversChanged(now);
    return this.#collected(now);
  }

  /** A dial to what is mapped would be wasted where it shows nothing, or meets a router that forwards another port. */
  #collected(now: Millis): ReachabilityEffect[] {
    this.#watchHole(now);
    const trial = this.#trial && this.#mapping ? [{ ...this.#trial, source: this.#mapping.source }] : [];
    const idle = this.#isDoubtful || this.#movesBack ? this.#mapping?.endpoint : undefined;
    const claimed = this.#collect().filter(
      (each) => !idle || each.source === 'configured' || !sameEndpoint(each, idle),
    );
    this.#asker.setEndpoints([...trial, ...claimed], now);
    this.#tellSoon(now);
    return [];
  }

  #collect(): { readonly address: string; readonly port: number; readonly source: EndpointSource }[] {
    const found = new Map<string, { address: string; port: number; source: EndpointSource }>();
    const add = ({ address, port }: Endpoint, source: EndpointSource) => {
      const key = formatEndpoint({ address, port });
      if (!found.has(key) && this.isDiallable({ address, port })) found.set(key, { address, port, source });
    };
    for (const endpoint of this.#configured) add(endpoint, 'configured');
    if (this.#mapping) add(this.#mapping.endpoint, this.#mapping.source);
    // One of our own addresses that is also seen from outside is local: no NAT stands before it.
    const local = this.#ownAddresses();
    const seen = this.#mostSeen();
    for (const endpoint of seen) if (local.some((own) => sameEndpoint(own, endpoint))) add(endpoint, 'local');
    for (const endpoint of seen.slice(0, mostObserved)) add(endpoint, 'observed');
    for (const endpoint of local) add(endpoint, 'local');
    return [...found.values()];
  }

  #ownAddresses(): Endpoint[] {
    return this.#addresses.map(({ address }) => ({ address, port: this.#config.port }));
  }

  /** Where neighbours see us, by how many do; those that only one of several sees come last. */
  #mostSeen(): Endpoint[] {
    const counts = new Map<string, { endpoint: Endpoint; count: number }>();
    for (const { seen } of this.#seers()) {
      const entry = counts.get(formatEndpoint(seen)) ?? { endpoint: seen, count: 0 };
      entry.count++;
      counts.set(formatEndpoint(seen), entry);
    }
    return [...counts.values()].sort((a, b) => b.count - a.count).map(({ endpoint }) => endpoint);
  }

  #isOwn({ device, address }: LocalAddress): boolean {
    return !innerDevices.test(device) && this.isDiallable({ address, port: this.#config.port });
  }

  /**
   * Whether a node may be dialled there at all, whoever names it: one machine over a family that is switched on, and not inside
   * the overlay.
   */
  isDiallable(endpoint: Endpoint): boolean {
    const { address } = endpoint;
    const isOff = address.includes(':') && !this.#config.ipv6;
    return isUsableEndpoint(endpoint) && !isOff && !this.#broadcasts.has(address) && !this.#config.isInside(address);
  }

  #ask(now: Millis): ReachabilityEffect[] {
    const effects = this.#asker.tick((endpoint) => (this.#mayBeMapped(endpoint) ? [] : this.#proversOf(endpoint)), now);
    if (this.#asker.failuresChanged()) this.#tellSoon(now);
    return effects;
  }

  /** The mapping may seem to work only because of our own hole, and no stranger has shown that it does. */
  get #isDoubtful(): boolean {
    return this.#isOurHole && this.#mapping!.router !== this.#forwarder && !this.#strangerCame;
  }

  #try(now: Millis): ReachabilityEffect[] {
    if (this.#trial && this.#isElsewhere(this.#trial)) {
      // Nobody will dial it, and the router is not looked at before it is over.
      this.#trialAt = now;
      return this.#endTrial(now);
    }
    if (this.#trial) {
      const isProven = this.#asker.isProven(this.#trial);
      if (!isProven && !this.#asker.hasFailed(this.#trial)) return [];
      if (isProven) this.#forwarder = this.#mapping?.router;
      return this.#endTrial(now);
    }
    if (now < this.#trialDue()) return [];
    this.#trialAt = now + trialPause;
    return [{ kind: 'trialWanted' }];
  }

  #endTrial(now: Millis): ReachabilityEffect[] {
    this.#trial = undefined;
    this.#movesBack = this.#mapping?.source === 'nat-pmp';
    this.#collected(now);
    return [{ kind: 'trialEnded' }];
  }

  /** Without somebody to dial it, a trial's time would run out. */
  #trialDue(): Millis {
    if (!this.#mapping || !this.#isDoubtful || this.#trial) return never;
    return this.#proversOf(this.#mapping.endpoint).length > 0 ? this.#trialAt : never;
  }

  /** Who is in our own network gets in at a public address of ours by no router: that says nothing to those elsewhere. */
  #proversOf(endpoint: Endpoint): NodeNumber[] {
    const isLocal = isPrivateAddress(endpoint.address);
    const provers = this.#seers().filter(
      ({ by, seen }) => seen.address === endpoint.address && (isLocal || this.#isBeyond(by)),
    );
    const elsewhere = provers.filter(({ seen }) => seen.port !== endpoint.port);
    const isMapped = this.#mapping !== undefined && sameEndpoint(this.#mapping.endpoint, endpoint);
    // The few that see us at what is mapped might get in by a hole that is theirs alone.
    return (isMapped && !this.#isOurHole ? elsewhere : provers).map(({ node }) => node);
  }

  /** What comes from there comes into our own network from outside. */
  #isBeyond(endpoint: Endpoint): boolean {
    return leadsOutside(endpoint, this.#ownAddresses());
  }

  /** A router is about to say whether it forwards this, which only peers tell of: a dial before that would show nothing. */
  #mayBeMapped(endpoint: Endpoint): boolean {
    if ((this.#answerUntil ?? closed) === closed) return false;
    return this.#collect().some((each) => each.source === 'observed' && sameEndpoint(each, endpoint));
  }

  #endWait(now: Millis): void {
    if (this.#answerUntil === undefined || now < this.#answerUntil || this.#answerUntil === closed) return;
    this.#answerUntil = closed;
    this.#asker.proversChanged(now);
  }

  get #isOurHole(): boolean {
    return this.#mapping !== undefined && this.#mapping.holeUntil !== closed;
  }

  /**
   * Behind a NAT that gives all our traffic one outer port all neighbours see the same, so at least half of those that tell must see
   * us at what is mapped: one that lies casts no doubt on a mapping where two others tell the truth. Where it was so it may be
   * for as long as NATs remember.
   */
  #watchHole(now: Millis): void {
    const mapping = this.#mapping;
    if (!mapping) return;
    const { address, port } = mapping.endpoint;
    const seen = this.#seers().flatMap((each) => (each.seen.address === address ? [each.seen.port] : []));
    const there = seen.filter((each) => each === port).length;
    if (there > 0 && 2 * there >= seen.length) mapping.holeUntil = never;
    else if (mapping.holeUntil === never) mapping.holeUntil = now + holeLasts;
  }

  #closeHole(now: Millis): void {
    if (!this.#isOurHole || now < this.#mapping!.holeUntil) return;
    this.#mapping!.holeUntil = closed;
    this.#collected(now);
  }

  /**
   * Where our own traffic leaves, a prover may be let in only because we have sent to its address: there a stranger must have
   * got in as well or, where it is mapped, somebody through another mapping of that router.
   */
  #isProven(endpoint: Endpoint & { readonly source: EndpointSource }): boolean {
    if (!this.#asker.isProven(endpoint)) return false;
    if (endpoint.source === 'observed') return this.#strangerCame;
    const isMapped = this.#mapping && sameEndpoint(this.#mapping.endpoint, endpoint);
    return !isMapped || endpoint.source === 'configured' || !(this.#isDoubtful || this.#isElsewhere(endpoint));
  }

  /** Peers see us, and none at this address: the router may have another one by now, and that of before be somebody else's. */
  #isElsewhere({ address }: Endpoint): boolean {
    const seen = this.#seers().filter((each) => isOutside(each.seen));
    return seen.length > 0 && !seen.some((each) => each.seen.address === address);
  }

  /**
   * Told only by endpoints that nothing but our own traffic opens. Before a private address of ours stands no NAT for those who see
   * us there; what is seen between two NATs counts while nobody sees us beyond them.
   */
  #filtering(): Dependence | undefined {
    const forwarded = [...this.#configured, ...(this.#mapping ? [this.#mapping.endpoint] : [])];
    const seen = this.#mostSeen();
    const beyond = seen.filter(({ address }) => !isPrivateAddress(address));
    const own = this.#ownAddresses();
    const telling =
      beyond.length > 0 ? beyond : seen.filter((each) => !own.some((one) => one.address === each.address));
    const bare = telling.filter((endpoint) => !forwarded.some((other) => sameEndpoint(other, endpoint)));
    if (bare.some((endpoint) => this.#asker.isProven(endpoint))) {
      return this.#strangerCame ? 'endpoint-independent' : 'address-dependent';
    }
    return bare.some((endpoint) => this.#asker.hasFailed(endpoint)) ? 'address-and-port-dependent' : undefined;
  }

  #tellSoon(now: Millis): void {
    this.#tellAt = Math.min(this.#tellAt, now + settle);
  }

  #tell(): ReachabilityEffect[] {
    this.#tellAt = never;
    // A record without them would take the place of the good one of before in everybody's directory, and the next one has to wait.
    if (!this.#knowsAddresses) return [];
    const effects: ReachabilityEffect[] = [];
    const endpoints = this.endpoints();
    const text = JSON.stringify(endpoints);
    if (text !== this.#told) effects.push({ kind: 'endpointsChanged', endpoints });
    this.#told = text;
    const nat = this.nat();
    const natText = JSON.stringify(nat);
    if (natText !== this.#toldNat) effects.push({ kind: 'natClassified', nat });
    this.#toldNat = natText;
    const address = this.#mostSeen().find(isOutside)?.address;
    if (address !== this.#toldAddress) effects.push({ kind: 'observedExternally', address });
    this.#toldAddress = address;
    return effects;
  }
}

/** IPv4, and not of a private network, which a neighbour in it sees us at. */
function isOutside({ address }: Endpoint): boolean {
  return !address.includes(':') && !isPrivateAddress(address);
}

/** For `isInside`: whether an address lies in one of the overlay's prefixes. */
export function insideAny(prefixes: readonly Prefix[]): (address: string) => boolean {
  return (address) => {
    const bytes = parseIp(address);
    return bytes !== undefined && prefixes.some((prefix) => prefix.contains(bytes));
  };
}
