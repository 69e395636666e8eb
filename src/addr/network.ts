import { equalBytes, utf8 } from '../bytes.js';
import { type PublicKey, sha256, type VerifyingKey } from '../crypto.js';
import { MeshError } from '../errors.js';
import { Prefix, parsePrefix } from './prefix.js';

/** 32 octets: SHA-256("weft network" ‖ network public key). */
export type NetworkId = Uint8Array;

const shortestNetworkPrefix = 40;
const longestNetworkPrefix = 56;

const label = utf8('weft network');

export function networkId(publicKey: PublicKey): NetworkId {
  return sha256(label, publicKey);
}

/** All nodes under one network key, as a value: whose signatures count, and which addresses are theirs. */
export class Network {
  readonly key: VerifyingKey;
  readonly id: NetworkId;
  /** /40 to /56. */
  readonly prefix: Prefix;

  /** Throws on a prefix no network may have; remote ones are checked by `isNetworkPrefix` first. */
  constructor(key: VerifyingKey, prefix?: Prefix) {
    this.key = key;
    this.id = networkId(key.publicKey);
    this.prefix = prefix ?? defaultNetworkPrefix(this.id);
    if (!isNetworkPrefix(this.prefix)) throw new RangeError('not a network prefix');
  }

  get publicKey(): PublicKey {
    return this.key.publicKey;
  }

  equals(other: Network): boolean {
    return equalBytes(this.publicKey, other.publicKey) && this.prefix.key === other.prefix.key;
  }
}

/** fd, then the first 32 bits of the network id: a /40 out of fd00::/8 (RFC 4193) that nobody else is likely to have. */
function defaultNetworkPrefix(id: NetworkId): Prefix {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes.set(id.subarray(0, 4), 1);
  return new Prefix(bytes, shortestNetworkPrefix);
}

/** True for an IPv6 unicast prefix of fitting length: global (2000::/3) or unique local (fc00::/7). */
export function isNetworkPrefix(prefix: Prefix): boolean {
  const first = prefix.bytes[0]!;
  const unicast = first >> 5 === 1 || first >> 1 === 0x7e;
  return unicast && prefix.length >= shortestNetworkPrefix && prefix.length <= longestNetworkPrefix;
}

/** The operator's own prefix (`init --prefix`); throws a MeshError that says what would fit. */
export function requireNetworkPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix && isNetworkPrefix(prefix)) return prefix;
  throw new MeshError(
    'bad-prefix',
    `"${text}" is no prefix for a network`,
    `give an IPv6 prefix of /${shortestNetworkPrefix} to /${longestNetworkPrefix}, host bits clear, such as fd12:3456:7800::/40`,
  );
}

/**
 * How many leading bits of the node number say the issuer: 8 of 24 in a /40 (256 issuers of 65,536 nodes), a third of
 * them in smaller networks (a /56: 4 issuers of 64 nodes).
 */
export function issuerBits(network: Prefix): number {
  return Math.min(8, Math.floor((64 - network.length) / 3));
}

/** The sub-prefix an issuer owns by its index, or undefined when there is no such index. */
export function issuerPrefix(network: Prefix, index: number): Prefix | undefined {
  const bits = issuerBits(network);
  if (!Number.isInteger(index) || index < 0 || index >= 2 ** bits) return undefined;
  const bytes = new Uint8Array(network.bytes);
  const shifted = index * 2 ** (64 - network.length - bits); // below 2^24
  for (const [at, shift] of [
    [5, 16],
    [6, 8],
    [7, 0],
  ] as const) {
    bytes[at]! |= (shifted >>> shift) & 0xff;
  }
  return new Prefix(bytes, network.length + bits);
}
