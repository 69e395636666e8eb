import test from 'ava';
import type { RecordedEndpoint } from '../../src/addr/endpoint-record.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { equalBytes, toHex } from '../../src/bytes.js';
import { MeshError } from '../../src/errors.js';
import { noAnswer, requireStranger } from '../../src/mesh/join-errors.js';
import { seededRandom } from '../../src/random.js';
import { knownInvitation } from '../addr/vectors.js';
import type { Host } from './world.js';
import { World } from './world.js';

const certificateOn = (world: World, host: Host) => {
  world.start(host);
  return toHex(host.mesh!.membership.chain.node.bytes);
};

test('a newcomer joins through the issuer and is a member', (t) => {
  const world = new World(1);
  const issuer = world.found();
  const host = world.join(world.invite(issuer, { name: 'attic' }), 'ignored');
  world.run(100);
  t.is(host.joined, 1);
  const mesh = world.start(host);
  t.is(mesh.membership.chain.node.name, 'attic');
  t.is(mesh.membership.number, 2);
  t.true(mesh.membership.network.equals(issuer.mesh!.membership.network));
});

test('a network with a prefix of its own is learnt from the chain', (t) => {
  const world = new World(2);
  const issuer = world.found('first', parsePrefix('2001:db8:0:f100::/56')!);
  const host = world.member(issuer, 'node');
  t.is(String(host.mesh!.membership.network.prefix), '2001:db8:0:f100::/56');
});

test('a member that is no issuer passes the exchange on', (t) => {
  const world = new World(3);
  const issuer = world.found();
  const member = world.member(issuer, 'door');
  world.run(2000);
  const token = world.invite(issuer);
  const doors = requireInvitation(token).members;
  t.true(doors.some((door) => door.number === member.mesh!.membership.number));
  // The issuer cannot be reached from outside: its datagrams get lost.
  const newcomer = world.join(token, 'newcomer');
  world.lose = (from, effect) =>
    effect.kind === 'sendDatagram' &&
    (from === issuer || (from === newcomer && effect.to.address === issuer.endpoint.address));
  world.run(5000);
  t.is(newcomer.joined, 1);
});

test('a newcomer whose address changes after a member has passed its first message on gets in by that member', (t) => {
  const world = new World(3);
  const issuer = world.found();
  world.member(issuer, 'door');
  world.run(2000);
  const newcomer = world.join(world.invite(issuer), 'newcomer');
  const old = newcomer.endpoint;
  world.lose = (from, effect) =>
    effect.kind === 'sendDatagram' &&
    (from === issuer || effect.to === old || (from === newcomer && effect.to.address === issuer.endpoint.address));
  world.run(1000);
  newcomer.endpoint = { address: '11.7.7.7', port: 16696 };
  world.run(10_000);
  t.is(newcomer.joined, 1);
});

test('of the doors in a token, those open to everybody come before what a LAN neighbour has proven', (t) => {
  const world = new World(3);
  const issuer = world.found();
  const onLan = { address: '192.168.1.10', port: 16696, source: 'local', proven: true } as const;
  const publicOne = world.member(issuer, 'public');
  const homes = ['one', 'two', 'three'].map((name) => world.member(issuer, name));
  for (const home of homes) world.post(home, { kind: 'endpointsChanged', endpoints: [onLan] });
  world.run(60_000);
  world.post(issuer, {
    kind: 'endpointsChanged',
    endpoints: [onLan, { ...issuer.endpoint, source: 'upnp', proven: true }],
  });
  world.settle();
  const doors = requireInvitation(world.invite(issuer)).members.map(({ endpoint }) => endpoint.address);
  t.deepEqual(doors.slice(0, 3), [issuer.endpoint.address, publicOne.endpoint.address, onLan.address]);
  t.is(doors.length, 4, 'and a door of another LAN where there is a place');
});

