import test from 'ava';
import { signEndpointRecord } from '../../src/addr/endpoint-record.js';
import type { FieldMap } from '../../src/addr/fields.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { nodeKey } from '../../src/addr/public-key.js';
import { maxStatementLength, signStatement } from '../../src/addr/statement.js';
import { concatBytes, equalBytes } from '../../src/bytes.js';
import { type CborValue, encodeCbor } from '../../src/cbor.js';
import { SigningKey, signatureLength, signed } from '../../src/crypto.js';
import { MeshError } from '../../src/errors.js';
import { addIssuer, endIssuer, grant, listIssuers, revoke } from '../../src/mesh/commands.js';
import { meshMessage } from '../../src/mesh/messages.js';
import { seededRandom } from '../../src/random.js';
import { type Host, World } from './world.js';

const wall = (world: World) => world.wallClock();
const namesKnownTo = (host: Host) => [...host.mesh!.directory.records()].map((record) => record.node.name).sort();
const refusedBy = (host: Host, reason: string) => host.mesh!.drops().get(`gossip-${reason}`) ?? 0;

/** A chain: first - n1 - n2 - ... */
function chainOf(world: World, length: number): Host[] {
  const hosts = [world.found()];
  for (let i = 1; i < length; i++) {
    const host = world.member(hosts[0]!, `n${i}`, hosts[i - 1]);
    hosts.push(host);
  }
  world.run(5000);
  return hosts;
}

test('news travel along a chain of neighbours in no time', (t) => {
  const world = new World(1);
  const hosts = chainOf(world, 6);
  const all = namesKnownTo(hosts[0]!);
  t.is(all.length, 6);
  for (const host of hosts) t.deepEqual(namesKnownTo(host), all);
});

test('neighbours mend what was lost: a third of all messages lost, all records arrive', (t) => {
  const world = new World(2);
  world.lose = (_from, effect) => effect.kind === 'sendMesh' && world.random.unit() < 0.33;
  const hosts = chainOf(world, 5);
  world.run(60_000);
  for (const host of hosts) t.is(namesKnownTo(host).length, 5);
});

test('two halves that were apart agree after they meet, revocations first', (t) => {
  const world = new World(3);
  const hosts = chainOf(world, 6);
  world.unlink(hosts[2]!, hosts[3]!);
  const gone = hosts[2]!.mesh!.membership.identity.signing.publicKey;
  world.order(hosts[0]!, revoke(hosts[0]!.mesh!, 'n2', world.now));
  t.false(hosts[4]!.mesh!.isRevoked(gone));
  world.link(hosts[1]!, hosts[3]!);
  t.true(hosts[5]!.mesh!.isRevoked(gone));
  t.is(hosts[5]!.mesh!.directory.byName('n2').length, 0);
});

test('a revocation is heard by all, who close what they have with the node', (t) => {
  const world = new World(4);
  const hosts = chainOf(world, 5);
  const out = hosts[4]!;
  const number = out.mesh!.membership.number;
  const key = out.mesh!.membership.identity.id;
  world.order(hosts[0]!, revoke(hosts[0]!.mesh!, 'n4', world.now));
  for (const host of hosts.slice(0, 4)) {
    t.true(host.done.some((effect) => effect.kind === 'revoked' && effect.key === key && effect.number === number));
    t.is(host.mesh!.verify(out.mesh!.membership.chain, out.mesh!.membership.identity.agreement.publicKey).ok, false);
  }
  t.true(out.done.some((effect) => effect.kind === 'expelled'));
});

test('a revocation is on disk before anything is closed or told', (t) => {
  const world = new World(5);
  const hosts = chainOf(world, 3);
  hosts[1]!.done.length = 0;
  world.order(hosts[0]!, revoke(hosts[0]!.mesh!, 'n2', world.now));
  const done = hosts[1]!.done.slice(0, 3);
  t.deepEqual(
    done.map((effect) => effect.kind),
    ['persist', 'sendMesh', 'revoked'],
  );
  // Only who is out hears before its tunnel is closed; nobody could tell it afterwards.
  t.is((done[1] as { to: number }).to, hosts[2]!.mesh!.membership.number);
});

