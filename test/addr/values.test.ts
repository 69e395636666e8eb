import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { appAddress } from '../../src/addr/app-address.js';
import { type CertificateChain, chainFault, decodeChain, encodeChain } from '../../src/addr/certificate-chain.js';
import { decodeEndpointRecord, isSignedByItsNode, signEndpointRecord } from '../../src/addr/endpoint-record.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { decodeInvitation, encodeInvitation, requireInvitation } from '../../src/addr/invitation.js';
import { formatIp } from '../../src/addr/ip.js';
import { decodeIssuerCertificate, issueIssuerCertificate } from '../../src/addr/issuer-certificate.js';
import { isName, nameFrom, requireName } from '../../src/addr/name.js';
import { issuerBits, issuerPrefix, Network, requireNetworkPrefix } from '../../src/addr/network.js';
import { decodeNodeCertificate, issueNodeCertificate, type NodeGrant } from '../../src/addr/node-certificate.js';
import { nodeAddress, nodeNumberOf, nodePrefix } from '../../src/addr/node-number.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { nodeKey, parseNodeKey } from '../../src/addr/public-key.js';
import { decodeRevocation, revokeIssuer, revokeNode } from '../../src/addr/revocation.js';
import { isSignedBy, readStatement, signStatement } from '../../src/addr/statement.js';
import { fromBase32, toBase32 } from '../../src/base32.js';
import { concatBytes, fromHex, utf8 } from '../../src/bytes.js';
import type { CborValue } from '../../src/cbor.js';
import { SigningKey, signed, VerifyingKey, verify } from '../../src/crypto.js';
import { MeshError } from '../../src/errors.js';
import { openWithPassphrase } from '../../src/passphrase.js';
import { seededRandom } from '../../src/random.js';
import { addrVectors, knownInvitation, knownNetwork, knownRecord, knownTls, knownTlsInvitation } from './vectors.js';

const codeOf = (act: () => unknown): string | undefined => {
  try {
    act();
    return undefined;
  } catch (error) {
    return error instanceof MeshError ? error.code : String(error);
  }
};

test('every value has the octets and the text it always had', (t) => {
  t.deepEqual(addrVectors(), JSON.parse(readFileSync('test/vectors/addr.json', 'utf8')));
});

test('the octets and texts of the vectors read back as the values', (t) => {
  const read = JSON.parse(readFileSync('test/vectors/addr.json', 'utf8')) as Record<string, string>;
  const { network, issuer, node, issued, issuerIdentity, identity } = knownNetwork();
  const octets = (name: string) => fromHex(read[name]!)!;
  t.deepEqual(parseNodeKey(read.nodeId!), identity.signing.publicKey);
  t.deepEqual(parsePrefix(read.nodePrefix!), nodePrefix(network.prefix, node.number));
  t.deepEqual(decodeIssuerCertificate(octets('issuerCertificate')), issuer);
  t.deepEqual(decodeNodeCertificate(octets('nodeCertificate')), node);
  t.deepEqual(decodeChain(octets('chain')), { issuer, node });
  t.deepEqual(decodeEndpointRecord(octets('endpointRecord')), knownRecord());
  t.deepEqual(decodeEndpointRecord(octets('endpointRecordWithTls')), knownRecord(8, knownTls));
  t.deepEqual(decodeInvitation(read.invitation!), knownInvitation());
  t.deepEqual(decodeInvitation(read.invitationWithTls!), knownTlsInvitation());
  t.like(decodeRevocation(octets('nodeRevocation')), { kind: 'node', key: identity.signing.publicKey, at: issued });
  const revoked = { kind: 'issuer', key: issuerIdentity.signing.publicKey, at: issued, since: 0 };
  t.like(decodeRevocation(octets('issuerRevocation')), revoked);
  t.deepEqual(openWithPassphrase('correct horse battery', octets('passphraseCopy')), Uint8Array.of(1, 2, 3));
  t.is(openWithPassphrase('correct horse batterz', octets('passphraseCopy')), undefined);
  const origin = VerifyingKey.from(node.key)!;
  for (const name of ['origin', 'egress'])
    t.true(origin.verify(signed('weft origin', network.id, octets(`${name}Octets`)), octets(`${name}Signature`)), name);
});