test('while nobody outside has tried any door of a home, its token keeps a place for the one that is proven on its LAN', (t) => {
  const world = new World(3);
  const issuer = world.found();
  const onLan = { address: '192.168.1.10', port: 16696, source: 'local', proven: true } as const;
  const untried = (address: string, source: 'upnp' | 'local') => ({ address, port: 16696, source, proven: false });
  for (const n of [1, 2, 3]) {
    world.post(world.member(issuer, `mate${n}`), {
      kind: 'endpointsChanged',
      endpoints: [untried('12.0.0.1', 'upnp'), untried(`2001:db8:1::${n}`, 'local')],
    });
  }
  world.run(60_000);
  const own = [untried('12.0.0.1', 'upnp'), untried('2001:db8:1::10', 'local'), onLan];
  const doorsWith = (endpoints: RecordedEndpoint[]) => {
    world.post(issuer, { kind: 'endpointsChanged', endpoints });
    world.settle();
    return requireInvitation(world.invite(issuer)).members.map(({ endpoint }) => endpoint.address);
  };
  t.deepEqual(doorsWith(own), ['12.0.0.1', '12.0.0.1', '12.0.0.1', onLan.address]);
  const open = { ...own[1]!, proven: true };
  t.deepEqual(doorsWith([open, own[0]!, onLan]), ['12.0.0.1', '12.0.0.1', '12.0.0.1', onLan.address]);
});

test('a newcomer sends its datagrams over IPv4: doors over IPv6 come last in a token, and make nobody open', (t) => {
  const world = new World(3);
  const issuer = world.found();
  const over = (address: string, source: 'configured' | 'local') => ({ address, port: 16696, source, proven: true });
  const mates = ['a', 'b', 'c'].map((name) => world.member(issuer, name));
  for (const [n, mate] of mates.entries()) {
    world.post(mate, { kind: 'endpointsChanged', endpoints: [over(`2001:db8:3::${n + 1}`, 'local')] });
  }
  const server = world.member(issuer, 'server');
  const both = [over('2001:db8:9::1', 'configured'), over(server.endpoint.address, 'configured')];
  world.post(server, { kind: 'endpointsChanged', endpoints: both });
  world.run(60_000);
  const onLan = over('192.168.1.10', 'local');
  const own = [over('2001:db8:1::10', 'local'), over('2001:db8:1::77', 'local')];
  const invited = (endpoints: RecordedEndpoint[]) => {
    world.post(issuer, { kind: 'endpointsChanged', endpoints });
    world.settle();
    const { token, warning } = world.invited(issuer);
    return { warning, doors: requireInvitation(token).members.map(({ endpoint }) => endpoint.address) };
  };
  const atHome = invited([...own, over('fd00::10', 'local'), onLan]);
  t.deepEqual(atHome.doors.slice(0, 2), [server.endpoint.address, onLan.address]);
  t.is(atHome.warning, undefined);
  world.crash(server);
  t.truthy(invited([...own, onLan]).warning, 'those that are there are open over IPv6 alone');
});

/** An issuer at home behind a NAT that lets nobody in, with these members, and who joined last first. */
function homeIssuer(count: number) {
  const world = new World(3);
  const issuer = world.found();
  const others = Array.from({ length: count }, (_, i) => world.member(issuer, `dc-${i + 1}`));
  const observed = { address: '12.0.0.1', port: 16696, source: 'observed', proven: false } as const;
  const onLan = { address: '192.168.1.10', port: 16696, source: 'local', proven: false } as const;
  world.post(issuer, { kind: 'endpointsChanged', endpoints: [observed, onLan] });
  world.run(60_000);
  const doors = () => requireInvitation(world.invite(issuer)).members.map(({ endpoint }) => endpoint.address);
  return { world, issuer, others, observed, onLan, doors, addresses: others.map(({ endpoint }) => endpoint.address) };
}

test('a token of an issuer behind a NAT names others first, of those the ones that are there, and its own LAN last', (t) => {
  const { world, issuer, others, onLan, doors, addresses } = homeIssuer(5);
  const [a, b, c, d, e] = addresses;
  t.deepEqual(doors(), [e, d, c, onLan.address]);
  // The three that joined last were tried for a while, and are off.
  for (const off of others.slice(2)) world.crash(off);
  t.deepEqual(doors(), [b, a, e, onLan.address]);
  t.is(world.invited(issuer).warning, undefined);
  t.is(d, others[3]!.endpoint.address);
});

test('a door that only our own traffic opens has a place where there are no others', (t) => {
  const { onLan, observed, doors, addresses } = homeIssuer(1);
  t.deepEqual(doors(), [addresses[0], onLan.address, observed.address]);
});

test('whoever invites is told when no door is open, or none of a member that is there', (t) => {
  const { world, issuer, others } = homeIssuer(2);
  t.is(world.invited(issuer).warning, undefined);
  for (const off of others) world.crash(off);
  t.regex(world.invited(issuer).warning!, /no member that is there now.*--endpoint HOST:PORT/);
  t.is(world.invited(issuer, { endpoints: [{ address: '12.0.0.1', port: 1 }] }).warning, undefined);
  const alone = homeIssuer(0);
  t.truthy(alone.world.invited(alone.issuer).warning);
});