test('a node restarts into its network with every issuer dead', (t) => {
  const world = new World(6);
  const hosts = chainOf(world, 4);
  world.run(60_000);
  world.crash(hosts[0]!);
  world.crash(hosts[3]!);
  const mesh = world.start(hosts[3]!);
  t.is(mesh.directory.size, 4);
  t.is(mesh.directory.byName('n1')[0]!.number, hosts[1]!.mesh!.membership.number);
});

test('a node that lost its directory announces above what it announced before', (t) => {
  const world = new World(7);
  const hosts = chainOf(world, 3);
  const number = hosts[2]!.mesh!.membership.number;
  for (let i = 0; i < 5; i++) {
    world.post(hosts[2]!, { kind: 'endpointsChanged', endpoints: [] });
    world.run(2000);
  }
  const before = hosts[0]!.mesh!.directory.byNumber(number)!.sequence;
  world.crash(hosts[2]!);
  hosts[2]!.disk.delete('directory');
  world.start(hosts[2]!);
  world.run(5000);
  const after = hosts[0]!.mesh!.directory.byNumber(number)!;
  t.true(after.sequence > before);
  t.is(after.endpoints.length, 1);
});

// ---- bad records ----

function record(world: World, host: Host, sequence: number, key = host.mesh!.membership.identity.signing) {
  const { chain, network } = host.mesh!.membership;
  return signEndpointRecord(network.id, key, {
    tls: [],
    node: chain.node,
    sequence,
    incarnation: world.random.bytes(8),
    endpoints: [{ address: '11.3.3.3', port: 5, source: 'local', proven: false }],
  }).bytes;
}

/** A record over these fields, however long they are. */
function signedOver(host: Host, key: SigningKey, fields: FieldMap): Uint8Array {
  const octets = encodeCbor(fields);
  const { id } = host.mesh!.membership.network;
  return concatBytes(key.sign(signed('weft endpoint record', id, octets)), octets);
}

function give(world: World, from: Host, to: Host, kind: number, d: Uint8Array, neighbour = true): void {
  const bytes = meshMessage('item', { k: kind, d });
  world.post(to, { kind: 'meshReceived', from: from.mesh!.membership.number, neighbour, bytes });
  world.settle();
}

test('forged, replayed, malformed, oversized and strangers’ records are refused and counted', (t) => {
  const world = new World(8);
  const hosts = chainOf(world, 3);
  const [first, middle, last] = hosts as [Host, Host, Host];
  const known = middle.mesh!.directory.byKey(last.mesh!.membership.identity.signing.publicKey)!;
  give(world, first, middle, 2, record(world, last, 100, SigningKey.make(seededRandom(5))));
  t.is(refusedBy(middle, 'forged'), 1);
  give(world, first, middle, 2, record(world, last, known.sequence));
  t.is(refusedBy(middle, 'replayed'), 1);
  give(world, first, middle, 2, new Uint8Array(200));
  t.is(refusedBy(middle, 'malformed'), 1);
  // Signed by its node, newer, and all that is wrong with it is its length; the same a little shorter is taken.
  const body = (octets: number) => ({ ...known.fields, seq: 100, filling: new Uint8Array(octets) });
  const spare = maxStatementLength - signatureLength - encodeCbor(body(300)).length + 300;
  const signing = last.mesh!.membership.identity.signing;
  give(world, first, middle, 2, signedOver(middle, signing, body(spare + 1)));
  t.is(refusedBy(middle, 'malformed'), 2);
  const [endpoint] = known.fields.endpoints as CborValue[];
  give(world, first, middle, 2, signedOver(middle, signing, { ...body(0), endpoints: Array(9).fill(endpoint) }));
  t.is(refusedBy(middle, 'malformed'), 3);
  const stranger = world.found();
  give(world, first, middle, 2, stranger.mesh!.directory.own!.bytes);
  t.is(refusedBy(middle, 'not-signed-by-issuer'), 1);
  give(world, last, middle, 2, record(world, last, 100), false);
  t.is(refusedBy(middle, 'not-a-neighbour'), 1);
  t.true(equalBytes(middle.mesh!.directory.byKey(known.node.key)!.bytes, known.bytes));
  const longest = signedOver(middle, signing, body(spare));
  t.is(longest.length, maxStatementLength);
  give(world, first, middle, 2, longest);
  // Its node answers with one above it.
  t.true(middle.mesh!.directory.byKey(known.node.key)!.sequence >= 100);
});

