import { type Endpoint, isPrivateAddress, sameEndpoint } from '../addr/endpoint.js';
import { type Family, familiesOf } from './reachability-candidates.js';

/** How far a NAT's choice depends on the other end (RFC 4787 §4.1 for mapping, §5 for filtering). */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';

/** What stands between this node and the rest, as far as several peers together can tell. Undefined: not known yet. */
export interface NatClass {
  /** Peers see another address than any of our own. */
  readonly translated: boolean | undefined;
  /** Of two peers with different addresses: anything but one and the same outer port counts as address-and-port-dependent. */
  readonly mapping: Dependence | undefined;
  /** The worst that fits: a datagram from a fresh port of a known address came through, or did not. */
  readonly filtering: Dependence | undefined;
  /** Our port keeps its number outside. */
  readonly portPreservation: boolean | undefined;
}

/** That the peer at `by` sees our frames come from `seen`. */
export interface Observation {
  readonly by: Endpoint;
  readonly seen: Endpoint;
}

/** `filtering`: as far as dial-backs and strangers have shown. */
export function classifyNat(
  observations: readonly Observation[],
  ownAddresses: readonly string[],
  ownPort: number,
  filtering: Dependence | undefined,
): NatClass {
  const outside = observations.filter(({ seen }) => !ownAddresses.includes(seen.address));
  if (outside.length === 0) {
    if (observations.length === 0) {
      return { translated: undefined, mapping: undefined, filtering, portPreservation: undefined };
    }
    return { translated: false, mapping: 'endpoint-independent', filtering, portPreservation: true };
  }
  // Who stands between two NATs of ours sees what only the inner one does.
  const beyond = outside.filter(({ seen }) => !isPrivateAddress(seen.address));
  const seen = beyond.length > 0 ? beyond : outside;
  // What is seen over IPv6 is another address, and says nothing of the NAT before IPv4.
  const ipv4 = seen.filter((observation) => familiesOf([observation.seen])[0] === 'ipv4');
  const telling = ipv4.length > 0 ? ipv4 : seen;
  return {
    translated: true,
    mapping: mappingOf(telling),
    filtering,
    portPreservation: 2 * telling.filter(({ seen }) => seen.port === ownPort).length > telling.length,
  };
}

/**
 * Each address from which we are seen has one voice: what most there see. As long as more than half of them agree, the rest may
 * lie, or stand elsewhere.
 */
function mappingOf(observations: readonly Observation[]): Dependence | undefined {
  const byAddress = new Map<string, Endpoint[]>();
  for (const { by, seen } of observations) byAddress.set(by.address, [...(byAddress.get(by.address) ?? []), seen]);
  const groups = [...byAddress.values()];
  const voices = groups.map(mostOf);
  const isEach = voices.every((voice) => voice !== undefined);
  if (groups.length === 1) return isEach ? undefined : 'address-and-port-dependent';
  if (mostOf(voices)) return 'endpoint-independent';
  return isEach && groups.some((group) => group.length > 1) ? 'address-dependent' : 'address-and-port-dependent';
}

/** The one that is more than half of them. */
function mostOf(endpoints: readonly (Endpoint | undefined)[]): Endpoint | undefined {
  return endpoints.find(
    (one) => one && 2 * endpoints.filter((other) => other && sameEndpoint(one, other)).length > endpoints.length,
  );
}

/** What punching needs to know of one side. */
export interface PunchSide {
  /** Families of which a public endpoint of it is proven: whoever has them and dials it gets in, whatever its NAT does. */
  readonly open: readonly Family[];
  readonly nat: Pick<NatClass, 'mapping' | 'filtering'>;
}

/**
 * Why no punching can help where neither gets in unasked, or undefined when it may. A NAT that gives each destination another port (symmetric) cannot tell
 * the other side from where it will come; the other side's NAT then must let in any port of an address it was opened for.
 *
 *   mapping of one \ filtering of the other    endpoint-independent   address-dependent   address-and-port-dependent
 *   endpoint-independent                       direct                 direct              direct
 *   address- (and port-) dependent             direct                 direct              relayed
 *
 * Guessing the next port is not tried: NATs of that kind mostly choose at random, and then an even chance costs hundreds of
 * sockets and packets (the birthday bound over 64,512 ports), which trips the limits of the very routers it is for.
 */
export function whyNoPunch(one: PunchSide, other: PunchSide): string | undefined {
  if (isSymmetric(one) && isSymmetric(other) && (isStrict(one) || isStrict(other))) {
    return 'both NATs are symmetric: each gives every destination another port, so neither can be told where to send';
  }
  if ((isSymmetric(one) && isStrict(other)) || (isSymmetric(other) && isStrict(one))) {
    return 'one NAT is symmetric and the other lets in only the very port it sent to';
  }
  return undefined;
}

/** Its mapping is known to depend on the destination. */
export function isSymmetric({ nat }: PunchSide): boolean {
  return nat.mapping !== undefined && nat.mapping !== 'endpoint-independent';
}

function isStrict({ nat }: PunchSide): boolean {
  return nat.filtering === 'address-and-port-dependent';
}
