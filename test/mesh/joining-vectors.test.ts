import { readFileSync } from 'node:fs';
import test from 'ava';
import { chainFault, decodeChain } from '../../src/addr/certificate-chain.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { decodeInvitation, type Invitation } from '../../src/addr/invitation.js';
import { issueIssuerCertificate } from '../../src/addr/issuer-certificate.js';
import { issueNodeCertificate } from '../../src/addr/node-certificate.js';
import { nodeKey } from '../../src/addr/public-key.js';
import { revokeNode } from '../../src/addr/revocation.js';
import { certificateLifetime } from '../../src/addr/validity.js';
import { fromHex, toHex, utf8 } from '../../src/bytes.js';
import { encodeCbor } from '../../src/cbor.js';
import { AgreementKey, aeadOpen, SigningKey, sha256, signed, verify } from '../../src/crypto.js';
import type { MeshEffect } from '../../src/mesh/effects.js';
import { Issuer } from '../../src/mesh/issuer.js';
import {
  decodeJoinDatagram,
  decodeJoinPlaintext,
  encodeJoinPlaintext,
  type JoinMessage,
  joinHeader,
  joinPrologue,
  transportPlaintextLength,
} from '../../src/mesh/join-datagram.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { JoinResponder } from '../../src/mesh/join-responder.js';
import { Membership } from '../../src/mesh/membership.js';
import { NoiseResponder } from '../../src/noise.js';
import { type Random, seededRandom } from '../../src/random.js';
import { knownNetwork } from '../addr/vectors.js';

/**
 * The joining exchange octet by octet, every key and every chance known (test/vectors/joining.json tells them), by the machines
 * that run it: each must make the octets of the vectors, and each must take them.
 */
const file = 'test/vectors/joining.json';
type Vectors = Readonly<Record<string, string>>;
const vectors = () => JSON.parse(readFileSync(file, 'utf8')) as Vectors;

const about =
  'Private octets all alike: network key 01, issuer signing 02 agreement 03, newcomer signing 0a agreement 0b; ephemeral keys: ' +
  'newcomer 0c, issuer 0d; exchange id 0c, token id and secret 0e. The clock says 1795000000; the newcomer asks the issuer ' +
  'itself and would be called cellar. Another issuer (12, 13) and a revocation are known. Refused: who has the token with ' +
  'id 0f (signing and agreement 1a, ephemeral and exchange 1c), and who comes second (1b, 1d).';

const clock = () => 1_795_000_000;
const filled = (octet: number): Random => ({
  ...seededRandom(octet),
  bytes: (length) => new Uint8Array(length).fill(octet),
});
const identityOf = (key: number, dh: number) =>
  new NodeIdentity(new SigningKey(new Uint8Array(32).fill(key)), new AgreementKey(new Uint8Array(32).fill(dh)));
const place = { address: '192.0.2.1', port: 16696 };

/** The issuer of the known network, which has admitted nobody, and a token of it. */
function issuing(): { responder: JoinResponder; issuer: Issuer; token: string } {
  const { networkKey, network, issuerIdentity, issuer: certificate, identity, issued } = knownNetwork();
  const own = {
    key: issuerIdentity.signing.publicKey,
    dh: issuerIdentity.agreement.publicKey,
    number: certificate.number,
    name: 'hall',
    issued,
    expires: issued + certificateLifetime,
    issuer: certificate.index,
  };
  const node = issueNodeCertificate(network.id, issuerIdentity.signing, own);
  const membership = new Membership(issuerIdentity, network, { issuer: certificate, node }, clock);
  const revocation = { key: identity.signing.publicKey, at: issued };
  membership.learnRevocation(revokeNode(network.id, issuerIdentity.signing, revocation).bytes);
  const second = identityOf(0x12, 0x13);
  const keys = { key: second.signing.publicKey, dh: second.agreement.publicKey };
  const other = issueIssuerCertificate(network, networkKey, { ...keys, index: 2, number: 0x02_0000, issued });
  membership.learnIssuer(other.bytes);
  const issuer = new Issuer(membership, certificate, filled(0x0e), clock);
  const members = [{ number: certificate.number, dh: certificate.dh, endpoint: place }];
  const { token } = issuer.invite({ members }).value;
  return { responder: new JoinResponder(membership, issuer, filled(0x0d)), issuer, token };
}

