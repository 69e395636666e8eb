import { toHex } from '../bytes.js';
import { formatIp, type IpBytes, isIpv4Bytes, parseIp } from './ip.js';

/**
 * An IPv6 or IPv4 prefix, immutable, host bits clear. IPv4 prefixes are held as ::ffff:0:0/96 and longer, so one order
 * and one longest-prefix match serve both families; `length` is then 96 more than the dotted text says.
 */
export class Prefix {
  /** 16 octets, never written to. */
  readonly bytes: IpBytes;
  /** 0 to 128. */
  readonly length: number;
  /** The key for maps: equal exactly when the prefixes are. */
  readonly key: string;

  /** Clears host bits; copies `bytes`. Throws a RangeError on a length outside 0 to 128: callers check remote lengths. */
  constructor(bytes: IpBytes, length: number) {
    if (bytes.length !== 16 || !(length >= 0 && length <= 128)) throw new RangeError('not a prefix');
    this.bytes = new Uint8Array(bytes);
    this.length = length;
    for (let i = 0; i < 16; i++) {
      const bits = Math.min(8, Math.max(0, length - 8 * i));
      this.bytes[i]! &= 0xff00 >> bits;
    }
    this.key = `${toHex(this.bytes)}/${length}`;
  }

  get isIpv4(): boolean {
    return this.length >= 96 && isIpv4Bytes(this.bytes);
  }

  contains(address: IpBytes): boolean {
    const whole = this.length >> 3;
    for (let i = 0; i < whole; i++) if (address[i] !== this.bytes[i]) return false;
    const rest = this.length & 7;
    return rest === 0 || ((address[whole]! ^ this.bytes[whole]!) & (0xff00 >> rest) & 0xff) === 0;
  }

  /** True when `other` is this prefix or lies inside it. */
  covers(other: Prefix): boolean {
    return other.length >= this.length && this.contains(other.bytes);
  }

  /** "fd12:3400::/40" or "192.0.2.0/24". */
  toString(): string {
    return `${formatIp(this.bytes)}/${this.isIpv4 ? this.length - 96 : this.length}`;
  }
}

/** "fd00::/8", "10.0.0.0/8", or a bare address as a host prefix; undefined when malformed or when host bits are set. */
export function parsePrefix(text: string): Prefix | undefined {
  const [ip = '', plen, ...more] = text.split('/');
  const bytes = parseIp(ip);
  if (!bytes || more.length > 0) return undefined;
  const base = ip.includes(':') ? 0 : 96;
  if (plen !== undefined && !/^\d{1,3}$/.test(plen)) return undefined;
  const length = plen === undefined ? 128 : base + Number(plen);
  if (length > 128) return undefined;
  const prefix = new Prefix(bytes, length);
  return prefix.bytes.every((octet, i) => octet === bytes[i]) ? prefix : undefined;
}
