import { decodeMap, type FieldMap } from '../addr/fields.js';
import type { NodeIdentity } from '../addr/identity.js';
import type { Invitation } from '../addr/invitation.js';
import type { NetworkId } from '../addr/network.js';
import { equalBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { AgreementKey, aeadOpen, aeadSeal, signed } from '../crypto.js';
import { NoiseInitiator } from '../noise.js';
import type { Random } from '../random.js';
import { secretBytes } from '../secret-bytes.js';
import {
  decodeJoinPlaintext,
  encodeJoinPlaintext,
  exchangeIdLength,
  type JoinMessage,
  JoinType,
  joinCipher,
  joinHeader,
  joinNonce,
  joinPreSharedKey,
  joinPrologue,
  transportPlaintextLength,
  unknownTokenKey,
} from './join-datagram.js';

/** Who asks, for which network, and how it would like to be called. */
export interface Asker {
  readonly identity: NodeIdentity;
  readonly network: NetworkId;
  readonly name: string;
}

/**
 * The newcomer's half of one exchange with the issuer: what it sends again and again, and the keys that open what comes back
 * (docs/protocol/mesh.md, Joining).
 */
export class JoinExchange {
  readonly #invitation: Invitation;
  readonly #asker: Asker;
  readonly #id: Uint8Array;
  readonly #ephemeral: AgreementKey;
  readonly #noise: NoiseInitiator;
  readonly #receiveKey = secretBytes(32);
  #outgoing: JoinMessage;
  #isAnswered = false;

  private constructor(
    invitation: Invitation,
    asker: Asker,
    id: Uint8Array,
    ephemeral: AgreementKey,
    noise: NoiseInitiator,
    initiation: Uint8Array,
  ) {
    this.#invitation = invitation;
    this.#asker = asker;
    this.#id = id;
    this.#ephemeral = ephemeral;
    this.#noise = noise;
    this.#outgoing = { type: JoinType.initiation, issuer: invitation.issuer, exchange: id, part: initiation };
  }

  /** Undefined when the key in the token is none that anybody can agree with. */
  static begin(invitation: Invitation, asker: Asker, random: Random): JoinExchange | undefined {
    const ephemeral = AgreementKey.ephemeral(random);
    const id = new Uint8Array(random.bytes(exchangeIdLength));
    const { agreement } = asker.identity;
    const noise = new NoiseInitiator('IKpsk2', joinPrologue(asker.network), agreement, ephemeral, invitation.dh);
    const initiation = noise.writeInitiation(encodeCbor({ id: invitation.id }));
    if (initiation) return new JoinExchange(invitation, asker, id, ephemeral, noise, initiation);
    noise.wipe();
    ephemeral.wipe();
    return undefined;
  }

  /** The initiation, and the request once the issuer has responded. */
  get outgoing(): JoinMessage {
    return this.#outgoing;
  }

  /** The issuer has responded to the initiation. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  isOf(message: JoinMessage): boolean {
    return equalBytes(message.exchange, this.#id);
  }

  /** The payload of the response, from which on the request is outgoing unless it is a refusal; undefined: not an answer to ours. */
  readResponse(message: JoinMessage): FieldMap | undefined {
    const { id, secret } = this.#invitation;
    const shared = joinPreSharedKey(id, secret);
    const payload =
      this.#noise.readResponse(message.part, shared) ?? this.#noise.readResponse(message.part, unknownTokenKey);
    shared.fill(0);
    const fields = payload && decodeMap(payload);
    if (!fields || typeof fields.error === 'string') return fields;
    const sendKey = secretBytes(32);
    this.#noise.split(sendKey, this.#receiveKey);
    this.#outgoing = this.#request(sendKey, this.#noise.handshakeHash);
    sendKey.fill(0);
    this.#isAnswered = true;
    return fields;
  }

  /** What the answer says; undefined when it is none. */
  readAnswer(message: JoinMessage): FieldMap | undefined {
    const plaintext = aeadOpen(joinCipher, this.#receiveKey, joinNonce, message.part, joinHeader(message));
    return plaintext && decodeJoinPlaintext(plaintext);
  }

  /** Forgets every secret. */
  wipe(): void {
    this.#noise.wipe();
    this.#ephemeral.wipe();
    this.#receiveKey.fill(0);
  }

  /** The signature over the handshake hash shows that we hold the signing key we ask a certificate for. */
  #request(sendKey: Uint8Array, handshakeHash: Uint8Array): JoinMessage {
    const { identity, network, name } = this.#asker;
    const { signing } = identity;
    const header = { type: JoinType.transport, issuer: this.#invitation.issuer, exchange: this.#id };
    const proof = signing.sign(signed('weft join request', network, handshakeHash));
    const plaintext = encodeJoinPlaintext({ key: signing.publicKey, name, proof }, transportPlaintextLength)!;
    return { ...header, part: aeadSeal(joinCipher, sendKey, joinNonce, plaintext, joinHeader(header)) };
  }
}
