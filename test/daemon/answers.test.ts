import test from 'ava';
import { memberStatus, routeRows, why } from '../../daemon/answers.js';
import type { NodeEvent } from '../../daemon/api.js';
import type { Member } from '../../daemon/member.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { second } from '../../src/time.js';
import { claim, prefixOf, routesTo, three } from '../control/claims.js';
import { type Machine, World } from '../control/world.js';

/**
 * A member as `status` sees it: the control plane is the product's own, of a machine in a simulated network, and what it told is
 * what the operator hears of. Device, kernel and streams have nothing to say.
 */
function memberOf(world: World, machine: Machine, toldAgo = 0): Member {
  const control = machine.control!;
  const events = machine.told.map(({ code, node, detail }): NodeEvent => {
    const name = node === undefined ? null : control.mesh.directory.certificateOf(node)!.name;
    return { at: new Date(Date.now() - toldAgo).toISOString(), kind: code, message: detail, node: name };
  });
  const seen = {
    control,
    plane: { capabilities: () => ({}), drops: () => [] },
    aesFaster: true,
    uptime: 0,
    tls: undefined,
    now: () => world.now,
    streamOf: () => undefined,
    nameOf: (number: number) => control.mesh.directory.certificateOf(number)?.name,
    streamDrops: () => [],
    kernelHealth: () => [],
    events: () => events,
  };
  return seen as unknown as Member;
}

function healthOf(member: Member) {
  return memberStatus(member, '0', { name: 'weft0', mtu: 1380 }, [], undefined).health;
}

const lies = ['invalid-signature', 'not-the-owner', 'old-epoch', 'replayed-seqno'] as const;
const isLie = ({ code }: { code: string }) => (lies as readonly string[]).includes(code);

test('who says of routes what is not so has a line in status with its name, for each kind of lie one', (t) => {
  const [world, founder, liar, victim] = three(67);
  const prefix = prefixOf(founder);
  const { routerId, seqno } = routesTo(world, victim, prefix)[0]!;
  const own = routesTo(world, victim, prefixOf(liar))[0]!.routerId;
  const say = (lie: Parameters<typeof claim>[0]) => {
    liar.sendBabel(victim, claim(lie));
    world.run(20);
  };
  t.deepEqual(healthOf(memberOf(world, victim)).filter(isLie), [], 'nobody has lied yet');
  say({ prefix, routerId: own, seqno: 1, signer: liar });
  say({ prefix, routerId, seqno: seqno + 9, signer: liar });
  say({ prefix, routerId, seqno: seqno + 500, signer: founder });
  say({ prefix, routerId, seqno: seqno + 400, signer: founder });
  founder.crash();
  founder.disk.delete('routing');
  world.run(5 * second);
  founder.start();
  world.until(() => routesTo(world, victim, prefix)[0]?.selected === true, 20 * second);
  say({ prefix, routerId, seqno: 900, signer: founder });
  const said = healthOf(memberOf(world, victim)).filter(isLie);
  t.deepEqual(said.map(({ code }) => code).sort(), [...lies]);
  for (const { code, severity, message, fix } of said) {
    const { detail } = victim.told.findLast((one) => one.code === code)!;
    t.deepEqual([severity, message], ['warning', `${liar.name}: ${detail}`]);
    t.regex(fix, /revoke/);
  }
  t.deepEqual(healthOf(memberOf(world, victim, 600_001)).filter(isLie), [], 'ten minutes later it is no news');
});

test('two machines with one key are a line in status of who hears both: where they are, and what to do', (t) => {
  const world = new World(68);
  const [founder, first] = world.network(2) as [Machine, Machine];
  world.until(() => founder.hasTunnelTo(first), 20 * second);
  world.run(5 * second);
  const copy = world.machine('a copy');
  for (const [name, bytes] of first.disk) copy.disk.set(name, bytes);
  copy.start();
  world.run(20 * second);
  const cloned = () => healthOf(memberOf(world, founder)).filter(({ code }) => code === 'cloned');
  t.deepEqual(cloned(), [
    {
      code: 'cloned',
      severity: 'warning',
      message: `${first.name}: two machines run with its key: ${first.address}:16696 and ${copy.address}:16696`,
      fix: 'one machine is a copy of the other: on the copy, weft leave, then join with a token of its own',
    },
  ]);
  t.is(founder.told.filter(({ code }) => code === 'tunnel-down').length, 0, 'the first stays');
  t.false(copy.hasTunnelTo(founder));
  const ofItself = () => healthOf(memberOf(world, copy)).filter(({ code }) => code === 'own-key-cloned');
  t.deepEqual(ofItself(), [
    {
      code: 'own-key-cloned',
      severity: 'error',
      message: `${founder.name}: says that another machine runs with the key of this one, and was there first`,
      fix: 'one machine is a copy of the other: on the copy, weft leave, then join with a token of its own; if there is no copy, look at the node that says so',
    },
  ]);
  const ofFirst = () => healthOf(memberOf(world, first)).filter(({ code }) => code.startsWith('own-key'));
  t.deepEqual(ofFirst(), [
    {
      code: 'own-key-copied',
      severity: 'warning',
      message: `${founder.name}: says that another machine, at ${copy.address}:16696, runs with the key of this one, which was there first`,
      fix: 'one machine is a copy of the other: on the copy, weft leave, then join with a token of its own; if you know of no copy, the key is stolen: weft revoke NAME on its issuer',
    },
  ]);
  // A line stays for ten minutes: it is told again as long as both run, and no oftener than is of use.
  for (let minutes = 10; minutes <= 60; minutes += 10) {
    const codes = /cloned|copied/;
    const count = () => [founder, copy, first].map(({ told }) => told.filter(({ code }) => codes.test(code)).length);
    const [before, beforeCopy, beforeFirst] = count() as [number, number, number];
    world.run(600 * second);
    const [after, afterCopy, afterFirst] = count() as [number, number, number];
    t.true(after > before && after <= before + 3, `founder, after ${minutes} minutes: ${after - before} times`);
    t.true(afterCopy > beforeCopy && afterCopy <= beforeCopy + 3, `copy: ${afterCopy - beforeCopy} times`);
    t.true(afterFirst > beforeFirst && afterFirst <= beforeFirst + 3, `first: ${afterFirst - beforeFirst} times`);
  }
  t.is(founder.told.filter(({ code }) => code === 'tunnel-down').length, 0);
});

test('a refused announcement is a candidate in `weft why` and in `weft routes`, with the neighbour and the reason', (t) => {
  const [world, , liar, victim] = three(68);
  const own = routesTo(world, victim, prefixOf(liar))[0]!.routerId;
  const member = memberOf(world, victim);
  t.deepEqual(routeRows(member, '10.9.1.1'), []);
  liar.sendBabel(victim, claim({ prefix: parsePrefix('10.9.0.0/16')!, routerId: own, seqno: 1, signer: liar }));
  world.run(20);
  const reason = 'refused: no certificate grants this prefix to the node behind which it is said to be';
  t.deepEqual(
    why(member, '10.9.1.1').candidates.map((one) => [one.nextHop, one.selected, one.feasible, one.reason]),
    [['n2', false, false, reason]],
  );
  t.deepEqual(
    routeRows(member, '10.9.1.1').map((row) => [row.prefix, row.nextHop, row.reason]),
    [['10.9.0.0/16', 'n2', reason]],
  );
});
