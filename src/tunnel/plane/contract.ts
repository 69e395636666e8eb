import type { Endpoint } from '../../addr/endpoint.js';
import type { NodeNumber } from '../../addr/node-number.js';
import type { Millis } from '../../time.js';

/**
 * What the control plane and the data plane say to each other: plain data that crosses threads.
 *
 * A *link* is an association with one other node, direct (a tunnel, over the underlay) or over the overlay (an end-to-end
 * session through relays). It outlives the sessions (keys) installed on it, one after the other.
 */

/** A handle the control plane chooses, 1 to 65535, not used again until the link was closed in the plane. */
export type LinkId = number;

export type Cipher = 'aes-256-gcm' | 'chacha20-poly1305';

/** How frames of a link travel. Overlay: wrapped as relayed frames towards the node, by the forwarding table. */
export type Carriage = { readonly kind: 'direct'; readonly endpoint: Endpoint } | { readonly kind: 'overlay' };

/** Where a handshake-class datagram came from or goes to. */
export type Path =
  | { readonly kind: 'direct'; readonly endpoint: Endpoint }
  /** Carried as the end-to-end part of a relayed frame. Received: `node` is what the relay header claims. */
  | { readonly kind: 'overlay'; readonly node: NodeNumber };

export interface SessionInstall {
  readonly link: LinkId;
  readonly cipher: Cipher;
  /**
   * Lane n is heard at receiver index localIndex + n; n < localLanes. Random, unguessable, unique in this node; a
   * multiple of 8, the most lanes, so those of two sessions never meet, and of localLanes: the kernel hands a lane to the worker index mod
   * workers, which so stays the same from session to session.
   */
  readonly localIndex: number;
  readonly localLanes: number;
  /** We send on lane n to receiver index remoteIndex + n; n < remoteLanes. */
  readonly remoteIndex: number;
  readonly remoteLanes: number;
  /**
   * 32 octets each; the key of lane n is HKDF-SHA256(session key, info "lane" ‖ u8 n), 32 octets. In SharedArrayBuffers
   * so that no copy stays on a heap. The plane zeroes them once every worker has taken them, and nobody before: keys of
   * zeros, which all can guess, would be as good as any to a worker that comes late.
   */
  readonly sendKey: SharedArrayBuffer;
  readonly receiveKey: SharedArrayBuffer;
  /**
   * The initiator sends at once. The responder sends nothing on it and keeps the older session until the first frame
   * opens (docs/protocol/tunnel.md, Answering); the plane then says `confirmed`.
   */
  readonly role: 'initiator' | 'responder';
}

/** One overlay destination: links to next hops, best first; at most three. Empty: drop and answer unreachable. */
export interface NodeRoute {
  readonly node: NodeNumber;
  readonly hops: readonly LinkId[];
}

/** A prefix behind another node, or one of our own. Longest prefix wins at the ends (PROTOCOL.md §1). */
export interface PrefixRoute {
  /** 16 octets; IPv4 as ::ffff:0:0/96 and longer. */
  readonly prefix: Uint8Array;
  readonly length: number;
  /** The node to seal for; undefined: ours, hand it to the kernel. */
  readonly egress: NodeNumber | undefined;
}

export interface GrantedPrefix {
  /** 16 octets; IPv4 as ::ffff:0:0/96 and longer. */
  readonly prefix: Uint8Array;
  readonly length: number;
}

export type PlaneCommand =
  /**
   * One link a node. Node 0: a link on trial, whose other end is not known to be the node it claims to be; it carries
   * control frames only. At most six sessions are installed on a link at a time.
   */
  | { readonly kind: 'openLink'; readonly link: LinkId; readonly node: NodeNumber; readonly carriage: Carriage }
  /** Closes it with all its sessions; keys are wiped; answered by `closed`. */
  | { readonly kind: 'closeLink'; readonly link: LinkId }
  /** The peer moved, or another endpoint was proven. Also turns an overlay link into a direct one and back. */
  | { readonly kind: 'setCarriage'; readonly link: LinkId; readonly carriage: Carriage }
  | { readonly kind: 'installSession'; readonly session: SessionInstall }
  | { readonly kind: 'dropSession'; readonly link: LinkId; readonly localIndex: number }
  /** Applied between packets, atomically. `remove` names nodes or prefixes that are gone. */
  | {
      readonly kind: 'patchRoutes';
      readonly nodes: readonly NodeRoute[];
      readonly prefixes: readonly PrefixRoute[];
      readonly removedPrefixes: readonly { readonly prefix: Uint8Array; readonly length: number }[];
    }
  /**
   * Seals and sends a control frame: first octet a ControlChannel. Dropped when the link has no live session. `to`: there, this
   * one, whatever the link's carriage.
   */
  | { readonly kind: 'sendControl'; readonly link: LinkId; readonly bytes: Uint8Array; readonly to?: Endpoint }
  /** Sends a handshake-class datagram as it is. `fresh`: from a new source port (dial-back). */
  | { readonly kind: 'sendDatagram'; readonly to: Path; readonly bytes: Uint8Array; readonly fresh?: boolean }
  /** Prefixes outside the overlay that the node's certificate grants: its packets may come from any address in them. */
  | { readonly kind: 'setSources'; readonly link: LinkId; readonly prefixes: readonly GrantedPrefix[] }
  /** How often an idle link is probed: fast where selected routes use it (docs/protocol/plane.md, Liveness). */
  | { readonly kind: 'setProbing'; readonly link: LinkId; readonly pace: 'fast' | 'slow' }
  /** The whole node: own number and network for source checks; whether relaying for others is allowed, and its cap. */
  | {
      readonly kind: 'configure';
      readonly node: NodeNumber;
      /** 16 octets and length. */
      readonly networkPrefix: Uint8Array;
      readonly networkPrefixLength: number;
      readonly relay: 'yes' | 'limited' | 'no';
      readonly relayLimitBitsPerSecond: number;
      /** Our X25519 public key: handshake-class datagrams must carry a MAC keyed by it (PROTOCOL.md §3). */
      readonly publicKey: Uint8Array;
    };

