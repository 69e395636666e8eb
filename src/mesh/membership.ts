import {
  type CertificateChain,
  chainFault,
  decodeChain,
  encodeChain,
  nodeCertificateFault,
} from '../addr/certificate-chain.js';
import { asMap, type FieldMap, integerField, octetsField } from '../addr/fields.js';
import type { NodeIdentity } from '../addr/identity.js';
import { decodeIssuerCertificate, type IssuerCertificate, isIssuerCertificateOf } from '../addr/issuer-certificate.js';
import { isNetworkPrefix, Network } from '../addr/network.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import type { NodeNumber } from '../addr/node-number.js';
import { prefixFromCbor, prefixToCbor } from '../addr/prefix-codec.js';
import { type NodeKey, nodeKey } from '../addr/public-key.js';
import { decodeRevocation, type Revocation, statementHash } from '../addr/revocation.js';
import { isSignedBy } from '../addr/statement.js';
import { certificateNow, earliestPlausible, type Standing, standing } from '../addr/validity.js';
import { equalBytes, toHex } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { type PublicKey, sha256, VerifyingKey } from '../crypto.js';
import type { UnixSeconds } from '../time.js';
import { blobs, type MeshEffect } from './effects.js';
import { octetLists, readStored, unreadable } from './stored.js';

/** Bounds of what the network may make us hold. */
const maxIssuers = 512;
export const maxRevocations = 8192;
const maxVerified = 32_768;
/** A signed time this far beyond a plausible system clock is not believed: one bad issuer must not age every certificate. */
const furthestSigned: UnixSeconds = 3 * 365 * 86_400;

const cure =
  'put back a copy of it, or move it away and join again with "weft invite --as NAME" from an issuer: the address stays';

/** Why a certificate does not make its holder a member. */
export type MembershipFault =
  | 'malformed'
  | 'issuer-not-of-network'
  | 'unknown-issuer'
  | 'issuer-revoked'
  | 'not-signed-by-issuer'
  | 'outside-sub-prefix'
  | 'lan-inside-network'
  | 'other-key'
  | 'revoked'
  | 'expired';

/** What learning something came to. */
export type Learnt = 'new' | 'known' | 'malformed' | 'forged' | 'unknown-issuer' | 'full';

/** Of these outcomes a signature was checked and is false. */
export function isForgery(outcome: Learnt | MembershipFault | 'newer' | 'replayed'): boolean {
  return outcome === 'forged' || outcome === 'not-signed-by-issuer' || outcome === 'issuer-not-of-network';
}

export type Verdict =
  | { readonly ok: true; readonly node: NodeCertificate; readonly standing: Standing }
  | { readonly ok: false; readonly fault: MembershipFault };

interface KnownIssuer {
  readonly certificate: IssuerCertificate;
  readonly key: VerifyingKey | undefined;
}

/**
 * What this node knows and is in its network: own certificate, issuers, revocations, the newest signed time. Both sets only
 * grow and merge by union, so all nodes come to hold the same.
 */
export class Membership {
  readonly identity: NodeIdentity;
  readonly network: Network;
  readonly #wallClock: () => UnixSeconds;
  #chain: CertificateChain;
  /** By statement hash, in hex. */
  readonly #issuers = new Map<string, KnownIssuer>();
  readonly #revocations = new Map<string, Revocation>();
  /** The same, by the key they are about. */
  readonly #byKey = new Map<NodeKey, Revocation[]>();
  /** Certificates that were verified, by hash, and by which issuer: signatures are checked once. */
  readonly #verified = new Map<string, KnownIssuer>();
  /** The newest time each issuer signed. */
  readonly #signedTimes = new Map<NodeKey, UnixSeconds>();
  #changed = true;

  /** `chain` must hold in `network` and be about `identity`. */
  constructor(identity: NodeIdentity, network: Network, chain: CertificateChain, wallClock: () => UnixSeconds) {
    this.identity = identity;
    this.network = network;
    this.#wallClock = wallClock;
    this.#chain = chain;
    this.learnIssuer(chain.issuer.bytes);
    this.#noteTime(chain.issuer.key, chain.node.issued);
  }

