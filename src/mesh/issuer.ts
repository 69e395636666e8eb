import { asMap, type FieldMap, integerField, octetsField, textField } from '../addr/fields.js';
import { encodeInvitation, type InvitingMember, tokenIdLength, tokenSecretLength } from '../addr/invitation.js';
import type { IssuerCertificate } from '../addr/issuer-certificate.js';
import { namePattern } from '../addr/name.js';
import { decodeNodeCertificate, issueNodeCertificate, type NodeCertificate } from '../addr/node-certificate.js';
import { type NodeNumber, nodeNumberOf, nodeNumbersIn, nodePrefix } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import { prefixFromCbor, prefixToCbor } from '../addr/prefix-codec.js';
import { type NodeKey, nodeKey, parseNodeKey } from '../addr/public-key.js';
import { revokeNode } from '../addr/revocation.js';
import { certificateLifetime, isRenewalDue, signingTime } from '../addr/validity.js';
import { equalBytes, toHex } from '../bytes.js';
import { type CborValue, encodeCbor } from '../cbor.js';
import type { PublicKey } from '../crypto.js';
import { MeshError } from '../errors.js';
import type { Random } from '../random.js';
import type { UnixSeconds } from '../time.js';
import { blobs, type MeshEffect, type Outcome } from './effects.js';
import type { Membership } from './membership.js';
import { readStored } from './stored.js';

/** Tokens at once, spent ones that may be asked again included. */
const maxTokens = 4096;
/** How long a token is remembered after it expired: "expired" is a better answer than "unknown". */
const tokenMemory: UnixSeconds = 30 * 86_400;
const defaultTokenLifetime: UnixSeconds = 86_400;
const longestTokenLifetime: UnixSeconds = 30 * 86_400;

const cure =
  'put back a copy of it, or move it away: tokens not used yet are void then, and numbers given are kept as they are met';

/** A node number this issuer gave away. */
interface Assignment {
  readonly key: NodeKey;
  readonly name: string;
  readonly lan: readonly Prefix[];
}

interface Token {
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
  readonly expires: UnixSeconds;
  readonly name: string | undefined;
  /** The number the newcomer takes over. */
  readonly as: NodeNumber | undefined;
  readonly lan: readonly Prefix[];
  /** Set together, once. */
  readonly certificate: NodeCertificate | undefined;
  /** The revocation of the key taken over from: kept here too, for a crash before membership was persisted. */
  readonly revocation: Uint8Array | undefined;
}

export interface InviteOptions {
  readonly name?: string;
  readonly lifetime?: UnixSeconds;
  readonly members: readonly InvitingMember[];
  readonly as?: { readonly number: NodeNumber; readonly name: string };
  readonly lan?: readonly Prefix[];
}

export interface JoinRequest {
  readonly key: PublicKey;
  readonly dh: PublicKey;
  readonly name: string;
}

/** Why somebody was not admitted; the joiner shows it. */
export type Refusal = 'token-unknown' | 'token-expired' | 'token-used' | 'issuer-full' | 'issuer-not-allowed' | 'clock';

/**
 * An issuer's duties: who has which number, and which tokens are out. Only this machine assigns numbers in its sub-prefix, so
 * no consensus is needed; the table is on disk before anybody hears of an entry.
 */
export class Issuer {
  readonly certificate: IssuerCertificate;
  readonly #membership: Membership;
  readonly #random: Random;
  readonly #wallClock: () => UnixSeconds;
  readonly #assignments = new Map<NodeNumber, Assignment>();
  readonly #tokens = new Map<string, Token>();
  /** A table was lost: there may be nodes that have numbers and that we have not met again. */
  #lacks: boolean;

  /** `stored`: the table, or that it was lost; undefined for an issuer that begins. */
  constructor(
    membership: Membership,
    certificate: IssuerCertificate,
    random: Random,
    wallClock: () => UnixSeconds,
    stored?: Uint8Array | 'lost',
  ) {
    this.certificate = certificate;
    this.#membership = membership;
    this.#random = random;
    this.#wallClock = wallClock;
    this.#lacks = stored === 'lost';
    if (stored instanceof Uint8Array) this.#restore(stored);
    const own = membership.chain.node;
    if (this.owns(own.number)) this.#assign(own);
  }