export type PlaneEvent =
  /** A handshake-class datagram that passed length, MAC and rate checks. The bytes are the receiver's. */
  | { readonly kind: 'datagram'; readonly from: Path; readonly bytes: Uint8Array }
  /** An opened control frame; first octet a ControlChannel. */
  | { readonly kind: 'control'; readonly link: LinkId; readonly bytes: Uint8Array; readonly receivedAt: Millis }
  /** Every worker holds the session, and the key buffers are zeroed. Not before is a handshake answered with it. */
  | { readonly kind: 'installed'; readonly link: LinkId; readonly localIndex: number }
  /** The first frame of a session we answered has opened, from there: it is now the one we send on. */
  | { readonly kind: 'confirmed'; readonly link: LinkId; readonly localIndex: number; readonly from: Path }
  /** A lane has sent 2^27 frames: rekey now; it stops at 2^28. */
  | { readonly kind: 'worn'; readonly link: LinkId; readonly localIndex: number }
  /** Roaming: the peer answered a sealed challenge from a new address, and the plane sends there now. */
  | { readonly kind: 'moved'; readonly link: LinkId; readonly endpoint: Endpoint }
  /** Traffic expected and not heard: move routes away if there is a feasible other. */
  | { readonly kind: 'suspected'; readonly link: LinkId }
  /** Heard again after `suspected`. */
  | { readonly kind: 'recovered'; readonly link: LinkId }
  /** 2 s of silence: the tunnel is down. */
  | { readonly kind: 'silent'; readonly link: LinkId }
  /** Path measurement, when it changed noticeably, at most once a second. mtu: largest datagram payload that passes. */
  | {
      readonly kind: 'measured';
      readonly link: LinkId;
      readonly rtt: Millis;
      readonly jitter: Millis;
      /** 0 to 1, both directions together. */
      readonly loss: number;
      readonly mtu: number;
    }
  /**
   * A packet for this node waits for an end-to-end session (each worker stages 64 of them, a second each). At most once a
   * second a node from each worker.
   */
  | { readonly kind: 'sessionWanted'; readonly node: NodeNumber }
  | { readonly kind: 'closed'; readonly link: LinkId }
  /** The machine slept, or this process was stopped, for so long: what others and routers held for us is gone. */
  | { readonly kind: 'wokeUp'; readonly after: Millis }
  /** Somebody deleted the TUN: no worker reads on; the daemon says so and stops. */
  | { readonly kind: 'tunGone' }
  /** A worker failed for good, or its thread ended by itself: the daemon says so and stops. */
  | { readonly kind: 'failed'; readonly reason: string };

/** Counters of one link, summed over workers. Frames and octets of the underlay, headers included. */
export interface LinkCounters {
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly txFrames: number;
  readonly rxFrames: number;
  /** Of both: packets and relayed frames, so not what keeps the tunnel itself. */
  readonly carried: number;
  /** When a frame last opened, on the plane's monotonic clock; 0 if never. */
  readonly lastHeard: Millis;
}

/**
 * The data plane as the control plane's shell sees it: worker threads in the daemon, an in-process stand-in in the
 * simulator. Commands are applied in order.
 */
export interface Plane {
  command(command: PlaneCommand): void;
  /** Called on the shell's thread, never re-entrantly from `command`. */
  onEvent(listener: (event: PlaneEvent, now: Millis) => void): void;
  counters(link: LinkId): LinkCounters;
  /** Octets passed on for other nodes since the start. */
  relayed(): number;
  /** Dropped packets and frames by reason, for status and metrics. Names are kebab-case and documented in PROTOCOL.md. */
  drops(): ReadonlyMap<string, number>;
  /** Ends blocked workers in under 1 s; wipes keys. */
  stop(): Promise<void>;
}
