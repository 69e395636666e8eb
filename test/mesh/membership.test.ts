import test from 'ava';
import { appAddress } from '../../src/addr/app-address.js';
import { encodeChain } from '../../src/addr/certificate-chain.js';
import type { FieldMap } from '../../src/addr/fields.js';
import { decodeInvitation } from '../../src/addr/invitation.js';
import { formatIp } from '../../src/addr/ip.js';
import { issueNodeCertificate } from '../../src/addr/node-certificate.js';
import { nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { prefixToCbor } from '../../src/addr/prefix-codec.js';
import { nodeKey } from '../../src/addr/public-key.js';
import { revokeNode } from '../../src/addr/revocation.js';
import { certificateLifetime } from '../../src/addr/validity.js';
import { fromHex } from '../../src/bytes.js';
import { decodeCbor, encodeCbor } from '../../src/cbor.js';
import { AgreementKey, SigningKey } from '../../src/crypto.js';
import { MeshError } from '../../src/errors.js';
import {
  addIssuer,
  exportNetworkKey,
  importNetworkKey,
  invite,
  meshHealth,
  noteNetworkKeyCopy,
  removeNetworkKey,
  requireNode,
} from '../../src/mesh/commands.js';
import { foundNetwork } from '../../src/mesh/found.js';
import { exportIdentity, importIdentity } from '../../src/mesh/identity-copy.js';
import { Mesh } from '../../src/mesh/mesh.js';
import { seededRandom } from '../../src/random.js';
import { type Host, storedOn, World } from './world.js';

const year = 365 * 86_400;
const day = 86_400_000;
const codes = (host: Host) => meshHealth(host.mesh!).map((line) => line.code);
const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'none';
  } catch (error) {
    return error instanceof MeshError ? error.code : String(error);
  }
};

// ---- state on disk ----

test('every blob cut short or changed gives one line that names the file, and nothing is written', (t) => {
  const world = new World(1);
  const issuer = world.found();
  world.member(issuer, 'a');
  world.run(60_000);
  for (const name of ['identity', 'membership', 'issuer', 'network-key', 'directory']) {
    const whole = issuer.disk.get(name)!;
    for (const half of [whole.subarray(0, whole.length >> 1), new Uint8Array(0), new Uint8Array(40).fill(0xff)]) {
      const disk = new Map(issuer.disk).set(name, half);
      const restore = () => Mesh.restore(storedOn(disk), world.random, world.wallClock);
      const error = t.throws(restore, { instanceOf: MeshError }, name);
      t.is(error.code, 'state-unreadable');
      t.true(error.message.includes(`${name}.state`), error.message);
      t.true(error.cure.length > 20);
    }
  }
});

test('a membership whose prefix no network may have is unreadable, as is one with another prefix', (t) => {
  const world = new World(7);
  const issuer = world.found();
  const fields = decodeCbor(issuer.disk.get('membership')!, 1 << 20) as FieldMap;
  for (const text of ['fd00::/39', 'fd00::/57', 'ff02::/48', '10.0.0.0/8', '::/0', 'fd77:7777:7700::/40']) {
    const disk = new Map(issuer.disk).set(
      'membership',
      encodeCbor({ ...fields, prefix: prefixToCbor(parsePrefix(text)!) }),
    );
    const restore = () => Mesh.restore(storedOn(disk), world.random, world.wallClock);
    t.is(codeOf(restore), 'state-unreadable', text);
  }
});

test('keys of one node and membership of another do not make a node', (t) => {
  const world = new World(2);
  const issuer = world.found();
  const other = world.member(issuer, 'a');
  const disk = new Map(issuer.disk).set('identity', other.disk.get('identity')!);
  t.is(
    codeOf(() => Mesh.restore(storedOn(disk), world.random, world.wallClock)),
    'state-unreadable',
  );
  t.is(Mesh.restore(storedOn(new Map()), world.random, world.wallClock), undefined);
});

test('founding is over with the last blob: a crash before it leaves nothing that stands in the way', (t) => {
  const world = new World(3);
  const { effects } = foundNetwork({ name: 'first' }, world.random, world.wallClock);
  t.deepEqual(
    effects.map((effect) => effect.kind === 'persist' && effect.name),
    ['network-key', 'identity', 'issuer', 'membership'],
  );
  for (let done = 0; done < effects.length; done++) {
    const host = world.host();
    world.perform(host, effects.slice(0, done));
    t.is(Mesh.restore(storedOn(host.disk), world.random, world.wallClock), undefined);
    world.perform(host, foundNetwork({ name: 'again' }, world.random, world.wallClock).effects);
    t.is(world.start(host).membership.chain.node.name, 'again');
  }
});

