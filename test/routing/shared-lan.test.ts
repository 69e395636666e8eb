import test from 'ava';
import { formatIp } from '../../src/addr/ip.js';
import { nodePrefix } from '../../src/addr/node-number.js';
import { seededRandom } from '../../src/random.js';
import type { RouteChoice } from '../../src/routing/contract.js';
import { Hand, saidSince } from './hand.js';
import { Network, overlay, prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

const far = '2001:db8:b:1::/64';

/** These nodes' certificates grant all of 2001:db8::/32, so that each imports from its LAN what LANs elsewhere have, too. */
function grantAll(world: Network): void {
  for (const { authority } of world.nodes.values())
    for (const number of world.nodes.keys()) authority.grantsOf.set(number, [prefix('2001:db8::/32')]);
}

test('a router without split horizon, which repeats what a gateway says, silences it of nothing', (t) => {
  const world = new Network(4);
  for (const number of [1, 2]) world.node(number);
  grantAll(world);
  world.link(1, 2);
  const lan = world.lan();
  world.attach(1, lan, { type: 'wired' });
  world.send(2, { kind: 'originate', prefix: prefix(far), metric: 0 });
  const home = String(nodePrefix(overlay, 2));
  const bird = new Hand(world, lan, 'fe80::7');
  const said = (from: number, line: string) => saidSince(world, lan, from).filter((one) => one.line.startsWith(line));
  const repeat = () => {
    bird.greet();
    const last = saidSince(world, lan, 0).findLast(({ line }) => line.includes(far));
    const words = /^update .* id (\w{8})(\w{8}) seqno (\d+) metric (\d+)/.exec(last?.line ?? '');
    if (words) {
      bird.routerId = [Number.parseInt(words[1]!, 16), Number.parseInt(words[2]!, 16)];
      bird.announce(far, Number(words[3]), Number(words[4]) + 96, 1600);
    }
    world.at(4000, repeat);
  };
  repeat();
  world.run(120_000);
  t.true(
    world.nodes
      .get(1)!
      .speaker.view(world.now)
      .some((row) => row.standing === 'unfeasible'),
    'it is heard',
  );
  for (const what of [far, home]) {
    t.deepEqual(said(0, `retract ${what}`), []);
    t.true(said(world.now - 20_000, `update ${what}`).length > 0);
  }
});

test('two gateways of one LAN both tell it of a LAN elsewhere, though each hears the other, and one stands in for the other', (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const world = new Network(seed);
    for (const number of [1, 2, 3]) world.node(number);
    grantAll(world);
    world.link(1, 3);
    world.link(2, 3);
    world.link(1, 2);
    const [here, there] = [world.lan(), world.lan()];
    for (const number of [1, 2]) world.attach(number, here, { type: 'wired' });
    world.attach(3, there, { type: 'wired' });
    const router = new Hand(world, there, 'fe80::9', [7, 7]);
    const speak = () => {
      router.greet();
      router.announce(far, 5, 0, 1600);
      world.at(4000, speak);
    };
    world.run(8000);
    speak();
    const tellers = (from: number) => {
      const telling = world
        .heardOn(here)
        .filter(({ at, bytes }) => at >= from && tlvsOf(bytes).some((line) => line.startsWith(`update ${far}`)));
      return [...new Set(telling.map((packet) => formatIp(packet.from)))].sort();
    };
    world.run(60_000);
    t.deepEqual(tellers(world.now - 40_000), ['fe80::aa:1', 'fe80::aa:2'], `seed ${seed}`);
    t.deepEqual(
      saidSince(world, here, 0).filter(({ line }) => line === `retract ${far}`),
      [],
      `seed ${seed}`,
    );
    world.kill(1);
    world.run(20_000);
    t.deepEqual(tellers(world.now - 17_000), ['fe80::aa:2'], `seed ${seed}`);
  }
});

