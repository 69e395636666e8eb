import type { CborValue } from '../cbor.js';
import { type SigningKey, VerifyingKey } from '../crypto.js';
import { type Endpoint, type EndpointSource, isPrivateEndpoint, isUsableEndpoint } from './endpoint.js';
import { endpointFromCbor, endpointToCbor } from './endpoint-cbor.js';
import { type FieldMap, integerField, listField, octetsField } from './fields.js';
import type { NetworkId } from './network.js';
import { decodeNodeCertificate, type NodeCertificate } from './node-certificate.js';
import {
  fitsStatement,
  isSignedBy,
  maxStatementLength,
  readStatement,
  type Statement,
  signStatement,
} from './statement.js';
import {
  announcedTls,
  maxTlsEndpoints,
  type TlsEndpoint,
  tlsEndpointFromCbor,
  tlsEndpointToCbor,
} from './tls-endpoint.js';

/** Where a node says it may be reached. */
export interface RecordedEndpoint extends Endpoint {
  readonly source: EndpointSource;
  /** A peer has dialled it back: a public one from outside our own network, a private one from its LAN (docs/protocol/reachability.md). */
  readonly proven: boolean;
}

/**
 * True where everybody gets in who has its family of addresses. A private one may be proven too, by a neighbour on its LAN: that says
 * nothing of those elsewhere.
 */
export function isOpen(endpoint: Endpoint & Pick<RecordedEndpoint, 'proven'>): boolean {
  return endpoint.proven && !isPrivateEndpoint(endpoint);
}

/**
 * What the directory holds of a node, signed by the node itself. A Statement labelled "weft endpoint record", with the
 * fields node (its certificate), seq, inc (8 octets), endpoints: [[address 4 or 16 octets, port, source, proven 0 or
 * 1], ...], and where it takes TLS connections tls: [[address, port, name?], ...] (src/addr/tls-endpoint.ts).
 */
export interface EndpointRecord extends Statement {
  readonly node: NodeCertificate;
  /** Of two records of a node the one with the higher number is the newer. */
  readonly sequence: number;
  /** 8 octets: which start of the node's process says so. */
  readonly incarnation: Uint8Array;
  readonly endpoints: readonly RecordedEndpoint[];
  /** Where it takes TLS connections; mostly nowhere. */
  readonly tls: readonly TlsEndpoint[];
}

const maxRecordedEndpoints = 8;
const incarnationLength = 8;

/** Far beyond any life of a node, and far below where adding one is no longer exact. */
const maxSequence = 2 ** 48;

/** The order is the wire's: sources are sent by their place here. */
const sources: readonly EndpointSource[] = ['configured', 'local', 'upnp', 'nat-pmp', 'observed'];

/**
 * Signed by the node; endpoints beyond the first `maxRecordedEndpoints` and those no stranger may dial are left out,
 * and those for TLS where the record would be too long with them.
 */
export function signEndpointRecord(
  network: NetworkId,
  nodeKey: SigningKey,
  about: Pick<EndpointRecord, 'node' | 'sequence' | 'incarnation' | 'endpoints' | 'tls'>,
): EndpointRecord {
  const endpoints = about.endpoints.filter(isUsableEndpoint).slice(0, maxRecordedEndpoints);
  const fields: FieldMap = {
    node: about.node.bytes,
    seq: about.sequence,
    inc: about.incarnation,
    endpoints: endpoints.map(recordedEndpointToCbor),
  };
  const tls = announcedTls(about.tls);
  const withTls = { ...fields, tls: tls.map(tlsEndpointToCbor) };
  const isTold = tls.length > 0 && fitsStatement(withTls);
  return decodeEndpointRecord(signStatement('weft endpoint record', network, nodeKey, isTold ? withTls : fields))!;
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
  const tls = listField(fields, 'tls', maxTlsEndpoints, tlsEndpointFromCbor);
  if (!node || sequence === undefined || !incarnation || !endpoints || !tls) return undefined;
  return { ...statement, node, sequence, incarnation, endpoints, tls };
}

export function isSignedByItsNode(network: NetworkId, record: EndpointRecord): boolean {
  return isSignedBy(record, 'weft endpoint record', network, VerifyingKey.from(record.node.key));
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