test('each lost datagram is asked for again', (t) => {
  const world = new World(4);
  const issuer = world.found();
  const token = world.invite(issuer);
  const sent = new Set<string>();
  world.lose = (from, effect) => {
    if (effect.kind !== 'sendDatagram') return false;
    const what = `${from.endpoint.address} type ${effect.bytes[0]}`;
    const isFirst = !sent.has(what);
    sent.add(what);
    return isFirst;
  };
  const host = world.join(token);
  world.run(20_000);
  t.is(host.joined, 1);
});

test('no answer is longer than what it answers', (t) => {
  const world = new World(5);
  const issuer = world.found();
  for (let i = 0; i < 3; i++) world.member(issuer, `n${i}`);
  const host = world.join(world.invite(issuer), 'last');
  const sizes: { from: string; length: number }[] = [];
  world.lose = (from, effect) => {
    if (effect.kind === 'sendDatagram') sizes.push({ from: from.endpoint.address, length: effect.bytes.length });
    return false;
  };
  world.run(1000);
  t.is(host.joined, 1);
  t.is(sizes.length, 4);
  t.true(sizes[1]!.length <= sizes[0]!.length);
  t.true(sizes[3]!.length <= sizes[2]!.length);
});

test('of two simultaneous joins with one token exactly one succeeds, whatever the order, 100 seeds', (t) => {
  // A seed is for what gets lost and who comes first; making keys would take longer than all the joins.
  const { disk } = new World(999).found();
  const identities = [1, 2].map((seed) => NodeIdentity.make(seededRandom(seed)).encode());
  for (let seed = 0; seed < 100; seed++) {
    const world = new World(1000 + seed);
    const issuer = world.host();
    for (const [name, bytes] of disk) issuer.disk.set(name, bytes.slice());
    world.start(issuer);
    const token = world.invite(issuer);
    const pair = identities.map((identity, i) => {
      const host = world.host();
      host.disk.set('identity', identity.slice());
      return world.join(token, `node-${i}`, host);
    });
    world.lose = () => world.random.unit() < 0.3;
    world.run(31_000);
    t.is(pair.filter((host) => host.joined > 0).length, 1, `seed ${seed}`);
    const loser = pair.find((host) => host.joined === 0)!;
    t.true(['token-used', 'no-answer'].includes(loser.joinError!.code), `seed ${seed}: ${loser.joinError?.code}`);
  }
});

test('an issuer killed before any effect admits once, and gives the same certificate again', (t) => {
  let crashed = 0;
  // Nothing is lost: of a seed only the keys differ. Each moment four times.
  for (let seed = 0; seed < 20; seed++) {
    const world = new World(2000 + seed);
    const issuer = world.found();
    const token = world.invite(issuer);
    const host = world.join(token, 'a');
    issuer.crashIn = seed % 5;
    world.run(500);
    if (!issuer.mesh) {
      crashed++;
      world.start(issuer);
    }
    issuer.crashIn = undefined;
    world.run(30_000);
    t.is(host.joined, 1, `seed ${seed}`);
    const certificate = certificateOn(world, host);
    // The same machine asks again, as an operator does who saw no answer.
    host.mesh = undefined;
    host.disk.delete('membership');
    world.join(token, 'a', host);
    world.run(1000);
    t.is(certificateOn(world, host), certificate, `seed ${seed}`);
    const other = world.join(token, 'b');
    world.run(1000);
    t.is(other.joinError?.code, 'token-used');
  }
  t.true(crashed >= 8, `${crashed} crashes`);
});

test('the token is spent on disk before the answer leaves', (t) => {
  const world = new World(6);
  const issuer = world.found();
  const token = world.invite(issuer);
  issuer.done.length = 0;
  world.join(token);
  world.run(1000);
  const kinds = issuer.done.filter((effect) => effect.kind === 'persist' || effect.kind === 'sendDatagram');
  t.deepEqual(kinds.map((effect) => (effect.kind === 'persist' ? effect.name : effect.kind)).slice(0, 3), [
    'sendDatagram',
    'issuer',
    'sendDatagram',
  ]);
});

test('the newcomer’s identity is on disk before the first datagram', (t) => {
  const world = new World(7);
  const token = world.invite(world.found());
  const host = world.join(token);
  world.run(1000);
  t.like(host.done[0], { kind: 'persist', name: 'identity' });
  const at = host.done.findIndex((effect) => effect.kind === 'joined');
  t.like(host.done[at - 1], { kind: 'persist', name: 'membership' });
});

