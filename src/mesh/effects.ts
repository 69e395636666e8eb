import type { CertificateChain } from '../addr/certificate-chain.js';
import type { Endpoint } from '../addr/endpoint.js';
import type { InvitingMember } from '../addr/invitation.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { NodeKey } from '../addr/public-key.js';
import type { MeshError } from '../errors.js';

/**
 * Orders of the mesh machines. The shell executes them strictly in order, each to its end: `persist` is on the disk (write,
 * fsync, rename, fsync of the folder) before the next one runs. So "spend the token, then answer" is an order of effects.
 */
export type MeshEffect =
  /** A control message (CBOR, at most 1200 octets) to a neighbour or to any node: the control plane finds the way. */
  | { readonly kind: 'sendMesh'; readonly to: NodeNumber; readonly bytes: Uint8Array }
  /** A datagram of the joining exchange, macs included, over the underlay. */
  | { readonly kind: 'sendDatagram'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** Replaces a blob of the state folder, durably. */
  | { readonly kind: 'persist'; readonly name: string; readonly bytes: Uint8Array }
  /** Removes a blob of the state folder, durably. */
  | { readonly kind: 'forget'; readonly name: string }
  /** This key is out: close its tunnels and sessions, drop its updates and frames. `number` and `name` where they are known. */
  | {
      readonly kind: 'revoked';
      readonly key: NodeKey;
      readonly number: NodeNumber | undefined;
      readonly name: string | undefined;
    }
  /** We are out ourselves. */
  | { readonly kind: 'expelled' }
  /** Our own certificate was renewed: show this one in handshakes from now on. */
  | { readonly kind: 'renewed'; readonly chain: CertificateChain }
  /** The directory holds a newer record of this node: endpoints to dial, perhaps the certificate a route waits for. */
  | { readonly kind: 'nodeChanged'; readonly number: NodeNumber }
  /** A member showed us the certificate of this node, asked or not: it says nothing of where the node is. */
  | { readonly kind: 'certificateShown'; readonly number: NodeNumber }
  /** The joining exchange is over; the membership was persisted before. Dial these members at once. */
  | { readonly kind: 'joined'; readonly chain: CertificateChain; readonly members: readonly InvitingMember[] }
  | { readonly kind: 'joinFailed'; readonly error: MeshError };

/** Names of the blobs: what a restart begins from. */
export const blobs = {
  identity: 'identity',
  membership: 'membership',
  issuer: 'issuer',
  networkKey: 'network-key',
  directory: 'directory',
} as const;

/** What an operator's command gives: perform the effects in order, then show the value. */
export interface Outcome<T> {
  readonly value: T;
  readonly effects: readonly MeshEffect[];
}
