import test from 'ava';
import { minute, second } from '../../src/time.js';
import { NatModel, natKinds } from '../helpers/nat-model.js';
import { type Machine, World } from './world.js';

/** Two members on one LAN, whose router maps no port, one in another home, and two public ones. */
function twoHomes(kind: keyof typeof natKinds) {
  const world = new World(3);
  const router = (address: string) => new NatModel(address, natKinds[kind], world.random);
  const [dc, other] = [world.machine('dc'), world.machine('other')];
  const left = world.machine('left', '192.168.1.10');
  const right = world.machine('right', '192.168.1.11');
  const far = world.machine('far', '192.168.7.20');
  world.home(router('12.0.0.1'), left, right);
  world.home(router('12.0.0.2'), far);
  dc.found();
  const join = (machine: Machine) => {
    machine.join(dc.invite());
    world.until(() => machine.control !== undefined, 10 * second);
  };
  for (const machine of [other, left, right]) join(machine);
  left.findOnLan(right);
  right.findOnLan(left);
  world.until(() => left.hasTunnelTo(right) && right.hasTunnelTo(left), 10 * second);
  world.run(minute);
  return { world, left, right, far, join };
}

test('homes behind symmetric NATs say why they stay relayed, though each LAN neighbour has proven the other', (t) => {
  const { world, left, right, far, join } = twoHomes('symmetric');
  for (const { address, control } of [left, right]) {
    const { reachability } = control!;
    t.true(reachability.endpoints().some((each) => each.address === address && each.proven));
    t.is(reachability.nat().filtering, 'address-and-port-dependent');
  }
  join(far);
  world.run(10 * second);
  for (const near of [left, right]) {
    t.false(near.hasTunnelTo(far) || far.hasTunnelTo(near), near.name);
    const reasons = [near.control!.tunnels.errorOf(far.number), far.control!.tunnels.errorOf(near.number)];
    // Who asked hears no more than that; the answering side knows both NATs.
    t.deepEqual(reasons.sort(), [
      'both NATs are symmetric: each gives every destination another port, so neither can be told where to send',
      'the NATs of both sides do not allow it',
    ]);
  }
});

test('homes of two behind port-restricted NATs meet by holes, though each LAN neighbour has proven the other', (t) => {
  const { world, left, right, far, join } = twoHomes('port-restricted');
  for (const { control } of [left, right]) {
    t.is(control!.reachability.nat().filtering, 'address-and-port-dependent');
  }
  join(far);
  for (const near of [left, right]) {
    t.notThrows(() => world.until(() => near.hasTunnelTo(far) && far.hasTunnelTo(near), 10 * second), near.name);
  }
});