test('a used token says so, also to a machine that comes late', (t) => {
  const world = new World(8);
  const issuer = world.found();
  const token = world.invite(issuer);
  world.join(token);
  world.run(1000);
  const late = world.join(token);
  world.run(1000);
  t.is(late.joinError?.code, 'token-used');
  t.is(late.joined, 0);
});

test('an expired token says so; the clock of the newcomer does not matter', (t) => {
  const world = new World(9);
  const issuer = world.found();
  const token = world.invite(issuer, { lifetime: 3600 });
  world.clock += 3601;
  const host = world.join(token);
  world.run(1000);
  t.is(host.joinError?.code, 'token-expired');
  t.true(host.joinError instanceof MeshError && host.joinError.cure.includes('weft invite'));
});

test('a token the issuer forgot, or never knew, says so', (t) => {
  const world = new World(10);
  const issuer = world.found();
  const disk = issuer.disk.get('issuer')!;
  const token = world.invite(issuer);
  world.crash(issuer);
  issuer.disk.set('issuer', disk);
  world.start(issuer);
  const host = world.join(token);
  world.run(1000);
  t.is(host.joinError?.code, 'token-unknown');
});

test('nobody there: one line that says whom was asked', (t) => {
  const world = new World(11);
  const issuer = world.found();
  const token = world.invite(issuer);
  world.crash(issuer);
  const host = world.join(token);
  world.run(40_000);
  t.is(host.joinError?.code, 'no-answer');
  t.regex(host.joinError!.message, /11\.0\.0\.1 port 16696/);
});

test('octets of another token or of garbage are met with silence', (t) => {
  const world = new World(12);
  const issuer = world.found();
  const sent = () => issuer.done.filter((effect) => effect.kind === 'sendDatagram').length;
  for (let length = 0; length < 200; length++) {
    const bytes = world.random.bytes(length);
    if (length > 0) bytes[0] = 4 + (length % 3);
    world.post(issuer, { kind: 'joinDatagram', from: { address: '11.9.9.9', port: 1 }, bytes });
  }
  world.settle();
  t.is(sent(), 0);
});

test('who is a member is told so before anything is sent', (t) => {
  const world = new World(13);
  const issuer = world.found();
  const member = world.member(issuer, 'a');
  const own = requireInvitation(world.invite(issuer));
  const other = requireInvitation(world.invite(world.found()));
  const code = (act: () => void) => t.throws(act, { instanceOf: MeshError }).code;
  t.is(
    code(() => requireStranger(member.mesh!.membership, own)),
    'already-member',
  );
  t.is(
    code(() => requireStranger(member.mesh!.membership, other)),
    'wrong-network',
  );
  t.notThrows(() => requireStranger(undefined, own));
});

test('a member passes on twenty a second and no more, and one answer a message', (t) => {
  const world = new World(14);
  const issuer = world.found();
  const door = world.member(issuer, 'door');
  world.unlink(door, issuer);
  door.done.length = 0;
  for (let i = 0; i < 100; i++) {
    const bytes = new Uint8Array(200).fill(i);
    bytes.set([4, 0, 0, 0, 0, 0, 0, 1]);
    world.post(door, { kind: 'joinDatagram', from: { address: '11.9.9.9', port: 1 + i }, bytes });
  }
  world.settle();
  t.is(door.done.filter((effect) => effect.kind === 'sendMesh').length, 40);
  t.is(door.mesh!.drops().get('join-not-passed'), 60);
});

test('the copy of a message that comes by another way takes nothing from those that are passed on', (t) => {
  const world = new World(14);
  const issuer = world.found();
  const door = world.member(issuer, 'door');
  door.done.length = 0;
  for (let i = 0; i < 40; i++) {
    const bytes = new Uint8Array(200).fill(i);
    bytes.set([4, 0, 0, 0, 0, 0, 0, 1]);
    for (const port of [1, 2]) world.post(door, { kind: 'joinDatagram', from: { address: '11.9.9.9', port }, bytes });
  }
  world.settle();
  t.is(door.done.filter((effect) => effect.kind === 'sendMesh').length, 40);
});

