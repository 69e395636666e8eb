import type { Millis } from '../time.js';

/** How a router was asked (`port-mapping.protocols`, and the source of the endpoint that comes of it). */
export type MappingProtocol = 'upnp' | 'nat-pmp';

/** A router as the machine and the reader know it. Plain data. */
export interface GatewayDescription {
  /** Unique among the gateways of one search, and the same again in the next. */
  readonly id: string;
  readonly protocol: MappingProtocol;
  /** The router's address on our side. */
  readonly address: string;
  /** What the router calls itself, clipped to 64 printable characters; empty when it says nothing. */
  readonly name: string;
  /** Our own address on that side, to which it is to forward. */
  readonly localAddress: string;
}

/** What is mapped: our UDP port, and beside it the TCP port of the same number (docs/protocol/tcp.md). */
export type Transport = 'udp' | 'tcp';

export interface MappingRequest {
  readonly internalPort: number;
  readonly externalPort: number;
  /** 0 asks for a permanent mapping, for routers that know no other (UPnP error 725). */
  readonly leaseSeconds: number;
  readonly former?: FormerPlace;
}

/**
 * Our address on the router's side until now. An entry for our port there is ours to replace, where the router still has this
 * external address: another home may have the same addresses inside.
 */
export interface FormerPlace {
  readonly localAddress: string;
  readonly externalAddress: string;
}

/** What the router says it has done. None of it is believed by others before a dial-back has proven it. */
export interface Grant {
  readonly externalAddress: string;
  readonly externalPort: number;
  /** 0: permanent. */
  readonly leaseSeconds: number;
}

export type RefusalCode =
  /** The external port is taken (UPnP 718, or an entry of another machine was seen there before we asked). */
  | 'conflict'
  /** Only permanent leases (UPnP 725). */
  | 'permanent-only'
  /** The external port must equal the internal one (UPnP 724). */
  | 'same-port-only'
  /** Port mapping is switched off or not allowed for this machine (UPnP 606, NAT-PMP result 2). */
  | 'not-authorised'
  /** The table is full (UPnP 728, NAT-PMP result 4). */
  | 'no-resources'
  /** The router itself has no address on the Internet side (NAT-PMP result 3, UPnP 501, external address 0.0.0.0). */
  | 'not-connected'
  /** No answer in time. */
  | 'silent'
  /** It answered, and what it said makes no sense: not XML, cut short, an impossible address or port, too long. */
  | 'malformed'
  /** It wanted to send us to another machine. */
  | 'elsewhere'
  /** It said yes, and its own table says otherwise. */
  | 'not-kept'
  /** Any other error of the router; `detail` has its number and words. */
  | 'failed';

export interface Refusal {
  readonly code: RefusalCode;
  /** Numbers and words of the router, printable and clipped: shown to the operator, never interpreted. */
  readonly detail: string;
}

export type MapAnswer =
  | { readonly kind: 'granted'; readonly grant: Grant }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** What a router says when asked whether all is as it was. A missing field: it did not say. */
export interface CheckAnswer {
  /** False: nothing came back at all. */
  readonly answered: boolean;
  /** `noAddress` where it says that it has none. */
  readonly externalAddress?: string;
  /** Whether its table still holds our mapping. */
  readonly held?: boolean;
  /** Seconds since the router's tables were last reset, by its own clock (NAT-PMP epoch, RFC 6886 §3.6). */
  readonly epochSeconds?: number;
  /** A text that changes when the router restarts (BOOTID.UPNP.ORG, UPnP Device Architecture 1.1 §1.2.2). */
  readonly life?: string;
}

/** One router that was asked and can be asked again. Every answer comes in bounded time, and none throws. */
export interface Gateway {
  readonly description: GatewayDescription;
  map(transport: Transport, request: MappingRequest): Promise<MapAnswer>;
  unmap(transport: Transport, internalPort: number, externalPort: number): Promise<void>;
  /** `pulse`: one small datagram, fit for every few seconds. `table`: a full look, fit for once a minute. */
  check(depth: CheckDepth, mapping: MappingRequest): Promise<CheckAnswer>;
  /** Whether it holds this mapping over TCP; fit for once a minute. Undefined: it did not say. */
  holdsTcp(mapping: MappingRequest): Promise<boolean | undefined>;
}

export type CheckDepth = 'pulse' | 'table';

/** What a router tells all of its network. */
export interface Announcement {
  /** Of the router. */
  readonly address: string;
  /**
   * `started`, or its addresses changed, or it is about to go; `there`: routers say so every half minute, or every quarter of an
   * hour, as well as after a start.
   */
  readonly says: 'started' | 'there';
  /** As in `CheckAnswer`. */
  readonly life?: string;
}

/** Looks for routers. */
export interface GatewayFinder {
  /**
   * Calls `found` for each router that can map ports, best known first as they answer, and resolves when the search is over:
   * with what was seen and cannot be used, in words, or an empty text; undefined when there was no router to look for, this
   * machine having no IPv4 default gateway.
   */
  findGateways(found: (gateway: Gateway) => void): Promise<string | undefined>;
  /** Calls back when a router announces itself on the network. */
  onAnnouncement(listener: (announcement: Announcement) => void): void;
  close(): void;
}

/** The longest a gateway takes to answer anything: the contract's bounded time. */
export const answerLimit: Millis = 12_000;
