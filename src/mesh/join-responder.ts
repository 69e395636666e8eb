import { encodeChain } from '../addr/certificate-chain.js';
import { decodeMap, octetsField, textField } from '../addr/fields.js';
import { tokenIdLength } from '../addr/invitation.js';
import { namePattern } from '../addr/name.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import { Bucket } from '../bucket.js';
import { equalBytes, toHex } from '../bytes.js';
import { type CborValue, encodeCbor } from '../cbor.js';
import { AgreementKey, aeadOpen, aeadSeal, isSigningPublicKey, signatureLength, signed, verify } from '../crypto.js';
import { NoiseResponder } from '../noise.js';
import type { Random } from '../random.js';
import { secretBytes } from '../secret-bytes.js';
import { type Millis, second } from '../time.js';
import type { MeshEffect } from './effects.js';
import type { Issuer, Refusal } from './issuer.js';
import {
  decodeJoinPlaintext,
  encodeJoinDatagram,
  encodeJoinPlaintext,
  type JoinMessage,
  JoinType,
  joinCipher,
  joinHeader,
  joinNonce,
  joinPreSharedKey,
  joinPrologue,
  unknownTokenKey,
} from './join-datagram.js';
import type { Membership } from './membership.js';

/** Exchanges at once; each begins with knowledge of a token's id, which only its holder and we have. */
const maxExchanges = 256;
const exchangeLifetime: Millis = 30 * second;
/** Initiations answered, each for three Diffie-Hellmans: members that pass them on must not wear us out. */
const initiationsPerSecond = 50;
const initiationBurst = 100;

interface Exchange {
  readonly initiation: Uint8Array;
  readonly response: Uint8Array;
  readonly token: Uint8Array;
  readonly dh: Uint8Array;
  readonly hash: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly sendKey: Uint8Array;
  readonly expires: Millis;
  request: Uint8Array | undefined;
  answer: Uint8Array | undefined;
}

/** How an answer goes back: to the newcomer itself, or to the member that passed its message on. */
export type Reply = (datagram: Uint8Array) => MeshEffect;

/** The issuer's side of joining. A lost answer is asked for again with the same octets, and is given again. */
export class JoinResponder {
  readonly #membership: Membership;
  readonly #issuer: Issuer;
  readonly #random: Random;
  readonly #exchanges = new Map<string, Exchange>();
  readonly #rate = new Bucket(initiationsPerSecond, initiationBurst);

  constructor(membership: Membership, issuer: Issuer, random: Random) {
    this.#membership = membership;
    this.#issuer = issuer;
    this.#random = random;
  }

  /** A message for us, from the newcomer or passed on. Anything odd is answered by silence. */
  handle(message: JoinMessage, reply: Reply, now: Millis): MeshEffect[] {
    for (const [id, exchange] of this.#exchanges) if (exchange.expires <= now) this.#drop(id, exchange);
    if (message.type === JoinType.initiation) return this.#onInitiation(message, reply, now);
    return message.type === JoinType.transport ? this.#onRequest(message, reply) : [];
  }

  #onInitiation(message: JoinMessage, reply: Reply, now: Millis): MeshEffect[] {
    const id = toHex(message.exchange);
    const known = this.#exchanges.get(id);
    if (known) return equalBytes(known.initiation, message.part) ? [reply(known.response)] : [];
    if (!this.#rate.take(now)) return [];
    const { agreement } = this.#membership.identity;
    const noise = new NoiseResponder('IKpsk2', joinPrologue(this.#membership.network.id), agreement);
    const response = this.#respond(noise, message, id, now);
    noise.wipe();
    return response ? [reply(response)] : [];
  }

  /** The datagram, unless there is nothing to say. */
  #respond(noise: NoiseResponder, message: JoinMessage, id: string, now: Millis): Uint8Array | undefined {
    const read = noise.readInitiation(message.part);
    const fields = read && decodeMap(read.payload);
    const token = fields && octetsField(fields, 'id', tokenIdLength);
    if (!token) return undefined;
    const dh = read.remotePublicKey;
    const found = this.#issuer.lookUp(token, dh);
    const refusal: Refusal | undefined = found ? found.refusal : 'token-unknown';
    if (!refusal && this.#exchanges.size >= maxExchanges) return undefined;
    const ephemeral = AgreementKey.ephemeral(this.#random);
    const secret = found ? joinPreSharedKey(token, found.secret) : unknownTokenKey;
    const part = noise.writeResponse(encodeCbor(refusal ? { error: refusal } : {}), ephemeral, secret);
    ephemeral.wipe();
    if (found) secret.fill(0);
    if (!part) return undefined;
    const response = encodeJoinDatagram({ ...message, type: JoinType.response, part }, dh);
    if (!refusal) {
      const [receiveKey, sendKey] = [secretBytes(32), secretBytes(32)];
      noise.split(sendKey, receiveKey);
      const keys = { receiveKey, sendKey, hash: noise.handshakeHash };
      const expires = now + exchangeLifetime;
      const nothing = { request: undefined, answer: undefined };
      this.#exchanges.set(id, { initiation: message.part, response, token, dh, ...keys, expires, ...nothing });
    }
    return response;
  }

  #onRequest(message: JoinMessage, reply: Reply): MeshEffect[] {
    const exchange = this.#exchanges.get(toHex(message.exchange));
    if (!exchange) return [];
    if (exchange.answer) return equalBytes(exchange.request!, message.part) ? [reply(exchange.answer)] : [];
    const plaintext = aeadOpen(joinCipher, exchange.receiveKey, joinNonce, message.part, joinHeader(message));
    const fields = plaintext && decodeJoinPlaintext(plaintext);
    const key = fields && octetsField(fields, 'key', 32);
    const name = fields && textField(fields, 'name', namePattern);
    const proof = fields && octetsField(fields, 'proof', signatureLength);
    if (!key || !name || !proof || !isSigningPublicKey(key)) return [];
    if (!verify(key, signed('weft join request', this.#membership.network.id, exchange.hash), proof)) return [];
    const { value, effects } = this.#issuer.admit(exchange.token, { key, dh: exchange.dh, name });
    const answer = encodeJoinPlaintext(typeof value === 'string' ? { error: value } : this.#welcome(value))!;
    const header = { ...message, type: JoinType.transport };
    const part = aeadSeal(joinCipher, exchange.sendKey, joinNonce, answer, joinHeader(header));
    exchange.request = message.part;
    exchange.answer = encodeJoinDatagram({ ...header, part }, exchange.dh);
    return [...effects, reply(exchange.answer)];
  }

  /** The certificate chain, and as many issuers and revocations as fit beside it; gossip brings the rest. */
  #welcome(certificate: NodeCertificate): { [key: string]: CborValue } {
    const chain = encodeChain({ issuer: this.#issuer.certificate, node: certificate });
    let welcome: { [key: string]: CborValue } = { chain, issuers: [], revocations: [] };
    const add = (field: 'issuers' | 'revocations', octets: Uint8Array) => {
      const larger = { ...welcome, [field]: [...(welcome[field] as CborValue[]), octets] };
      if (encodeJoinPlaintext(larger)) welcome = larger;
    };
    for (const issuer of this.#membership.issuers()) {
      if (!equalBytes(issuer.bytes, this.#issuer.certificate.bytes)) add('issuers', issuer.bytes);
    }
    for (const revocation of this.#membership.revocations()) add('revocations', revocation.bytes);
    return welcome;
  }

  #drop(id: string, exchange: Exchange): void {
    exchange.receiveKey.fill(0);
    exchange.sendKey.fill(0);
    this.#exchanges.delete(id);
  }
}
