import type { WireConditions } from './wire.js';

/**
 * What a router does to UDP, in the words of RFC 4787 as users know them:
 *
 * | kind                   | mapping              | filtering                  |
 * |------------------------|----------------------|----------------------------|
 * | `endpoint-independent` | endpoint-independent | endpoint-independent       |
 * | `address-restricted`   | endpoint-independent | address-dependent          |
 * | `port-restricted`      | endpoint-independent | address-and-port-dependent |
 * | `symmetric`            | address-and-port-dependent | address-and-port-dependent |
 * | `udp-blocked`          | none: UDP is not forwarded | none                 |
 */
export type NatKind = 'endpoint-independent' | 'address-restricted' | 'port-restricted' | 'symmetric' | 'udp-blocked';

/** What a router's miniupnpd speaks: UPnP IGD version 1 or 2, NAT-PMP (RFC 6886). */
export type MappingProtocol = 'igd1' | 'igd2' | 'nat-pmp';

export interface RouterSpec {
  /** Default: port-restricted, as most home routers are. */
  readonly nat?: NatKind;
  /** What miniupnpd offers; none by default. `igd1` wins over `igd2`. */
  readonly mapping?: readonly MappingProtocol[];
  /** Whether it forwards what its miniupnpd maps, or has it only in its table. Default: it does. */
  readonly forwards?: boolean;
  /** Whether an outer port equals the inner one where it is free; ignored by symmetric NATs. Default: preserved. */
  readonly ports?: 'preserved' | 'random';
  /** Whether members reach each other by their outer addresses (RFC 4787 §6). Default: no. */
  readonly hairpin?: boolean;
  /** After how many seconds of silence a UDP mapping is forgotten. Default: 120. */
  readonly timeout?: number;
  /** Whether the LAN has public IPv6 behind a firewall that lets only answers in. Not behind a carrier. Default: no. */
  readonly ipv6?: boolean;
  /**
   * The network inside, a /24. Default: 192.168.1.0 for every home, so that private addresses clash as in the world.
   */
  readonly lan?: string;
}

/** A machine with a public address, as in a data centre. */
export interface HostSpec {
  readonly type: 'host';
  readonly wire: WireConditions;
  /** Whether it stands on the Internet, or only at the ends of its lines. */
  readonly online: boolean;
  /** How many public addresses it has. */
  readonly addresses: number;
  /** Whether it has a public IPv6 address too. */
  readonly ipv6: boolean;
}

/** A home: a router, and machines on its LAN. */
export interface HomeSpec extends RouterSpec {
  readonly type: 'home';
  /** The machines on the LAN. Default: one, named as the home. */
  readonly members?: readonly string[];
  /** The carrier whose customer it is; without one its router has a public address. */
  readonly behind?: string;
  /** The line from the router outwards. */
  readonly wire: WireConditions;
  /** The line of each member to the LAN. */
  readonly lanWire: WireConditions;
}

/** A carrier-grade NAT: homes stand behind it. */
export interface CarrierSpec extends RouterSpec {
  readonly type: 'carrier';
  readonly wire: WireConditions;
}

/** A line of their own between two public hosts, beside the Internet. */
export interface LineSpec {
  readonly type: 'line';
  readonly between: readonly [string, string];
  readonly wire: WireConditions;
}

/**
 * A virtual Internet: each name, and what stands there. Names are lower case, at most 14 letters, digits and dashes.
 */
export type Internet = Readonly<Record<string, HostSpec | HomeSpec | CarrierSpec | LineSpec>>;

/** A public host; `host({ wire: { delay: 20 } })` is far away. */
export function host(spec: Partial<Omit<HostSpec, 'type'>> = {}): HostSpec {
  return {
    type: 'host',
    wire: spec.wire ?? {},
    online: spec.online ?? true,
    addresses: spec.addresses ?? 1,
    ipv6: spec.ipv6 ?? false,
  };
}

/** A line between two hosts; `line('a', 'b')` joins hosts that may be `host({ online: false })`. */
export function line(a: string, b: string, wire: WireConditions = {}): LineSpec {
  return { type: 'line', between: [a, b], wire };
}

/** A home behind a router; `home({ mapping: ['igd2'] })` has UPnP. */
export function home(spec: Partial<Omit<HomeSpec, 'type'>> = {}): HomeSpec {
  return { ...spec, type: 'home', wire: spec.wire ?? {}, lanWire: spec.lanWire ?? {} };
}

/** A carrier that puts its customers behind one more NAT; `home({ behind: 'isp' })` is such a customer. */
export function carrier(spec: Partial<Omit<CarrierSpec, 'type'>> = {}): CarrierSpec {
  return { ...spec, type: 'carrier', wire: spec.wire ?? {} };
}