  /** From what was last persisted. Throws a MeshError when it cannot be read, or belongs to another identity. */
  static restore(identity: NodeIdentity, bytes: Uint8Array, wallClock: () => UnixSeconds): Membership {
    const map = readStored(blobs.membership, bytes, cure);
    const key = VerifyingKey.from(octetsField(map, 'net', 32) ?? new Uint8Array(0));
    const prefix = prefixFromCbor(map.prefix);
    const chain = map.chain instanceof Uint8Array ? decodeChain(map.chain) : undefined;
    if (!key || !prefix || !isNetworkPrefix(prefix) || !chain) throw unreadable(blobs.membership, cure);
    const network = new Network(key, prefix);
    if (chainFault(network, chain) !== undefined || !equalBytes(chain.node.key, identity.signing.publicKey)) {
      throw unreadable(
        blobs.membership,
        'its certificate is not about the key in identity.state: put back both from one copy',
      );
    }
    const membership = new Membership(identity, network, chain, wallClock);
    for (const issuer of octetLists(map.issuers)) membership.learnIssuer(issuer);
    for (const revocation of octetLists(map.revocations)) membership.learnRevocation(revocation);
    for (const issuer of membership.issuers()) {
      const time =
        asMap(map.times) && integerField(map.times as FieldMap, nodeKey(issuer.key), 0, Number.MAX_SAFE_INTEGER);
      membership.#noteTime(issuer.key, time ?? 0);
    }
    membership.#changed = false;
    return membership;
  }

  get chain(): CertificateChain {
    return this.#chain;
  }

  get number(): NodeNumber {
    return this.#chain.node.number;
  }

