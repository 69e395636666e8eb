import type { Prefix } from '../../src/addr/prefix.js';
import { prefixText } from './babel-node.js';
import { readPacket, type Seen } from './packet-view.js';

/** A prefix that is looked for: its first 8 octets in two words, and its text. */
interface Wanted {
  readonly high: number;
  readonly low: number;
  readonly text: string;
  /** The router-id its updates last had. */
  router: { high: number; low: number; text: string } | undefined;
}

/**
 * Reads what readPacket does, but only what concerns some /64 prefixes, and Hellos and retractions of everything: for
 * networks so large that all of it would take as long as the routing. What is passed over allocates nothing.
 */
export class PacketScan {
  /** By the second word. */
  readonly #wanted = new Map<number, readonly Wanted[]>();
  readonly #texts = new Set<string>();
  /** 1 where a wanted prefix's second word has these low bits: most others are passed over by it alone. */
  readonly #mayBeWanted = new Uint8Array(0x1000);
  /** The default prefix (RFC 8966 §4.5), in two words; and the one that an update is of. */
  #defaultHigh = 0;
  #defaultLow = 0;
  #high = 0;
  #low = 0;

  constructor(prefixes: readonly Prefix[]) {
    for (const prefix of prefixes) {
      if (prefix.length !== 64) throw new Error(`${prefix} is no /64`);
      const [high, low] = [wordAt(prefix.bytes, 0), wordAt(prefix.bytes, 4)];
      const wanted = { high, low, text: prefixText(prefix), router: undefined };
      this.#wanted.set(low, [...(this.#wanted.get(low) ?? []), wanted]);
      this.#mayBeWanted[low & 0xfff] = 1;
      this.#texts.add(wanted.text);
    }
  }

  read(bytes: Uint8Array): readonly Seen[] {
    const seen: Seen[] = [];
    const end = 4 + ((bytes[2]! << 8) | bytes[3]!);
    let routerAt = 0;
    for (let at = 4; at < end; ) {
      const type = bytes[at]!;
      if (type === 0) {
        at++;
        continue;
      }
      const body = at + 2;
      at = body + bytes[at + 1]!;
      if (type === 6) routerAt = body + 2;
      else if (type === 8) {
        if (bytes[body + 1]! & 0x40) throw new Error('a router-id taken from a prefix: not read here');
        this.#update(bytes, body, at, routerAt, seen);
      } else if (type === 4) seen.push({ kind: 'hello', seqno: (bytes[body + 2]! << 8) | bytes[body + 3]! });
      else if (type === 10) this.#request(bytes, body - 2, at, seen);
    }
    return seen;
  }

  /** One of a thousand TLVs. */
  #request(bytes: Uint8Array, from: number, to: number, seen: Seen[]): void {
    const alone = new Uint8Array(4 + to - from);
    alone.set([42, 2, 0, to - from]);
    alone.set(bytes.subarray(from, to), 4);
    for (const one of readPacket(alone)) if ('prefix' in one && this.#texts.has(one.prefix)) seen.push(one);
  }

  #update(bytes: Uint8Array, body: number, end: number, routerAt: number, seen: Seen[]): void {
    const encoding = bytes[body]!;
    const metric = (bytes[body + 8]! << 8) | bytes[body + 9]!;
    const seqno = (bytes[body + 6]! << 8) | bytes[body + 7]!;
    if (encoding === 0) {
      seen.push({ kind: 'update', prefix: '*', routerId: '', seqno, metric });
      return;
    }
    if (encoding !== 2) return;
    const omitted = bytes[body + 3]!;
    const length = bytes[body + 2]!;
    const given = body + 10;
    this.#readPrefix(bytes, omitted, (length + 7) >> 3, given);
    if (bytes[body + 1]! & 0x80) {
      if (omitted === 0 && length > 64) throw new Error('a default longer than 8 octets: not read here');
      this.#defaultHigh = this.#high;
      this.#defaultLow = this.#low;
    }
    if (length !== 64 || this.#mayBeWanted[this.#low & 0xfff] === 0) return;
    const wanted = this.#wantedHere();
    if (!wanted) return;
    const routerId = this.#routerId(bytes, routerAt, wanted);
    const prefix = wanted.text;
    if (isSigned(bytes, given + 8 - omitted, end)) {
      seen.push({ kind: 'update', prefix, routerId, seqno, metric, signed: true });
    } else seen.push({ kind: 'update', prefix, routerId, seqno, metric });
  }

  #wantedHere(): Wanted | undefined {
    const candidates = this.#wanted.get(this.#low);
    if (candidates) for (const one of candidates) if (one.high === this.#high) return one;
    return undefined;
  }

  /** The first 8 of a prefix's `whole` octets, of which the first `omitted` are the default's. */
  #readPrefix(bytes: Uint8Array, omitted: number, whole: number, given: number): void {
    let [high, low] = [this.#defaultHigh, this.#defaultLow];
    for (let i = omitted; i < 8; i++) {
      const octet = i < whole ? bytes[given + i - omitted]! : 0;
      const shift = 24 - 8 * (i & 3);
      if (i < 4) high = (high & ~(0xff << shift)) | (octet << shift);
      else low = (low & ~(0xff << shift)) | (octet << shift);
    }
    this.#high = high;
    this.#low = low;
  }

  #routerId(bytes: Uint8Array, at: number, wanted: Wanted): string {
    if (at === 0) return '';
    const [high, low] = [wordAt(bytes, at), wordAt(bytes, at + 4)];
    if (wanted.router?.high !== high || wanted.router.low !== low) {
      wanted.router = { high, low, text: Buffer.from(bytes.buffer, bytes.byteOffset + at, 8).toString('hex') };
    }
    return wanted.router.text;
  }
}

const originSignature = 112;

function isSigned(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at += bytes[at] === 0 ? 1 : 2 + bytes[at + 1]!)
    if (bytes[at] === originSignature) return true;
  return false;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
