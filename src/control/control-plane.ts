import { encodeChain } from '../addr/certificate-chain.js';
import { type Endpoint, formatEndpoint } from '../addr/endpoint.js';
import { formatIp } from '../addr/ip.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import { type NodeNumber, nodePrefix, tunnelLinkLocal } from '../addr/node-number.js';
import { SecondMachine } from '../addr/second-machine.js';
import type { Machine } from '../machine.js';
import { dialBackTypes } from '../mesh/dial-back.js';
import type { MeshEffect } from '../mesh/effects.js';
import { LanBeacon, type LanBeaconEffect } from '../mesh/lan-beacon.js';
import type { Mesh, MeshEvent } from '../mesh/mesh.js';
import { punchTypes } from '../mesh/punching-message.js';
import { insideAny, Reachability, type ReachabilityEffect, type ReachabilityEvent } from '../mesh/reachability.js';
import type { Random } from '../random.js';
import type { SpeakerEffect, SpeakerEvent } from '../routing/contract.js';
import { Speaker } from '../routing/speaker.js';
import { type Millis, never, second } from '../time.js';
import { ControlChannel, FrameType } from '../tunnel/frame.js';
import { Peers, type TunnelEvent, type Membership as TunnelMembership } from '../tunnel/peers.js';
import type { LinkId, Path, PlaneEvent } from '../tunnel/plane/contract.js';
import type { TunnelEffect } from '../tunnel/tunnel-effect.js';
import type { MappingEvent } from '../upnp/effects.js';
import { Mapping } from '../upnp/mapping.js';
import { certificateAuthority } from './authority.js';
import { Connector, type ConnectorEffect, type Way } from './connector.js';
import type { ControlEffect, ControlEvent, ControlSetting } from './contract.js';
import { Fallback, isBridged } from './fallback.js';
import { Forwarding, firstLanInterface } from './forwarding.js';
import { Letterbox } from './letterbox.js';
import { type FormerNeighbour, Neighbours } from './neighbours.js';
import { encodeRelayedMonths, type RelayedMonth, RelayQuota } from './relay-quota.js';
import { encodeStoredSeqno } from './stored-seqno.js';
import { type TlsOffer, tlsEndpoints } from './tls-offer.js';
import { Traffic } from './traffic.js';
import { Tunnels } from './tunnels.js';

/** The largest Babel packet in a tunnel: one control frame that no path cuts (RFC 8966 §4 asks for 512 at least). */
const babelMtu = 1200;
const lookPause: Millis = 10 * second;

/**
 * The whole control plane of one member, itself a machine: tunnels, routing, mesh and port mapping, each a machine of its own
 * that knows none of the others. What one of them tells is carried to the others here, and only here.
 *
 *        plane events ──► Peers ──tunnelUp/Down──► Speaker ──routesChanged──► Forwarding ──► plane commands
 *                           ▲          │                                          │
 *                         dial     neighbourUp                                  kernel routes
 *                           │          ▼
 *        operator ───────► Mesh ◄── meshReceived          Mapping ──► OwnEndpoints ──► Mesh (our record)
 */
export class ControlPlane implements Machine<ControlEvent, ControlEffect> {
  readonly mesh: Mesh;
  readonly peers: Peers<NodeCertificate>;
  readonly speaker: Speaker;
  readonly mapping: Mapping | undefined;
  readonly forwarding: Forwarding;
  readonly tunnels = new Tunnels();
  readonly reachability: Reachability;
  readonly #setting: ControlSetting;
  readonly #connector: Connector;
  readonly #beacon: LanBeacon;
  readonly #letters = new Letterbox();
  readonly #fallback = new Fallback((endpoint) => this.#connector.leadsOutside(endpoint));
  #tlsOffer: TlsOffer | undefined;
  readonly #later: (() => void)[] = [];
  readonly #traffic = new Traffic();
  readonly #neighbours: Neighbours;
  readonly #quota: RelayQuota;
  /** What the last event said of the mapping. */
  #toldOfMapping = '';
  /** The quota, as plane and neighbours were told. */
  #wasReached = false;
  #lookAt: Millis = 0;
  #started = false;
  /** Of all that happens, only what a router answers matters yet: what it still maps for us is removed. */
  #hasStopped = false;
  #out: ControlEffect[] = [];

