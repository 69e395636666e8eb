import { isIpv4Bytes } from '../addr/ip.js';
import { Bucket } from '../bucket.js';
import { cookieLength, cookieReplyKey, cookieReplyLength, mac1Of, sealCookieReply } from '../cookie-reply.js';
import { hmacSha256 } from '../crypto.js';
import { datagramMacLength, datagramMacsLength, mac1Key } from '../datagram-mac.js';
import type { Random } from '../random.js';
import { type Millis, minute, second } from '../time.js';
import { FrameType } from './frame.js';
import type { DatagramGuard, DatagramSource, GuardDropReason } from './plane/guard.js';
import { QuickHmac } from './quick-hmac.js';
import { SourceBuckets } from './source-buckets.js';

export interface GuardOptions {
  /** Our X25519 public key. */
  readonly publicKey: Uint8Array;
  /** 32 secret octets of this process start; the same in all workers, so that each accepts the others' cookies. */
  readonly cookieSecret: Uint8Array;
  /** Salt of the table and nonces of cookie replies. */
  readonly random: Random;
}

/** No handshake-class datagram is longer: with all overheads of a relayed frame it stays below 1280 over IPv4. */
export const maxHandshakeLength = 1200;

/**
 * What each type may measure, macs included. Initiations are padded to the full length, so a response never is larger.
 */
const lengths: Readonly<Record<number, readonly [shortest: number, longest: number]>> = {
  [FrameType.initiation]: [maxHandshakeLength, maxHandshakeLength],
  [FrameType.response]: [8 + 48 + datagramMacsLength, maxHandshakeLength],
  [FrameType.cookieReply]: [cookieReplyLength, cookieReplyLength],
  [FrameType.joinInitiation]: [96 + datagramMacsLength, maxHandshakeLength],
  [FrameType.joinResponse]: [48 + datagramMacsLength, maxHandshakeLength],
  [FrameType.joinTransport]: [16 + datagramMacsLength, maxHandshakeLength],
  [FrameType.dialBack]: [9, 64],
  [FrameType.punch]: [1, 64],
};

/** Our tuning. One core answers somewhat above a thousand handshakes a second. */
const loadBound = 400; // datagrams with our mac1 a second, above which cookies are asked for
const loadWindow: Millis = second / 8;
const loadHold: Millis = second; // load lasts at least this long, so that the answer to a cookie is still expected
const perSource = { perSecond: 20, burst: 40, sources: 4096 }; // 40: a NAT with many nodes behind it restarts
const overall = { perSecond: 1000, burst: 250 };
const dialBacks = { perSecond: 500, burst: 100 }; // they and cookie replies carry no mac: kept apart
/**
 * Cookie replies that come: whoever sends in our name to a peer draws up to `loadBound` a second from it, or more under
 * load, among which the one we wait for must come through. Looked up by what they answer before anything is opened.
 */
const cookiesHeard = { perSecond: 1000, burst: 250, perSource: { perSecond: 500, burst: 100 } };
const cookieReplies = { perSecond: 2000, burst: 500 }; // at about 15 µs each
const cookieLifetime: Millis = 2 * minute;

/**
 * Stands before everything that costs: each handshake-class datagram (types 0x01 to 0x08) passes here, in the worker that
 * received it, before it may reach the control plane.
 *
 *     length ─► mac1 ─► mac2 ──valid──► bucket of the proven source ──────────────┬─► bucket of all ─► pass
 *       │        │          │                          └─► drop                   │         │
 *     drop      drop        └─none─► under load? ─no─► bucket of the source ──────┘        drop
 *            (strangers:                  └─yes─► cookie reply ◄─┘ empty
 *             silence)                            (never larger than what came)
 *
 * A wrong mac2 is none, and under load a drop. Who writes a peer's address on its datagrams empties the bucket of that
 * address, not that of the peer, which receives there and so brings a cookie back.
 *
 * Strangers cannot make it believe in load: only what carries our mac1 counts. Nothing here does a Diffie-Hellman, and a
 * dropped datagram leaves no object behind but two short texts of the hash function.
 */
export class Guard implements DatagramGuard {
  readonly #mac1: QuickHmac;
  readonly #mac2 = new QuickHmac(new Uint8Array(0), maxHandshakeLength);
  readonly #cookieSecret: Uint8Array;
  readonly #cookieReplyKey: Uint8Array;
  readonly #random: Random;
  readonly #sources: SourceBuckets;
  /** Those that a cookie proves. */
  readonly #provenSources: SourceBuckets;
  /**
   * Apart from those above: who forges a peer's address needs no mac here, and must not use up that peer's handshakes.
   */
  readonly #dialBackSources: SourceBuckets;
  readonly #cookieSources: SourceBuckets;
  readonly #overall = new Bucket(overall.perSecond, overall.burst);
  readonly #dialBacks = new Bucket(dialBacks.perSecond, dialBacks.burst);
  readonly #cookiesHeard = new Bucket(cookiesHeard.perSecond, cookiesHeard.burst);
  readonly #cookieReplies = new Bucket(cookieReplies.perSecond, cookieReplies.burst);
  readonly #cookie = new Uint8Array(cookieLength);
  readonly #place = new Uint8Array(18);
  /** The keys of this period of `cookieLifetime` and the one before. */
  #period = Number.NaN;
  #current: QuickHmac | undefined;
  #previous: QuickHmac | undefined;
  #windowStart = Number.NEGATIVE_INFINITY;
  #windowCount = 0;
  #loadUntil = Number.NEGATIVE_INFINITY;

