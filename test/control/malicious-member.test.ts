import test, { type ExecutionContext } from 'ava';
import { parsePrefix } from '../../src/addr/prefix.js';
import { grant } from '../../src/mesh/commands.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { minute, second } from '../../src/time.js';
import { claim, prefixOf, routesTo, three } from './claims.js';
import { type Machine, World } from './world.js';

/*
 * A member with a valid certificate, tunnels and keys of its own says what it likes about routes. The others run the product's
 * whole control plane: what they refuse, whom they name for it, and what they cannot know.
 */

/** The victim counted it once more and told the operator whom to look at. */
function refuses(t: ExecutionContext, world: World, liar: Machine, victim: Machine, code: string, packet: Uint8Array) {
  const counted = () => victim.control!.speaker.counts().get(code as 'quota') ?? 0;
  const before = counted();
  const told = victim.told.length;
  liar.sendBabel(victim, packet);
  world.run(20); // what the owner says of itself meanwhile would be counted too
  t.is(counted(), before + 1, code);
  t.deepEqual(
    victim.told.slice(told).map((one) => [one.code, one.node]),
    [[code, liar.number]],
  );
}

test('the prefix of another, signed by itself or under its own router-id, is refused and the neighbour named', (t) => {
  const [world, founder, liar, victim] = three(61);
  const prefix = prefixOf(founder);
  const { routerId, seqno } = routesTo(world, victim, prefix)[0]!;
  const own = routesTo(world, victim, prefixOf(liar))[0]!.routerId;
  refuses(t, world, liar, victim, 'not-the-owner', claim({ prefix, routerId: own, seqno: 1, signer: liar }));
  refuses(t, world, liar, victim, 'invalid-signature', claim({ prefix, routerId, seqno: seqno + 9, signer: liar }));
  t.is(victim.nextHopTo(founder), founder.number);
  t.true(routesTo(world, victim, prefix).every((row) => row.seqno === seqno));
});

test('a seqno and an epoch that the owner has left behind, with its true signature, are refused', (t) => {
  const [world, founder, liar, victim] = three(62);
  const prefix = prefixOf(founder);
  const before = routesTo(world, victim, prefix)[0]!;
  const { routerId } = before;
  const ahead = claim({ prefix, routerId, seqno: before.seqno + 500, signer: founder });
  liar.sendBabel(victim, ahead);
  world.run(20);
  const stale = claim({ prefix, routerId, seqno: before.seqno + 400, signer: founder });
  refuses(t, world, liar, victim, 'replayed-seqno', stale);
  founder.crash();
  founder.disk.delete('routing');
  world.run(5 * second);
  founder.start();
  world.until(() => routesTo(world, victim, prefix)[0]?.selected === true, 20 * second);
  t.not(routesTo(world, victim, prefix)[0]!.routerId, routerId, 'the founder lost its disk: a new epoch');
  refuses(t, world, liar, victim, 'old-epoch', claim({ prefix, routerId, seqno: 900, signer: founder }));
});

test('a LAN prefix is let out by no node without a grant: not by itself, not by the word of another', (t) => {
  const [world, founder, liar, victim] = three(63);
  const prefix = parsePrefix('10.9.0.0/16')!;
  liar.route({ kind: 'originate', prefix, metric: 0 });
  world.run(2 * second);
  t.deepEqual(routesTo(world, victim, prefix), [], 'the product does not even announce it');
  const { routerId } = routesTo(world, victim, prefixOf(liar))[0]!;
  const lie = claim({ prefix, routerId, seqno: 1, egress: liar.number, signer: liar });
  refuses(t, world, liar, victim, 'not-granted', lie);
  const other = claim({ prefix, routerId, seqno: 2, egress: founder.number, signer: liar });
  refuses(t, world, liar, victim, 'invalid-signature', other);
  t.false(routesTo(world, victim, prefix).some((row) => row.selected));
});

test('a grant makes a LAN prefix reachable everywhere, and taken away it is gone, whatever its gateway says', (t) => {
  const [world, founder, gateway, other] = three(64);
  const prefix = parsePrefix('10.9.0.0/16')!;
  const isUsed = () => routesTo(world, other, prefix)[0]?.selected === true;
  gateway.route({ kind: 'originate', prefix, metric: 0 });
  founder.order(grant(founder.mesh, gateway.name, [prefix]).effects);
  const given = world.until(isUsed, 10 * second);
  t.is(routesTo(world, other, prefix)[0]!.egress, gateway.number);
  const { routerId, seqno } = routesTo(world, other, prefix)[0]!;
  founder.order(grant(founder.mesh, gateway.name, []).effects);
  const taken = world.until(() => !isUsed(), 10 * second);
  t.true(given < 2 * second && taken < 2 * second, `given after ${given} ms, taken after ${taken} ms`);
  world.run(2 * second);
  const lie = claim({ prefix, routerId, seqno: seqno + 1, egress: gateway.number, signer: gateway });
  gateway.sendBabel(other, lie);
  world.run(2 * second);
  t.false(isUsed());
  t.true(other.told.some((one) => one.code === 'not-granted' && one.node === gateway.number));
});

