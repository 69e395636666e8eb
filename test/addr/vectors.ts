import { appAddress } from '../../src/addr/app-address.js';
import { encodeChain } from '../../src/addr/certificate-chain.js';
import { signEndpointRecord } from '../../src/addr/endpoint-record.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { encodeInvitation, type Invitation } from '../../src/addr/invitation.js';
import { formatIp } from '../../src/addr/ip.js';
import { issueIssuerCertificate } from '../../src/addr/issuer-certificate.js';
import { Network } from '../../src/addr/network.js';
import { issueNodeCertificate } from '../../src/addr/node-certificate.js';
import { nodeAddress, nodePrefix } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { revokeIssuer, revokeNode } from '../../src/addr/revocation.js';
import type { TlsEndpoint } from '../../src/addr/tls-endpoint.js';
import { certificateLifetime } from '../../src/addr/validity.js';
import { toHex } from '../../src/bytes.js';
import { AgreementKey, SigningKey, signed, VerifyingKey } from '../../src/crypto.js';
import { sealWithPassphrase } from '../../src/passphrase.js';
import { seededRandom } from '../../src/random.js';
import { signedOctets } from '../../src/routing/admission.js';

const issued = 1_795_000_000;

/** A small network whose every key is known: private octets all alike, 1 to 5. */
export function knownNetwork() {
  const networkKey = new SigningKey(new Uint8Array(32).fill(1));
  const network = new Network(VerifyingKey.from(networkKey.publicKey)!);
  const identityOf = (key: number, dh: number) =>
    new NodeIdentity(new SigningKey(new Uint8Array(32).fill(key)), new AgreementKey(new Uint8Array(32).fill(dh)));
  const issuerIdentity = identityOf(2, 3);
  const identity = identityOf(4, 5);
  const issuer = issueIssuerCertificate(network, networkKey, {
    index: 1,
    key: issuerIdentity.signing.publicKey,
    dh: issuerIdentity.agreement.publicKey,
    number: 0x01_0000,
    issued,
  });
  const node = issueNodeCertificate(network.id, issuerIdentity.signing, {
    key: identity.signing.publicKey,
    dh: identity.agreement.publicKey,
    number: 0x01_0203,
    name: 'attic',
    lan: [parsePrefix('192.0.2.0/24')!, parsePrefix('2001:db8:7::/48')!],
    issued,
    expires: issued + certificateLifetime,
    issuer: 1,
  });
  return { networkKey, network, issuerIdentity, identity, issuer, node, issued };
}

export function knownInvitation(): Invitation {
  const { network, issuer, identity } = knownNetwork();
  return {
    network: network.publicKey,
    issuer: issuer.number,
    dh: issuer.dh,
    id: new Uint8Array(8).fill(6),
    secret: new Uint8Array(16).fill(7),
    expires: issued + 86_400,
    name: 'cellar',
    members: [
      { number: 0x01_0203, dh: identity.agreement.publicKey, endpoint: { address: '192.0.2.1', port: 16696 } },
      { number: 0x01_0000, dh: issuer.dh, endpoint: { address: '2001:db8::1', port: 4000 } },
    ],
  };
}

export const knownTls: readonly TlsEndpoint[] = [
  { address: '192.0.2.1', port: 443, name: 'weft.example.net' },
  { address: '2001:db8::5', port: 8443, name: undefined },
];

/** The same, where the first member takes TLS connections. */
export function knownTlsInvitation(): Invitation {
  const invitation = knownInvitation();
  const [first, ...others] = invitation.members;
  return { ...invitation, members: [{ ...first!, tls: knownTls[0]! }, ...others] };
}

export function knownRecord(sequence = 7, tls: readonly TlsEndpoint[] = []) {
  const { network, identity, node } = knownNetwork();
  return signEndpointRecord(network.id, identity.signing, {
    node,
    sequence,
    incarnation: new Uint8Array(8).fill(8),
    endpoints: [
      { address: '192.0.2.1', port: 16696, source: 'nat-pmp', proven: true },
      { address: '2001:db8::5', port: 16696, source: 'local', proven: false },
    ],
    tls,
  });
}

/** What the node signs of its own /64, and as the egress of a LAN prefix it is granted, under router-id and seqno. */
function originVectors() {
  const { network, identity, node } = knownNetwork();
  const own = signedOctets(nodePrefix(network.prefix, node.number), 0x01_0203_00, 1, 5, 0);
  const lan = signedOctets(parsePrefix('192.0.2.0/24')!, 0x0a0b0c0d, 0x0e0f1011, 9, node.number);
  const signatureOf = (octets: Uint8Array) => toHex(identity.signing.sign(signed('weft origin', network.id, octets)));
  return {
    originOctets: toHex(own),
    originSignature: signatureOf(own),
    egressOctets: toHex(lan),
    egressSignature: signatureOf(lan),
  };
}

/** Salt 00 01 .. 0f, nonce 00 01 .. 0b. */
const counting = { ...seededRandom(1), bytes: (length: number) => Uint8Array.from({ length }, (_, i) => i) };

/** What test/vectors/addr.json holds: text forms as they are, octets in hex. */
export function addrVectors() {
  const { networkKey, network, issuerIdentity, identity, issuer, node } = knownNetwork();
  return {
    about:
      'Private octets: network key 01.., issuer signing 02.. agreement 03.., node signing 04.. agreement 05..; ' +
      'passphraseCopy: 01 02 03 under "correct horse battery", salt 00 01 .. 0f, nonce 00 01 .. 0b',
    networkPublicKey: toHex(network.publicKey),
    networkId: toHex(network.id),
    networkPrefix: String(network.prefix),
    issuerPrefix: String(issuer.prefix),
    nodeId: identity.id,
    nodePrefix: String(nodePrefix(network.prefix, node.number)),
    nodeAddress: formatIp(nodeAddress(network.prefix, node.number)),
    appAddressOfWeb: formatIp(appAddress(network.prefix, node.number, 'web')),
    issuerCertificate: toHex(issuer.bytes),
    nodeCertificate: toHex(node.bytes),
    chain: toHex(encodeChain({ issuer, node })),
    nodeRevocation: toHex(
      revokeNode(network.id, issuerIdentity.signing, { key: identity.signing.publicKey, at: issued }).bytes,
    ),
    issuerRevocation: toHex(
      revokeIssuer(network.id, networkKey, { key: issuerIdentity.signing.publicKey, at: issued, since: 0 }).bytes,
    ),
    endpointRecord: toHex(knownRecord().bytes),
    endpointRecordWithTls: toHex(knownRecord(8, knownTls).bytes),
    invitation: encodeInvitation(knownInvitation()),
    invitationWithTls: encodeInvitation(knownTlsInvitation()),
    ...originVectors(),
    passphraseCopy: toHex(sealWithPassphrase(counting, 'correct horse battery', Uint8Array.of(1, 2, 3))),
  };
}
