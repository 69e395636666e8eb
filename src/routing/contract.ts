import type { IpBytes } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import type { Millis } from '../time.js';
import type { Metric } from './metric.js';
import type { Epoch, RouterId } from './router-id.js';
import type { Seqno } from './seqno.js';

/** What the speaker and the rest of the node say to each other. Plain data. */

/** A handle the caller chooses; not used again before `interfaceDown`. */
export type InterfaceId = number;

/** What is kept on disk of a node's own numbering: seqnos below `seqno` may have been used with `epoch`. */
export interface StoredSeqno {
  readonly epoch: Epoch;
  readonly seqno: Seqno;
}

/** What real routers on a LAN are told and may tell us (docs/decisions/lan-gateways.md). */
export interface LanPolicy {
  /** Prefixes we accept from this LAN: these and longer ones. */
  readonly imports: readonly Prefix[];
  /** Prefixes we announce on this LAN: these and longer ones. */
  readonly exports: readonly Prefix[];
  /** Connected networks and default gateways (host prefixes): an imported prefix that overlaps one is refused. */
  readonly connected: readonly Prefix[];
  /**
   * Networks connected to this very LAN: its machines reach them without us, so they are not announced there; and there the
   * global IPv6 addresses of its routers are.
   */
  readonly onLink: readonly Prefix[];
  /** Addresses of this machine (host prefixes), link-local ones of this very LAN: no router there has them. */
  readonly own: readonly Prefix[];
}

export interface LanOptions extends LanPolicy {
  /** Our IPv4 address on the LAN, mapped to 16 octets; without it IPv4 travels as v4-via-v6 (RFC 9229). */
  readonly ownIpv4?: IpBytes;
  /** wired: 2-of-3 sensing, split horizon. wireless: ETX. tunnel: delay counts (RFC 9616), no split horizon. */
  readonly type?: 'wired' | 'wireless' | 'tunnel';
  readonly helloInterval?: Millis;
  readonly updateInterval?: Millis;
}

export type SpeakerEvent =
  /** A tunnel opened. Its neighbour is fe80::number, all multicast goes to it alone. `mtu`: largest Babel packet. */
  | {
      readonly kind: 'tunnelUp';
      readonly interface: InterfaceId;
      readonly neighbour: NodeNumber;
      readonly mtu: number;
    }
  /** `ownAddress`: our link-local address there; packets from it are our own. `mtu`: largest UDP payload. */
  | {
      readonly kind: 'lanUp';
      readonly interface: InterfaceId;
      readonly ownAddress: IpBytes;
      readonly mtu: number;
      readonly options: LanOptions;
    }
  | { readonly kind: 'lanPolicyChanged'; readonly interface: InterfaceId; readonly policy: LanPolicy }
  | { readonly kind: 'interfaceDown'; readonly interface: InterfaceId }
  /**
   * A Babel packet, without IP and UDP header. `from`: 16 octets (of a tunnel: the tunnel's neighbour is meant,
   * whatever it says). The shell has dropped LAN packets whose source port is not 6696. `receivedAt`: on the clock of
   * `now`.
   */
  | {
      readonly kind: 'packetReceived';
      readonly interface: InterfaceId;
      readonly from: IpBytes;
      readonly bytes: Uint8Array;
      readonly receivedAt: Millis;
    }
  /** The plane's measurement of a tunnel. `loss`: 0 to 1. */
  | {
      readonly kind: 'measured';
      readonly interface: InterfaceId;
      readonly rtt: Millis;
      readonly jitter: Millis;
      readonly loss: number;
    }
  /** The plane expects traffic and hears none: other routes are preferred while there are any. */
  | { readonly kind: 'suspected'; readonly interface: InterfaceId }
  /** Heard again, after `suspected` or `silent`. Replaces neither Hello nor IHU. */
  | { readonly kind: 'recovered'; readonly interface: InterfaceId }
  /** The tunnel leads along another path now: what was measured of it, or held against it, was of the one before. */
  | { readonly kind: 'moved'; readonly interface: InterfaceId }
  /** The plane has given the tunnel up: counts as Hellos lost. */
  | { readonly kind: 'silent'; readonly interface: InterfaceId }
  /** Ours: the own /64, or a network connected here that our certificate grants. */
  | { readonly kind: 'originate'; readonly prefix: Prefix; readonly metric: Metric }
  | { readonly kind: 'withdraw'; readonly prefix: Prefix }
  /** A node's certificate, ours too, came, or grants something else now: what depends on it is looked at again. */
  | { readonly kind: 'certificateHeld'; readonly node: NodeNumber }
  /** Revoked: what it originated or let out is dropped. */
  | { readonly kind: 'certificateLost'; readonly node: NodeNumber }
  /** Whether we pass packets on between nodes from now on: routes through us are announced, or retracted. */
  | { readonly kind: 'relaysChanged'; readonly relays: boolean }
  /** Before the process ends: retracts everything, and Hellos that expire at once. */
  | { readonly kind: 'stopping' };

/** One way to a destination. */
export interface RouteChoice {
  readonly interface: InterfaceId;
  /** The neighbour's link-local address. */
  readonly neighbour: IpBytes;
  /** The neighbour's node number; undefined on a LAN. */
  readonly neighbourNode: NodeNumber | undefined;
  /** 16 octets; for IPv4 prefixes on a LAN an IPv4 address, mapped, or the IPv6 one (RFC 9229). */
  readonly nextHop: IpBytes;
  readonly metric: Metric;
  readonly seqno: Seqno;
  readonly routerId: RouterId;
  /**
   * The node to seal for: of an overlay prefix its owner, of a LAN prefix the gateway; undefined: straight onto a LAN.
   */
  readonly egress: NodeNumber | undefined;
}