test('what signatures do not stop: a member lies about its distance, and gets the traffic', (t) => {
  const world = new World(65);
  const machines = world.network(4);
  const [founder, one, two, victim] = machines as [Machine, Machine, Machine, Machine];
  const relays = [one, two];
  world.until(() => relays.every((relay) => relay.hasTunnelTo(victim)), 20 * second);
  world.separate(founder, victim);
  world.until(() => !victim.hasTunnelTo(founder), 20 * second);
  world.until(() => victim.nextHopTo(founder) !== undefined, 20 * second);
  world.run(60 * second);
  const prefix = prefixOf(founder);
  const liar = relays.find((relay) => relay.number !== victim.nextHopTo(founder))!;
  const { routerId, seqno } = routesTo(world, victim, prefix)[0]!;
  // The signature of the founder is genuine: it says nothing of how far away the founder is.
  const lie = claim({ prefix, routerId, seqno, metric: 0, signer: founder });
  // Its own speaker tells the truth now and then.
  for (let told = 0; told < 20 && victim.nextHopTo(founder) !== liar.number; told++) {
    liar.sendBabel(victim, lie);
    world.run(second);
  }
  liar.sendBabel(victim, lie);
  world.run(100);
  t.is(victim.nextHopTo(founder), liar.number);
  const row = routesTo(world, victim, prefix)[0]!;
  t.deepEqual([row.announced, row.selected], [0, true], 'the lie is believed');
  t.false(victim.told.some(({ node, code }) => node === liar.number && code !== 'tunnel-up' && code !== 'tunnel-down'));
});

test('what it says of where it is has others dial there within bounds, however often it says something else', (t) => {
  const world = new World(66);
  const [founder, liar, other] = world.network(3) as [Machine, Machine, Machine];
  world.until(() => founder.hasTunnelTo(liar) && other.hasTunnelTo(founder), 20 * second);
  world.separate(liar, other);
  world.until(() => !other.hasTunnelTo(liar), minute);
  let heard = 0;
  for (let i = 0; i < 120; i++) {
    const victims = Array.from({ length: 8 }, (_, at) => ({ address: `12.0.${i}.${at + 1}`, port: 53 }));
    liar.claims(victims);
    world.run(second);
    const { endpoints } = other.mesh.directory.byNumber(liar.number)!;
    if (endpoints.some(({ address }) => address === victims[0]!.address)) heard++;
  }
  t.true(heard > 100, `${heard} records`);
  const outside = [...other.sentTo].filter(([address]) => address.startsWith('12.0.'));
  const datagrams = outside.reduce((sum, [, count]) => sum + count, 0);
  t.log(`${datagrams} datagrams to ${outside.length} addresses`);
  // It had a tunnel with us: a dial that ran, and then one every 25 s, chance and a short first pause making it six at most. Each
  // sends ten datagrams to eight addresses, and is begun anew once after a second or later.
  t.true(outside.length > 0 && outside.length <= 7 * 16, `${outside.length} addresses`);
  t.true(datagrams <= 7 * 8 * (10 + 10), `${datagrams} datagrams`);
});

test('a gateway that lets out more prefixes than one node may is named, not who brings them on', (t) => {
  const [world, founder, relay, victim] = three(65);
  const gateway = founder;
  founder.order(grant(founder.mesh, gateway.name, [parsePrefix('10.0.0.0/8')!]).effects);
  world.run(5 * second);
  const { routerId } = routesTo(world, victim, prefixOf(gateway))[0]!;
  const share = defaultTuning.maxForeignPerEgress;
  for (let i = 0; i <= share; i++) {
    const prefix = parsePrefix(`10.${i >> 8}.${i & 255}.0/24`)!;
    relay.sendBabel(victim, claim({ prefix, routerId, seqno: 1, egress: gateway.number, signer: gateway }));
    if (i % 64 === 63) world.run(64); // no faster than control frames are taken from a member
  }
  world.run(second);
  t.is(victim.control!.speaker.sizes().destinations, 3 + share);
  const told = victim.told.filter((one) => one.code === 'lan-quota');
  t.deepEqual(
    told.map(({ node }) => node),
    [gateway.number],
  );
});
