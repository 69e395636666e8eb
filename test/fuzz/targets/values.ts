import { decodeChain, encodeChain } from '../../../src/addr/certificate-chain.js';
import { parseEndpoint } from '../../../src/addr/endpoint.js';
import { decodeEndpointRecord } from '../../../src/addr/endpoint-record.js';
import { NodeIdentity } from '../../../src/addr/identity.js';
import { decodeInvitation, encodeInvitation, requireInvitation } from '../../../src/addr/invitation.js';
import { formatIp, parseIp } from '../../../src/addr/ip.js';
import { decodeIssuerCertificate } from '../../../src/addr/issuer-certificate.js';
import { decodeNodeCertificate } from '../../../src/addr/node-certificate.js';
import { parsePrefix } from '../../../src/addr/prefix.js';
import { parseNodeKey } from '../../../src/addr/public-key.js';
import { decodeRevocation } from '../../../src/addr/revocation.js';
import { readStatement } from '../../../src/addr/statement.js';
import { equalBytes, fromHex, utf8 } from '../../../src/bytes.js';
import { decodeCbor, encodeCbor } from '../../../src/cbor.js';
import { decodeSeeds, encodeSeeds } from '../../../src/control/seeds.js';
import { decodeStoredSeqno, encodeStoredSeqno } from '../../../src/control/stored-seqno.js';
import { MeshError } from '../../../src/errors.js';
import { addrVectors, knownInvitation, knownNetwork } from '../../addr/vectors.js';
import { promise, type Target } from '../target.js';

const vectors = addrVectors();
const octets = (hex: string) => fromHex(hex)!;
const text = (input: Uint8Array) => Buffer.from(input).toString('latin1');

const cbor: Target = {
  name: 'cbor',
  files: ['src/cbor.js'],
  seeds: [
    encodeCbor({
      t: 'hello',
      a: new Uint8Array(16),
      p: 16696,
      list: [1, -1, 2 ** 40, null, true, 'x'],
      deep: [[[[]]]],
    }),
    Uint8Array.of(0x9f, 0xff),
    Uint8Array.of(0xfb, 0, 0, 0, 0, 0, 0, 0, 0),
    Uint8Array.of(0xc1, 0x1a, 0, 0, 0, 0),
  ],
  make: () => (input) => {
    const value = decodeCbor(input);
    if (value === undefined) return;
    const again = encodeCbor(value);
    // Encoding may be longer than what was read (shorter forms exist), never beyond what one length octet more costs.
    promise(again.length <= 9 * input.length, 'CBOR grows no more than its heads allow');
  },
};

const certificates: Target = {
  name: 'certificates',
  files: [
    'addr/statement.js',
    'addr/fields.js',
    'addr/node-certificate.js',
    'addr/issuer-certificate.js',
    'addr/certificate-chain.js',
    'addr/revocation.js',
    'addr/endpoint-record.js',
    'addr/endpoint-cbor.js',
    'addr/tls-endpoint.js',
    'addr/prefix-codec.js',
  ],
  seeds: [
    vectors.chain,
    vectors.nodeCertificate,
    vectors.issuerCertificate,
    vectors.nodeRevocation,
    vectors.issuerRevocation,
    vectors.endpointRecord,
    vectors.endpointRecordWithTls,
  ].map(octets),
  make: () => (input) => {
    readStatement(input);
    const certificate = decodeNodeCertificate(input);
    if (certificate) promise(equalBytes(certificate.bytes, input), 'a certificate is kept as it came');
    const issuer = decodeIssuerCertificate(input);
    if (issuer) promise(equalBytes(issuer.bytes, input), 'an issuer is kept as it came');
    const chain = decodeChain(input);
    if (chain) encodeChain(chain);
    decodeRevocation(input);
    const record = decodeEndpointRecord(input);
    if (record) promise(record.endpoints.length + record.tls.length <= 64, 'a record holds few endpoints');
  },
};

const invitations: Target = {
  name: 'invitations',
  files: ['addr/invitation.js', 'src/base32.js'],
  seeds: [
    utf8(vectors.invitation),
    utf8(vectors.invitationWithTls),
    utf8(encodeInvitation({ ...knownInvitation(), members: [] })),
  ],
  make: () => (input) => {
    decodeInvitation(text(input));
    try {
      requireInvitation(text(input));
    } catch (error) {
      promise(error instanceof MeshError, 'a bad token is an error in words');
    }
  },
};

const addresses: Target = {
  name: 'addresses',
  files: ['addr/ip.js', 'addr/prefix.js', 'addr/endpoint.js', 'addr/public-key.js'],
  seeds: [
    '192.0.2.1:16696',
    '[2001:db8::1]:4000',
    'fd77:6566:7400::/40',
    '::ffff:1.2.3.4',
    '10.0.0.0/8',
    vectors.nodeId,
    'host',
  ].map(utf8),
  make: () => (input) => {
    const words = text(input);
    const address = parseIp(words);
    if (address) promise(equalBytes(parseIp(formatIp(address))!, address), 'an address survives being written');
    const prefix = parsePrefix(words);
    if (prefix) promise(parsePrefix(String(prefix))!.length === prefix.length, 'a prefix survives being written');
    parseEndpoint(words, 16696);
    parseNodeKey(words);
  },
};

const blobs: Target = {
  name: 'stored blobs',
  files: ['control/seeds.js', 'control/stored-seqno.js', 'addr/identity.js'],
  seeds: [
    encodeStoredSeqno({ epoch: 1_795_000_000, seqno: 65_535 }),
    encodeSeeds(knownInvitation().members),
    new Uint8Array(knownNetwork().identity.encode()),
  ],
  make: () => (input) => {
    decodeStoredSeqno(input);
    decodeSeeds(input);
    NodeIdentity.decode(input);
  },
};

export const valueTargets: readonly Target[] = [cbor, certificates, invitations, addresses, blobs];