function newcomer(invitation: Invitation, signing = 0x0a, agreement = 0x0b, chance = 0x0c): JoinInitiator {
  return new JoinInitiator(invitation, identityOf(signing, agreement), 'cellar', filled(chance), clock);
}

/** The one datagram among these effects. */
function sent(effects: readonly MeshEffect[]): Uint8Array {
  const datagrams = effects.flatMap((effect) => (effect.kind === 'sendDatagram' ? [effect.bytes] : []));
  if (datagrams.length !== 1) throw new Error(`${datagrams.length} datagrams`);
  return datagrams[0]!;
}

const answer = (responder: JoinResponder, datagram: Uint8Array): MeshEffect[] =>
  responder.handle(decodeJoinDatagram(datagram)!, (bytes) => ({ kind: 'sendDatagram', to: place, bytes }), 0);
const hear = (joiner: JoinInitiator, bytes: Uint8Array) => joiner.handle({ kind: 'datagram', from: place, bytes }, 0);

/** Who comes with the token, with one the issuer does not know, and second. */
function newcomers(token: string): { first: JoinInitiator; lost: JoinInitiator; second: JoinInitiator } {
  const invitation = decodeInvitation(token)!;
  return {
    first: newcomer(invitation),
    lost: newcomer({ ...invitation, id: new Uint8Array(8).fill(0x0f) }, 0x1a, 0x1a, 0x1c),
    second: newcomer(invitation, 0x1b, 0x1b, 0x1d),
  };
}

const names = [
  'initiation',
  'response',
  'request',
  'answer',
  'initiation, token unknown',
  'response, token unknown',
  'initiation, token used',
  'response, token used',
] as const;

const unpadded = (plaintext: Uint8Array) => plaintext.subarray(0, 2 + (plaintext[0]! << 8) + plaintext[1]!);

test('the joining exchange is as its vectors say', (t) => {
  const { responder, token } = issuing();
  const { first, lost, second } = newcomers(token);
  const steps: Uint8Array[] = [sent(first.tick(0))];
  const then = (effects: readonly MeshEffect[]) => steps.push(sent(effects));
  then(answer(responder, steps[0]!));
  then(hear(first, steps[1]!));
  then(answer(responder, steps[2]!));
  then(lost.tick(0));
  then(answer(responder, steps[4]!));
  then(second.tick(0));
  then(answer(responder, steps[6]!));
  const exchange: Record<string, string> = Object.fromEntries(names.map((name, i) => [name, toHex(steps[i]!)]));
  const { request, answer: welcome } = opened({ ...exchange, token });
  const plaintexts = {
    'request, opened, without its padding': toHex(unpadded(request)),
    'answer, opened': toHex(welcome),
  };
  const made = { about, token, ...exchange, ...plaintexts };
  t.deepEqual(made, vectors());
});

test('the vectors admit who has the token, and tell the others why not', (t) => {
  const read = vectors();
  const octets = (name: (typeof names)[number]) => fromHex(read[name]!)!;
  const { responder, issuer } = issuing();
  const { first, lost, second } = newcomers(read.token!);
  for (const joiner of [first, lost, second]) joiner.tick(0);

  t.deepEqual(sent(answer(responder, octets('initiation'))), octets('response'));
  t.deepEqual(sent(hear(first, octets('response'))), octets('request'));
  const effects = answer(responder, octets('request'));
  t.deepEqual(sent(effects), octets('answer'));
  t.deepEqual(
    effects.map(({ kind }) => kind),
    ['persist', 'sendDatagram'],
    'the token is spent before the answer goes out',
  );
  const joined = hear(first, octets('answer')).find((effect) => effect.kind === 'joined')!;
  t.is(joined.chain.node.name, 'cellar');
  t.is(nodeKey(joined.chain.node.key), identityOf(0x0a, 0x0b).id);
  t.true(issuer.owns(joined.chain.node.number));

  for (const [joiner, what, code] of [
    [lost, 'response, token unknown', 'token-unknown'],
    [second, 'response, token used', 'token-used'],
  ] as const) {
    const [failed] = hear(joiner, octets(what));
    t.is(failed?.kind === 'joinFailed' ? failed.error.code : failed?.kind, code);
  }
});

