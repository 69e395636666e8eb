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
    t.true(control!.reachability.endpoints().some((each) => each.address === address && each.proven));
  }
  join(far);
  world.run(10 * second);
  for (const [one, other] of [left, right].flatMap((near) => [[near, far] as const, [far, near] as const])) {
    t.false(one.hasTunnelTo(other));
    t.regex(
      one.control!.tunnels.errorOf(other.number) ?? '',
      /both NATs are symmetric/,
      `${one.name} of ${other.name}`,
    );
  }
});