test('the address plan: fd and 32 bits, sub-prefixes of issuers, one /64 a node', (t) => {
  const { network, issuer, node } = knownNetwork();
  t.is(network.prefix.length, 40);
  t.is(network.prefix.bytes[0], 0xfd);
  t.deepEqual(network.prefix.bytes.slice(1, 5), network.id.slice(0, 4));
  t.is(issuer.prefix.length, 48);
  t.true(issuer.prefix.covers(nodePrefix(network.prefix, node.number)));
  t.is(nodeNumberOf(network.prefix, nodeAddress(network.prefix, node.number)), node.number);
});

test('an app keeps its address, above every address the operator may hand out', (t) => {
  const { network } = knownNetwork();
  const web = appAddress(network.prefix, 5, 'web');
  t.deepEqual(appAddress(network.prefix, 5, 'web'), web);
  t.notDeepEqual(appAddress(network.prefix, 5, 'wiki'), web);
  t.true(web[8]! >= 0x80);
  t.true(nodeAddress(network.prefix, 5)[8]! < 0x80);
  t.is(nodeNumberOf(network.prefix, web), 5);
});

test('sub-prefixes of a network of any size are disjoint and fill it', (t) => {
  t.is(issuerBits(parsePrefix('fd00::/40')!), 8);
  t.is(issuerBits(parsePrefix('fd00::/56')!), 2);
  for (let length = 40; length <= 56; length++) {
    const network = new Prefix(parsePrefix('fd12:3456:7800::/40')!.bytes, length);
    const count = 2 ** issuerBits(network);
    const keys = new Set<string>();
    for (let index = 0; index < count; index++) {
      const sub = issuerPrefix(network, index)!;
      t.true(network.covers(sub) && sub.length <= 58);
      keys.add(sub.key);
    }
    t.is(keys.size, count);
    t.is(issuerPrefix(network, count), undefined);
    t.is(issuerPrefix(network, -1), undefined);
  }
});

test('an own prefix is taken from /40 to /56, unicast only', (t) => {
  t.is(String(requireNetworkPrefix('2001:db8:1200::/40')), '2001:db8:1200::/40');
  for (const text of ['fd00::/39', 'fd00::/57', 'ff00::/40', 'fe80::/48', '10.0.0.0/8', 'fd00::1/48', '::/48', 'no']) {
    t.is(
      codeOf(() => requireNetworkPrefix(text)),
      'bad-prefix',
      text,
    );
  }
});

test('names are DNS labels', (t) => {
  for (const name of ['a', 'attic', 'a-1', '0', 'a'.repeat(63)]) t.true(isName(name), name);
  for (const name of ['', '-a', 'a-', 'A', 'a.b', 'a_b', 'ä', 'a'.repeat(64), 'a\n']) t.false(isName(name), name);
  t.is(requireName('Attic'), 'attic');
  t.is(
    codeOf(() => requireName('a b')),
    'bad-name',
  );
  fc.assert(fc.property(fc.string(), (text) => isName(nameFrom(text))));
  t.is(nameFrom('Attic.example.org'), 'attic');
});

test('public keys keep their text', (t) => {
  const key = SigningKey.make(seededRandom(1)).publicKey;
  t.is(nodeKey(key).length, 52);
  t.deepEqual(parseNodeKey(nodeKey(key)), key);
  t.is(parseNodeKey(nodeKey(new Uint8Array(32))), undefined);
  t.is(parseNodeKey(nodeKey(key).slice(1)), undefined);
});

test('base32 goes there and back, and has one text a value', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => {
      t.deepEqual(fromBase32(toBase32(octets).toUpperCase()), octets);
    }),
  );
  for (const text of ['a', 'ab1', 'zz', 'aaa', '0000']) t.is(fromBase32(text), undefined, text);
});

test('an identity file gives the same keys, a half-written one none', (t) => {
  const identity = NodeIdentity.make(seededRandom(1));
  const octets = identity.encode();
  t.is(NodeIdentity.decode(octets)?.id, identity.id);
  t.deepEqual(NodeIdentity.decode(octets)?.agreement.publicKey, identity.agreement.publicKey);
  for (let length = 0; length < octets.length; length++) {
    t.is(NodeIdentity.decode(octets.subarray(0, length)), undefined);
  }
});

// ---- what is signed ----

const known = knownNetwork();

