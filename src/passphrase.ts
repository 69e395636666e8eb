import { scryptSync } from 'node:crypto';
import { concatBytes, utf8 } from './bytes.js';
import { aeadNonceLength, aeadOpen, aeadSeal } from './crypto.js';
import type { Random } from './random.js';

/**
 * Octets sealed under a passphrase, for `network-key export` and `identity export`.
 *
 * +---------+--------+----------+-----------+----------------------------+
 * | "weftP" | cost 1 | salt 16  | nonce 12  | ChaCha20-Poly1305, tag 16  |
 * +---------+--------+----------+-----------+----------------------------+
 *
 * Key = scrypt(passphrase in UTF-8 NFC, salt, N = 2^cost, r = 8, p = 1), 32 octets (RFC 7914). Everything before the
 * ciphertext is authenticated.
 */
const magic = utf8('weftP');
const saltLength = 16;
const headerLength = magic.length + 1 + saltLength + aeadNonceLength;

/** 2^15 blocks of 1 KiB: about a tenth of a second and 32 MiB, as scrypt's author advises for interactive use. */
const defaultCost = 15;
/** What an opener is willing to spend, 128 MiB: a forged file must not take the machine's memory. */
const maxCost = 17;

function keyOf(passphrase: string, salt: Uint8Array, cost: number): Uint8Array {
  const N = 2 ** cost;
  return scryptSync(passphrase.normalize('NFC'), salt, 32, { N, r: 8, p: 1, maxmem: 256 * 8 * (N + 8) });
}

/** Sealed octets; the caller wipes its own. `cost`: what every guess at the passphrase shall cost. */
export function sealWithPassphrase(
  random: Random,
  passphrase: string,
  octets: Uint8Array,
  cost = defaultCost,
): Uint8Array {
  const salt = random.bytes(saltLength);
  const nonce = random.bytes(aeadNonceLength);
  const header = concatBytes(magic, Uint8Array.of(cost), salt, nonce);
  const key = keyOf(passphrase, salt, cost);
  const sealed = concatBytes(header, aeadSeal('chacha20-poly1305', key, nonce, octets, header));
  key.fill(0);
  return sealed;
}

/**
 * The octets, the caller's to wipe; undefined when the passphrase is wrong or the file is no such file or was changed.
 */
export function openWithPassphrase(passphrase: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < headerLength || !magic.every((octet, i) => sealed[i] === octet)) return undefined;
  const cost = sealed[magic.length]!;
  if (cost < 1 || cost > maxCost) return undefined;
  const header = sealed.subarray(0, headerLength);
  const salt = header.subarray(magic.length + 1, magic.length + 1 + saltLength);
  const key = keyOf(passphrase, salt, cost);
  const nonce = header.subarray(headerLength - aeadNonceLength);
  const opened = aeadOpen('chacha20-poly1305', key, nonce, sealed.subarray(headerLength), header);
  key.fill(0);
  return opened;
}
