import type { EndpointSource } from '../src/addr/endpoint.js';
import type { MeshError } from '../src/errors.js';

/**
 * What `weft` and `weftd` say to each other, and what `--json` prints (docs/OPERATIONS.md, What scripts read). The names and fields are a
 * promise to scripts: fields may be added, none renamed or removed. No field ever holds a key or a secret but
 * `Invitation.token`, which is what the operator asked for.
 *
 * Units are in the names: Ms, Seconds, Bytes, Percent. Instants are ISO 8601 in UTC. Absent facts are null, never left out.
 */
export const schema = 1;

export interface NodeInfo {
  readonly name: string;
  /** The public key's fingerprint, by which the node is known whatever its name. */
  readonly id: string;
  readonly address: string;
  readonly prefix: string;
  readonly number: number;
}

export interface NetworkInfo {
  readonly id: string;
  readonly prefix: string;
}

/** `error`: the node is not well (`weft status` exits 1). `warning`: something to do, but all works. */
export type Severity = 'info' | 'warning' | 'error';

export interface HealthItem {
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  readonly fix: string;
}

export interface EndpointInfo {
  readonly address: string;
  readonly port: number;
  readonly source: EndpointSource;
  readonly proven: boolean;
  /** When it is not proven: how long until a peer is asked again; null where that is not known, or it is being asked now. */
  readonly askedAgainSeconds: number | null;
}

export interface PortMappingInfo {
  readonly state: 'disabled' | 'absent' | 'asked' | 'mapped' | 'renewing' | 'refused';
  readonly protocol: 'upnp' | 'nat-pmp' | null;
  readonly gateway: string | null;
  readonly externalAddress: string | null;
  readonly externalPort: number | null;
  readonly leaseSeconds: number | null;
  readonly reason: string | null;
  /** Whether the router forwards the same port over TCP too, for members whose network blocks UDP; null: none is mapped. */
  readonly tcp: { readonly mapped: boolean; readonly reason: string | null } | null;
}

/** What is served over TLS for members whose network lets nothing else out. */
export interface TlsInfo {
  readonly state: 'listening' | 'failed';
  /** As in the config, "0.0.0.0:443". */
  readonly listen: string;
  /** Where members are told to connect; empty: at no address that others could reach. */
  readonly announced: readonly { readonly address: string; readonly port: number; readonly name: string | null }[];
  /** Of the certificate in use. */
  readonly expires: string | null;
  /** Why nothing is served, or why a changed certificate was not taken; and what to do. */
  readonly reason: string | null;
  readonly fix: string | null;
}

export interface Status {
  readonly schema: typeof schema;
  readonly version: string;
  readonly uptimeSeconds: number;
  /** null: this machine belongs to no network. */
  readonly node: NodeInfo | null;
  readonly network: NetworkInfo | null;
  /** `offload`: what the TUN does for us, such as "tcp+udp", "tcp" or "none". */
  readonly tun: { readonly name: string; readonly mtu: number; readonly offload: string } | null;
  /** The faster cipher on this machine. */
  readonly cipher: string;
  /** Threads that carry packets; 0 while none do. */
  readonly workers: number;
  readonly endpoints: readonly EndpointInfo[];
  readonly portMapping: PortMappingInfo;
  /** `overTcp` and `overTls`: of those up, where UDP is blocked. */
  readonly tunnels: {
    readonly up: number;
    readonly total: number;
    readonly overTcp: number;
    readonly overTls: number;
  };
  /** null: tls.listen is not set. */
  readonly tls: TlsInfo | null;
  readonly routes: { readonly selected: number; readonly total: number };
  readonly health: readonly HealthItem[];
  /** Slower ways taken because a faster one is missing or was switched off by `force.*`; empty at best. */
  readonly fallbacks: readonly string[];
  /** Packets, frames, handshakes and messages dropped since the daemon's start, by reason (docs/protocol); none: absent. */
  readonly drops: Readonly<Record<string, number>>;
}

export type PeerState = 'direct' | 'relayed' | 'connecting' | 'unreachable';

export interface TunnelInfo {
  /** Of the other end: where its datagrams, or the TCP connection, come from. */
  readonly endpoint: string;
  readonly transport: 'udp' | 'tcp' | 'tls';
  /** Which end dialled the stream; null over UDP, where both do. */
  readonly openedBy: 'self' | 'peer' | null;
  readonly rttMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
  readonly mtu: number;
  readonly cipher: string;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly sinceSeconds: number;
}

export interface Peer {
  readonly name: string;
  readonly id: string;
  readonly address: string;
  readonly state: PeerState;
  /** The next hop's name when relayed. */
  readonly via: string | null;
  readonly tunnel: TunnelInfo | null;
  readonly lastError: string | null;
}