function grant(changes: Partial<NodeGrant> = {}): NodeGrant {
  const { identity, issued } = known;
  const base = { key: identity.signing.publicKey, dh: identity.agreement.publicKey, number: 0x01_0203, name: 'attic' };
  return { ...base, issued, expires: issued + 10, issuer: 1, ...changes };
}

const chainOf = (changes: Partial<NodeGrant>, signer = known.issuerIdentity.signing): CertificateChain => ({
  issuer: known.issuer,
  node: issueNodeCertificate(known.network.id, signer, grant(changes)),
});

test('a chain holds against the network key only', (t) => {
  const { network, issuer, node } = known;
  t.is(chainFault(network, { issuer, node }), undefined);
  const stranger = new Network(VerifyingKey.from(SigningKey.make(seededRandom(9)).publicKey)!, network.prefix);
  t.is(chainFault(stranger, { issuer, node }), 'issuer-not-of-network');
  const other = new Network(network.key, parsePrefix('fd00::/40')!);
  t.is(chainFault(other, { issuer, node }), 'issuer-not-of-network');
});

test('a certificate signed by another key, or outside its issuer’s sub-prefix, is void', (t) => {
  const { network } = known;
  t.is(chainFault(network, chainOf({}, SigningKey.make(seededRandom(3)))), 'not-signed-by-issuer');
  t.is(chainFault(network, chainOf({ number: 0x02_0203 })), 'outside-sub-prefix');
  t.is(chainFault(network, chainOf({ number: 0x00_ffff })), 'outside-sub-prefix');
  t.is(chainFault(network, chainOf({ issuer: 2 })), 'outside-sub-prefix');
  t.is(chainFault(network, chainOf({ number: 0x01_ffff })), undefined);
});

test('a number beyond a small network is void, not folded into it', (t) => {
  const { networkKey, issuerIdentity } = known;
  const small = new Network(known.network.key, parsePrefix('fd00:0:0:100::/56')!);
  const issuer = issueIssuerCertificate(small, networkKey, {
    index: 0,
    key: issuerIdentity.signing.publicKey,
    dh: issuerIdentity.agreement.publicKey,
    number: 1,
    issued: known.issued,
  });
  const node = (number: number) => issueNodeCertificate(small.id, issuerIdentity.signing, grant({ number, issuer: 0 }));
  t.is(chainFault(small, { issuer, node: node(0x3f) }), undefined);
  t.is(chainFault(small, { issuer, node: node(0x40) }), 'outside-sub-prefix');
  t.is(chainFault(small, { issuer, node: node(0x101) }), 'outside-sub-prefix');
});

test('a granted LAN prefix may not reach into the network', (t) => {
  const { network } = known;
  for (const lan of [network.prefix, nodePrefix(network.prefix, 9), parsePrefix('::/0')!, parsePrefix('fc00::/7')!]) {
    t.is(chainFault(network, chainOf({ lan: [lan] })), 'lan-inside-network', String(lan));
  }
  t.is(chainFault(network, chainOf({ lan: [parsePrefix('10.0.0.0/8')!] })), undefined);
});

test('a grant a certificate cannot carry is our bug', (t) => {
  for (const changes of [
    { number: 0 },
    { number: 0x100_0000 },
    { name: 'Bad Name' },
    { key: new Uint8Array(32) },
    { dh: new Uint8Array(32) },
    { expires: 0 },
    { roles: new Array<string>(9).fill('a') },
    { lan: new Array<Prefix>(17).fill(parsePrefix('10.0.0.0/8')!) },
  ]) {
    t.throws(() => chainOf(changes), { instanceOf: RangeError });
  }
});

test('fields a newer version adds survive, and the signature keeps fitting', (t) => {
  const { network, issuerIdentity, identity, issued } = known;
  const key = VerifyingKey.from(issuerIdentity.signing.publicKey)!;
  const bytes = signStatement('weft node certificate', network.id, issuerIdentity.signing, {
    hue: [1, 'blue'],
    key: identity.signing.publicKey,
    dh: identity.agreement.publicKey,
    number: 0x01_0001,
    name: 'new',
    issued,
    expires: issued + 1,
    issuer: 1,
  });
  const read = decodeNodeCertificate(bytes)!;
  t.deepEqual(read.bytes, bytes);
  t.deepEqual(read.fields.hue, [1, 'blue']);
  t.true(isSignedBy(read, 'weft node certificate', network.id, key));
  const forwarded = decodeChain(encodeChain({ issuer: known.issuer, node: read }))!;
  t.is(chainFault(network, forwarded), undefined);
});