/** What the two sealed messages hold, opened as PROTOCOL.md says, by the issuer's keys alone. */
function opened(read: Vectors): { request: Uint8Array; answer: Uint8Array; hash: Uint8Array } {
  const { network, issuerIdentity } = knownNetwork();
  const [initiation, request, answer] = ['initiation', 'request', 'answer'].map(
    (name) => decodeJoinDatagram(fromHex(read[name]!)!)!,
  );
  const { id, secret } = decodeInvitation(read.token!)!;
  const noise = new NoiseResponder('IKpsk2', joinPrologue(network.id), issuerIdentity.agreement);
  noise.readInitiation(initiation!.part);
  noise.writeResponse(
    encodeCbor({}),
    new AgreementKey(new Uint8Array(32).fill(0x0d)),
    sha256(utf8('weft token'), id, secret),
  );
  const [toNewcomer, fromNewcomer] = [new Uint8Array(32), new Uint8Array(32)];
  noise.split(toNewcomer, fromNewcomer);
  const open = (key: Uint8Array, message: JoinMessage) =>
    aeadOpen('chacha20-poly1305', key, new Uint8Array(12), message.part, joinHeader(message))!;
  return { request: open(fromNewcomer, request!), answer: open(toNewcomer, answer!), hash: noise.handshakeHash };
}

test('what the request and the answer seal', (t) => {
  const read = vectors();
  const { network, issuer } = knownNetwork();
  const { request, answer: welcome, hash } = opened(read);
  t.is(toHex(welcome), read['answer, opened']!);
  t.is(toHex(unpadded(request)), read['request, opened, without its padding']!);

  const asked = decodeJoinPlaintext(request)!;
  const { key, name, proof } = asked;
  t.deepEqual(encodeJoinPlaintext(asked, transportPlaintextLength), request);
  t.is(name, 'cellar');
  t.deepEqual(key, identityOf(0x0a, 0x0b).signing.publicKey);
  t.true(verify(key as Uint8Array, signed('weft join request', network.id, hash), proof as Uint8Array));

  const told = decodeJoinPlaintext(welcome)!;
  t.deepEqual(encodeJoinPlaintext(told), welcome);
  const chain = decodeChain(told.chain as Uint8Array)!;
  t.is(chainFault(network, chain), undefined);
  t.deepEqual(chain.issuer.bytes, issuer.bytes);
  t.is((told.issuers as unknown[]).length, 1, 'the other issuer');
  t.is((told.revocations as unknown[]).length, 1);
});

test('a request or an answer that was changed on the way is not taken', (t) => {
  const read = vectors();
  const { responder } = issuing();
  const { first } = newcomers(read.token!);
  first.tick(0);
  answer(responder, fromHex(read.initiation!)!);
  hear(first, fromHex(read.response!)!);
  t.is(fromHex(read.request!)!.length, 1100);
  t.true(fromHex(read.answer!)!.length <= 1100, 'never longer than what it answers');
  for (const [name, take] of [
    ['request', (bytes: Uint8Array) => answer(responder, bytes)],
    ['answer', (bytes: Uint8Array) => hear(first, bytes)],
  ] as const) {
    const whole = fromHex(read[name]!)!;
    const changed = new Uint8Array(whole);
    changed[20]! ^= 1;
    t.deepEqual(take(changed), [], name);
    t.not(take(whole).length, 0, 'as it was, it is');
  }
});
