import test from 'ava';
import { hour, type Millis, minute, second } from '../../src/time.js';
import type { Announcement, MappingProtocol } from '../../src/upnp/contract.js';
import type { MappingEvent } from '../../src/upnp/effects.js';
import { AwayRouter, type Presence } from './away-router.js';

const networkChanged: MappingEvent = { kind: 'networkChanged' };
const protocols = ['upnp', 'nat-pmp'] as const;

/** Mapped for a while. */
function mapped(protocol: MappingProtocol, seed: number): AwayRouter {
  const world = new AwayRouter(protocol, seed);
  if (world.untilMapped(10 * second) >= 10 * second) throw new Error('it is not mapped at all');
  return world.passes(2 * minute + seed * 997);
}

/** Of the ten seconds to mapped and proven, what is left for the proof. */
const limit: Millis = 8 * second;

interface Outage {
  readonly name: string;
  /** From the moment it is over on, nothing but the daemon's own searches tells. */
  readonly happens: (world: AwayRouter) => void;
}

const away = (time: Millis, first: Presence = 'away'): Outage => ({
  name: `${first} ${time / second} s`,
  happens: (world) => world.becomes(first).passes(time).becomes('there'),
});

const outages: readonly Outage[] = [
  ...[80, 120, 180, 600].map((seconds) => away(seconds * second)),
  ...[60, 180, 600].map((seconds) => away(seconds * second, 'without-line')),
  ...[60, 180, 600].map(
    (seconds): Outage => ({
      name: `away 120 s, its line ${seconds} s later`,
      happens: (world) =>
        world
          .becomes('away')
          .passes(2 * minute)
          .becomes('without-line')
          .passes(seconds * second)
          .becomes('there'),
    }),
  ),
  {
    name: 'the link down for 60 s, its service 5 s after it',
    happens: (world) => {
      world.linked = false;
      world.becomes('away').hears(networkChanged).passes(minute);
      world.linked = true;
      world
        .hears(networkChanged)
        .passes(5 * second)
        .becomes('there');
    },
  },
];

for (const protocol of protocols) {
  for (const { name, happens } of outages) {
    test(`${protocol}: a router that was gone is mapped again within ${limit / second} s of being back: ${name}`, (t) => {
      const times = Array.from({ length: 40 }, (_, seed) => {
        const world = mapped(protocol, seed);
        happens(world);
        return world.untilMapped(hour);
      });
      t.log(`${Math.round(Math.min(...times))} to ${Math.round(Math.max(...times))} ms`);
      t.true(Math.max(...times) < limit, `after up to ${Math.max(...times)} ms`);
    });
  }
}

const seenAt = (address: string | undefined): MappingEvent => ({ kind: 'observedExternally', address });

for (const protocol of protocols) {
  test(`${protocol}: an hour without a router, or without its line: the first peer that sees us again is searched for at once`, (t) => {
    for (const presence of ['away', 'without-line'] as const) {
      for (let seed = 0; seed < 20; seed++) {
        const world = mapped(protocol, seed).becomes(presence).hears(seenAt(undefined)).passes(hour);
        world.becomes('there').hears(seenAt('11.0.0.2'));
        t.true(world.untilMapped(minute) < limit, `${presence} ${seed}`);
      }
    }
  });
}

test('a router that waits an hour for its line at the start is asked rarely in the end, and at once when peers see us', (t) => {
  const world = new AwayRouter('upnp', 1).becomes('without-line').passes(hour);
  const hopeful = world.searches.filter((at) => at < 15 * minute).length;
  const later = world.searches.length - hopeful;
  t.true(hopeful > 180 && hopeful <= 300, `${hopeful} in the first quarter`);
  t.true(later > 60 && later <= 120, `${later} in the others`);
  world.becomes('there').hears(seenAt('11.0.0.2'));
  t.true(world.untilMapped(minute) < 5 * second);
});