  /** Seconds by the later of the system clock and the newest issuer-signed time. */
  now(): UnixSeconds {
    return certificateNow(this.#wallClock(), this.newestSigned);
  }

  /** Times of issuers revoked since do not count, nor such as a plausible system clock calls impossible. */
  get newestSigned(): UnixSeconds {
    const clock = this.#wallClock();
    const limit = clock < earliestPlausible ? Number.POSITIVE_INFINITY : clock + furthestSigned;
    let newest = 0;
    for (const [key, time] of this.#signedTimes) {
      if (time > newest && time <= limit && time < this.#revokedSince(key)) newest = time;
    }
    return newest;
  }

  /** All issuers whose certificates the network key signed, revoked ones too. */
  issuers(): IssuerCertificate[] {
    return [...this.#issuers.values()].map((issuer) => issuer.certificate);
  }

  /** A chain as a handshake shows it, shape only; a network has few issuers, and each is read once. */
  readChain(octets: Uint8Array): CertificateChain | undefined {
    return decodeChain(octets, (bytes) => {
      for (const { certificate } of this.#issuers.values())
        if (equalBytes(certificate.bytes, bytes)) return certificate;
      return undefined;
    });
  }

  get issuerCount(): number {
    return this.#issuers.size;
  }

  get revocationCount(): number {
    return this.#revocations.size;
  }

  revocations(): Revocation[] {
    return [...this.#revocations.values()];
  }

  /** True when this issuer may sign now. */
  isIssuerInGoodStanding(issuer: IssuerCertificate): boolean {
    return this.now() < this.#revokedSince(nodeKey(issuer.key)) && !this.isRevoked(issuer.key);
  }

  /** True when a revocation of this node key counts: its issuer was none that the network key had revoked by then. */
  isRevoked(key: PublicKey): boolean {
    const about = this.#byKey.get(nodeKey(key)) ?? [];
    return about.some((said) => said.kind === 'node' && said.at < this.#revokedSince(nodeKey(said.by)));
  }

  /** What a handshake asks: is who proved to hold `staticKey` a member by this chain? Learns the issuer in passing. */
  verify(chain: CertificateChain, staticKey: PublicKey): Verdict {
    const learnt = this.#learnIssuer(chain.issuer);
    if (learnt === 'forged') return { ok: false, fault: 'issuer-not-of-network' };
    if (!equalBytes(chain.node.dh, staticKey)) return { ok: false, fault: 'other-key' };
    return this.verifyNode(chain.node);
  }

  /** The same for a certificate whose issuer is known already. */
  verifyNode(node: NodeCertificate): Verdict {
    const issuer = this.#issuerOf(node);
    if (typeof issuer === 'string') return { ok: false, fault: issuer };
    if (node.issued >= this.#revokedSince(nodeKey(issuer.certificate.key)))
      return { ok: false, fault: 'issuer-revoked' };
    if (this.isRevoked(node.key)) return { ok: false, fault: 'revoked' };
    this.#noteTime(issuer.certificate.key, node.issued);
    const held = standing(node, this.now());
    return held === 'void' ? { ok: false, fault: 'expired' } : { ok: true, node, standing: held };
  }

  /**
   * Takes a certificate from our own disk as signed: it was verified before it was written, and a large directory would cost
   * seconds at every start. Revocation and time are still asked.
   */
  trustFromDisk(node: NodeCertificate): void {
    const able = [...this.#issuers.values()].filter((issuer) => issuer.certificate.index === node.issuer);
    if (able.length === 1) this.#noteVerified(toHex(sha256(node.bytes)), able[0]!);
  }

  /** The chain of a certificate that verifies, to show it to others. */
  chainOf(node: NodeCertificate): CertificateChain | undefined {
    const issuer = this.#issuerOf(node);
    return typeof issuer === 'string' ? undefined : { issuer: issuer.certificate, node };
  }

  learnIssuer(bytes: Uint8Array): Learnt {
    const certificate = decodeIssuerCertificate(bytes);
    return certificate ? this.#learnIssuer(certificate) : 'malformed';
  }

  #learnIssuer(certificate: IssuerCertificate): Exclude<Learnt, 'malformed'> {
    const hash = toHex(statementHash(certificate));
    if (this.#issuers.has(hash)) return 'known';
    if (!isIssuerCertificateOf(this.network, certificate)) return 'forged';
    if (this.#issuers.size >= maxIssuers) return 'full';
    this.#issuers.set(hash, { certificate, key: VerifyingKey.from(certificate.key) });
    this.#changed = true;
    return 'new';
  }

  learnRevocation(bytes: Uint8Array): Learnt {
    const revocation = decodeRevocation(bytes);
    if (!revocation) return 'malformed';
    const hash = toHex(statementHash(revocation));
    if (this.#revocations.has(hash)) return 'known';
    if (revocation.kind === 'issuer') {
      if (!isSignedBy(revocation, 'weft issuer revocation', this.network.id, this.network.key)) return 'forged';
    } else {
      const by = [...this.#issuers.values()].find((issuer) => equalBytes(issuer.certificate.key, revocation.by));
      if (!by) return 'unknown-issuer';
      if (!isSignedBy(revocation, 'weft node revocation', this.network.id, by.key)) return 'forged';
    }
    if (this.#revocations.size >= maxRevocations) return 'full';
    this.#revocations.set(hash, revocation);
    const about = nodeKey(revocation.key);
    this.#byKey.set(about, [...(this.#byKey.get(about) ?? []), revocation]);
    if (revocation.kind === 'node') this.#noteTime(revocation.by, revocation.at);
    this.#changed = true;
    return 'new';
  }

  /** Takes a renewed certificate of our own: same keys, same number, signed later. False when it is none. */
  adopt(chain: CertificateChain): boolean {
    const own = this.#chain.node;
    const fits =
      equalBytes(chain.node.key, own.key) && chain.node.number === own.number && chain.node.issued > own.issued;
    if (!fits || !this.verify(chain, this.identity.agreement.publicKey).ok) return false;
    this.#chain = chain;
    this.#changed = true;
    return true;
  }

  /** An order to persist what changed since the last call; nothing when nothing did. */
  changes(): MeshEffect[] {
    if (!this.#changed) return [];
    this.#changed = false;
    return [{ kind: 'persist', name: blobs.membership, bytes: this.#encode() }];
  }

  #encode(): Uint8Array {
    return encodeCbor({
      v: 1,
      net: this.network.publicKey,
      prefix: prefixToCbor(this.network.prefix),
      chain: encodeChain(this.#chain),
      issuers: this.issuers().map((issuer) => issuer.bytes),
      revocations: this.revocations().map((revocation) => revocation.bytes),
      times: Object.fromEntries(this.#signedTimes),
    });
  }

  #issuerOf(node: NodeCertificate): KnownIssuer | MembershipFault {
    const hash = toHex(sha256(node.bytes));
    const verified = this.#verified.get(hash);
    if (verified) return verified;
    let fault: MembershipFault = 'unknown-issuer';
    for (const issuer of this.#issuers.values()) {
      if (issuer.certificate.index !== node.issuer) continue;
      const found = nodeCertificateFault(this.network, issuer.certificate, issuer.key, node);
      if (found === undefined) {
        this.#noteVerified(hash, issuer);
        return issuer;
      }
      fault = found;
    }
    return fault;
  }

  #noteVerified(hash: string, issuer: KnownIssuer): void {
    if (this.#verified.size >= maxVerified) this.#verified.delete(this.#verified.keys().next().value!);
    this.#verified.set(hash, issuer);
  }

  /** The time from which what this issuer signs is void. */
  #revokedSince(key: NodeKey): UnixSeconds {
    let since = Number.POSITIVE_INFINITY;
    for (const revocation of this.#byKey.get(key) ?? []) {
      if (revocation.kind === 'issuer') since = Math.min(since, revocation.since);
    }
    return since;
  }

  #noteTime(issuer: PublicKey, time: UnixSeconds): void {
    const key = nodeKey(issuer);
    const before = this.#signedTimes.get(key) ?? 0;
    if (time <= before) return;
    this.#signedTimes.set(key, time);
    if (time > before + 86_400) this.#changed = true;
  }
}
