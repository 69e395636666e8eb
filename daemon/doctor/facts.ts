import type { ClockFault } from '../../src/mesh/clock-watch.js';
import type { NatClass } from '../../src/mesh/nat-class.js';
import type { UnixSeconds } from '../../src/time.js';
import type { MappingDoubt } from '../../src/upnp/reasons.js';
import type { Peer, Status } from '../api.js';
import type { DefaultRoute } from '../kernel/underlay.js';
import type { PacketFilter } from './packet-filter.js';

/** What the checks judge: facts, gathered by probes; a missing one means that it could not be learnt. */
export interface DoctorFacts {
  readonly node: NodeFacts;
  readonly machine: MachineFacts;
}

/** What the node knows, running or at rest. */
export interface NodeFacts {
  readonly status: Status;
  /** Why this machine does not run in the network it belongs to, with its cure; undefined when it does, or belongs to none. */
  readonly notRunning: { readonly message: string; readonly cure: string } | undefined;
  /** The TUN's name, also where it is not open. */
  readonly device: string;
  readonly peers: readonly Peer[];
  readonly nat: NatClass;
  /** What is odd about the mapping the router granted. */
  readonly mappingDoubt: MappingDoubt | undefined;
  /** It may announce and dial IPv6 endpoints (underlay.ipv6). */
  readonly usesIpv6: boolean;
  /** What members say against the clock of this machine. */
  readonly clockFault: ClockFault | undefined;
  /** Of the tunnels. */
  readonly port: number;
  /** How many members have said what time it is. */
  readonly clocksCompared: number;
  /** Where it forwards between the overlay and LANs. */
  readonly lan: LanFacts | undefined;
}

export interface LanFacts {
  readonly devices: readonly string[];
  /** It may announce IPv4 prefixes. */
  readonly carriesIpv4: boolean;
}

export interface ListeningPort {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

/** What the kernel and its files say. */
export interface MachineFacts {
  readonly now: UnixSeconds;
  /** Whether the system keeps the clock by the network; undefined: nobody says. */
  readonly clockIsSynchronised: boolean | undefined;
  readonly addresses: readonly { readonly device: string; readonly address: string }[];
  readonly defaultRoutes: readonly DefaultRoute[];
  /** Of the device that the best default route uses. */
  readonly underlayMtu: number | undefined;
  /** Why a TUN cannot be made here, with its cure; undefined when it can. */
  readonly tunProblem: { readonly message: string; readonly cure: string } | undefined;
  /** By name such as "net.ipv6.conf.all.disable_ipv6". */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly packetFilter: PacketFilter | undefined;
  /** Tables of iptables-legacy, such as "ip filter": their rules are in no listing of nftables. */
  readonly legacyTables: readonly string[];
  readonly hasDocker: boolean;
  /** Open to any IPv6 address, or to one of ours: so to members. Undefined: it could not be read. */
  readonly listening: readonly ListeningPort[] | undefined;
}
