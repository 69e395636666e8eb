import test from 'ava';
import { signEndpointRecord } from '../../src/addr/endpoint-record.js';
import { issueIssuerCertificate } from '../../src/addr/issuer-certificate.js';
import { issueNodeCertificate, type NodeCertificate } from '../../src/addr/node-certificate.js';
import { revokeNode } from '../../src/addr/revocation.js';
import { AgreementKey, SigningKey } from '../../src/crypto.js';
import { Directory } from '../../src/mesh/directory.js';
import { maxRevocations } from '../../src/mesh/membership.js';
import { World } from './world.js';

/* What the network can make a node hold of others: each table is filled, and one more is refused or takes the oldest's place. */

/** A founder's membership, and members of its making that were never started. */
function office(seed: number) {
  const world = new World(seed);
  const { membership, networkKey } = world.found().mesh!;
  const { network, chain, identity } = membership;
  const issued = Math.floor(world.wallClock());
  const grants = { issued, expires: issued + 1000, issuer: chain.issuer.index };
  const member = (number: number): { key: SigningKey; node: NodeCertificate } => {
    const key = SigningKey.make(world.random);
    const dh = AgreementKey.make(world.random).publicKey;
    const about = { key: key.publicKey, dh, number: membership.number + number, name: `m${number}` };
    return { key, node: issueNodeCertificate(network.id, identity.signing, { ...about, ...grants }) };
  };
  const record = ({ key, node }: ReturnType<typeof member>, sequence = 1) => {
    const incarnation = world.random.bytes(8);
    return signEndpointRecord(network.id, key, { node, sequence, incarnation, endpoints: [], tls: [] }).bytes;
  };
  return { world, membership, networkKey: networkKey!.key, network, identity, issued, member, record };
}

test('a directory that is full refuses further nodes, and goes on hearing news of those it has', (t) => {
  const { membership, member, record } = office(1);
  const directory = new Directory(membership, undefined, { records: 3, shown: 2 });
  const members = [1, 2, 3, 4].map(member);
  t.deepEqual(
    members.map((each) => directory.learn(record(each))),
    ['newer', 'newer', 'newer', 'full'],
  );
  t.is(directory.size, 3);
  t.is(directory.learn(record(members[1]!, 2)), 'newer');
  t.is(directory.learn(record(members[3]!, 2)), 'full');
});

test('of certificates that were only shown the newest are held', (t) => {
  const { membership, member } = office(2);
  const directory = new Directory(membership, undefined, { records: 3, shown: 2 });
  const members = [1, 2, 3].map(member);
  for (const { node } of members) directory.show(node);
  t.deepEqual(
    members.map(({ node }) => directory.certificateOf(node.number)?.name),
    [undefined, 'm2', 'm3'],
  );
});

test('no more than 512 issuers are held, whoever holds the network key', (t) => {
  const { world, membership, networkKey, network, issued } = office(3);
  const key = SigningKey.make(world.random).publicKey;
  const dh = AgreementKey.make(world.random).publicKey;
  const outcomes = Array.from({ length: 512 }, (_, i) => {
    const about = { index: 2, key, dh, number: 0x02_0000, issued: issued + i };
    return membership.learnIssuer(issueIssuerCertificate(network, networkKey, about).bytes);
  });
  t.is(outcomes.filter((outcome) => outcome === 'new').length, 511, 'with our own');
  t.is(outcomes.at(-1), 'full');
});

test('no more revocations are held than there is room for, and those that are known stay', (t) => {
  const { world, membership, network, identity, issued } = office(4);
  const keys = Array.from({ length: 64 }, () => SigningKey.make(world.random).publicKey);
  const revoke = (i: number) => {
    const about = { key: keys[i % keys.length]!, at: issued + i };
    return membership.learnRevocation(revokeNode(network.id, identity.signing, about).bytes);
  };
  for (let i = 0; i < maxRevocations; i++) if (revoke(i) !== 'new') t.fail(`${i}`);
  t.is(revoke(maxRevocations), 'full');
  t.is(revoke(0), 'known');
});

test('where the disk is slow, the pause between two writes of the directory is four times as long as one took, from its end on', (t) => {
  const world = new World(31);
  const issuer = world.found();
  const writes = () => issuer.done.filter((effect) => effect.kind === 'persist' && effect.name === 'directory').length;
  world.run(60_000);
  const atFirst = writes();
  world.member(issuer, 'one');
  world.run(500);
  t.true(writes() > atFirst, 'at once');
  world.run(60_000);
  world.post(issuer, { kind: 'directoryWritten', took: 3000 });
  world.settle();
  const [ended, before] = [world.now, writes()];
  world.member(issuer, 'two');
  world.run(ended + 11_500 - world.now);
  t.is(writes(), before);
  world.run(1000);
  t.is(writes(), before + 1);
});
