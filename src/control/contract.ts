import type { Endpoint } from '../addr/endpoint.js';
import type { InvitingMember } from '../addr/invitation.js';
import type { IpBytes } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { MeshEffect } from '../mesh/effects.js';
import type { Mesh } from '../mesh/mesh.js';
import type { LocalAddress } from '../mesh/reachability.js';
import type { TopologyLimits } from '../mesh/topology.js';
import type { Random } from '../random.js';
import type { SpeakerEvent, StoredSeqno } from '../routing/contract.js';
import type { Millis, UnixSeconds } from '../time.js';
import type { LinkCounters, LinkId, PlaneCommand, PlaneEvent } from '../tunnel/plane/contract.js';
import type { MappingEvent, MappingOrder } from '../upnp/effects.js';
import type { StreamEndpoint } from './fallback.js';
import type { KernelRoute } from './forwarding.js';
import type { FormerNeighbour } from './neighbours.js';
import type { RelayedMonth } from './relay-quota.js';
import type { TlsOffer } from './tls-offer.js';

/** What the control plane is told. */
export type ControlEvent =
  | { readonly kind: 'plane'; readonly event: PlaneEvent }
  /** Of LANs: interfaces `firstLanInterface` and above. */
  | { readonly kind: 'routing'; readonly event: SpeakerEvent }
  | { readonly kind: 'mapping'; readonly event: MappingEvent }
  /** The machine's own addresses outside the overlay, now; told at start and at every change. */
  | { readonly kind: 'localAddresses'; readonly addresses: readonly LocalAddress[] }
  /** A datagram came to the port of the LAN's beacons. */
  | { readonly kind: 'beaconReceived'; readonly from: string; readonly bytes: Uint8Array }
  /** A `bridge` stands: the plane finds the node at this endpoint. Or why there is none. */
  | { readonly kind: 'bridged'; readonly node: NodeNumber; readonly endpoint: Endpoint }
  | { readonly kind: 'bridgeFailed'; readonly node: NodeNumber; readonly reason: string }
  /** What is served over TLS from now on; undefined: nothing. */
  | { readonly kind: 'tlsServed'; readonly offer: TlsOffer | undefined }
  /** What an operator's command wants done (src/mesh/commands.ts). */
  | { readonly kind: 'ordered'; readonly effects: readonly MeshEffect[] }
  /** The directory is on the disk, after so long. */
  | { readonly kind: 'directoryWritten'; readonly took: Millis }
  | { readonly kind: 'stopping' };

/** What it wants done, strictly in order; `persist` is durable before the next effect runs. */
export type ControlEffect =
  | { readonly kind: 'plane'; readonly command: PlaneCommand }
  | { readonly kind: 'persist'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'forget'; readonly name: string }
  | {
      readonly kind: 'sendLan';
      readonly interface: number;
      readonly to: IpBytes | 'multicast';
      readonly bytes: Uint8Array;
    }
  /** All LAN prefixes the kernel is to hold from now on. */
  | { readonly kind: 'kernelRoutes'; readonly routes: readonly KernelRoute[] }
  | { readonly kind: 'mapping'; readonly order: MappingOrder }
  /** To the beacons' group, on every LAN of ours. */
  | { readonly kind: 'sendBeacon'; readonly bytes: Uint8Array }
  /** Open one of these streams, trying one after the other, and answer `bridged` or `bridgeFailed`. */
  | { readonly kind: 'bridge'; readonly node: NodeNumber; readonly streams: readonly StreamEndpoint[] }
  /** Something worth a line in the log and in `weft events`; `code` in kebab-case. */
  | {
      readonly kind: 'told';
      readonly code: string;
      readonly node: NodeNumber | undefined;
      readonly detail: string;
    }
  /** Our own key was revoked: we are no member any more. */
  | { readonly kind: 'expelled' };

export interface ControlSetting {
  readonly mesh: Mesh;
  /** The members our invitation named. */
  readonly seeds: readonly InvitingMember[];
  /** The blob "neighbours". */
  readonly former: readonly FormerNeighbour[];
  readonly storedSeqno: StoredSeqno | undefined;
  readonly random: Random;
  readonly now: Millis;
  readonly unixSeconds: () => UnixSeconds;
  /** The UDP port we listen on. */
  readonly port: number;
  /** Where we can be reached, as the operator says. */
  readonly endpoints: readonly Endpoint[];
  readonly mapPort: boolean;
  /** underlay.ipv6. */
  readonly ipv6: boolean;
  readonly relay: RelaySetting;
  /** The blob "relayed". */
  readonly relayedMonths: readonly RelayedMonth[];
  /** How many tunnels; without it, the rule. */
  readonly topology?: TopologyLimits;
  /** Punches in a minute; without it, the rule. */
  readonly mostPunches?: number;
  readonly lanes: number;
  readonly aesFaster: boolean;
  /** Devices of the LANs, the first of which is interface `firstLanInterface`; for reports. */
  readonly lans?: readonly string[];
  /** ::/0 and 0.0.0.0/0 from gateways of the overlay whose certificates grant them. */
  readonly acceptDefaultRoutes?: boolean;
  /** `Plane.counters`. */
  readonly counters: (link: LinkId) => LinkCounters;
  /** `Plane.relayed`. */
  readonly relayed: () => number;
}

/** What we carry for others. */
export interface RelaySetting {
  readonly mode: 'yes' | 'limited' | 'no';
  readonly limitBitsPerSecond: number;
  /** With mode limited, octets in a month (UTC); 0: no limit. */
  readonly octetsPerMonth: number;
}
