import { isIPv4, isIPv6 } from 'node:net';

/** An IP address as 16 octets, network order; IPv4 as ::ffff:a.b.c.d. */
export type IpBytes = Uint8Array;

/** The 16 octets of an IPv4 or IPv6 text without zone, or undefined. */
export function parseIp(text: string): IpBytes | undefined {
  const out = new Uint8Array(16);
  if (isIPv4(text)) {
    out[10] = out[11] = 0xff;
    text.split('.').forEach((part, i) => {
      out[12 + i] = Number(part);
    });
    return out;
  }
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const dotted = text.lastIndexOf('.') > 0 ? text.slice(text.lastIndexOf(':') + 1) : undefined;
  const hex = dotted
    ? text.slice(0, -dotted.length) +
      dotted
        .split('.')
        .map((part) => Number(part).toString(16).padStart(2, '0'))
        .join('')
        .replace(/^(.{4})/, '$1:')
    : text;
  const [head = '', tail] = hex.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const left = words(head);
  const right = tail === undefined ? [] : words(tail);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  all.forEach((word, i) => {
    out[2 * i] = word >> 8;
    out[2 * i + 1] = word & 0xff;
  });
  return out;
}

export function isIpv4Bytes(bytes: IpBytes): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** 64:ff9b::/96, where a NAT64 shows IPv4 (RFC 6052 §2.1). */
const nat64 = Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0);

/**
 * How many of its first octets tell one sender from another: of IPv6 the /64, as one customer has at least that; all 16 of IPv4
 * (::ffff:0:0/96, and 64:ff9b::/96 behind a NAT64), and of fe80::/64, where they are a machine on the same link or a node number.
 */
export function sourceOctets(bytes: IpBytes): 8 | 16 {
  if (nat64.every((octet, i) => bytes[i] === octet)) return 16;
  const isLinkLocal = bytes[0] === 0xfe && bytes[1] === 0x80;
  for (let i = isLinkLocal ? 2 : 0; i < 8; i++) if (bytes[i] !== 0) return 8;
  return 16;
}

/** The canonical text (RFC 5952); IPv4 dotted. */
export function formatIp(bytes: IpBytes): string {
  if (isIpv4Bytes(bytes)) return bytes.subarray(12, 16).join('.');
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[i]! << 8) | bytes[i + 1]!);
  let start = 0;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && words[end] === 0) end++;
    if (end - i > longest) {
      longest = end - i;
      start = i;
    }
  }
  const hex = words.map((word) => word.toString(16));
  if (longest === 1) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + longest).join(':')}`;
}
