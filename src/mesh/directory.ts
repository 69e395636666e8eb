import type { CertificateChain } from '../addr/certificate-chain.js';
import {
  decodeEndpointRecord,
  type EndpointRecord,
  isSignedByItsNode,
  signEndpointRecord,
} from '../addr/endpoint-record.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import type { NodeNumber } from '../addr/node-number.js';
import { type NodeKey, nodeKey } from '../addr/public-key.js';
import { equalBytes } from '../bytes.js';
import { encodeCbor } from '../cbor.js';
import type { PublicKey } from '../crypto.js';
import { blobs, type MeshEffect } from './effects.js';
import type { Membership, MembershipFault } from './membership.js';
import { octetLists, readStored } from './stored.js';

/** What the network may make us hold. */
export interface DirectoryBounds {
  /** Nodes we hold records of. */
  readonly records: number;
  /** Certificates held without a record: shown in a handshake, or asked for because of a route. */
  readonly shown: number;
}

const usualBounds: DirectoryBounds = { records: 16_384, shown: 4096 };

const cure = 'move it away: it is only a memory of where others are, and fills again from any neighbour';

/** The blob "directory" of these records. */
export function encodeDirectory(records: readonly Uint8Array[]): Uint8Array {
  return encodeCbor({ v: 1, records: [...records] });
}

/** What a record says beside who says it and when. */
type Whereabouts = Pick<EndpointRecord, 'endpoints' | 'tls'>;

/** What became of a record: `newer` was taken; all others were not, and are counted by these names. */
export type RecordOutcome = 'newer' | 'known' | 'malformed' | 'forged' | 'replayed' | 'full' | MembershipFault;

/**
 * Who is in the network and where to reach them: each node's newest signed record, kept on disk so that a node restarts into
 * its network with every issuer dead.
 */
export class Directory {
  readonly #membership: Membership;
  readonly #bounds: DirectoryBounds;
  readonly #records = new Map<NodeKey, EndpointRecord>();
  readonly #numbers = new Map<NodeNumber, NodeKey>();
  /** Certificates we hold without a record, oldest first. */
  readonly #shown = new Map<NodeNumber, NodeCertificate>();
  #own: EndpointRecord | undefined;
  #changed = false;
  #grown = false;

