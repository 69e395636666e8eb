import { integerField, octetsField } from '../addr/fields.js';
import type { NetworkId } from '../addr/network.js';
import { equalBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import { type PublicKey, SigningKey, signed, verify } from '../crypto.js';
import { MeshError } from '../errors.js';
import { openWithPassphrase, sealWithPassphrase } from '../passphrase.js';
import type { Random } from '../random.js';
import { blobs, type MeshEffect, type Outcome } from './effects.js';
import { readStored, unreadable } from './stored.js';

const cure = 'put back a copy of it, or move it away and use "weft network-key import" with the copy you exported';

/**
 * The key that founded the network, as long as it lies on this machine. Exported means that a copy of it was written elsewhere
 * and opened again: `status` then stops warning, and the key may be removed here.
 */
export class NetworkKey {
  readonly key: SigningKey;
  #exported: boolean;

  constructor(key: SigningKey, exported = false) {
    this.key = key;
    this.#exported = exported;
  }

  static restore(bytes: Uint8Array): NetworkKey {
    const map = readStored(blobs.networkKey, bytes, cure);
    const seed = octetsField(map, 'key', 32);
    if (!seed) throw unreadable(blobs.networkKey, cure);
    return new NetworkKey(new SigningKey(seed), integerField(map, 'exported', 0, 1) === 1);
  }

  /** False: no copy exists elsewhere, and `status` warns. */
  get isExported(): boolean {
    return this.#exported;
  }

  persist(): MeshEffect {
    const bytes = encodeCbor({ v: 1, key: this.key.exportPrivate(), exported: this.#exported ? 1 : 0 });
    return { kind: 'persist', name: blobs.networkKey, bytes };
  }

  /** A copy sealed under a passphrase (src/passphrase.ts); it counts as exported only after `noteCopy`. */
  export(random: Random, passphrase: string): Uint8Array {
    requirePassphrase(passphrase);
    const seed = this.key.exportPrivate();
    const sealed = sealWithPassphrase(random, passphrase, seed);
    seed.fill(0);
    return sealed;
  }

  /** `sealed` is the copy as it was read back from where it is kept. Throws a MeshError when it does not open to this key. */
  noteCopy(sealed: Uint8Array, passphrase: string): MeshEffect {
    openCopy(sealed, passphrase, this.key.publicKey);
    this.#exported = true;
    return this.persist();
  }

  /** From a copy; `publicKey` is the network's. Throws a MeshError: wrong passphrase, or another network's key. */
  static import(sealed: Uint8Array, passphrase: string, publicKey: PublicKey): Outcome<NetworkKey> {
    const networkKey = new NetworkKey(openCopy(sealed, passphrase, publicKey), true);
    return { value: networkKey, effects: [networkKey.persist()] };
  }

  /** True when this pair of keys still works together: a check for `doctor`. */
  signsFor(network: NetworkId): boolean {
    const message = signed('weft issuer certificate', network, new Uint8Array(0));
    return verify(this.key.publicKey, message, this.key.sign(message));
  }
}

function openCopy(sealed: Uint8Array, passphrase: string, publicKey: PublicKey): SigningKey {
  const seed = openWithPassphrase(passphrase, sealed);
  if (seed?.length !== 32) {
    throw new MeshError('bad-passphrase', 'the copy does not open', 'check the passphrase and that the file is whole');
  }
  const key = new SigningKey(seed);
  if (equalBytes(key.publicKey, publicKey)) return key;
  throw new MeshError('wrong-network', 'this is the key of another network', 'import the copy this network exported');
}

/** Throws a MeshError when a passphrase is too short to be one. */
export function requirePassphrase(passphrase: string): void {
  if (passphrase.length >= 8) return;
  throw new MeshError('bad-passphrase', 'the passphrase is too short', 'use at least 8 characters');
}