test('a revoked node’s record is refused and counted', (t) => {
  const world = new World(9);
  const hosts = chainOf(world, 3);
  const bytes = record(world, hosts[2]!, 100);
  world.order(hosts[0]!, revoke(hosts[0]!.mesh!, 'n2', world.now));
  give(world, hosts[0]!, hosts[1]!, 2, bytes);
  t.is(refusedBy(hosts[1]!, 'revoked'), 1);
});

test('a node that chatters is slowed down, and heard in the end', (t) => {
  const world = new World(10);
  const hosts = chainOf(world, 3);
  const [, middle, last] = hosts as [Host, Host, Host];
  world.run(10_000);
  for (let i = 0; i < 50; i++) give(world, last, middle, 2, record(world, last, 100 + i));
  t.true(refusedBy(middle, 'too-often') > 40);
  world.run(120_000);
  const key = last.mesh!.membership.identity.signing.publicKey;
  t.is(hosts[0]!.mesh!.directory.byKey(key)!.sequence, last.mesh!.directory.own!.sequence);
});

test('forged records do not use up the budget of the node they name', (t) => {
  const world = new World(22);
  const hosts = chainOf(world, 3);
  const [first, middle, last] = hosts as [Host, Host, Host];
  for (let i = 0; i < 50; i++) {
    give(world, first, middle, 2, record(world, last, 100 + i, SigningKey.make(seededRandom(i))));
  }
  give(world, last, middle, 2, record(world, last, 100));
  t.is(refusedBy(middle, 'too-often'), 0);
  t.is(middle.mesh!.directory.byKey(last.mesh!.membership.identity.signing.publicKey)!.sequence, 100);
});

test('a neighbour that floods is not listened to beyond its budget', (t) => {
  const world = new World(11);
  const hosts = chainOf(world, 2);
  for (let i = 0; i < 1000; i++) give(world, hosts[1]!, hosts[0]!, 2, world.random.bytes(100));
  t.true(refusedBy(hosts[0]!, 'too-many') >= 590);
});

test('a revocation by somebody who is no issuer is refused', (t) => {
  const world = new World(12);
  const hosts = chainOf(world, 3);
  const { identity, network } = hosts[2]!.mesh!.membership;
  const victim = hosts[0]!.mesh!.membership.identity.signing.publicKey;
  const fields = { kind: 'node', key: victim, by: identity.signing.publicKey, at: 5 };
  const bytes = signStatement('weft node revocation', network.id, identity.signing, fields);
  give(world, hosts[2]!, hosts[1]!, 1, bytes);
  t.is(refusedBy(hosts[1]!, 'unknown-issuer'), 1);
  const forged = signStatement('weft node revocation', network.id, identity.signing, {
    ...fields,
    by: hosts[0]!.mesh!.membership.identity.signing.publicKey,
  });
  give(world, hosts[2]!, hosts[1]!, 1, forged);
  t.is(refusedBy(hosts[1]!, 'forged'), 1);
  t.false(hosts[1]!.mesh!.isRevoked(victim));
});

test('garbage throws nothing', (t) => {
  const world = new World(13);
  const hosts = chainOf(world, 2);
  const types = ['sum', 'sums', 'have', 'want', 'item', 'join', 'joinback', 'renew', 'renewed', 'askcert', 'cert', 'x'];
  const junk = () => [null, -1, 2 ** 40, 'text', world.random.bytes(world.random.below(300)), [], [1, [2]], { a: 1 }];
  for (let i = 0; i < 3000; i++) {
    const some = junk();
    const pick = () => some[world.random.below(some.length)]!;
    const fields = {
      k: world.random.below(4),
      b: pick(),
      s: pick(),
      h: pick(),
      d: pick(),
      c: pick(),
      x: pick(),
      n: pick(),
    };
    const bytes = meshMessage(types[i % types.length]!, fields);
    world.post(hosts[0]!, { kind: 'meshReceived', from: 2, neighbour: true, bytes });
    world.post(hosts[0]!, { kind: 'meshReceived', from: 2, neighbour: true, bytes: world.random.bytes(50) });
  }
  t.notThrows(() => world.settle());
  t.true(hosts[0]!.mesh!.drops().get('mesh-malformed')! > 2000);
});