test('a LAN whose router moved to another LAN is told of the way there as soon as its gateway knows one', (t) => {
  const world = new Network(9);
  for (const number of [1, 2]) world.node(number);
  grantAll(world);
  world.link(1, 2);
  const [here, there] = [world.lan(), world.lan()];
  world.attach(1, here, { type: 'wired' });
  world.attach(2, there, { type: 'wired' });
  let router = new Hand(world, here, 'fe80::9', [7, 7]);
  let seqno = 5;
  const speak = () => {
    router.greet();
    router.announce(far, seqno, 0, 1600);
    world.at(4000, speak);
  };
  speak();
  new Hand(world, here, 'fe80::7', [8, 8]).keepGreeting();
  world.run(20_000);
  router = new Hand(world, there, 'fe80::9', [7, 7]);
  seqno = 6;
  const moved = world.now;
  t.truthy(world.until(() => world.nodes.get(1)!.routes.get(prefix(far).key)?.choices[0]?.egress === 2, 15_000));
  const known = world.now;
  world.run(1000);
  t.true(
    saidSince(world, here, moved).some(({ at, line }) => at >= known && line.startsWith(`update ${far}`)),
    'a second later',
  );
});

/**
 * Gateways 1 and 2 and routers 8 and 9 on one LAN, 3 elsewhere, all at moments of their own. For a quarter of an hour 9 withdraws its
 * prefix and announces it again, tunnels break, words on the LAN are lost one way, and each leaves it and comes back. Says for how many
 * looks, four a second, a packet for that prefix would have gone in a circle, and how many arrived.
 */
function shaken(seed: number): { readonly circles: number; readonly arrived: number } {
  const world = new Network(seed);
  const random = seededRandom(1000 + seed);
  const goal = prefix('2001:db8:9::/48');
  for (const number of [1, 2, 3, 8, 9]) {
    world.node(number);
    world.run(30_000 * random.unit());
  }
  grantAll(world);
  const tunnels = [
    [1, 2],
    [1, 3],
    [2, 3],
  ] as const;
  for (const [a, b] of tunnels) world.link(a, b, { delay: 2 + 20 * random.unit() });
  const lan = world.lan();
  const type = (['wired', 'tunnel', 'wireless'] as const)[seed % 3]!;
  const neighbours = [1, 2, 8, 9];
  const any = () => neighbours[random.below(neighbours.length)]!;
  const onLan = new Set<number>();
  const attach = (number: number) => {
    world.attach(number, lan, { type });
    onLan.add(number);
  };
  neighbours.forEach(attach);
  const loss = new Map<string, number>();
  const deliver = world.deliver.bind(world);
  world.deliver = (number, id, from, bytes) => {
    const isLost =
      !onLan.has(number) || !onLan.has(from[15]!) || random.unit() < (loss.get(`${from[15]}-${number}`) ?? 0);
    if (id !== lan || !isLost) deliver(number, id, from, bytes);
  };
  let isThere = false;
  const turn = () => {
    isThere = !isThere;
    world.send(9, isThere ? { kind: 'originate', prefix: goal, metric: 0 } : { kind: 'withdraw', prefix: goal });
  };
  const broken = new Set<number>();
  const breakOrMend = (i: number) => {
    const [a, b] = tunnels[i]!;
    if (broken.delete(i)) world.heal(a, b);
    else {
      broken.add(i);
      world.cut(a, b);
    }
  };
  const leaveOrCome = (number: number) => {
    if (onLan.delete(number)) world.send(number, { kind: 'interfaceDown', interface: lan });
    else attach(number);
  };
  const changes = [
    turn,
    () => breakOrMend(random.below(tunnels.length)),
    () => loss.set(`${any()}-${any()}`, [0, 0, 0.5, 1][random.below(4)]!),
    () => leaveOrCome(any()),
  ];
  const change = () => {
    changes[random.below(changes.length)]!();
    world.at(1000 + 40_000 * random.unit() ** 2, change);
  };
  turn();
  world.run(20_000);
  change();
  const count = { circles: 0, arrived: 0 };
  for (let look = 0; look < 4 * 900; look++) {
    world.run(250);
    for (const start of [1, 2, 3, 8]) {
      const seen = new Set<number>();
      let at: number | undefined = start;
      while (at !== undefined && at !== 9 && !seen.has(at)) {
        seen.add(at);
        const choice: RouteChoice | undefined = world.nodes.get(at)!.routes.get(goal.key)?.choices[0];
        // Sealed for its gateway, or straight to a router on the LAN.
        at = choice?.egress ?? choice?.nextHop[15];
      }
      if (at === 9) count.arrived++;
      else if (at !== undefined) count.circles++;
    }
  }
  return count;
}

test('two gateways and two routers on one LAN, whatever breaks between them: no packet goes in a circle', (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const { circles, arrived } = shaken(seed);
    t.is(circles, 0, `seed ${seed}`);
    t.true(arrived > 0, `seed ${seed}`);
  }
});