test('upnp: another address of a router that was up all the time is mapped as soon as peers see it', (t) => {
  const times = Array.from({ length: 20 }, (_, seed) => {
    const world = mapped('upnp', seed)
      .hears(seenAt('11.0.0.2'))
      .passes(3 * second);
    world.address = '11.0.0.9';
    return world.hears(seenAt('11.0.0.9')).untilMapped(minute);
  });
  t.true(Math.max(...times) < second, `after up to ${Math.max(...times)} ms`);
});

test('a peer that tells another address each moment has us look at the table no more than once in ten seconds, and map nothing', (t) => {
  const world = mapped('upnp', 1).hears(seenAt('11.0.0.2')).passes(minute);
  const before = world.looks;
  for (let i = 0; i < 1200; i++) world.hears(seenAt(`11.0.${i % 2}.1`)).passes(100);
  const looks = world.looks - before;
  t.true(looks >= 12 && looks <= 14, `${looks} in two minutes`);
  t.is(world.grants, 1);
});

/** The most that fall into any span of this length. */
function mostIn(times: readonly Millis[], span: Millis): number {
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + span).length));
}

for (const protocol of protocols) {
  test(`${protocol}: no router is pestered: one search in 3 s for a quarter of an hour, then one in 22 s, and in 7 minutes where peers see us`, (t) => {
    for (const presence of ['away', 'without-line'] as const) {
      for (let seed = 0; seed < 5; seed++) {
        const world = mapped(protocol, seed);
        const start = world.becomes(presence).passes(2 * minute).now;
        world.passes(4 * hour);
        const hopeful = world.searches.filter((at) => at < start + 18 * minute);
        // The first waits are shorter: 2 s, less a quarter.
        t.true(mostIn(hopeful, minute) <= 21, `${mostIn(hopeful, minute)} in a minute`);
        t.true(hopeful.length <= 300, `${hopeful.length} in a quarter of an hour`);
        const idle = world.searches.filter((at) => at >= start + 18 * minute);
        t.true(idle.length > 0 && mostIn(idle, 10 * minute) <= 27, `${mostIn(idle, 10 * minute)} in ten minutes`);
      }
    }
    const behind = new AwayRouter(protocol, 1).becomes('without-line').hears(seenAt('11.0.0.9'));
    behind.passes(hour);
    const idle = behind.searches.filter((at) => at > 20 * minute);
    t.true(idle.length > 0 && mostIn(idle, 15 * minute) <= 2, `${mostIn(idle, 15 * minute)} in a quarter of an hour`);
  });
}

for (const life of ['7', undefined]) {
  const announced = (says: Announcement['says'], boot = life): MappingEvent => ({
    kind: 'announced',
    announcement: { address: '192.168.1.1', says, ...(boot === undefined ? {} : { life: boot }) },
  });
  test(`a router that refuses, and says every 30 s that it is there ${life ? 'with' : 'without'} a boot number, is asked once in 7 minutes, and at once after a start`, (t) => {
    /** For an hour. */
    const refusing = () => {
      const world = new AwayRouter('upnp', 1).becomes('without-line').hears(seenAt('11.0.0.9'));
      for (let i = 0; i < 120; i++) world.passes(30 * second).hears(announced('there'));
      return world;
    };
    const idle = refusing().searches.filter((at) => at > 20 * minute);
    t.true(idle.length > 0 && mostIn(idle, 15 * minute) <= 2, `${mostIn(idle, 15 * minute)} in a quarter of an hour`);
    const isAnew = life ? refusing() : refusing().passes(2 * minute);
    const anew = isAnew.becomes('there').hears(announced('there', life && '8'));
    t.true(anew.untilMapped(minute) < 2 * second);
    const back = refusing()
      .hears(announced('started'))
      .passes(5 * second);
    t.true(back.becomes('there').hears(announced('there')).untilMapped(minute) < 2 * second);
  });
}

test('a peer that tells another address each moment has us search no more than once in three seconds', (t) => {
  const world = mapped('nat-pmp', 1).becomes('without-line').passes(hour);
  const before = world.searches.length;
  for (let i = 0; i < 600; i++) world.hears(seenAt(`11.0.${i % 250}.1`)).passes(100);
  const searches = world.searches.length - before;
  t.true(searches > 5 && searches <= 20, `${searches} in a minute`);
});
