import test from 'ava';
import fc from 'fast-check';
import { second } from '../../src/time.js';
import { type Machine, World } from './world.js';

/** What may happen to two nodes, in any order. */
const step = fc.oneof(
  fc.record({
    what: fc.constantFrom('dial', 'dial overlay', 'restart', 'hang up') as fc.Arbitrary<string>,
    who: fc.nat(1),
  }),
  fc.record({ what: fc.constantFrom('wait') as fc.Arbitrary<string>, who: fc.nat(200) }),
  fc.record({ what: fc.constantFrom('wait') as fc.Arbitrary<string>, who: fc.nat(20_000) }),
  fc.record({ what: fc.constantFrom('cut', 'heal') as fc.Arbitrary<string>, who: fc.constant(0) }),
);

/** Sessions both ends hold, each able to open what the other sends. */
function common(alice: Machine, bob: Machine): number {
  const sessions = (of: Machine, node: number) =>
    [...of.plane.links.values()].filter((link) => link.node === node).flatMap((link) => link.sessions);
  const theirs = sessions(bob, 1);
  return sessions(alice, 2).filter((ours) =>
    theirs.some((other) => other.receiveKey === ours.sendKey && other.sendKey === ours.receiveKey),
  ).length;
}

test('after any schedule, once datagrams arrive again both hold a common session and packets pass', (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 25 }),
      fc.record({ loss: fc.double({ min: 0, max: 0.6, noNaN: true }), jitter: fc.nat(1500), seed: fc.nat() }),
      (steps, { loss, jitter, seed }) => {
        const world = new World(seed);
        const pair = [world.machine(1).start(), world.machine(2).start()];
        const [alice, bob] = pair as [Machine, Machine];
        Object.assign(world.wire, { loss, duplication: 0.2, jitter });
        for (const { what, who } of steps) {
          const [one, other] = who === 0 ? [alice, bob] : [bob, alice];
          if (what === 'wait') world.run(who);
          else if (what === 'dial') one.dial(other);
          else if (what === 'dial overlay') one.dial(other, 'overlay');
          else if (what === 'restart') one.start();
          else if (what === 'hang up') one.do({ kind: 'hangUp', node: other.node, reason: 'test' });
          else world.wire.cut = what === 'cut';
        }
        // The world mends; as the mesh would, whoever has no tunnel asks for one now and then.
        Object.assign(world.wire, { loss: 0, duplication: 0, jitter: 0, cut: false });
        for (let i = 0; i < 12; i++) {
          if (alice.standing(bob) !== 'tunnel') alice.dial(bob);
          world.run(3 * second);
        }
        t.is(alice.standing(bob), 'tunnel');
        t.is(bob.standing(alice), 'tunnel');
        t.true(common(alice, bob) >= 1);
        t.is(alice.told('cloned').length + bob.told('cloned').length, 0);
        alice.plane.sendPacket(2, 1001, world.now);
        bob.plane.sendPacket(1, 1002, world.now);
        world.run(second);
        t.true(bob.plane.packets.includes(1001) && alice.plane.packets.includes(1002));
        for (const machine of pair) t.true(machine.plane.links.size <= 2);
      },
    ),
    { seed: 11, numRuns: 60 },
  );
});