  constructor(setting: ControlSetting) {
    const { mesh, random } = setting;
    const { membership } = mesh;
    this.#setting = setting;
    this.mesh = mesh;
    const { mode, octetsPerMonth } = setting.relay;
    this.#quota = new RelayQuota(mode === 'limited' ? octetsPerMonth : 0, setting.relayedMonths);
    this.reachability = new Reachability({
      port: setting.port,
      random,
      isInside: insideAny([membership.network.prefix]),
      ipv6: setting.ipv6,
    });
    this.forwarding = new Forwarding(membership.network.prefix);
    const carried = (node: NodeNumber) => {
      const link = this.tunnels.linkTo(node);
      return link === undefined ? 0 : setting.counters(link).carried;
    };
    const { seeds, former, topology, mostPunches } = setting;
    const isDiallable = (endpoint: Endpoint) => this.reachability.isDiallable(endpoint);
    this.#neighbours = new Neighbours(former);
    this.#connector = new Connector(mesh, seeds, former, random, isDiallable, carried, topology, mostPunches);
    this.#beacon = new LanBeacon(membership.network.id, membership.number, setting.port, random);
    this.mapping = setting.mapPort ? new Mapping({ internalPort: setting.port, random }) : undefined;
    const incarnation = incarnationFrom(random);
    this.peers = new Peers<NodeCertificate>({
      node: membership.number,
      networkId: membership.network.id,
      key: membership.identity.agreement,
      chain: encodeChain(membership.chain),
      incarnation,
      secondMachine: new SecondMachine(membership.network.id, membership.identity.signing, incarnation),
      lanes: setting.lanes,
      aesFaster: setting.aesFaster,
      random,
      counters: setting.counters,
      membership: {
        identify: (chain, publicKey) => this.#identify(chain, publicKey),
        publicKeyOf: (node) => mesh.directory.certificateOf(node)?.dh,
      },
      admits: (node, now) => this.#connector.admits(node, now),
    });
    this.speaker = new Speaker({
      network: membership.network.prefix,
      node: membership.number,
      stored: setting.storedSeqno,
      freshEpoch: Math.max(1, Math.floor(setting.unixSeconds())),
      authority: certificateAuthority(mesh),
      checks: mesh.checks,
      acceptDefaultRoutes: setting.acceptDefaultRoutes ?? false,
      relays: setting.relay.mode !== 'no',
      random,
      now: setting.now,
    });
  }

