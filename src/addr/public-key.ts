import { fromBase32, toBase32 } from '../base32.js';
import { isSigningPublicKey, type PublicKey } from '../crypto.js';

/** An Ed25519 public key as text: 52 characters of base32. Names a node (its id), and is the key for maps. */
export type NodeKey = string;

export function nodeKey(publicKey: PublicKey): NodeKey {
  return toBase32(publicKey);
}

/** The inverse; undefined when it is no canonical signing key. */
export function parseNodeKey(text: string): PublicKey | undefined {
  const octets = fromBase32(text);
  return octets && isSigningPublicKey(octets) ? octets : undefined;
}