test('secrets are in no line of what is printed as JSON', (t) => {
  const world = new World(4);
  const issuer = world.found();
  const { membership, networkKey } = issuer.mesh!;
  const text = JSON.stringify({ membership, networkKey, mesh: issuer.mesh, identity: membership.identity });
  for (const key of [membership.identity.signing, membership.identity.agreement, networkKey!.key]) {
    t.false(text.includes(String([...key.exportPrivate().subarray(0, 6)])));
  }
});

// ---- verdicts ----

test('who shows another’s certificate is not believed', (t) => {
  const world = new World(5);
  const issuer = world.found();
  const member = world.member(issuer, 'a');
  const { chain } = member.mesh!.membership;
  const thief = AgreementKey.make(seededRandom(9)).publicKey;
  t.deepEqual(issuer.mesh!.verify(chain, thief), { ok: false, fault: 'other-key' });
  const stranger = world.found();
  const other = stranger.mesh!.membership;
  const verdict = issuer.mesh!.verify(other.chain, other.identity.agreement.publicKey);
  t.deepEqual(verdict, { ok: false, fault: 'issuer-not-of-network' });
});

test('a chain is read as it came: an issuer known by every octet once, any other anew', (t) => {
  const world = new World(1);
  const { membership } = world.member(world.found(), 'a').mesh!;
  const shown = encodeChain(membership.chain);
  const read = membership.readChain(shown)!;
  t.true(read.issuer === membership.issuers()[0]);
  t.deepEqual(read.node.bytes, membership.chain.node.bytes);
  const issuer = new Uint8Array(read.issuer.bytes);
  issuer[0]! ^= 1; // of the signature
  const forged = membership.readChain(encodeCbor({ issuer, node: read.node.bytes }))!;
  t.deepEqual(forged.issuer.bytes, issuer);
  t.deepEqual(membership.verify(forged, read.node.dh), { ok: false, fault: 'issuer-not-of-network' });
  t.is(membership.readChain(shown.subarray(0, 50)), undefined);
});

test('an issuer cannot speak for the sub-prefix of another', (t) => {
  const world = new World(6);
  const issuer = world.found();
  const second = world.member(issuer, 'second');
  world.run(3000);
  world.order(issuer, addIssuer(issuer.mesh!, 'second', world.wallClock(), world.now));
  const { identity, network } = second.mesh!.membership;
  const keys = { key: SigningKey.make(seededRandom(1)).publicKey, dh: AgreementKey.make(seededRandom(1)).publicKey };
  const issued = Math.floor(world.wallClock());
  for (const [number, index] of [
    [77, 0],
    [77, 1],
  ] as const) {
    const grant = { ...keys, number, name: 'x', issued, expires: issued + 10, issuer: index };
    const node = issueNodeCertificate(network.id, identity.signing, grant);
    t.false(issuer.mesh!.membership.verifyNode(node).ok);
  }
});

// ---- time ----

test('a certificate is renewed from half-life while running, and others hear of it', (t) => {
  const world = new World(7);
  const issuer = world.found();
  const member = world.member(issuer, 'a');
  world.run(5000);
  const before = member.mesh!.membership.chain.node;
  world.clock += year + 86_400;
  world.run(3 * 3_600_000);
  const after = member.mesh!.membership.chain.node;
  t.true(after.expires > before.expires);
  t.is(after.number, before.number);
  t.is(issuer.mesh!.directory.byNumber(after.number)!.node.expires, after.expires);
  t.true(issuer.mesh!.membership.chain.node.issued > before.issued, 'the issuer renews itself');
  t.deepEqual(codes(member), []);
});

test('with the issuer dead it asks on, warns, expires, and still opens tunnels for a year', (t) => {
  const world = new World(8);
  const issuer = world.found();
  const a = world.member(issuer, 'a');
  const b = world.member(issuer, 'b', a);
  world.run(5000);
  world.crash(issuer);
  world.clock += year + 40 * 86_400;
  const asked = () => a.done.filter((effect) => effect.kind === 'sendMesh' && effect.to === 1).length;
  const before = asked();
  world.run(day / 8);
  t.true(asked() > before && asked() - before < 30, `${asked() - before} times in three hours`);
  t.deepEqual(codes(a), ['certificate-not-renewed']);
  const verdict = () => b.mesh!.verify(a.mesh!.membership.chain, a.mesh!.membership.identity.agreement.publicKey);
  world.clock += year;
  t.like(verdict(), { ok: true, standing: 'expired' });
  t.deepEqual(codes(a), ['certificate-expired']);
  world.clock += year;
  t.like(verdict(), { ok: false, fault: 'expired' });
});