export interface RouteRow {
  readonly prefix: string;
  /** Name of the node that announces it; its id when no name is known. */
  readonly origin: string;
  /** Name of the node where packets leave the overlay; null for overlay prefixes. */
  readonly egress: string | null;
  readonly selected: boolean;
  readonly feasible: boolean;
  /** Name of the neighbour; null for our own prefixes. */
  readonly nextHop: string | null;
  readonly metric: number;
  readonly seqno: number;
  readonly routerId: string;
  readonly ageSeconds: number;
  /** Why it is used, or why not, in the words of `why`. */
  readonly reason: string;
}

export interface Candidate {
  readonly nextHop: string | null;
  readonly metric: number;
  readonly seqno: number;
  readonly selected: boolean;
  readonly feasible: boolean;
  readonly ageSeconds: number;
  /** Why it is used, or why not, in words. */
  readonly reason: string;
}

export interface Why {
  readonly target: string;
  readonly address: string;
  /** The decision in one sentence. */
  readonly decision: string;
  readonly candidates: readonly Candidate[];
  /** What would change the decision. */
  readonly change: string;
}

export interface Membership {
  readonly node: NodeInfo;
  readonly network: NetworkInfo;
}

export interface InitOptions {
  readonly name?: string;
  /** /40 to /56; without it one is derived from the network key. */
  readonly prefix?: string;
}

export interface InviteOptions {
  readonly name?: string;
  /** Seconds from now; 24 h without it. */
  readonly expiresSeconds?: number;
  /** HOST:PORT; host names are resolved by the daemon. */
  readonly endpoints?: readonly string[];
  /** A node whose number the new key takes over; the old key is revoked. */
  readonly as?: string;
  /** LAN prefixes the new node may announce. */
  readonly lan?: readonly string[];
}

export interface Invitation {
  /** The one-time token: the only secret that crosses this interface in the clear. */
  readonly token: string;
  readonly name: string | null;
  readonly issuer: string;
  readonly expires: string;
  /** Why whoever redeems it may find nobody, where that is to be feared. */
  readonly warning: string | null;
}

export interface JoinOptions {
  readonly token: string;
  readonly name?: string;
}

export interface IssuerRow {
  readonly name: string;
  readonly id: string;
  /** The sub-prefix it assigns node prefixes from. */
  readonly prefix: string;
  readonly self: boolean;
  readonly revoked: boolean;
}

export interface Grant {
  readonly name: string;
  readonly lan: readonly string[];
}

export interface AppRow {
  readonly name: string;
  readonly address: string;
}

export interface Resolved {
  readonly name: string;
  readonly address: string;
}

/** A key sealed under a passphrase, in printable text: safe to store, useless without the passphrase. */
export interface SealedExport {
  readonly sealed: string;
}

export interface PingOptions {
  readonly target: string;
  readonly count?: number;
  readonly intervalMs?: number;
  /** Octets of payload. */
  readonly size?: number;
}

export interface PingReply {
  readonly sequence: number;
  readonly address: string;
  /** null: lost. */
  readonly rttMs: number | null;
  /** Name of the next hop when relayed. */
  readonly via: string | null;
}

export interface TraceHop {
  readonly hop: number;
  readonly name: string;
  readonly address: string;
  /** Round trip from here to that hop; null when it did not answer. */
  readonly rttMs: number | null;
  readonly endpoint: string | null;
}

export type CheckState = 'ok' | 'warning' | 'error' | 'unknown';

/** One line of `weft doctor`: what was checked, what was seen, what to do. */
export interface DoctorCheck {
  readonly code: string;
  readonly check: string;
  readonly state: CheckState;
  readonly evidence: string;
  /** Empty when nothing is to be done. */
  readonly remedy: string;
  /** What to type for it, as root, where a command does it; mostly empty. */
  readonly command: string;
}

export interface TopFrame {
  readonly schema: typeof schema;
  readonly at: string;
  readonly status: Status;
  readonly peers: readonly (Peer & { readonly txBitsPerSecond: number; readonly rxBitsPerSecond: number })[];
}

export interface NodeEvent {
  readonly at: string;
  /** Kebab-case past fact: "tunnel-up", "tunnel-down", "route-changed", "peer-joined", "key-revoked", ... */
  readonly kind: string;
  readonly message: string;
  /** Name of the node it is about. */
  readonly node: string | null;
}

/** One line of the log, as written: time, level, msg and the fields listed in daemon/log.ts. */
export type LogLine = Readonly<Record<string, string | number | boolean | null>>;

export type Answer<T> = T | Promise<T>;

/** Hands one item to whoever listens; the work ends soon after `signal` aborts. */
export type Emit<T> = (item: T) => void;

/**
 * All that can be asked of a node. Implemented by the running node, by the node at rest (state folder, no daemon) and by
 * the admin client; the command line uses the three alike. Operator mistakes throw MeshError. One options object each, so
 * that a call crosses the socket as it is.
 */
