import type { CborValue } from '../cbor.js';
import { type SigningKey, VerifyingKey } from '../crypto.js';
import { type Endpoint, type EndpointSource, isUsableEndpoint } from './endpoint.js';
import { integerField, listField, octetsField } from './fields.js';
import { formatIp, isIpv4Bytes, parseIp } from './ip.js';
import type { NetworkId } from './network.js';
import { decodeNodeCertificate, type NodeCertificate } from './node-certificate.js';
import { isSignedBy, maxStatementLength, readStatement, type Statement, signStatement } from './statement.js';

/** Where a node says it may be reached. */
export interface RecordedEndpoint extends Endpoint {
  readonly source: EndpointSource;
  /** A peer has dialled it back from outside (docs/protocol/reachability.md). */
  readonly proven: boolean;
}

/**
 * What the directory holds of a node, signed by the node itself. A Statement labelled "weft endpoint record", with the fields
 * node (its certificate), seq, inc (8 octets), endpoints: [[address 4 or 16 octets, port, source, proven 0 or 1], ...].
 */
export interface EndpointRecord extends Statement {
  readonly node: NodeCertificate;
  /** Of two records of a node the one with the higher number is the newer. */
  readonly sequence: number;
  /** 8 octets: which start of the node's process says so. */
  readonly incarnation: Uint8Array;
  readonly endpoints: readonly RecordedEndpoint[];
}

export const maxRecordedEndpoints = 8;
export const incarnationLength = 8;

/** Far beyond any life of a node, and far below where adding one is no longer exact. */
const maxSequence = 2 ** 48;

/** The order is the wire's: sources are sent by their place here. */
const sources: readonly EndpointSource[] = ['configured', 'local', 'upnp', 'nat-pmp', 'observed'];

/** Signed by the node; endpoints beyond the first `maxRecordedEndpoints` and those no stranger may dial are left out. */
export function signEndpointRecord(
  network: NetworkId,
  nodeKey: SigningKey,
  about: Pick<EndpointRecord, 'node' | 'sequence' | 'incarnation' | 'endpoints'>,
): EndpointRecord {
  const endpoints = about.endpoints.filter(isUsableEndpoint).slice(0, maxRecordedEndpoints);
  const bytes = signStatement('weft endpoint record', network, nodeKey, {
    node: about.node.bytes,
    seq: about.sequence,
    inc: about.incarnation,
    endpoints: endpoints.map(recordedEndpointToCbor),
  });
  return decodeEndpointRecord(bytes)!;
}

/** Shape only; `isSignedByItsNode` and the chain of its certificate verify. */
export function decodeEndpointRecord(bytes: Uint8Array): EndpointRecord | undefined {
  const statement = readStatement(bytes);
  if (!statement) return undefined;
  const { fields } = statement;
  const node = decodeNodeCertificate(octetsField(fields, 'node', 1, maxStatementLength) ?? new Uint8Array(0));
  const sequence = integerField(fields, 'seq', 0, maxSequence);
  const incarnation = octetsField(fields, 'inc', incarnationLength);
  const endpoints = listField(fields, 'endpoints', maxRecordedEndpoints, recordedEndpointFromCbor);
  if (!node || sequence === undefined || !incarnation || !endpoints) return undefined;
  return { ...statement, node, sequence, incarnation, endpoints };
}

export function isSignedByItsNode(network: NetworkId, record: EndpointRecord): boolean {
  return isSignedBy(record, 'weft endpoint record', network, VerifyingKey.from(record.node.key));
}

/** [address, port]: 4 octets for IPv4, 16 for IPv6. */
export function endpointToCbor(endpoint: Endpoint): [Uint8Array, number] {
  const bytes = parseIp(endpoint.address);
  if (!bytes) throw new RangeError('not an endpoint');
  return [isIpv4Bytes(bytes) ? bytes.slice(12) : bytes, endpoint.port];
}

/** The inverse, for endpoints a stranger may be told to send to. */
export function endpointFromCbor(value: CborValue | undefined): Endpoint | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined;
  const [octets, port] = value;
  if (!(octets instanceof Uint8Array) || typeof port !== 'number' || !Number.isInteger(port)) return undefined;
  if (octets.length !== 4 && octets.length !== 16) return undefined;
  const bytes = new Uint8Array(16);
  if (octets.length === 4) bytes.fill(0xff, 10, 12);
  bytes.set(octets, 16 - octets.length);
  const endpoint = { address: formatIp(bytes), port };
  return isUsableEndpoint(endpoint) ? endpoint : undefined;
}

function recordedEndpointToCbor(endpoint: RecordedEndpoint): CborValue {
  return [...endpointToCbor(endpoint), sources.indexOf(endpoint.source), endpoint.proven ? 1 : 0];
}

function recordedEndpointFromCbor(value: CborValue): RecordedEndpoint | undefined {
  if (!Array.isArray(value)) return undefined;
  const endpoint = endpointFromCbor(value);
  const [, , sourceIndex, proven] = value;
  const source = typeof sourceIndex === 'number' ? sources[sourceIndex] : undefined;
  if (!endpoint || !source || (proven !== 0 && proven !== 1)) return undefined;
  return { ...endpoint, source, proven: proven === 1 };
}