test('a statement of one kind is none of another kind or network', (t) => {
  const { network, issuerIdentity, identity, node } = known;
  const key = VerifyingKey.from(issuerIdentity.signing.publicKey)!;
  const revocation = revokeNode(network.id, issuerIdentity.signing, { key: identity.signing.publicKey, at: 1 });
  t.true(isSignedBy(revocation, 'weft node revocation', network.id, key));
  t.false(isSignedBy(revocation, 'weft issuer revocation', network.id, key));
  t.false(isSignedBy(node, 'weft node revocation', network.id, key));
  t.false(isSignedBy(node, 'weft node certificate', new Uint8Array(32), key));
});

test('revocations say what they are about', (t) => {
  const { network, networkKey, issuerIdentity, identity } = known;
  const about = identity.signing.publicKey;
  const node = decodeRevocation(revokeNode(network.id, issuerIdentity.signing, { key: about, at: 5 }).bytes);
  t.like(node, { kind: 'node', key: about, by: issuerIdentity.signing.publicKey, at: 5 });
  const issuer = decodeRevocation(revokeIssuer(network.id, networkKey, { key: about, at: 6, since: 3 }).bytes);
  t.like(issuer, { kind: 'issuer', key: about, at: 6, since: 3 });
});

test('a record is signed by the node it is about', (t) => {
  const { network } = known;
  const record = decodeEndpointRecord(knownRecord().bytes)!;
  t.true(isSignedByItsNode(network.id, record));
  t.is(record.sequence, 7);
  t.deepEqual(record.endpoints[0], { address: '192.0.2.1', port: 16696, source: 'nat-pmp', proven: true });
  const forged = signStatement('weft endpoint record', network.id, SigningKey.make(seededRandom(4)), record.fields);
  t.false(isSignedByItsNode(network.id, decodeEndpointRecord(forged)!));
});

test('an endpoint no stranger may be told to send to makes the record void', (t) => {
  const { network, identity } = known;
  const record = knownRecord();
  for (const address of ['7f000001', 'e0000001', '00000000', 'a9fe0001']) {
    const endpoints = [[fromHex(address)!, 16696, 0, 0]];
    const bytes = signStatement('weft endpoint record', network.id, identity.signing, { ...record.fields, endpoints });
    t.is(decodeEndpointRecord(bytes), undefined, address);
  }
});

test('an endpoint that is none makes the record void and throws nothing', (t) => {
  const { network, identity } = known;
  const record = knownRecord();
  const good = [fromHex('c0000201')!, 16696, 0, 0];
  const others: CborValue[] = [null, 0, -1, 'x', true, {}, [], [null], [good, good], good.slice(0, 2)];
  for (const item of others) {
    const fields = { ...record.fields, endpoints: [good, item] };
    t.is(decodeEndpointRecord(signStatement('weft endpoint record', network.id, identity.signing, fields)), undefined);
  }
});

const serverNames = fc
  .tuple(fc.stringMatching(/^[a-z0-9-]{1,20}$/), fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/))
  .map((labels) => labels.join('.'));
const tlsEndpointsOf = fc.array(
  fc.record({
    address: fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 126 }), fc.nat(255)).map(([a, b]) => `${a}.${b}.0.1`),
      fc.integer({ min: 1, max: 0xffff }).map((group) => `2001:db8::${group.toString(16)}`),
    ),
    port: fc.integer({ min: 1, max: 65535 }),
    name: fc.option(serverNames, { nil: undefined }),
  }),
  { maxLength: 2 },
);

test('whatever a node tells of TLS is read as it was told', (t) => {
  fc.assert(
    fc.property(tlsEndpointsOf, fc.nat(2 ** 40), (tls, sequence) => {
      const record = knownRecord(sequence, tls);
      t.deepEqual(record.tls, tls);
      t.is('tls' in record.fields, tls.length > 0, 'a node without it says nothing of it');
      t.true(isSignedByItsNode(known.network.id, record));
    }),
  );
});