test('the issuer comes back: renewed within the hour', (t) => {
  const world = new World(9);
  const issuer = world.found();
  const a = world.member(issuer, 'a');
  world.run(5000);
  world.crash(issuer);
  world.clock += year + 86_400;
  world.run(day);
  world.start(issuer);
  world.run(3_900_000);
  t.true(a.mesh!.membership.chain.node.issued > world.clock - 86_400);
});

test('a machine whose clock says 1970, or an hour ahead, joins and stays a member', (t) => {
  for (const skew of [-1_795_000_000, 3600, -3600]) {
    const world = new World(10);
    const issuer = world.found();
    const token = world.invite(issuer, { lifetime: 1800 });
    const host = world.host();
    host.skew = skew;
    world.join(token, 'odd', host);
    world.run(1000);
    t.is(host.joined, 1, `skew ${skew}`);
    world.start(host);
    const peer = world.member(issuer, 'peer', host);
    for (const [one, other] of [
      [host, peer],
      [peer, host],
    ] as const) {
      const { chain, identity } = other.mesh!.membership;
      t.true(one.mesh!.verify(chain, identity.agreement.publicKey).ok);
    }
  }
});

test('an issuer whose clock went back to 1970 goes on by signed time', (t) => {
  const world = new World(11);
  const issuer = world.found();
  world.member(issuer, 'a');
  issuer.skew = -1_795_000_000;
  const token = world.invite(issuer);
  t.true(decodeInvitation(token)!.expires > 1_795_000_000);
  const late = world.join(token);
  world.run(1000);
  t.is(late.joined, 1);
});

test('nothing is founded or signed by a clock that is wrong beyond doubt', (t) => {
  const world = new World(12);
  t.is(
    codeOf(() => foundNetwork({ name: 'a' }, world.random, () => 12)),
    'clock',
  );
  const issuer = world.found();
  issuer.skew = 50 * year;
  t.is(
    codeOf(() => invite(issuer.mesh!, {}, () => true)),
    'clock',
  );
});

test('a stolen issuer key that signs the far future does not age the others', (t) => {
  const world = new World(13);
  const issuer = world.found();
  const a = world.member(issuer, 'a');
  const b = world.member(issuer, 'b');
  const { network, identity } = issuer.mesh!.membership;
  const about = { key: SigningKey.make(seededRandom(3)).publicKey, at: world.clock + 100 * year };
  a.mesh!.membership.learnRevocation(revokeNode(network.id, identity.signing, about).bytes);
  t.true(a.mesh!.membership.now() < world.clock + certificateLifetime);
  const { chain } = b.mesh!.membership;
  t.true(a.mesh!.verify(chain, b.mesh!.membership.identity.agreement.publicKey).ok);
});

// ---- copies ----

test('status warns until a copy of the network key was exported', (t) => {
  const world = new World(14);
  const issuer = world.found();
  t.deepEqual(codes(issuer), ['network-key-not-exported']);
  t.is(
    codeOf(() => exportNetworkKey(issuer.mesh!, world.random, 'short')),
    'bad-passphrase',
  );
  const copy = exportNetworkKey(issuer.mesh!, world.random, 'a long passphrase');
  t.deepEqual(codes(issuer), ['network-key-not-exported'], 'sealed, but not seen to be written');
  t.is(
    codeOf(() => noteNetworkKeyCopy(issuer.mesh!, copy.subarray(0, -1), 'a long passphrase')),
    'bad-passphrase',
  );
  t.deepEqual(codes(issuer), ['network-key-not-exported'], 'written in part');
  world.order(issuer, noteNetworkKeyCopy(issuer.mesh!, copy, 'a long passphrase'));
  t.deepEqual(codes(issuer), []);
  world.crash(issuer);
  world.start(issuer);
  t.deepEqual(codes(issuer), []);
});

test('the network key is removed once exported, for good, and comes back from its copy', (t) => {
  const world = new World(17);
  const issuer = world.found();
  world.member(issuer, 'a');
  world.run(3000);
  const remove = () => removeNetworkKey(issuer.mesh!);
  t.is(codeOf(remove), 'network-key-only-here');
  t.true(issuer.disk.has('network-key'));
  const copy = exportNetworkKey(issuer.mesh!, world.random, 'a long passphrase');
  t.is(codeOf(remove), 'network-key-only-here', 'not yet seen to be written');
  world.order(issuer, noteNetworkKeyCopy(issuer.mesh!, copy, 'a long passphrase'));
  world.order(issuer, remove());
  t.false(issuer.disk.has('network-key'));
  const add = () => addIssuer(issuer.mesh!, 'a', world.wallClock(), world.now);
  t.is(codeOf(add), 'no-network-key');
  t.is(codeOf(remove), 'no-network-key');
  world.crash(issuer);
  world.start(issuer);
  t.is(codeOf(add), 'no-network-key', 'after a restart');
  world.order(issuer, importNetworkKey(issuer.mesh!, copy, 'a long passphrase'));
  t.is(world.order(issuer, add()).index, 1);
  t.deepEqual(codes(issuer), []);
  world.order(issuer, remove());
});