  owns(number: NodeNumber): boolean {
    return this.certificate.prefix.covers(nodePrefix(this.#membership.network.prefix, number));
  }

  /** Revocations that takeovers made: given again at every start, for a crash may have come before they were spread. */
  revocations(): Uint8Array[] {
    return [...this.#tokens.values()].flatMap((token) => (token.revocation ? [token.revocation] : []));
  }

  /** Mints a one-time token. Throws a MeshError when this node may not, or the request cannot be met. */
  invite(options: InviteOptions): Outcome<{ token: string; expires: UnixSeconds }> {
    this.#requireStanding();
    const now = signingTime(this.#wallClock(), this.#membership.newestSigned);
    if (options.as && !this.owns(options.as.number)) {
      throw new MeshError(
        'other-issuer',
        `${options.as.name} was admitted by another issuer`,
        'run "weft invite --as" there; "weft issuer list" shows who',
      );
    }
    if (!options.as && this.#freeNumber() === undefined) {
      throw new MeshError(
        'issuer-full',
        'this issuer has given away all its numbers',
        'add another: weft issuer add NAME',
      );
    }
    const lifetime = options.lifetime ?? defaultTokenLifetime;
    if (!(lifetime >= 60 && lifetime <= longestTokenLifetime)) {
      throw new MeshError('bad-expiry', 'a token lives from a minute to 30 days', 'give --expires 24h, for example');
    }
    this.#forgetOldTokens();
    if (this.#tokens.size >= maxTokens) {
      throw new MeshError(
        'too-many-tokens',
        `this issuer remembers ${maxTokens} tokens, the most it does: each until 30 days after its end, so that none is used twice`,
        'invite on another issuer meanwhile (weft issuer add NAME)',
      );
    }
    const token: Token = {
      id: this.#random.bytes(tokenIdLength),
      secret: this.#random.bytes(tokenSecretLength),
      expires: now + lifetime,
      name: options.as?.name ?? options.name,
      as: options.as?.number,
      lan: options.lan ?? [],
      certificate: undefined,
      revocation: undefined,
    };
    this.#tokens.set(toHex(token.id), token);
    const text = encodeInvitation({
      network: this.#membership.network.publicKey,
      issuer: this.#membership.number,
      dh: this.#membership.identity.agreement.publicKey,
      id: token.id,
      secret: token.secret,
      expires: token.expires,
      name: token.name,
      members: options.members,
    });
    return { value: { token: text, expires: token.expires }, effects: [this.persist()] };
  }

  /** A token that somebody with this X25519 key asks about, and why it would not be admitted as things stand. */
  lookUp(id: Uint8Array, dh: PublicKey): { secret: Uint8Array; refusal: Refusal | undefined } | undefined {
    const token = this.#tokens.get(toHex(id));
    if (!token) return undefined;
    const { secret, certificate } = token;
    if (certificate) return { secret, refusal: equalBytes(certificate.dh, dh) ? undefined : 'token-used' };
    return { secret, refusal: this.#membership.now() >= token.expires ? 'token-expired' : undefined };
  }

  /** Whom we gave a number, by name or id: known here also when it was never met since. */
  givenTo(nameOrId: string): { readonly number: NodeNumber; readonly name: string } | undefined {
    for (const [number, { key, name }] of this.#assignments) {
      if (name === nameOrId || key === nameOrId) return { number, name };
    }
    return undefined;
  }

  /** Takes note of a certificate of ours that the table does not know: a lost table must not give a number twice. */
  note(certificate: NodeCertificate): void {
    if (!this.owns(certificate.number) || this.#assignments.has(certificate.number)) return;
    if (this.#membership.verifyNode(certificate).ok) this.#assign(certificate);
  }

  /**
   * Spends the token and admits, or says why not. The same key asking again gets the same certificate. The effects are to be
   * performed before the answer is sent.
   */
  admit(id: Uint8Array, request: JoinRequest): Outcome<NodeCertificate | Refusal> {
    const token = this.#tokens.get(toHex(id));
    if (!token) return { value: 'token-unknown', effects: [] };
    if (token.certificate) {
      const same = equalBytes(token.certificate.key, request.key) && equalBytes(token.certificate.dh, request.dh);
      // Persisted again: the first time the disk may have been full. What is there already costs nothing.
      return same ? { value: token.certificate, effects: [this.persist()] } : { value: 'token-used', effects: [] };
    }
    const issued = this.#timeToSign();
    if (issued === undefined) return { value: 'clock', effects: [] };
    if (issued >= token.expires) return { value: 'token-expired', effects: [] };
    if (!this.#membership.isIssuerInGoodStanding(this.certificate)) return { value: 'issuer-not-allowed', effects: [] };
    const number = token.as ?? this.#freeNumber();
    if (number === undefined) return { value: 'issuer-full', effects: [] };
    const certificate = issueNodeCertificate(this.#membership.network.id, this.#membership.identity.signing, {
      ...request,
      name: this.#freeName(token.name ?? request.name, number),
      number,
      lan: token.lan,
      issued,
      expires: issued + certificateLifetime,
      issuer: this.certificate.index,
    });
    const revocation = this.#takeOver(number, request.key, issued);
    this.#tokens.set(toHex(id), { ...token, certificate, revocation });
    this.#assign(certificate);
    const effects = [this.persist()];
    if (revocation) {
      this.#membership.learnRevocation(revocation);
      effects.push(...this.#membership.changes());
    }
    return { value: certificate, effects };
  }

  /** What a node may announce as egress from now on, as a certificate anew. Throws a MeshError when it is none of ours. */
  grant(old: NodeCertificate, lan: readonly Prefix[]): Outcome<NodeCertificate> {
    this.#requireStanding();
    if (!this.owns(old.number) || !this.#membership.verifyNode(old).ok) {
      throw new MeshError('other-issuer', `${old.name} was admitted by another issuer`, 'run "weft grant" there');
    }
    const now = signingTime(this.#wallClock(), this.#membership.newestSigned);
    const value = this.#reissue(old, Math.max(now, old.issued + 1), lan);
    return { value, effects: [this.persist()] };
  }

  /** A younger certificate for one of ours from half-life on, the same one before; undefined when it is none of ours. */
  renew(old: NodeCertificate): Outcome<NodeCertificate | undefined> {
    const refused = { value: undefined, effects: [] };
    const verdict = this.#membership.verifyNode(old);
    const assigned = this.#assignments.get(old.number);
    if (!verdict.ok || !this.owns(old.number)) return refused;
    if (assigned && assigned.key !== nodeKey(old.key)) return refused;
    const now = this.#timeToSign();
    if (now === undefined || !this.#membership.isIssuerInGoodStanding(this.certificate)) return refused;
    if (!isRenewalDue(old, now)) return { value: old, effects: [] };
    const value = this.#reissue(old, now, assigned?.lan ?? old.lan);
    return { value, effects: assigned ? [] : [this.persist()] };
  }

  /** A statement that a node is out; the caller learns and spreads it. Throws a MeshError when this node may not say so. */
  revoke(key: PublicKey): Uint8Array {
    this.#requireStanding();
    const at = signingTime(this.#wallClock(), this.#membership.newestSigned);
    return revokeNode(this.#membership.network.id, this.#membership.identity.signing, { key, at }).bytes;
  }

  persist(): MeshEffect {
    const tokens = [...this.#tokens.values()].map((token): FieldMap => {
      const map: FieldMap = { id: token.id, secret: token.secret, expires: token.expires, lan: lanToCbor(token.lan) };
      if (token.name !== undefined) map.name = token.name;
      if (token.as !== undefined) map.as = token.as;
      if (token.certificate) map.certificate = token.certificate.bytes;
      if (token.revocation) map.revocation = token.revocation;
      return map;
    });
    const numbers = [...this.#assignments].map(([number, given]) => [
      number,
      given.key,
      given.name,
      lanToCbor(given.lan),
    ]);
    const table = { v: 1, tokens, numbers, ...(this.#lacks && { lacks: 1 }) };
    return { kind: 'persist', name: blobs.issuer, bytes: encodeCbor(table) };
  }

  #reissue(old: NodeCertificate, issued: UnixSeconds, lan: readonly Prefix[]): NodeCertificate {
    const value = issueNodeCertificate(this.#membership.network.id, this.#membership.identity.signing, {
      key: old.key,
      dh: old.dh,
      number: old.number,
      name: old.name,
      roles: old.roles,
      lan,
      issued,
      expires: issued + certificateLifetime,
      issuer: this.certificate.index,
    });
    this.#assign(value);
    return value;
  }

  #requireStanding(): void {
    if (this.#membership.isIssuerInGoodStanding(this.certificate)) return;
    throw new MeshError(
      'not-an-issuer',
      'this node may not admit others any more',
      'use another issuer: weft issuer list',
    );
  }

  #timeToSign(): UnixSeconds | undefined {
    try {
      return signingTime(this.#wallClock(), this.#membership.newestSigned);
    } catch (error) {
      if (error instanceof MeshError) return undefined; // the joiner is told, and status of this node warns
      throw error;
    }
  }

  /**
   * Lowest first, so that a /56 is used to its end; 0 is never given. After a table was lost the low numbers are the very ones
   * that somebody may have: from a place drawn at random on, then.
   */
  #freeNumber(): NodeNumber | undefined {
    const first = nodeNumberOf(this.#membership.network.prefix, this.certificate.prefix.bytes)!;
    const size = nodeNumbersIn(this.certificate.prefix);
    const start = this.#lacks ? this.#random.below(size) : 0;
    for (let i = 0; i < size; i++) {
      const number = first + ((start + i) % size);
      if (number !== 0 && !this.#assignments.has(number) && number !== this.#membership.number) return number;
    }
    return undefined;
  }

  /** A name nobody here has, made so with a number behind it. */
  #freeName(wanted: string, number: NodeNumber): string {
    const taken = new Set<string>();
    for (const [other, given] of this.#assignments) if (other !== number) taken.add(given.name);
    if (!taken.has(wanted)) return wanted;
    for (let suffix = 2; ; suffix++) {
      const tail = `-${suffix}`;
      const name = wanted.slice(0, 63 - tail.length) + tail;
      if (!taken.has(name)) return name;
    }
  }

  #takeOver(number: NodeNumber, key: PublicKey, at: UnixSeconds): Uint8Array | undefined {
    const old = this.#assignments.get(number);
    if (!old || old.key === nodeKey(key)) return undefined;
    const oldKey = parseNodeKey(old.key);
    return (
      oldKey && revokeNode(this.#membership.network.id, this.#membership.identity.signing, { key: oldKey, at }).bytes
    );
  }

  #assign(certificate: NodeCertificate): void {
    const { key, name, lan } = certificate;
    this.#assignments.set(certificate.number, { key: nodeKey(key), name, lan });
  }

  #forgetOldTokens(): void {
    const before = this.#membership.now() - tokenMemory;
    for (const [id, token] of this.#tokens) if (token.expires < before) this.#tokens.delete(id);
  }

  #restore(stored: Uint8Array): void {
    const map = readStored(blobs.issuer, stored, cure);
    this.#lacks = map.lacks === 1;
    for (const item of Array.isArray(map.tokens) ? map.tokens : []) {
      const token = tokenFromCbor(item);
      if (token) this.#tokens.set(toHex(token.id), token);
    }
    for (const item of Array.isArray(map.numbers) ? map.numbers : []) {
      if (!Array.isArray(item)) continue;
      const [number, key, name, lan] = item;
      if (typeof number !== 'number' || typeof key !== 'string' || typeof name !== 'string') continue;
      this.#assignments.set(number, { key, name, lan: lanFromCbor(lan) });
    }
  }
}

function lanToCbor(lan: readonly Prefix[]): CborValue {
  return lan.map(prefixToCbor);
}

function lanFromCbor(value: CborValue | undefined): Prefix[] {
  return Array.isArray(value) ? value.map(prefixFromCbor).filter((prefix) => prefix !== undefined) : [];
}

function tokenFromCbor(value: CborValue): Token | undefined {
  const map = asMap(value);
  const id = map && octetsField(map, 'id', tokenIdLength);
  const secret = map && octetsField(map, 'secret', tokenSecretLength);
  const expires = map && integerField(map, 'expires', 0, Number.MAX_SAFE_INTEGER);
  if (!map || !id || !secret || expires === undefined) return undefined;
  return {
    id,
    secret,
    expires,
    name: textField(map, 'name', namePattern),
    as: integerField(map, 'as', 1, 0xff_ffff),
    lan: lanFromCbor(map.lan),
    certificate: map.certificate instanceof Uint8Array ? decodeNodeCertificate(map.certificate) : undefined,
    revocation: map.revocation instanceof Uint8Array ? map.revocation : undefined,
  };
}