export interface RouteChange {
  readonly prefix: Prefix;
  /**
   * The selected route, then up to two feasible others by other neighbours, best first. Empty: ours, unreachable or
   * gone.
   */
  readonly choices: readonly RouteChoice[];
  /** We originate it: packets for it are our kernel's. */
  readonly own: boolean;
  /** Lost and not yet known to be lost everywhere: drop packets for it rather than follow a shorter prefix. */
  readonly held: boolean;
}

/** Why something was refused and whom to name for it. */
export type ReportCode =
  | 'invalid-signature'
  | 'not-the-owner'
  | 'old-epoch'
  | 'replayed-seqno'
  | 'not-granted'
  | 'overlay-prefix-from-lan'
  | 'foreign-import'
  | 'import-meets-connected'
  | 'default-route'
  | 'own-prefix-by-another'
  | 'quota'
  | 'lan-quota'
  | 'other-daemon'
  | 'restarts-too-often';

/** What is dropped behind the codec and not worth a word: it is counted only. */
export type QuietReason =
  /** A prefix nobody may announce. */
  | 'martian'
  /** Routers without split horizon repeat our own words. */
  | 'own-router-id'
  /** A LAN packet whose source is no link-local address. */
  | 'not-link-local'
  /** A next hop that no router of the LAN can have. */
  | 'foreign-next-hop'
  /** Stamps of RFC 9616 from the future, of long ago or running backwards. */
  | 'nonsense-timestamp'
  /** Requests of a neighbour beyond the rate at which we answer. */
  | 'too-many-requests'
  /** What a neighbour signs or passes on beyond the false signatures that are checked for it. */
  | 'signature-rate';

export type SpeakerEffect =
  /** Send it; the bytes are the receiver's. Multicast means ff02::1:6. Of a tunnel always the one neighbour. */
  | {
      readonly kind: 'sendPacket';
      readonly interface: InterfaceId;
      readonly to: IpBytes | 'multicast';
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'routesChanged'; readonly changes: readonly RouteChange[] }
  /** A route waits for this node's certificate; ask the neighbour at the other end of the interface. */
  | { readonly kind: 'certificateWanted'; readonly node: NodeNumber; readonly from: InterfaceId }
  /** Write it before the next effects of this kind come; replaces what was stored. */
  | { readonly kind: 'persist'; readonly state: StoredSeqno }
  /** At most one a minute for each code and neighbour, or node that it is about; every case is counted. */
  | {
      readonly kind: 'reported';
      readonly code: ReportCode;
      readonly interface: InterfaceId;
      readonly neighbour: IpBytes;
      readonly detail: string;
      /** Whose doing it is, where that is not the neighbour's. */
      readonly about?: NodeNumber;
    };

/**
 * What the speaker must know of certificates and keys. Ed25519 in the product; a keyed hash will do in large simulations.
 * `octets` is what PROTOCOL.md (Babel) says is signed; label and network id are the authority's to add.
 */
export interface OriginAuthority {
  /** Our signature over these octets; at most 200 octets long, the same octets always giving the same signature. */
  sign(octets: Uint8Array): Uint8Array;
  /** unknown: this node's certificate is not held. */
  verify(node: NodeNumber, octets: Uint8Array, signature: Uint8Array): 'valid' | 'invalid' | 'unknown';
  /** True when this node's certificate lets it be the egress of this prefix. Asked of ourselves too. */
  grants(node: NodeNumber, prefix: Prefix): boolean;
}

/**
 * Shares equal values between the speakers of one process; a daemon, which has one, needs none. The values are never
 * written to.
 */
export interface Interner {
  prefix(bytes: IpBytes, length: number): Prefix;
  octets(bytes: Uint8Array): Uint8Array;
}

/** Why a candidate is not the selected one, or that it is. */
export type Standing =
  | 'selected'
  | 'worse'
  | 'not-better-enough'
  | 'better-not-long-enough'
  | 'left-lately'
  | 'suspected'
  | 'unfeasible'
  | 'retracted'
  | 'neighbour-unreachable'
  | 'unproven'
  | 'old-epoch'
  | 'refused';

/** One row of `weft routes` and `weft why`. */
export interface RouteRow {
  readonly prefix: Prefix;
  readonly routerId: RouterId;
  readonly origin: NodeNumber | undefined;
  readonly egress: NodeNumber | undefined;
  /** Undefined: our own. */
  readonly interface: InterfaceId | undefined;
  readonly neighbour: IpBytes | undefined;
  readonly nextHop: IpBytes | undefined;
  readonly metric: Metric;
  /** As the neighbour announced it, and the cost of the link to the neighbour: metric is their sum. */
  readonly announced: Metric;
  readonly cost: Metric;
  readonly seqno: Seqno;
  readonly ageSeconds: number;
  readonly feasible: boolean;
  readonly selected: boolean;
  readonly standing: Standing;
  /** Its prefix is lost and not yet known to be lost everywhere: packets for it are dropped (RFC 8966 §3.5.4). */
  readonly held: boolean;
  /** Why the update was refused, where it was. */
  readonly refusal?: ReportCode;
  /** The best we have announced of this prefix and router-id (RFC 8966 §3.5.1): the announced metric must beat it. */
  readonly distance?: { readonly seqno: Seqno; readonly metric: Metric };
}

/** One row of the neighbour table. */
export interface NeighbourRow {
  readonly interface: InterfaceId;
  readonly address: IpBytes;
  readonly node: NodeNumber | undefined;
  readonly cost: Metric;
  readonly rxcost: Metric;
  readonly txcost: Metric;
  /** The last 16 Hellos, newest in bit 15. */
  readonly hellos: number;
  readonly rtt: Millis | undefined;
  readonly routes: number;
}