  /** `stored`: what was last persisted. Throws a MeshError when it cannot be read; who is out by now is left out. */
  constructor(membership: Membership, stored?: Uint8Array, bounds = usualBounds) {
    this.#membership = membership;
    this.#bounds = bounds;
    if (!stored) return;
    for (const bytes of octetLists(readStored(blobs.directory, stored, cure).records)) {
      const record = decodeEndpointRecord(bytes);
      if (!record) continue;
      membership.trustFromDisk(record.node);
      if (membership.verifyNode(record.node).ok) this.#put(record);
    }
    this.#changed = false;
    this.#grown = false;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Our own record, as last announced here or before a restart. */
  get own(): EndpointRecord | undefined {
    return this.#own;
  }

  records(): IterableIterator<EndpointRecord> {
    return this.#records.values();
  }

  byNumber(number: NodeNumber): EndpointRecord | undefined {
    const key = this.#numbers.get(number);
    return key === undefined ? undefined : this.#records.get(key);
  }

  byKey(key: PublicKey): EndpointRecord | undefined {
    return this.#records.get(nodeKey(key));
  }

  /** All nodes that go by this name: two issuers may have given it once each. Lowest number first. */
  byName(name: string): NodeCertificate[] {
    const found = [...this.#records.values()].map((record) => record.node).filter((node) => node.name === name);
    return found.sort((a, b) => a.number - b.number);
  }

  /** The certificate of a node, from its record or as it was shown; undefined until one is held. */
  certificateOf(number: NodeNumber): NodeCertificate | undefined {
    if (number === this.#membership.number) return this.#membership.chain.node;
    return this.byNumber(number)?.node ?? this.#shown.get(number);
  }

  chainOf(number: NodeNumber): CertificateChain | undefined {
    const node = this.certificateOf(number);
    return node && this.#membership.chainOf(node);
  }

  /** Checks and takes a record that came from a neighbour or the disk. */
  learn(bytes: Uint8Array): RecordOutcome {
    const record = decodeEndpointRecord(bytes);
    if (!record) return 'malformed';
    const key = nodeKey(record.node.key);
    const known = this.#records.get(key);
    if (known && known.sequence >= record.sequence) return equalBytes(known.bytes, record.bytes) ? 'known' : 'replayed';
    const verdict = this.#membership.verifyNode(record.node);
    if (!verdict.ok) return verdict.fault;
    if (!isSignedByItsNode(this.#membership.network.id, record)) return 'forged';
    const holder = this.byNumber(record.node.number);
    if (holder && nodeKey(holder.node.key) !== key && holder.node.issued >= record.node.issued) return 'replayed';
    if (!known && this.#records.size >= this.#bounds.records) return 'full';
    if (holder) this.remove(nodeKey(holder.node.key));
    this.#put(record);
    return 'newer';
  }

  /** Takes the certificate of a chain that verified: a handshake's, or one asked for. */
  show(node: NodeCertificate): void {
    if (this.byNumber(node.number) || node.number === this.#membership.number) return;
    const before = this.#shown.get(node.number);
    if (before && before.issued > node.issued) return;
    this.#shown.delete(node.number);
    if (this.#shown.size >= this.#bounds.shown) this.#shown.delete(this.#shown.keys().next().value!);
    this.#shown.set(node.number, node);
  }

  /**
   * Signs our own record anew, above every sequence number of ours that was ever seen (`above`: just now): a lost disk never
   * makes our news look old.
   */
  announce(where: Whereabouts, incarnation: Uint8Array, above = 0): EndpointRecord {
    const { identity, chain, network } = this.#membership;
    const sequence = Math.max(above, this.byKey(identity.signing.publicKey)?.sequence ?? 0) + 1;
    const record = signEndpointRecord(network.id, identity.signing, {
      node: chain.node,
      sequence,
      incarnation,
      endpoints: where.endpoints,
      tls: where.tls,
    });
    this.#put(record);
    return record;
  }

  /** Forgets a node that is out; its number, where it was known. */
  remove(key: NodeKey): NodeCertificate | undefined {
    const node = this.#records.get(key)?.node;
    if (this.#records.delete(key)) this.#changed = true;
    if (node && this.#numbers.get(node.number) === key) this.#numbers.delete(node.number);
    for (const [number, shown] of this.#shown) {
      if (nodeKey(shown.key) !== key) continue;
      this.#shown.delete(number);
      return shown;
    }
    return node;
  }

  /** Forgets all whose certificates hold no more, and says who: after an issuer was revoked. */
  removeVoid(): NodeCertificate[] {
    const nodes = [...[...this.#records.values()].map((record) => record.node), ...this.#shown.values()];
    const out = nodes.filter((node) => !this.#membership.verifyNode(node).ok);
    for (const node of out) this.remove(nodeKey(node.key));
    return out;
  }

  get isChanged(): boolean {
    return this.#changed;
  }

  /** Since then it has come to hold a node it did not hold: lost, that node would not be dialled after a restart. */
  get isGrown(): boolean {
    return this.#grown;
  }

  /** An order to persist what changed since the last call; nothing when nothing did. */
  changes(): MeshEffect[] {
    if (!this.#changed) return [];
    this.#changed = false;
    this.#grown = false;
    const records = [...this.#records.values()].map((record) => record.bytes);
    return [{ kind: 'persist', name: blobs.directory, bytes: encodeDirectory(records) }];
  }

  #put(record: EndpointRecord): void {
    const key = nodeKey(record.node.key);
    if (!this.#records.has(key)) this.#grown = true;
    this.#records.set(key, record);
    this.#numbers.set(record.node.number, key);
    this.#shown.delete(record.node.number);
    if (key === this.#membership.identity.id) this.#own = record;
    this.#changed = true;
  }
}