test('more places for TLS than two are not told, nor one no stranger may dial, nor a name that is none', (t) => {
  const at = (address: string, name?: string) => ({ address, port: 443, name });
  const tls = [at('127.0.0.1'), at('192.0.2.1', '192.0.2.1'), at('192.0.2.2', 'NO'), at('192.0.2.3')];
  t.deepEqual(knownRecord(1, tls).tls, [at('192.0.2.1'), at('192.0.2.2')]);
});

test('a record that holds no place for TLS any more is told without', (t) => {
  const { network, identity } = known;
  const lan = Array.from({ length: 16 }, (_, i) => parsePrefix(`2001:db8:${i + 1}:2:3:4:5:6/128`)!);
  const roles = Array.from({ length: 5 }, (_, i) => `${i}`.repeat(30));
  const { issuerIdentity, issued } = known;
  const node = issueNodeCertificate(network.id, issuerIdentity.signing, {
    ...{ key: identity.signing.publicKey, dh: identity.agreement.publicKey, number: 0x01_0203, issuer: 1 },
    ...{ name: 'a'.repeat(63), lan, roles, issued, expires: issued + 1 },
  });
  const at = (i: number) =>
    ({ address: `2001:db8:1:2:3:4:5:${i + 1}`, port: 16696, source: 'local', proven: false }) as const;
  const endpoints = Array.from({ length: 6 }, (_, i) => at(i));
  const record = (name: string) =>
    signEndpointRecord(network.id, identity.signing, {
      ...{ node, sequence: 1, incarnation: new Uint8Array(8), endpoints },
      tls: [{ address: '192.0.2.1', port: 443, name }],
    });
  t.is(record(`${'a'.repeat(58)}.net`).tls.length, 0);
  t.is(record(`${'a'.repeat(58)}.net`).endpoints.length, endpoints.length);
  t.is(record('a.net').tls.length, 1);
});

test('a place for TLS that is none, or one too many, makes the record void and throws nothing', (t) => {
  const { network, identity } = known;
  const { fields } = knownRecord(8, knownTls);
  const good = [fromHex('c0000201')!, 443];
  const decoded = (tls: CborValue) =>
    decodeEndpointRecord(signStatement('weft endpoint record', network.id, identity.signing, { ...fields, tls }));
  t.truthy(decoded([good]));
  const later = signStatement('weft endpoint record', network.id, identity.signing, { ...fields, quic: [good] });
  t.deepEqual(
    decodeEndpointRecord(later)?.tls,
    knownTls,
    'a field of a newer version is left alone, as older ones leave this one',
  );
  t.truthy(decoded([[...good, 'a.example.net', 'of a newer version']]));
  const bad: CborValue[] = [
    ...[0, 'x', true, {}, [null], [[]], [good[0]!], [[good[0]!]], [good, good, good]],
    ...['', 'a', 'A.example.net', 'a..net', '192.0.2.1', `${'a'.repeat(64)}.net`, 7, null, good[0]!].map((name) => [
      [...good, name],
    ]),
    ...['7f000001', 'e0000001', '00000000', 'a9fe0001', 'c00002'].map((address) => [[fromHex(address)!, 443]]),
    ...[0, 65_536, -1, '443'].map((port) => [[good[0]!, port]]),
  ];
  for (const tls of bad) t.is(decoded(tls), undefined, JSON.stringify(tls));
});

test('an invitation whose place for TLS is none is void', (t) => {
  const invitation = knownTlsInvitation();
  t.deepEqual(decodeInvitation(encodeInvitation(invitation)), invitation);
  const [member] = invitation.members;
  const unusable = {
    ...invitation,
    members: [{ ...member!, tls: { address: '127.0.0.1', port: 443, name: undefined } }],
  };
  t.is(decodeInvitation(encodeInvitation(unusable))!.members[0]!.tls, undefined, 'it is not even written');
});

// ---- garbage ----

const decoders = {
  issuer: [known.issuer.bytes, decodeIssuerCertificate],
  node: [known.node.bytes, decodeNodeCertificate],
  chain: [encodeChain(known), decodeChain],
  record: [knownRecord().bytes, decodeEndpointRecord],
  nodeRevocation: [fromHex(addrVectors().nodeRevocation)!, decodeRevocation],
  issuerRevocation: [fromHex(addrVectors().issuerRevocation)!, decodeRevocation],
} as const;