// ---- certificates ----

test('a certificate is asked of the neighbour that announced the route', (t) => {
  const world = new World(14);
  const hosts = chainOf(world, 3);
  const far = hosts[2]!.mesh!.membership.number;
  hosts[0]!.mesh!.directory.remove(hosts[2]!.mesh!.membership.identity.id);
  t.is(hosts[0]!.mesh!.directory.certificateOf(far), undefined);
  const neighbour = hosts[1]!.mesh!.membership.number;
  world.post(hosts[0]!, { kind: 'certificateWanted', node: far, neighbour });
  world.settle();
  t.is(hosts[0]!.mesh!.directory.certificateOf(far)?.name, 'n2');
  t.true(hosts[0]!.done.some((effect) => effect.kind === 'nodeChanged' && effect.number === far));
});

// ---- issuers ----

test('a second issuer admits in a sub-prefix of its own, with the first one dead', (t) => {
  const world = new World(15);
  const hosts = chainOf(world, 4);
  const [first, , second] = hosts as [Host, Host, Host, Host];
  const issuer = world.order(first, addIssuer(first.mesh!, 'n2', wall(world), world.now));
  world.crash(first);
  world.run(2000);
  const host = world.member(second, 'late', hosts[3]);
  t.is(host.mesh!.membership.number >> 16, issuer.index);
  t.is(issuer.index, 1);
  t.deepEqual(
    listIssuers(hosts[3]!.mesh!).map((listed) => listed.state),
    ['admits', 'admits'],
  );
  world.run(5000);
  t.true(namesKnownTo(hosts[1]!).includes('late'));
});

test('an issuer that has no network key cannot add issuers; one that was ended cannot invite', (t) => {
  const world = new World(16);
  const hosts = chainOf(world, 3);
  const [first, second, third] = hosts as [Host, Host, Host];
  const code = (act: () => unknown) => t.throws(act, { instanceOf: MeshError }).code;
  world.order(first, addIssuer(first.mesh!, 'n1', wall(world), world.now));
  t.is(
    code(() => addIssuer(second.mesh!, 'n2', wall(world), world.now)),
    'no-network-key',
  );
  t.is(
    code(() => world.invite(third)),
    'not-an-issuer',
  );
  t.is(
    code(() => addIssuer(first.mesh!, 'n1', wall(world), world.now)),
    'already-issuer',
  );
  t.notThrows(() => world.invite(second));
  const ended = { stolen: false, wallClock: wall(world) };
  world.order(first, endIssuer(first.mesh!, 'n1', ended, world.now));
  t.is(
    code(() => world.invite(second)),
    'not-an-issuer',
  );
  t.deepEqual(
    listIssuers(third.mesh!).map((listed) => listed.state),
    ['admits', 'revoked'],
  );
  t.is(
    code(() => endIssuer(first.mesh!, first.mesh!.membership.chain.node.name, ended, world.now)),
    'last-issuer',
  );
  t.notThrows(() => world.invite(first));
});

test('whom a retired issuer admitted stays; whom a stolen key admitted is out', (t) => {
  for (const stolen of [false, true]) {
    const world = new World(17);
    const hosts = chainOf(world, 3);
    const [first, second, third] = hosts as [Host, Host, Host];
    world.order(first, addIssuer(first.mesh!, 'n1', wall(world), world.now));
    const guest = world.member(second, 'guest');
    world.run(5000);
    world.order(first, endIssuer(first.mesh!, 'n1', { stolen, wallClock: wall(world) }, world.now));
    const { chain, identity } = guest.mesh!.membership;
    t.is(third.mesh!.verify(chain, identity.agreement.publicKey).ok, !stolen);
    const told = third.done.some((effect) => effect.kind === 'revoked' && effect.key === identity.id);
    t.is(told, stolen);
    t.is(
      guest.done.some((effect) => effect.kind === 'expelled'),
      stolen,
    );
    t.false(second.done.some((effect) => effect.kind === 'expelled'));
  }
});