  handle(event: ControlEvent, now: Millis): ControlEffect[] {
    if (this.#hasStopped && event.kind !== 'mapping') return [];
    this.#start(now);
    switch (event.kind) {
      case 'plane':
        this.#onPlane(event.event, now);
        break;
      case 'routing':
        this.#route(event.event, now);
        break;
      case 'mapping':
        this.#map(event.event, now);
        break;
      case 'localAddresses':
        // The mapping first: a trial that is asked for anew would be lost to its search.
        this.#map({ kind: 'networkChanged' }, now);
        this.#reach({ kind: 'addressesChanged', addresses: event.addresses }, now);
        this.#tunnel({ kind: 'networkChanged' }, now);
        this.#performConnector(this.#connector.networkChanged(now), now);
        this.#performBeacon(this.#beacon.handle({ kind: 'addressesChanged' }, now), now);
        break;
      case 'beaconReceived':
        this.#performBeacon(this.#beacon.handle(event, now), now);
        break;
      case 'ordered':
        this.#performMesh(event.effects, now);
        break;
      case 'directoryWritten':
        this.#performMesh(this.mesh.handle(event, now), now);
        break;
      case 'bridged': {
        const endpoints = this.#fallback.answered(event.node, event.endpoint);
        const way = this.#connector.wayTo(event.node);
        // The other stream has got there already: there is no need of this one, which ends when nothing is said on it.
        if (way && !this.tunnels.tunnelTo(event.node)) this.#dial(way, endpoints, now);
        break;
      }
      case 'bridgeFailed':
        this.#fallback.answered(event.node);
        this.tunnels.failed(event.node, event.reason);
        break;
      case 'tlsServed':
        this.#tlsOffer = event.offer;
        this.#announceTls(now);
        break;
      case 'stopping':
        this.#hasStopped = true;
        this.#route({ kind: 'stopping' }, now);
        this.#map({ kind: 'stopping' }, now);
        this.#performMesh(this.mesh.flush(now), now);
        this.#lookAtQuota(now);
        this.#keepMonths(this.#quota.unwritten(now));
        this.#keepNeighbours(this.#neighbours.unwritten(now, this.#standing()));
        this.#tunnel({ kind: 'stop', reason: 'it is stopping' }, now);
        break;
    }
    this.#finish();
    return this.#take();
  }

  tick(now: Millis): ControlEffect[] {
    if (this.#hasStopped) return [];
    this.#start(now);
    this.#performTunnel(this.peers.tick(now), now);
    this.#performRouting(this.speaker.tick(now), now);
    this.#performMesh(this.mesh.tick(now), now);
    if (this.mapping) this.#performMapping(this.mapping.tick(now), now);
    this.#performReach(this.reachability.tick(now), now);
    this.#performConnector(this.#connector.tick(now), now);
    this.#performBeacon(this.#beacon.tick(now), now);
    this.#letters.expire(now);
    this.#lookAtTraffic(now);
    this.#keepNeighbours(this.#neighbours.due(now, () => this.#standing()));
    this.#tryTcp(now);
    this.#finish();
    return this.#take();
  }

  deadline(): Millis {
    if (this.#hasStopped) return never;
    if (!this.#started) return Number.NEGATIVE_INFINITY;
    // Asked after every event: without a list of them, which would be made each time.
    return Math.min(
      this.peers.deadline(),
      this.speaker.deadline(),
      this.mesh.deadline(),
      this.reachability.deadline(),
      this.#connector.deadline(),
      this.#beacon.deadline(),
      this.#letters.deadline(),
      this.#fallback.deadline(),
      this.#neighbours.deadline(),
      this.mapping?.deadline() ?? never,
      this.#lookAt,
    );
  }

  /** What was relayed for others this month, where that is limited: octets, and whether nothing more is this month. */
  get relayed(): { readonly octets: number; readonly isReached: boolean } {
    return { octets: this.#quota.octets, isReached: this.#quota.isReached };
  }

  /** True while a tunnel to this node is being tried. */
  isDialling(node: NodeNumber): boolean {
    return this.#connector.isTrying(node);
  }

  #take(): ControlEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #start(now: Millis): void {
    if (this.#started) return;
    this.#started = true;
    const { membership } = this.mesh;
    const { prefix } = membership.network;
    this.#configure();
    this.#lookAtQuota(now);
    this.#route({ kind: 'originate', prefix: nodePrefix(prefix, membership.number), metric: 0 }, now);
    this.#listen();
    this.#reach({ kind: 'endpointsConfigured', endpoints: this.#setting.endpoints }, now);
  }

  #configure(): void {
    const { membership } = this.mesh;
    const { prefix } = membership.network;
    const { mode, limitBitsPerSecond } = this.#setting.relay;
    this.#out.push({
      kind: 'plane',
      command: {
        kind: 'configure',
        node: membership.number,
        networkPrefix: prefix.bytes,
        networkPrefixLength: prefix.length,
        relay: this.#wasReached ? 'no' : mode,
        relayLimitBitsPerSecond: limitBitsPerSecond,
        publicKey: membership.identity.agreement.publicKey,
      },
    });
  }

  /** Messages of machines that are not the mesh's own; handled when the mesh is done with its turn. */
  #listen(): void {
    for (const type of dialBackTypes) {
      this.mesh.messages.on(type, (message, sender, now) => {
        this.#later.push(() => this.#reach({ kind: 'messageReceived', from: sender.node, message }, now));
        return [];
      });
    }
    for (const type of punchTypes) {
      this.mesh.messages.on(type, (message, sender, now) => {
        this.#later.push(() => this.#performConnector(this.#connector.messageReceived(sender.node, message, now), now));
        return [];
      });
    }
  }

  #finish(): void {
    for (let next = this.#later.shift(); next; next = this.#later.shift()) next();
    for (const node of this.mesh.checks.takeSpent()) {
      this.#tell(
        'signature-rate',
        node,
        'sends more signatures that are false than are checked: what it signs or passes on is dropped',
      );
    }
  }

  #onPlane(event: PlaneEvent, now: Millis): void {
    switch (event.kind) {
      case 'datagram':
        if (event.from.kind === 'direct' && isJoining(event.bytes[0]!)) {
          this.#meshEvent({ kind: 'joinDatagram', from: event.from.endpoint, bytes: event.bytes }, now);
          return;
        }
        if (event.bytes[0] === FrameType.dialBack) {
          this.#reach({ kind: 'dialBackReceived', body: event.bytes.subarray(1) }, now);
          return;
        }
        break;
      case 'control':
        if (this.#onControl(event.link, event.bytes, event.receivedAt, now)) return;
        break;
      case 'measured': {
        this.tunnels.measured(event);
        const { rtt, jitter, loss } = event;
        const tunnel = this.tunnels.get(event.link);
        if (tunnel) {
          this.#route({ kind: 'measured', interface: event.link, rtt, jitter, loss }, now);
          this.#performConnector(this.#connector.measured(tunnel.node, rtt, now), now);
        }
        break;
      }
      case 'suspected':
      case 'recovered':
      case 'silent':
        if (this.tunnels.has(event.link)) this.#route({ kind: event.kind, interface: event.link }, now);
        break;
      case 'wokeUp':
        this.#wokeUp(event, now);
        return;
      default:
        break;
    }
    this.#tunnel({ kind: 'plane', event }, now);
  }