for (const [name, [bytes, decode]] of Object.entries(decoders)) {
  test(`${name}: truncated at every length, or longer, it is nothing`, (t) => {
    t.truthy(decode(bytes));
    for (let length = 0; length < bytes.length; length++) t.is(decode(bytes.subarray(0, length)), undefined);
    t.is(decode(concatBytes(bytes, Uint8Array.of(0))), undefined);
  });

  test(`${name}: garbage gives nothing and throws nothing`, (t) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1400 }), (octets) => {
        t.is(decode(octets), undefined);
        decode(concatBytes(bytes.subarray(0, 64), octets));
      }),
      { numRuns: 200 },
    );
  });
}

test('no bit of a signed thing can be changed', (t) => {
  const { network, issuerIdentity, issuer, node } = known;
  const issuerKey = issuerIdentity.signing.publicKey;
  const holds = (bytes: Uint8Array, what: 'issuer' | 'node') => {
    const chain =
      what === 'issuer'
        ? { issuer: decodeIssuerCertificate(bytes), node }
        : { issuer, node: decodeNodeCertificate(bytes) };
    return chain.issuer && chain.node && chainFault(network, chain as CertificateChain) === undefined;
  };
  for (const what of ['issuer', 'node'] as const) {
    const bytes = known[what].bytes;
    t.true(holds(bytes, what));
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1 << (at & 7);
      t.falsy(holds(changed, what));
    }
  }
  t.false(verify(issuerKey, utf8('x'), node.bytes.subarray(0, 64)));
});

test('statements longer than any control message are not read', (t) => {
  t.is(readStatement(new Uint8Array(64)), undefined);
  t.is(readStatement(concatBytes(new Uint8Array(64), Uint8Array.of(0x41, 0))), undefined);
  t.truthy(readStatement(concatBytes(new Uint8Array(64), Uint8Array.of(0xa0))));
  t.is(readStatement(new Uint8Array(1025)), undefined);
});

// ---- invitations ----

test('a token survives line breaks, spaces and capitals', (t) => {
  const text = encodeInvitation(knownInvitation());
  t.regex(text, /^weft1[a-z2-7]+$/);
  t.deepEqual(decodeInvitation(text), knownInvitation());
  const mangled = `  ${text.toUpperCase().replace(/(.{60})/g, '$1\r\n ')}\n`;
  t.deepEqual(decodeInvitation(mangled), knownInvitation());
});

test('a token cut short or mistyped anywhere is malformed', (t) => {
  const text = encodeInvitation(knownInvitation());
  for (let length = 0; length < text.length; length++) t.is(decodeInvitation(text.slice(0, length)), undefined);
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === 'b' ? 'c' : 'b';
    t.is(decodeInvitation(text.slice(0, at) + other + text.slice(at + 1)), undefined);
  }
  t.is(
    codeOf(() => requireInvitation('weft1nonsense')),
    'token-malformed',
  );
  t.is(
    codeOf(() => requireInvitation('a'.repeat(10_000))),
    'token-malformed',
  );
});

test('any invitation goes there and back', (t) => {
  const { issuer, network } = known;
  const endpoint = fc.record({
    address: fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 126 }), fc.nat(255), fc.nat(255)).map(([a, b, c]) => `${a}.${b}.${c}.9`),
      fc.uint8Array({ minLength: 8, maxLength: 8 }).map((low) => {
        const bytes = new Uint8Array(16).fill(0x20, 0, 1);
        bytes.set(low, 8);
        return formatIp(bytes);
      }),
    ),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  const member = fc.record({
    number: fc.integer({ min: 1, max: 0xff_ffff }),
    dh: fc.constant(issuer.dh),
    endpoint,
  });
  const invitation = fc.record({
    network: fc.constant(network.publicKey),
    issuer: fc.integer({ min: 1, max: 0xff_ffff }),
    dh: fc.constant(issuer.dh),
    id: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    secret: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    expires: fc.nat(2 ** 40),
    name: fc.option(fc.string().map(nameFrom), { nil: undefined }),
    members: fc.array(member, { maxLength: 4 }),
  });
  fc.assert(
    fc.property(invitation, (value) => {
      t.deepEqual(decodeInvitation(encodeInvitation(value)), value);
    }),
    { numRuns: 100 },
  );
});