test('what a stolen issuer key says about others stops counting, in whatever order the news come', (t) => {
  const world = new World(18);
  const hosts = chainOf(world, 4);
  const [first, second, third, fourth] = hosts as [Host, Host, Host, Host];
  world.order(first, addIssuer(first.mesh!, 'n1', wall(world), world.now));
  const victim = fourth.mesh!.membership.identity.signing.publicKey;
  world.unlink(first, second);
  world.order(second, revoke(second.mesh!, 'n3', world.now));
  t.true(third.mesh!.isRevoked(victim));
  world.order(first, endIssuer(first.mesh!, 'n1', { stolen: true, wallClock: wall(world) }, world.now));
  world.link(first, third);
  world.run(5000);
  for (const host of [first, third]) {
    t.false(host.mesh!.isRevoked(victim));
    t.is(host.mesh!.membership.revocationCount, 2);
  }
});

test('grant changes what a node may announce, at once', (t) => {
  const world = new World(19);
  const hosts = chainOf(world, 2);
  world.order(hosts[0]!, grant(hosts[0]!.mesh!, 'n1', [parsePrefix('10.1.0.0/16')!]));
  t.deepEqual(hosts[1]!.mesh!.membership.chain.node.lan.map(String), ['10.1.0.0/16']);
  t.true(hosts[1]!.done.some((effect) => effect.kind === 'renewed'));
  world.run(5000);
  const known = hosts[0]!.mesh!.directory.byName('n1')[0]!;
  t.deepEqual(known.lan.map(String), ['10.1.0.0/16']);
});

test('a table that was lost does not give a number twice', (t) => {
  const world = new World(20);
  const hosts = chainOf(world, 3);
  world.run(60_000);
  world.crash(hosts[0]!);
  hosts[0]!.disk.delete('issuer');
  world.start(hosts[0]!);
  const host = world.member(hosts[0]!, 'late');
  const numbers = hosts.map((other) => other.mesh!.membership.number);
  t.false(numbers.includes(host.mesh!.membership.number));
});

test('a lost table gives no number of a node that was not met again, over two restarts', (t) => {
  let given = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(seed);
    const hosts = chainOf(world, 4);
    world.run(60_000);
    const issuer = hosts[0]!;
    world.crash(issuer);
    // The directory went with the table, and nobody has called since.
    for (const blob of ['issuer', 'directory']) issuer.disk.delete(blob);
    world.start(issuer);
    world.invite(issuer);
    world.crash(issuer);
    issuer.disk.delete('directory');
    world.start(issuer);
    const late = world.member(issuer, 'late').mesh!.membership.number;
    t.false(
      hosts.some((other) => other.mesh?.membership.number === late),
      `number ${late} again`,
    );
    given += late;
  }
  t.true(given / 20 > 1000, 'drawn at random');
});

test('sixty nodes in a random graph hold the same within seconds, at a bounded cost', (t) => {
  const world = new World(21);
  const first = world.found();
  const hosts = [first];
  for (let i = 1; i < 60; i++) hosts.push(world.member(first, `n${i}`, hosts[world.random.below(i)]));
  for (const host of hosts) world.link(host, hosts[world.random.below(hosts.length)]!);
  world.run(20_000);
  for (const host of hosts) t.is(host.mesh!.directory.size, 60);
  const before = world.messages;
  world.run(60_000);
  const perNodeAndMinute = (world.messages - before) / hosts.length;
  t.true(perNodeAndMinute < 12, `${perNodeAndMinute} messages a node and minute when all is calm`);
  t.true(hosts.every((host) => nodeKey(host.mesh!.membership.identity.signing.publicKey).length === 52));
});