export interface NodeApi {
  status(): Answer<Status>;
  peers(): Answer<readonly Peer[]>;
  /** All rows, or those that cover an address or lead to a node. */
  routes(options: { readonly target?: string }): Answer<readonly RouteRow[]>;
  why(options: { readonly target: string }): Answer<Why>;

  init(options: InitOptions): Answer<Membership>;
  invite(options: InviteOptions): Answer<Invitation>;
  join(options: JoinOptions): Answer<Membership>;
  /**
   * Leaves the network: keys, addresses and routes go. Without `force` it is refused (MeshError "network-key-only-here")
   * while this machine has the only copy of the network key.
   */
  leave(options: { readonly force?: boolean }): Answer<Membership>;

  issuerAdd(options: { readonly name: string }): Answer<IssuerRow>;
  issuerList(): Answer<readonly IssuerRow[]>;
  /** Whom it admitted stays, unless its key was `stolen`. */
  issuerRevoke(options: { readonly name: string; readonly stolen?: boolean }): Answer<IssuerRow>;
  /** From now on the node may announce exactly these LAN prefixes; none takes them all away. */
  grant(options: { readonly name: string; readonly lan: readonly string[] }): Answer<Grant>;
  revoke(options: { readonly name: string }): Answer<{ readonly name: string; readonly id: string }>;
  networkKeyExport(options: { readonly passphrase: string }): Answer<SealedExport>;
  /** The copy, read back from where it is kept: from now on `status` does not warn, and the key may be removed here. */
  networkKeyKept(options: SealedExport & { readonly passphrase: string }): Answer<NetworkInfo>;
  /** Takes the network key off this machine; refused (MeshError "network-key-only-here") while no copy was kept. */
  networkKeyRemove(options: Record<never, never>): Answer<NetworkInfo>;
  networkKeyImport(options: SealedExport & { readonly passphrase: string }): Answer<NetworkInfo>;
  identityExport(options: { readonly passphrase: string }): Answer<SealedExport>;
  identityImport(options: SealedExport & { readonly passphrase: string }): Answer<Membership>;

  /** The same name again gives the same row. */
  appAdd(options: { readonly name: string }): Answer<AppRow>;
  appList(): Answer<readonly AppRow[]>;
  appRemove(options: { readonly name: string }): Answer<AppRow>;
  /** NAME or APP@NAME. */
  resolve(options: { readonly target: string }): Answer<Resolved>;

  doctor(): Answer<readonly DoctorCheck[]>;
  trace(options: { readonly target: string }): Answer<readonly TraceHop[]>;
  ping(options: PingOptions, emit: Emit<PingReply>, signal: AbortSignal): Promise<void>;
  top(options: { readonly intervalMs?: number }, emit: Emit<TopFrame>, signal: AbortSignal): Promise<void>;
  log(options: { readonly level?: string }, emit: Emit<LogLine>, signal: AbortSignal): Promise<void>;
  events(options: Record<never, never>, emit: Emit<NodeEvent>, signal: AbortSignal): Promise<void>;
}

/** Methods that answer once, and those that emit items until done or aborted. The server accepts no others. */
export const callMethods = [
  'status',
  'peers',
  'routes',
  'why',
  'init',
  'invite',
  'join',
  'leave',
  'issuerAdd',
  'issuerList',
  'issuerRevoke',
  'grant',
  'revoke',
  'networkKeyExport',
  'networkKeyKept',
  'networkKeyRemove',
  'networkKeyImport',
  'identityExport',
  'identityImport',
  'appAdd',
  'appList',
  'appRemove',
  'resolve',
  'doctor',
  'trace',
] as const satisfies readonly (keyof NodeApi)[];
export const streamMethods = ['ping', 'top', 'log', 'events'] as const satisfies readonly (keyof NodeApi)[];

export type CallMethod = (typeof callMethods)[number];
export type StreamMethod = (typeof streamMethods)[number];

/**
 * The admin protocol: one connection to the Unix socket is one call. The client writes one line of JSON, a Request; the
 * server answers with lines: any number of `item` (stream methods only), then one `result` or `error`, and closes. The
 * client closes early to cancel. Who may open the socket (0660 in a 0750 folder) may do everything; there is no other check,
 * and browsers cannot reach a Unix socket, so neither Host nor Origin arises.
 */
export interface Request {
  readonly method: CallMethod | StreamMethod;
  readonly options?: object;
}

export type Response =
  | { readonly item: unknown }
  | { readonly result: unknown }
  | { readonly error: Pick<MeshError, 'code' | 'message' | 'cure'> };

/** The longest request line; the longest response line. */
export const maxRequestLength = 64 * 1024;
export const maxResponseLength = 64 * 1024 * 1024;