test('the network key moves to another member, and nowhere else', (t) => {
  const world = new World(15);
  const issuer = world.found();
  const member = world.member(issuer, 'a');
  world.run(3000);
  const copy = exportNetworkKey(issuer.mesh!, world.random, 'a long passphrase');
  t.is(
    codeOf(() => importNetworkKey(member.mesh!, copy, 'a wrong passphrase')),
    'bad-passphrase',
  );
  t.is(
    codeOf(() => importNetworkKey(world.found().mesh!, copy, 'a long passphrase')),
    'wrong-network',
  );
  world.crash(issuer);
  world.order(member, importNetworkKey(member.mesh!, copy, 'a long passphrase'));
  const added = world.order(member, addIssuer(member.mesh!, 'a', world.wallClock(), world.now));
  t.is(added.index, 1);
  const late = world.member(member, 'late');
  t.is(late.mesh!.membership.chain.node.issuer, 1);
});

test('an identity comes back on another machine with its address', (t) => {
  const world = new World(16);
  const issuer = world.found();
  const old = world.member(issuer, 'a');
  world.run(3000);
  const { number } = old.mesh!.membership;
  const copy = exportIdentity(old.mesh!.membership, old.disk.get('membership')!, [], world.random, 'a long passphrase');
  t.is(
    codeOf(() => importIdentity(copy, 'a wrong passphrase', world.wallClock)),
    'bad-passphrase',
  );
  world.crash(old);
  const fresh = world.host();
  world.perform(fresh, importIdentity(copy, 'a long passphrase', world.wallClock).effects);
  t.is(world.start(fresh).membership.number, number);
  world.link(fresh, issuer);
  world.run(3000);
  t.is(issuer.mesh!.directory.byNumber(number)!.endpoints[0]!.address, fresh.endpoint.address);
  t.is(
    codeOf(() => importIdentity(fromHex('00')!, 'a long passphrase', world.wallClock)),
    'bad-passphrase',
  );
});

test('names: a taken one gets a number, an unknown one is an error', (t) => {
  const world = new World(17);
  const issuer = world.found();
  t.is(world.member(issuer, 'a').mesh!.membership.chain.node.name, 'a');
  t.is(world.member(issuer, 'a').mesh!.membership.chain.node.name, 'a-2');
  t.is(world.member(issuer, 'first').mesh!.membership.chain.node.name, 'first-2');
  t.is(
    codeOf(() => world.invite(issuer, { as: 'nobody' })),
    'unknown-node',
  );
  t.is(
    codeOf(() => world.invite(issuer, { as: 'first' })),
    'own-name',
  );
  t.is(
    codeOf(() => world.invite(issuer, { lifetime: 5 })),
    'bad-expiry',
  );
});

test('a node is meant by its name, its address or its id, and a slip is answered with the near name', (t) => {
  const world = new World(18);
  const issuer = world.found();
  const member = world.member(issuer, 'cellar').mesh!.membership;
  world.run(3000);
  const { key, number } = member.chain.node;
  const address = formatIp(nodeAddress(member.network.prefix, number));
  const app = formatIp(appAddress(member.network.prefix, number, 'files'));
  for (const text of ['cellar', address, app, nodeKey(key)]) {
    t.is(requireNode(issuer.mesh!, text).number, number, text);
  }
  t.is(requireNode(issuer.mesh!, 'first').number, issuer.mesh!.membership.number);
  const cure = (text: string) => t.throws<MeshError>(() => requireNode(issuer.mesh!, text))!.cure;
  t.is(cure('celler'), 'did you mean "cellar"? see them with: weft peers');
  t.is(cure('moon'), 'see them with: weft peers');
  t.is(
    codeOf(() => requireNode(issuer.mesh!, '2001:db8::1')),
    'unknown-node',
  );
});

test('the key of a network this machine was in before means nothing in the next one', (t) => {
  const world = new World(19);
  const [before, issuer] = [world.found(), world.found()];
  const member = world.member(issuer, 'a');
  world.crash(member);
  member.disk.set('network-key', before.disk.get('network-key')!);
  world.start(member);
  t.deepEqual(codes(member), []);
  t.is(
    codeOf(() => addIssuer(member.mesh!, 'a', world.wallClock(), world.now)),
    'no-network-key',
  );
});
