import { encodeCbor } from '../cbor.js';
import { AgreementKey, SigningKey } from '../crypto.js';
import type { Random } from '../random.js';
import { decodeMap, octetsField } from './fields.js';
import { type NodeKey, nodeKey } from './public-key.js';

/** Who a node is: its two key pairs. The identity is the public key, never a hash of an encoding. */
export class NodeIdentity {
  readonly signing: SigningKey;
  readonly agreement: AgreementKey;

  constructor(signing: SigningKey, agreement: AgreementKey) {
    this.signing = signing;
    this.agreement = agreement;
  }

  static make(random: Random): NodeIdentity {
    return new NodeIdentity(SigningKey.make(random), AgreementKey.make(random));
  }

  get id(): NodeKey {
    return nodeKey(this.signing.publicKey);
  }

  /** For the file identity (mode 0600) only: CBOR {v: 1, key, dh}, the private halves. The caller wipes it. */
  encode(): Uint8Array {
    const [key, dh] = [this.signing.exportPrivate(), this.agreement.exportPrivate()];
    const octets = encodeCbor({ v: 1, key, dh });
    key.fill(0);
    dh.fill(0);
    return octets;
  }

  /** Undefined when the octets are no identity: half-written, of another version, of another file. */
  static decode(octets: Uint8Array): NodeIdentity | undefined {
    const map = decodeMap(octets);
    const key = map?.v === 1 ? octetsField(map, 'key', 32) : undefined;
    const dh = map && octetsField(map, 'dh', 32);
    return key && dh && new NodeIdentity(new SigningKey(key), new AgreementKey(dh));
  }

  wipe(): void {
    this.signing.wipe();
    this.agreement.wipe();
  }
}