  /**
   * The others have given up what they had with us, NATs and routers have forgotten us, and nobody told us anything. So nothing
   * is believed until it is seen again: all at once, since each by its own timer takes seconds to minutes.
   */
  #wokeUp(event: Extract<PlaneEvent, { kind: 'wokeUp' }>, now: Millis): void {
    this.#tell('woke-up', undefined, `was away for ${Math.round(event.after / second)} s`);
    this.#tunnel({ kind: 'plane', event }, now);
    this.#performConnector(this.#connector.wokeUp(now), now);
    this.#map({ kind: 'networkChanged' }, now); // first, as when addresses change
    this.#reach({ kind: 'wokeUp' }, now);
    this.#performBeacon(this.#beacon.handle({ kind: 'addressesChanged' }, now), now);
  }

  /** False when it is for the tunnels themselves. */
  #onControl(link: LinkId, bytes: Uint8Array, receivedAt: Millis, now: Millis): boolean {
    const from = this.tunnels.nodeOf(link);
    if (from === undefined) return false;
    const body = bytes.subarray(1);
    if (bytes[0] === ControlChannel.babel && this.tunnels.has(link)) {
      const address = tunnelLinkLocal(from);
      this.#route({ kind: 'packetReceived', interface: link, from: address, bytes: body, receivedAt }, now);
      return true;
    }
    if (bytes[0] === ControlChannel.mesh) {
      this.#meshEvent({ kind: 'meshReceived', from, neighbour: this.tunnels.has(link), bytes: body }, now);
      return true;
    }
    return false;
  }

  #tunnel(event: TunnelEvent, now: Millis): void {
    this.#performTunnel(this.peers.handle(event, now), now);
  }

  #route(event: SpeakerEvent, now: Millis): void {
    this.#performRouting(this.speaker.handle(event, now), now);
  }

  #meshEvent(event: MeshEvent, now: Millis): void {
    this.#performMesh(this.mesh.handle(event, now), now);
  }

  /** Who leaves asks nobody to dial: its next start needs the dial-backs. */
  #reach(event: ReachabilityEvent, now: Millis): void {
    if (this.#hasStopped) return;
    this.#performReach(this.reachability.handle(event, now), now);
  }

  #map(event: MappingEvent, now: Millis): void {
    if (this.mapping) this.#performMapping(this.mapping.handle(event, now), now);
  }

  #performTunnel(effects: readonly TunnelEffect<NodeCertificate>[], now: Millis): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'plane':
          this.tunnels.commanded(effect.command);
          this.#out.push(effect);
          break;
        case 'tunnelUp':
          this.tunnels.up(effect.link, effect.certificate, effect.endpoint, now);
          this.#setSources(effect.link, effect.certificate);
          this.#tell('tunnel-up', effect.node, `tunnel up at ${formatEndpoint(effect.endpoint)}`);
          this.#route({ kind: 'certificateHeld', node: effect.node }, now);
          this.#meshEvent({ kind: 'neighbourUp', node: effect.node }, now);
          this.#route({ kind: 'tunnelUp', interface: effect.link, neighbour: effect.node, mtu: babelMtu }, now);
          this.#sendLetters(effect.link, effect.node);
          this.#reach(
            {
              kind: 'neighbourAt',
              node: effect.node,
              endpoint: effect.endpoint,
              uncalled: !this.#connector.hasCalled(effect.node),
            },
            now,
          );
          this.#performConnector(this.#connector.tunnelUp(effect.node, now), now);
          this.#askOverUdp(now);
          this.#neighbours.stands(now);
          break;
        case 'tunnelDown': {
          const stood = this.tunnels.get(effect.link)?.endpoint;
          this.tunnels.down(effect.link, effect.reason);
          this.#tell('tunnel-down', effect.node, effect.reason);
          this.#route({ kind: 'interfaceDown', interface: effect.link }, now);
          this.#meshEvent({ kind: 'neighbourDown', node: effect.node }, now);
          this.#reach({ kind: 'neighbourDown', node: effect.node }, now);
          this.#performConnector(this.#connector.tunnelDown(effect.node, stood, now), now);
          this.#neighbours.fell(now);
          break;
        }
        case 'tunnelMoved':
          this.tunnels.moved(effect.link, effect.endpoint);
          this.#route({ kind: 'moved', interface: effect.link }, now);
          this.#connector.tunnelMoved(effect.node);
          this.#askOverUdp(now);
          this.#neighbours.stands(now);
          this.#reach({ kind: 'neighbourAt', node: effect.node, endpoint: effect.endpoint }, now);
          break;
        case 'sessionUp':
          this.tunnels.sessionUp(effect.link, effect.certificate);
          this.#setSources(effect.link, effect.certificate);
          this.#sendLetters(effect.link, effect.node);
          break;
        case 'sessionDown':
          this.tunnels.sessionDown(effect.link);
          break;
        case 'observed':
          this.#reach({ kind: 'observed', by: effect.by, endpoint: effect.endpoint }, now);
          break;
        case 'refused':
          this.tunnels.refused(effect.reason);
          break;
        case 'knocked':
          this.#performConnector(this.#connector.knocked(effect.node, now), now);
          break;
        case 'cloned': {
          const places = effect.endpoints.map(formatEndpoint).join(' and ');
          this.#tell('cloned', effect.node, `two machines run with its key: ${places}`);
          break;
        }
        case 'clonedOurselves':
          this.#tell(
            'own-key-cloned',
            effect.by,
            'says that another machine runs with the key of this one, and was there first',
          );
          break;
        case 'copied': {
          const place = effect.endpoint ? `, at ${formatEndpoint(effect.endpoint)},` : '';
          const detail = `says that another machine${place} runs with the key of this one, which was there first`;
          this.#tell('own-key-copied', effect.by, detail);
          break;
        }
        case 'dialFailed':
          if (effect.via === 'overlay') break; // of a letter or a packet: it says nothing about the direct way
          if (this.#isOverStream(effect.node)) {
            this.#connector.tunnelMoved(effect.node); // UDP was asked again, and still leads nowhere
            this.#leaveStream(effect.node, now);
            break;
          }
          this.tunnels.failed(effect.node, effect.reason);
          this.#performConnector(this.#connector.dialFailed(effect.node, now), now);
          break;
      }
    }
  }

  #performRouting(effects: readonly SpeakerEffect[], now: Millis): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'sendPacket':
          this.#sendBabel(effect);
          break;
        case 'routesChanged': {
          const { command, kernelChanged } = this.forwarding.apply(effect.changes);
          if (command) this.#out.push({ kind: 'plane', command });
          if (kernelChanged) this.#out.push({ kind: 'kernelRoutes', routes: this.forwarding.kernelRoutes() });
          this.#paceProbes();
          this.#sendWaiting(now);
          break;
        }
        case 'certificateWanted': {
          const neighbour = this.tunnels.nodeOf(effect.from);
          if (neighbour !== undefined) {
            this.#meshEvent({ kind: 'certificateWanted', node: effect.node, neighbour }, now);
          }
          break;
        }
        case 'persist':
          this.#out.push({ kind: 'persist', name: 'routing', bytes: encodeStoredSeqno(effect.state) });
          break;
        case 'reported':
          this.#tell(effect.code, effect.about ?? this.tunnels.nodeOf(effect.interface), this.#reportDetail(effect));
          break;
      }
    }
  }

  #performMesh(effects: readonly MeshEffect[], now: Millis): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'sendMesh':
          this.#sendMesh(effect.to, effect.bytes, now);
          break;
        case 'sendDatagram':
          this.#sendDatagram({ kind: 'direct', endpoint: effect.to }, effect.bytes);
          break;
        case 'persist':
        case 'forget':
          this.#out.push(effect);
          break;
        case 'revoked':
          this.#tell('key-revoked', effect.number, `the key of ${effect.name ?? effect.key} was revoked`);
          this.#closeVoid(now);
          if (effect.number !== undefined && !this.mesh.directory.certificateOf(effect.number)) {
            this.#performConnector(this.#connector.nodeGone(effect.number, now), now);
            this.#route({ kind: 'certificateLost', node: effect.number }, now);
          }
          break;
        case 'expelled':
          this.#out.push({ kind: 'expelled' });
          break;
        case 'renewed':
          this.#tunnel({ kind: 'credentialsChanged', chain: encodeChain(effect.chain) }, now);
          this.#route({ kind: 'certificateHeld', node: this.mesh.membership.number }, now);
          this.#tell('certificate-renewed', this.mesh.membership.number, 'certificate renewed');
          break;
        case 'nodeChanged':
          this.#fallback.heardNews(effect.number, now);
          this.#performConnector(this.#connector.nodeChanged(effect.number, now), now);
          this.#certificateHeld(effect.number, now);
          break;
        case 'certificateShown':
          this.#certificateHeld(effect.number, now);
          break;
        case 'joined':
        case 'joinFailed':
          break; // of a joining node, which has no control plane yet
      }
    }
  }

  #performReach(effects: readonly ReachabilityEffect[], now: Millis): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'sendMesh':
          this.#sendMesh(effect.to, effect.bytes, now);
          break;
        case 'sendDialBack': {
          const bytes = withType(FrameType.dialBack, effect.body);
          const to: Path = { kind: 'direct', endpoint: effect.to };
          this.#out.push({ kind: 'plane', command: { kind: 'sendDatagram', to, bytes, fresh: true } });
          break;
        }
        case 'endpointsChanged':
          this.#meshEvent({ kind: 'endpointsChanged', endpoints: effect.endpoints }, now);
          this.#announceTls(now);
          this.#sideChanged(now);
          break;
        case 'natClassified':
          this.#sideChanged(now);
          break;
        case 'observedExternally':
          this.#map({ kind: 'observedExternally', address: effect.address }, now);
          break;
        case 'trialWanted':
        case 'trialEnded':
          this.#map(effect, now);
          break;
      }
    }
  }

  #sideChanged(now: Millis): void {
    const { reachability } = this;
    this.#performConnector(this.#connector.sideChanged(reachability.endpoints(), reachability.nat(), now), now);
  }

  #performConnector(effects: readonly ConnectorEffect[], now: Millis): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'dial':
          this.#dial(effect, effect.endpoints, now);
          break;
        case 'hangUp':
          this.#tunnel({ kind: 'hangUp', node: effect.node, reason: effect.reason }, now);
          break;
        case 'sendPunch':
          this.#reach({ kind: 'called', endpoints: [effect.to] }, now);
          this.#sendDatagram({ kind: 'direct', endpoint: effect.to }, withType(FrameType.punch, effect.body));
          break;
        case 'failed':
          this.tunnels.failed(effect.node, effect.reason);
          break;
        default:
          this.#performMesh([effect], now);
      }
    }
  }

  #performBeacon(effects: readonly LanBeaconEffect[], now: Millis): void {
    for (const effect of effects) {
      if (effect.kind === 'sendBeacon') {
        this.#out.push(effect);
        continue;
      }
      const here = this.tunnels.tunnelTo(effect.node)?.endpoint;
      if (here && this.#beacon.isHeardAt(effect.node, here)) continue;
      const found = this.#connector.foundOnLan(effect.node, effect.endpoint, here !== undefined, now);
      this.#performConnector(found, now);
    }
  }

  /** Tunnels that carried packets lately are never closed for a nearer one; busy flows through relays get a tunnel. */
  #lookAtTraffic(now: Millis): void {
    if (now < this.#lookAt) return;
    this.#lookAt = now + lookPause;
    this.#lookAtQuota(now);
    const tunnels = [...this.tunnels.all()].map(({ link, node }) => [link, node] as const);
    const sessions = [...this.tunnels.sessions()];
    const uses = this.#traffic.look([...tunnels, ...sessions], this.#setting.counters, now);
    for (const [, node] of tunnels) {
      if (uses.get(node) !== 'idle') this.#performConnector(this.#connector.used(node, now), now);
    }
    for (const [, node] of sessions) {
      if (uses.get(node) === 'busy') this.#performConnector(this.#connector.flowBusy(node, now), now);
    }
  }

  /** The month's allowance is used up, or another month has begun: neighbours hear it as routes that go, or come again. */
  #lookAtQuota(now: Millis): void {
    this.#keepMonths(this.#quota.look(this.#setting.relayed(), this.mesh.membership.now(), now));
    const { isReached } = this.#quota;
    if (isReached === this.#wasReached) return;
    this.#wasReached = isReached;
    this.#route({ kind: 'relaysChanged', relays: !isReached }, now);
    this.#configure();
    this.#tell('relay-quota', undefined, isReached ? 'relayed as much as allowed for this month' : 'relaying again');
  }

  #keepMonths(months: readonly RelayedMonth[] | undefined): void {
    if (months) this.#out.push({ kind: 'persist', name: 'relayed', bytes: encodeRelayedMonths(months) });
  }

  #standing(): FormerNeighbour[] {
    return [...this.tunnels.all()].filter(({ endpoint }) => !isBridged(endpoint));
  }

  #keepNeighbours(bytes: Uint8Array | undefined): void {
    if (bytes) this.#out.push({ kind: 'persist', name: 'neighbours', bytes });
  }

  #performMapping(effects: ReturnType<Mapping['tick']>, now: Millis): void {
    for (const effect of effects) {
      if (effect.kind === 'trialLost') {
        this.#reach(effect, now);
        continue;
      }
      if (effect.kind === 'trialMapped') {
        const endpoint = { address: effect.externalAddress, port: effect.externalPort };
        this.#reach({ kind: 'trialMapped', endpoint }, now);
        continue;
      }
      if (effect.kind === 'companionChanged') {
        const { mapped, reason } = effect.status;
        this.#tell('port-mapping', undefined, mapped ? 'the same port over TCP too' : `not over TCP: ${reason}`);
        continue;
      }
      if (effect.kind !== 'statusChanged') {
        this.#out.push({ kind: 'mapping', order: effect });
        continue;
      }
      const { state, protocol, gateway, externalAddress, externalPort } = effect.status;
      const holds = (state === 'mapped' || state === 'renewing') && externalAddress !== null && externalPort !== null;
      const endpoint = holds ? { address: externalAddress, port: externalPort } : undefined;
      const asking = state === 'asked' || state === 'renewing';
      const of = { source: protocol ?? 'upnp', router: gateway ?? '', asking } as const;
      this.#reach({ kind: 'mappingChanged', endpoint, ...of }, now);
      const says = effect.status.reason ?? effect.status.state;
      // Asked again and again, a router mostly says the same.
      if (says !== this.#toldOfMapping) this.#tell('port-mapping', undefined, says);
      this.#toldOfMapping = says;
    }
  }

  #identify(octets: Uint8Array, publicKey: Uint8Array): ReturnType<TunnelMembership<NodeCertificate>['identify']> {
    const chain = this.mesh.membership.readChain(octets);
    if (!chain) return { refused: 'its certificate is malformed' };
    const verdict = this.mesh.verify(chain, publicKey);
    if (!verdict.ok) return { refused: `its certificate does not count: ${verdict.fault}` };
    return { node: verdict.node.number, certificate: verdict.node };
  }

  /** Ends every tunnel and session whose certificate holds no more: all are asked, so that none is missed. */
  #closeVoid(now: Millis): void {
    for (const certificate of this.tunnels.certificates()) {
      if (!this.mesh.membership.verifyNode(certificate).ok) {
        this.#tunnel({ kind: 'revoked', publicKey: certificate.dh }, now);
      }
    }
  }

  #tryTcp(now: Millis): void {
    const tunnels = [...this.tunnels.all()];
    const standing = tunnels.map((tunnel) => tunnel.endpoint);
    const trying = this.#connector.trying();
    const hasRoute = (node: NodeNumber) => this.forwarding.choices(node).length > 0;
    for (const bridging of this.#fallback.due(now, standing, trying, hasRoute)) {
      this.#out.push({ kind: 'bridge', ...bridging });
    }
    this.#askOverUdp(now);
  }

  /**
   * Tunnels over streams move to UDP when they are answered there, and carry what they carry until then. Once UDP works, those it
   * does not answer are closed where their nodes are reached by others too: they may be reached through a hole.
   */
  #askOverUdp(now: Millis): void {
    for (const node of this.#fallback.udpDue(now, [...this.tunnels.all()])) {
      const way = this.#connector.openWayTo(node);
      if (way && way.endpoints.length > 0) this.#dial(way, way.endpoints, now);
      else this.#leaveStream(node, now);
    }
  }

  #leaveStream(node: NodeNumber, now: Millis): void {
    const link = this.tunnels.linkTo(node);
    // What UDP works to may be a neighbour within a network that lets none out. Of two whose streams lead to one node not both
    // leave it because of the other: at most one is a feasible next hop of the other.
    const hasOtherWay = this.forwarding.choices(node).some((choice) => choice.interface !== link);
    if (hasOtherWay && this.#fallback.isLeaving(node))
      this.#tunnel({ kind: 'hangUp', node, reason: 'UDP works now' }, now);
  }

  #dial({ node, publicKey }: Way, endpoints: readonly Endpoint[], now: Millis): void {
    this.#reach({ kind: 'called', endpoints }, now);
    this.#tunnel({ kind: 'dial', node, publicKey, endpoints }, now);
  }

  #isOverStream(node: NodeNumber): boolean {
    const tunnel = this.tunnels.tunnelTo(node);
    return tunnel !== undefined && isBridged(tunnel.endpoint);
  }

  #announceTls(now: Millis): void {
    const tls = this.#tlsOffer ? tlsEndpoints(this.#tlsOffer, this.reachability.endpoints()) : [];
    const isAsTold = JSON.stringify(tls) === JSON.stringify(this.mesh.tls);
    if (!isAsTold) this.#meshEvent({ kind: 'tlsChanged', tls }, now);
  }

  #sendBabel(effect: Extract<SpeakerEffect, { kind: 'sendPacket' }>): void {
    if (this.tunnels.has(effect.interface)) this.#sendControl(effect.interface, ControlChannel.babel, effect.bytes);
    else this.#out.push({ kind: 'sendLan', interface: effect.interface, to: effect.to, bytes: effect.bytes });
  }

  #sendMesh(to: NodeNumber, bytes: Uint8Array, now: Millis): void {
    const link = this.tunnels.linkTo(to);
    if (link !== undefined) {
      this.#sendControl(link, ControlChannel.mesh, bytes);
      return;
    }
    const publicKey = this.mesh.directory.certificateOf(to)?.dh;
    if (!publicKey) return;
    this.#letters.put(to, bytes, now);
    if (this.forwarding.choices(to).length > 0)
      this.#tunnel({ kind: 'dial', node: to, publicKey, endpoints: 'overlay' }, now);
  }

  /** A record mostly comes before the route to its node: letters written in between wait for the way. */
  #sendWaiting(now: Millis): void {
    for (const node of this.#letters.receivers()) {
      const publicKey = this.mesh.directory.certificateOf(node)?.dh;
      if (!publicKey || this.forwarding.choices(node).length === 0) continue;
      this.#tunnel({ kind: 'dial', node, publicKey, endpoints: 'overlay' }, now);
    }
  }

  #sendLetters(link: LinkId, node: NodeNumber): void {
    for (const bytes of this.#letters.take(node)) this.#sendControl(link, ControlChannel.mesh, bytes);
  }

  #sendControl(link: LinkId, channel: number, body: Uint8Array): void {
    this.#out.push({ kind: 'plane', command: { kind: 'sendControl', link, bytes: withType(channel, body) } });
  }

  #sendDatagram(to: Path, bytes: Uint8Array): void {
    this.#out.push({ kind: 'plane', command: { kind: 'sendDatagram', to, bytes } });
  }

  /** Tunnels that selected routes leave by are watched closely, the others at leisure. */
  #paceProbes(): void {
    for (const link of this.tunnels.links()) {
      const pace = this.forwarding.isUsed(link) ? 'fast' : 'slow';
      if (this.tunnels.setPace(link, pace))
        this.#out.push({ kind: 'plane', command: { kind: 'setProbing', link, pace } });
    }
  }

  /** Of a LAN the neighbour is named by its address: it is no node. */
  #reportDetail({ interface: id, neighbour, detail }: Extract<SpeakerEffect, { kind: 'reported' }>): string {
    const device = this.#setting.lans?.[id - firstLanInterface];
    return device === undefined ? detail : `${detail}, from ${formatIp(neighbour)} on ${device}`;
  }

  /** Routes may wait for it, and it may grant others than the one before. */
  #certificateHeld(node: NodeNumber, now: Millis): void {
    this.#route({ kind: 'certificateHeld', node }, now);
    const link = this.tunnels.linkTo(node);
    const certificate = this.mesh.directory.certificateOf(node);
    if (link !== undefined && certificate) this.#setSources(link, certificate);
  }

  /** From which LAN addresses the node at the other end may send. */
  #setSources(link: LinkId, { number, lan }: NodeCertificate): void {
    const newest = this.mesh.directory.certificateOf(number)?.lan ?? lan;
    const prefixes = newest.map(({ bytes, length }) => ({ prefix: bytes, length }));
    this.#out.push({ kind: 'plane', command: { kind: 'setSources', link, prefixes } });
  }

  #tell(code: string, node: NodeNumber | undefined, detail: string): void {
    this.#out.push({ kind: 'told', code, node, detail });
  }
}

/** What is sent after one octet that says what it is. */
function withType(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = type;
  bytes.set(body, 1);
  return bytes;
}

function isJoining(type: number): boolean {
  return type === FrameType.joinInitiation || type === FrameType.joinResponse || type === FrameType.joinTransport;
}

function incarnationFrom(random: Random): bigint {
  return new DataView(random.bytes(8).slice().buffer).getBigUint64(0);
}