  /** Keeps `cookieSecret` and does not change it. */
  constructor(options: GuardOptions) {
    this.#mac1 = new QuickHmac(mac1Key(options.publicKey), maxHandshakeLength);
    this.#cookieSecret = options.cookieSecret;
    this.#cookieReplyKey = cookieReplyKey(options.publicKey);
    this.#random = options.random;
    const { sources, perSecond, burst } = perSource;
    this.#sources = new SourceBuckets(sources, perSecond, burst, options.random);
    this.#provenSources = new SourceBuckets(sources, perSecond, burst, options.random);
    this.#dialBackSources = new SourceBuckets(sources, perSecond, burst, options.random);
    const heard = cookiesHeard.perSource;
    this.#cookieSources = new SourceBuckets(sources, heard.perSecond, heard.burst, options.random);
  }

  /**
   * Judges one datagram: passed, dropped for a reason, or octets: a cookie reply to send back to `source`, the caller's,
   * never more than came in. The datagram and the source are only looked at, so their buffers may be reused.
   */
  admit(bytes: Uint8Array, source: DatagramSource, now: Millis): 'pass' | GuardDropReason | Uint8Array {
    const type = bytes.length === 0 ? 0 : bytes[0]!;
    const bounds = lengths[type];
    if (!bounds) return 'handshake-type';
    if (bytes.length < bounds[0] || bytes.length > bounds[1]) return 'handshake-length';
    if (type === FrameType.punch) return 'punch'; // it has done its work in the sender's NAT
    if (type === FrameType.cookieReply) return rated(this.#cookieSources, this.#cookiesHeard, source, now);
    if (type === FrameType.dialBack) return rated(this.#dialBackSources, this.#dialBacks, source, now);
    if (!this.#mac1.covers(bytes, bytes.length - datagramMacsLength)) return 'handshake-mac1';
    const loaded = this.#isUnderLoad(now);
    // The joiner's side of these two is a session of ours already: its answers are few and not worth a round trip.
    if (type === FrameType.joinTransport || type === FrameType.joinResponse) {
      return rated(this.#sources, this.#overall, source, now);
    }
    if (this.#hasMac2(bytes)) {
      if (this.#mac2Fits(bytes, source, now)) return rated(this.#provenSources, this.#overall, source, now);
      if (loaded) return 'handshake-mac2';
    } else if (loaded) {
      return this.#cookieReply(bytes, source, now);
    }
    const verdict = rated(this.#sources, this.#overall, source, now);
    // A stream is not answered for nothing: it would keep its place (daemon/tcp-bridge.ts). Nobody can forge its address.
    if (verdict !== 'handshake-source-rate' || isOfThisMachine(source.address)) return verdict;
    return this.#cookieReply(bytes, source, now);
  }

  #isUnderLoad(now: Millis): boolean {
    if (now - this.#windowStart >= loadWindow) {
      this.#windowStart = now;
      this.#windowCount = 0;
    }
    this.#windowCount++;
    if (this.#windowCount > (loadBound * loadWindow) / second) this.#loadUntil = now + loadHold;
    return now < this.#loadUntil;
  }

  #hasMac2(bytes: Uint8Array): boolean {
    for (let at = bytes.length - datagramMacLength; at < bytes.length; at++) if (bytes[at] !== 0) return true;
    return false;
  }

  #mac2Fits(bytes: Uint8Array, source: DatagramSource, now: Millis): boolean {
    this.#rotate(now);
    return this.#mac2FitsCookie(this.#current!, bytes, source) || this.#mac2FitsCookie(this.#previous!, bytes, source);
  }

  #mac2FitsCookie(period: QuickHmac, bytes: Uint8Array, source: DatagramSource): boolean {
    this.#makeCookie(period, source);
    this.#mac2.setKey(this.#cookie);
    return this.#mac2.covers(bytes, bytes.length - datagramMacLength);
  }

  #cookieReply(bytes: Uint8Array, source: DatagramSource, now: Millis): GuardDropReason | Uint8Array {
    if (!this.#cookieReplies.take(now)) return 'handshake-cookie-rate';
    this.#rotate(now);
    this.#makeCookie(this.#current!, source);
    return sealCookieReply(this.#cookieReplyKey, mac1Of(bytes), this.#cookie, this.#random.bytes(12));
  }

  /** cookie = the first 16 octets of HMAC(key of the period, address 16 ‖ port u16). */
  #makeCookie(period: QuickHmac, source: DatagramSource): void {
    this.#place.set(source.address);
    this.#place[16] = source.port >> 8;
    this.#place[17] = source.port & 0xff;
    period.write(this.#place, this.#place.length, this.#cookie);
  }

  #rotate(now: Millis): void {
    const period = Math.floor(now / cookieLifetime);
    if (period === this.#period) return;
    this.#previous = period === this.#period + 1 ? this.#current : this.#keyOf(period - 1);
    this.#current = this.#keyOf(period);
    this.#period = period;
  }

  #keyOf(period: number): QuickHmac {
    const octets = new Uint8Array(8);
    new DataView(octets.buffer).setBigInt64(0, BigInt(period));
    return new QuickHmac(hmacSha256(this.#cookieSecret, octets), 18);
  }
}

/** 127.0.0.0/8, where streams end. */
function isOfThisMachine(address: Uint8Array): boolean {
  return isIpv4Bytes(address) && address[12] === 127;
}

function rated(
  sources: SourceBuckets,
  all: Bucket,
  source: DatagramSource,
  now: Millis,
): 'pass' | 'handshake-source-rate' | 'handshake-rate' {
  if (!sources.take(source.address, now)) return 'handshake-source-rate';
  return all.take(now) ? 'pass' : 'handshake-rate';
}
