import { concatBytes, utf8 } from './bytes.js';
import { aeadOpen, aeadSeal, hmacSha256, sha256 } from './crypto.js';
import { secretCopy } from './secret-bytes.js';

/**
 * The Noise handshakes weft speaks (Noise Protocol Framework, revision 34): IK between nodes that know each other's key,
 * IKpsk2 for joining with a token's secret.
 *
 *     IK:      <- s                        IKpsk2:  <- s
 *              ...                                  ...
 *              -> e, es, s, ss                      -> e, es, s, ss
 *              <- e, ee, se                         <- e, ee, se, psk
 *
 * Message 1: e 32 ‖ sealed s 32 + 16 ‖ sealed payload + 16. Message 2: e 32 ‖ sealed payload + 16.
 *
 * Both sides are synchronous and hold no source of chance: ephemeral keys are passed in, one per handshake, never twice.
 */
export type NoisePattern = 'IK' | 'IKpsk2';

/** A key that can do Diffie-Hellman and never shows its private half. */
export interface DhKey {
  /** 32 octets, X25519. */
  readonly publicKey: Uint8Array;
  /** 32 octets, the caller's to wipe; undefined when the result is all zero (a small-order public key). */
  sharedSecret(remotePublicKey: Uint8Array): Uint8Array | undefined;
}

/** Octets that a handshake adds to its payload. */
export const noiseInitiationOverhead = 32 + 48 + 16;
export const noiseResponseOverhead = 32 + 16;

const noNonce: Uint8Array = new Uint8Array(12);
const empty: Uint8Array = new Uint8Array(0);