test('an issuer answers fifty initiations a second, and those of a real newcomer after', (t) => {
  const world = new World(17);
  const issuer = world.found();
  const token = world.invite(issuer);
  const first = world.join(token);
  world.lose = (from) => from === issuer;
  world.run(100);
  const initiation = first.done.find((effect) => effect.kind === 'sendDatagram')!;
  const from = { address: '11.9.9.9', port: 1 };
  issuer.done.length = 0;
  for (let i = 0; i < 300; i++) {
    const bytes = initiation.bytes.slice();
    bytes.set(world.random.bytes(8), 8); // the same message in many exchanges
    world.post(issuer, { kind: 'joinDatagram', from, bytes });
  }
  world.settle();
  const answered = issuer.done.filter((effect) => effect.kind === 'sendDatagram').length;
  t.true(answered >= 90 && answered <= 110, `${answered} answered`);
  world.lose = () => false;
  world.run(20_000);
  t.is(first.joined, 1);
});

test('invite --as gives the old number and name to a new key, and puts the old key out', (t) => {
  const world = new World(15);
  const issuer = world.found();
  const old = world.member(issuer, 'attic');
  const other = world.member(issuer, 'cellar');
  world.run(3000);
  const oldKey = old.mesh!.membership.identity.signing.publicKey;
  const number = old.mesh!.membership.number;
  world.crash(old);
  const fresh = world.join(world.invite(issuer, { as: 'attic' }), 'whatever');
  world.run(1000);
  world.start(fresh);
  t.is(fresh.mesh!.membership.number, number);
  t.is(fresh.mesh!.membership.chain.node.name, 'attic');
  t.true(issuer.mesh!.isRevoked(oldKey));
  t.true(other.mesh!.isRevoked(oldKey));
  t.true(other.done.some((effect) => effect.kind === 'revoked' && effect.number === number));
  world.link(fresh, issuer);
  world.run(2000);
  t.true(
    equalBytes(other.mesh!.directory.byNumber(number)!.node.key, fresh.mesh!.membership.identity.signing.publicKey),
  );
});

test('a takeover cut off by a crash before any effect ends revoked and admitted all the same', (t) => {
  for (let step = 0; step < 12; step++) {
    const world = new World(3000 + step);
    const issuer = world.found();
    const old = world.member(issuer, 'attic');
    world.run(3000);
    const oldKey = old.mesh!.membership.identity.signing.publicKey;
    world.crash(old);
    const fresh = world.join(world.invite(issuer, { as: 'attic' }));
    issuer.crashIn = step;
    world.run(200);
    if (!issuer.mesh) world.start(issuer);
    world.run(25_000);
    t.is(fresh.joined, 1, `step ${step}`);
    t.true(issuer.mesh!.isRevoked(oldKey), `step ${step}`);
  }
});

test('the same key taking over its own number is not put out', (t) => {
  const world = new World(16);
  const issuer = world.found();
  const host = world.member(issuer, 'attic');
  world.run(3000);
  const key = host.mesh!.membership.identity.signing.publicKey;
  world.crash(host);
  host.disk.delete('membership');
  host.disk.delete('directory');
  world.join(world.invite(issuer, { as: 'attic' }), 'attic', host);
  world.run(1000);
  world.start(host);
  t.false(issuer.mesh!.isRevoked(key));
  t.is(host.mesh!.membership.number, 2);
});

test('who hears nobody is told what that may be: no member named, a LAN, a clock, or just silence', (t) => {
  const invitation = knownInvitation();
  const at = (...addresses: string[]) => ({
    ...invitation,
    members: addresses.map((address) => ({ ...invitation.members[0]!, endpoint: { address, port: 16696 } })),
  });
  const before = invitation.expires - 1;
  const told = (...addresses: string[]) => noAnswer(at(...addresses), before);
  t.is(told().message, 'the token names no member to ask');
  t.regex(told().cure, /weft invite --endpoint HOST:PORT/);
  t.regex(told('10.0.0.5', '192.168.1.2').cure, /inside their own LAN only.*weft invite --endpoint/);
  t.notRegex(told('10.0.0.5', '198.51.100.1').cure, /own LAN/);
  t.regex(told('198.51.100.1').cure, /weftd runs there/);
  t.regex(noAnswer(at('10.0.0.5'), invitation.expires).cure, /expired by the clock of this machine/);
});

test('who was admitted and never met has its number taken over all the same, by its issuer', (t) => {
  const world = new World(31);
  const issuer = world.found();
  const gone = world.join(world.invite(issuer, { name: 'attic' }), 'ignored');
  world.run(100);
  t.is(gone.joined, 1);
  const fresh = world.join(world.invite(issuer, { as: 'attic' }), 'whatever');
  world.run(100);
  t.is(fresh.joined, 1);
  const { number, name } = world.start(fresh).membership.chain.node;
  t.deepEqual({ number, name }, { number: 2, name: 'attic' });
});