/** SymmetricState and CipherState of the Noise specification, §5.1 and §5.2. */
class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  /** Every key of these two patterns seals exactly one thing, so the nonce is always zero. */
  #key = empty;

  constructor(protocol: string) {
    const name = utf8(protocol);
    this.#hash = name.length <= 32 ? concatBytes(name, new Uint8Array(32 - name.length)) : sha256(name);
    this.#chainingKey = secretCopy(this.#hash);
  }

  get hash(): Uint8Array {
    return new Uint8Array(this.#hash);
  }

  copy(): SymmetricState {
    const twin = new SymmetricState('');
    twin.#chainingKey = secretCopy(this.#chainingKey);
    twin.#hash = new Uint8Array(this.#hash);
    twin.#key = secretCopy(this.#key);
    return twin;
  }

  mixHash(data: Uint8Array): void {
    const hash = sha256(this.#hash, data);
    this.#hash.fill(0);
    this.#hash = hash;
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#chainingKey, input, 2);
    this.#replace(chainingKey!, key!);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key] = hkdf(this.#chainingKey, input, 3);
    this.mixHash(hash!);
    hash!.fill(0);
    this.#replace(chainingKey!, key!);
  }

  /** Mixes a Diffie-Hellman result and wipes it; false when it was all zero. */
  mixDh(result: Uint8Array | undefined): boolean {
    if (!result) return false;
    this.mixKey(result);
    result.fill(0);
    return true;
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const sealed = aeadSeal('chacha20-poly1305', this.#key, noNonce, plaintext, this.#hash);
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = aeadOpen('chacha20-poly1305', this.#key, noNonce, sealed, this.#hash);
    if (plaintext) this.mixHash(sealed);
    return plaintext;
  }

  split(fromInitiator: Uint8Array, fromResponder: Uint8Array): void {
    const [first, second] = hkdf(this.#chainingKey, empty, 2);
    fromInitiator.set(first!);
    fromResponder.set(second!);
    first!.fill(0);
    second!.fill(0);
  }

  wipe(): void {
    this.#chainingKey.fill(0);
    this.#hash.fill(0);
    this.#key.fill(0);
  }

  #replace(chainingKey: Uint8Array, key: Uint8Array): void {
    this.#chainingKey.fill(0);
    this.#key.fill(0);
    this.#chainingKey = chainingKey;
    this.#key = key;
  }
}

/** HKDF of the Noise specification, §4.3: no info, the counter alone. */
function hkdf(chainingKey: Uint8Array, input: Uint8Array, outputs: 2 | 3): Uint8Array[] {
  const temporary = hmacSha256(chainingKey, input);
  const results: Uint8Array[] = [];
  let last: Uint8Array = empty;
  for (let i = 1; i <= outputs; i++) {
    last = hmacSha256(temporary, last, Uint8Array.of(i));
    results.push(last);
  }
  temporary.fill(0);
  return results;
}

/** Everything before the first message: names, prologue and the responder's key, which both sides know. */
function begin(pattern: NoisePattern, prologue: Uint8Array, responderKey: Uint8Array): SymmetricState {
  const state = new SymmetricState(`Noise_${pattern}_25519_ChaChaPoly_SHA256`);
  state.mixHash(prologue);
  state.mixHash(responderKey);
  return state;
}

function mixEphemeral(state: SymmetricState, pattern: NoisePattern, publicKey: Uint8Array): void {
  state.mixHash(publicKey);
  if (pattern === 'IKpsk2') state.mixKey(publicKey);
}

/** The side that speaks first and knows the other's static key. One object is one handshake. */
export class NoiseInitiator {
  readonly #pattern: NoisePattern;
  readonly #own: DhKey;
  readonly #ephemeral: DhKey;
  readonly #remote: Uint8Array;
  #state: SymmetricState;

  /** `ephemeral` is fresh and used for this handshake only. */
  constructor(pattern: NoisePattern, prologue: Uint8Array, own: DhKey, ephemeral: DhKey, remotePublicKey: Uint8Array) {
    this.#pattern = pattern;
    this.#own = own;
    this.#ephemeral = ephemeral;
    this.#remote = remotePublicKey;
    this.#state = begin(pattern, prologue, remotePublicKey);
  }

  /** Message 1, the caller's; undefined when the remote key is of small order. Call it once. */
  writeInitiation(payload: Uint8Array): Uint8Array | undefined {
    const state = this.#state;
    mixEphemeral(state, this.#pattern, this.#ephemeral.publicKey);
    if (!state.mixDh(this.#ephemeral.sharedSecret(this.#remote))) return undefined;
    const sealedStatic = state.seal(this.#own.publicKey);
    if (!state.mixDh(this.#own.sharedSecret(this.#remote))) return undefined;
    return concatBytes(this.#ephemeral.publicKey, sealedStatic, state.seal(payload));
  }

  /**
   * The payload of message 2, the caller's, or undefined when it is not an answer to ours. A forgery changes nothing: the
   * true response may still come. `preSharedKey`: 32 octets, with IKpsk2.
   */
  readResponse(message: Uint8Array, preSharedKey?: Uint8Array): Uint8Array | undefined {
    if (message.length < noiseResponseOverhead) return undefined;
    const state = this.#state.copy();
    const remoteEphemeral = message.subarray(0, 32);
    mixEphemeral(state, this.#pattern, remoteEphemeral);
    const mixed =
      state.mixDh(this.#ephemeral.sharedSecret(remoteEphemeral)) && // ee
      state.mixDh(this.#own.sharedSecret(remoteEphemeral)); // se
    if (mixed && this.#pattern === 'IKpsk2') state.mixKeyAndHash(preSharedKey!);
    const payload = mixed ? state.open(message.subarray(32)) : undefined;
    if (payload) {
      this.#state.wipe();
      this.#state = state;
    } else {
      state.wipe();
    }
    return payload;
  }

  /** After readResponse: writes the two 32-octet transport keys into the caller's buffers. */
  split(sendKey: Uint8Array, receiveKey: Uint8Array): void {
    this.#state.split(sendKey, receiveKey);
  }

  /** The handshake hash, 32 octets, unique to this handshake and known to both sides (channel binding, §11.2). */
  get handshakeHash(): Uint8Array {
    return this.#state.hash;
  }

  /** Forgets every secret of the symmetric state; the ephemeral key is its owner's to drop. */
  wipe(): void {
    this.#state.wipe();
  }
}

/** The side that is spoken to. One object is one handshake. */
export class NoiseResponder {
  readonly #pattern: NoisePattern;
  readonly #own: DhKey;
  readonly #state: SymmetricState;
  #remoteEphemeral = empty;
  #remote = empty;

  constructor(pattern: NoisePattern, prologue: Uint8Array, own: DhKey) {
    this.#pattern = pattern;
    this.#own = own;
    this.#state = begin(pattern, prologue, own.publicKey);
  }

  /**
   * The initiator's static key and payload, the caller's; undefined when the message is not for our key or not whole.
   * After undefined the object is of no use. What it says is authentic, but may be a replay: only a transport message
   * proves that the initiator is there now.
   */
  readInitiation(
    message: Uint8Array,
  ): { readonly remotePublicKey: Uint8Array; readonly payload: Uint8Array } | undefined {
    if (message.length < noiseInitiationOverhead) return undefined;
    const state = this.#state;
    this.#remoteEphemeral = message.slice(0, 32);
    mixEphemeral(state, this.#pattern, this.#remoteEphemeral);
    if (!state.mixDh(this.#own.sharedSecret(this.#remoteEphemeral))) return undefined; // es
    const remotePublicKey = state.open(message.subarray(32, 80));
    if (!remotePublicKey || !state.mixDh(this.#own.sharedSecret(remotePublicKey))) return undefined; // ss
    const payload = state.open(message.subarray(80));
    if (!payload) return undefined;
    this.#remote = remotePublicKey;
    return { remotePublicKey: new Uint8Array(remotePublicKey), payload };
  }

  /**
   * Message 2, the caller's; undefined when the initiator's ephemeral key is of small order. `ephemeral` is fresh;
   * `preSharedKey`: 32 octets, with IKpsk2. Call it once.
   */
  writeResponse(payload: Uint8Array, ephemeral: DhKey, preSharedKey?: Uint8Array): Uint8Array | undefined {
    const state = this.#state;
    mixEphemeral(state, this.#pattern, ephemeral.publicKey);
    if (!state.mixDh(ephemeral.sharedSecret(this.#remoteEphemeral))) return undefined; // ee
    if (!state.mixDh(ephemeral.sharedSecret(this.#remote))) return undefined; // se
    if (this.#pattern === 'IKpsk2') state.mixKeyAndHash(preSharedKey!);
    return concatBytes(ephemeral.publicKey, state.seal(payload));
  }

  /** After writeResponse: writes the two 32-octet transport keys into the caller's buffers. */
  split(sendKey: Uint8Array, receiveKey: Uint8Array): void {
    this.#state.split(receiveKey, sendKey);
  }

  /** The handshake hash, 32 octets, unique to this handshake and known to both sides (channel binding, §11.2). */
  get handshakeHash(): Uint8Array {
    return this.#state.hash;
  }

  /** Forgets every secret of the symmetric state; the ephemeral key is its owner's to drop. */
  wipe(): void {
    this.#state.wipe();
  }
}
