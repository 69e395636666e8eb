import test from 'ava';
import fc from 'fast-check';
import { seededRandom } from '../../src/random.js';
import { hour, minute, second } from '../../src/time.js';
import type { CompanionEvent } from '../../src/upnp/companion.js';
import type { GatewayDescription, Grant, RefusalCode } from '../../src/upnp/contract.js';
import type { MappingEffect, MappingEvent } from '../../src/upnp/effects.js';
import { Mapping } from '../../src/upnp/mapping.js';
import type { MappingState } from '../../src/upnp/status.js';
import { gateway, other } from './gateways.js';

const grant: Grant = { externalAddress: '11.0.0.2', externalPort: 16696, leaseSeconds: 3600 };

/** An answer that does not say what it answers is one to the last question. */
type Heard =
  | MappingEvent
  | Omit<Extract<MappingEvent, { kind: 'granted' }>, 'asked'>
  | Omit<Extract<MappingEvent, { kind: 'refused' }>, 'asked'>;

/** A Mapping on a virtual clock, and all it ordered. */
class World {
  readonly mapping = new Mapping({ internalPort: 16696, random: seededRandom(7) });
  now = 1000;
  orders: MappingEffect[] = [];
  #asked = 16696;

  /** Takes events in turn; the orders of the last are in `orders`. */
  hears(...events: Heard[]): this {
    for (const event of events) {
      const whole = { asked: this.#asked, ...event } as MappingEvent;
      this.orders = this.#note(this.mapping.handle(whole, this.now));
    }
    return this;
  }

  #note(orders: MappingEffect[]): MappingEffect[] {
    for (const order of orders) if (order.kind === 'map') this.#asked = order.request.externalPort;
    return orders;
  }

  /** Lets the time pass, ticking whenever the machine wants it; `orders` has all of it. */
  passes(time: number): this {
    const end = this.now + time;
    this.orders = [];
    for (let ticks = 0; this.mapping.deadline() <= end; ticks++) {
      if (ticks > 10_000) throw new Error('ticks without end');
      this.now = Math.max(this.now, this.mapping.deadline());
      this.orders.push(...this.#note(this.mapping.tick(this.now)));
    }
    this.now = end;
    return this;
  }

  get state(): MappingState {
    return this.mapping.status().state;
  }

  kinds(): string[] {
    return this.orders
      .map(({ kind }) => kind)
      .filter((kind) => kind !== 'statusChanged' && kind !== 'companionChanged');
  }
}

const found: MappingEvent = { kind: 'gatewayFound', gateway };
const searchEnded: MappingEvent = { kind: 'searchEnded', seen: '' };
const granted: Heard = { kind: 'granted', gateway: 'one', grant };
const refusedWith = (code: RefusalCode, asked?: number): Heard => ({
  kind: 'refused',
  gateway: 'one',
  refusal: { code, detail: 'error' },
  ...(asked === undefined ? {} : { asked }),
});
const gone: MappingEvent = { kind: 'checked', gateway: 'one', answer: { answered: true, held: false } };
const announced: MappingEvent = {
  kind: 'announced',
  announcement: { address: '192.168.1.1', says: 'started' },
};
const networkChanged: MappingEvent = { kind: 'networkChanged' };
const stopping: MappingEvent = { kind: 'stopping' };

const reach: Record<MappingState, () => World> = {
  absent: () => new World().passes(0).hears(searchEnded),
  asked: () => new World().passes(0).hears(found),
  mapped: () => new World().passes(0).hears(found, granted, searchEnded).passes(0),
  renewing: () => reach.mapped().hears(gone),
  refused: () => new World().passes(0).hears(found, searchEnded, refusedWith('not-authorised')),
};

/** state, event → state, orders. */
const table: readonly (readonly [MappingState, string, Heard, MappingState, readonly string[]])[] = [
  ['absent', 'found out of turn', found, 'absent', []],
  ['absent', 'granted out of turn', granted, 'absent', ['unmap']],
  ['absent', 'announced', announced, 'absent', []],
  ['absent', 'network changed', networkChanged, 'absent', ['search']],
  ['absent', 'stopping', stopping, 'absent', []],
  ['asked', 'another found', { kind: 'gatewayFound', gateway: other }, 'asked', []],
  ['asked', 'search ended', searchEnded, 'asked', []],
  ['asked', 'granted', granted, 'mapped', []],
  ['asked', 'refused: conflict', refusedWith('conflict'), 'asked', ['map']],
  ['asked', 'refused: permanent only', refusedWith('permanent-only'), 'asked', ['map']],
  ['asked', 'refused: not authorised', refusedWith('not-authorised'), 'asked', []],
  ['asked', 'network changed', networkChanged, 'asked', ['search']],
  ['asked', 'stopping', stopping, 'absent', []],
  ['mapped', 'granted out of turn', granted, 'mapped', []],
  ['mapped', 'refused out of turn', refusedWith('conflict'), 'mapped', []],
  ['mapped', 'table lost', gone, 'renewing', ['map']],
  ['mapped', 'announced', announced, 'mapped', []],
  ['mapped', 'network changed', networkChanged, 'renewing', ['search']],
  ['mapped', 'stopping', stopping, 'absent', ['unmap']],
  ['renewing', 'granted', granted, 'mapped', []],
  ['renewing', 'refused: silent', refusedWith('silent'), 'refused', []],
  ['renewing', 'network changed', networkChanged, 'renewing', ['search']],
  ['renewing', 'stopping', stopping, 'absent', ['unmap']],
  ['refused', 'granted out of turn', granted, 'refused', ['unmap']],
  ['refused', 'network changed', networkChanged, 'refused', ['search']],
  ['refused', 'stopping', stopping, 'absent', []],
];

for (const [before, name, event, after, orders] of table) {
  test(`${before}, ${name}: ${after}`, (t) => {
    const world = reach[before]();
    t.is(world.state, before);
    world.hears(event);
    t.is(world.state, after);
    t.deepEqual(world.kinds(), orders);
  });
}

const trialWanted: MappingEvent = { kind: 'trialWanted' };
const trialEnded: MappingEvent = { kind: 'trialEnded' };
const grantedAt = (externalPort: number, asked = externalPort): MappingEvent => ({
  kind: 'granted',
  gateway: 'one',
  asked,
  grant: { ...grant, externalPort },
});

const well: MappingEvent = { kind: 'checked', gateway: 'one', answer: { answered: true } };
const unmapOf = (externalPort: number) => ({ kind: 'unmap', gateway: 'one', internalPort: 16696, externalPort });
const byNatPmp: GatewayDescription = { ...gateway, protocol: 'nat-pmp' };
const mappedByNatPmp = () =>
  new World().passes(0).hears({ kind: 'gatewayFound', gateway: byNatPmp }, granted, searchEnded).passes(0);
/** Mapped, with a check under way. */
const whileLookedAt = () => {
  const world = reach
    .mapped()
    .hears(well)
    .passes(5 * second);
  if (!world.kinds().includes('check')) throw new Error('it is not looked at');
  return world;
};

/** The port a trial was asked for. */
function trialPort({ orders }: World): number {
  const [order] = orders;
  if (order?.kind !== 'map') throw new Error(`no trial is asked for: ${JSON.stringify(orders)}`);
  return order.request.externalPort;
}

test('a trial: another port for a while, named when it is granted, removed when it is over; the mapping stands all the time', (t) => {
  const world = reach.mapped().hears(trialWanted);
  const port = trialPort(world);
  t.true(port !== 16696 && port >= 20_000 && port < 32_000);
  t.like(world.orders[0], { request: { internalPort: 16696, leaseSeconds: 120 } });
  world.hears(grantedAt(port));
  t.deepEqual(world.orders, [{ kind: 'trialMapped', externalAddress: '11.0.0.2', externalPort: port }]);
  t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696 });
  t.deepEqual(world.hears(trialWanted).kinds(), ['trialMapped'], 'one at a time');
  t.deepEqual(world.hears(trialEnded).orders, [
    { kind: 'unmap', gateway: 'one', internalPort: 16696, externalPort: port },
  ]);
  t.deepEqual(world.hears(trialEnded).orders, []);
  t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696 });
});

test('a trial over NAT-PMP, where a router has one entry for a port of ours: it is asked to move it back', (t) => {
  const world = mappedByNatPmp().hears(trialWanted);
  world.hears(grantedAt(trialPort(world)), trialEnded);
  t.deepEqual(world.kinds(), ['map']);
  t.like(world.orders[0], { request: { externalPort: 16696, leaseSeconds: 3600 } });
  world.hears(granted);
  t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696 });
});

test('a trial that is refused, or granted at the mapped port itself, leaves the mapping alone and nothing behind', (t) => {
  const world = reach.mapped().hears(trialWanted);
  const ports = new Set([trialPort(world)]);
  while (world.hears(refusedWith('conflict')).orders.length > 0) ports.add(trialPort(world));
  t.is(ports.size, 8, 'some ports, and no more');
  t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696, reason: null });
  const asked = trialPort(world.hears(trialWanted));
  t.deepEqual(world.hears(grantedAt(16696, asked)).orders, [unmapOf(asked)]);
  const byOther = mappedByNatPmp().hears(trialWanted);
  t.deepEqual(byOther.hears(grantedAt(16696, trialPort(byOther))).orders, [], 'it has one entry for us');
  t.deepEqual(world.hears(trialWanted, refusedWith('not-authorised')).orders, []);
  t.like(world.hears(trialWanted, refusedWith('permanent-only')).orders[0], { request: { leaseSeconds: 0 } });
});

test('a trial is over with the search for routers and with us, and its late answer is no mapping', (t) => {
  const onTrial = () => {
    const world = reach.mapped().hears(trialWanted);
    const port = trialPort(world);
    return { world: world.hears(grantedAt(port)), port };
  };
  t.deepEqual(onTrial().world.hears(networkChanged).kinds(), ['unmap', 'trialLost', 'search']);
  t.deepEqual(onTrial().world.hears(stopping).kinds(), ['unmap', 'unmap']);
  const world = reach.mapped().hears(trialWanted);
  const port = trialPort(world);
  world.hears(networkChanged, found, grantedAt(port));
  t.is(world.state, 'renewing');
  t.deepEqual(world.orders, [unmapOf(port)]);
  t.is(world.hears(granted).mapping.status().externalPort, 16696);
  const silent = reach.mapped().hears(trialWanted);
  const lost = trialPort(silent);
  t.deepEqual(silent.passes(13 * second).hears(grantedAt(lost)).orders, [unmapOf(lost)], 'too late');
  t.like(silent.mapping.status(), { state: 'mapped', externalPort: 16696 });
  for (const state of ['absent', 'asked', 'renewing', 'refused'] as const)
    t.deepEqual(reach[state]().hears(trialWanted).orders, []);
});

test('a trial that was lost to a search or to a renewal is asked for again after it, at another port', (t) => {
  const renewals: readonly (readonly [string, World])[] = [
    ['a search while it is asked for', reach.mapped().hears(trialWanted, networkChanged, found)],
    ['wanted in the middle of a search', reach.mapped().hears(networkChanged, trialWanted, found)],
    ['a renewal while it is asked for', whileLookedAt().hears(trialWanted, gone)],
  ];
  for (const [name, world] of renewals) {
    t.is(world.state, 'renewing', name);
    t.true(trialPort(world.hears(granted)) >= 20_000, name);
    t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696 }, name);
  }
  const world = reach.mapped().hears(trialWanted);
  const port = trialPort(world);
  world.hears(grantedAt(port), networkChanged, found, granted);
  t.not(trialPort(world), port);
  const ended = reach.mapped().hears(trialWanted, networkChanged, trialEnded, found, granted);
  t.deepEqual(ended.kinds(), [], 'not wanted any more');
  const elsewhere = reach.mapped().hears(networkChanged, trialWanted, found, refusedWith('conflict'));
  const [order] = elsewhere.orders;
  elsewhere.hears(grantedAt(order?.kind === 'map' ? order.request.externalPort : 0));
  t.deepEqual(elsewhere.kinds(), ['unmap'], 'whether another mapping needs one is to be said');
});

test('a trial without an answer is removed all the same: as it ends, given up for a search, and after we have gone', (t) => {
  const silent = refusedWith('silent');
  const world = reach.mapped().hears(trialWanted);
  const port = trialPort(world);
  t.deepEqual(world.hears(silent).orders, [unmapOf(port)]);
  const late = reach.mapped().hears(trialWanted);
  const dropped = trialPort(late);
  t.deepEqual(late.hears(networkChanged, found, refusedWith('silent', dropped)).orders, [unmapOf(dropped)]);
  t.is(late.state, 'renewing', 'it was no answer to what is asked now');
  t.deepEqual(late.hears(silent).kinds(), [], 'that one is');
  t.is(late.state, 'renewing', 'the search goes on');
  const left = reach.mapped().hears(trialWanted);
  const asked = trialPort(left);
  t.deepEqual(
    left.hears(stopping).orders.filter(({ kind }) => kind === 'unmap'),
    [unmapOf(asked), unmapOf(16696)],
  );
  t.deepEqual(left.hears(refusedWith('silent', asked)).orders, [unmapOf(asked)]);
});

test('a late refusal of a trial that was given up is no answer to what is asked now', (t) => {
  const world = reach.mapped().hears(trialWanted);
  const port = trialPort(world);
  world.hears(networkChanged, found, searchEnded, refusedWith('no-resources', port));
  t.is(world.state, 'renewing');
  t.like(world.hears(granted).mapping.status(), { state: 'mapped', externalPort: 16696 });
});

test('no renewal and no look at the table comes in between a trial, which ends by itself in time for them', (t) => {
  for (const world of [reach.mapped(), mappedByNatPmp()]) {
    world
      .hears(well)
      .passes(50 * second)
      .hears(well, trialWanted);
    const port = trialPort(world);
    const seen: string[] = [];
    const pass = (time: number) => {
      for (const end = world.now + time; world.now < end; ) {
        world.passes(second);
        for (const order of world.orders) seen.push(order.kind === 'check' ? order.depth : order.kind);
        if (world.kinds().includes('check')) world.hears(well);
      }
    };
    pass(3 * second);
    world.hears(grantedAt(port));
    pass(116 * second);
    t.deepEqual(
      [...new Set(seen)],
      ['pulse', 'statusChanged'].filter((kind) => seen.includes(kind)),
    );
    seen.length = 0;
    pass(4 * second);
    t.true(seen.includes('trialLost'));
    if (seen.includes('map')) world.hears(granted);
    pass(61 * second);
    t.true(seen.includes('table'));
  }
  const short = reach.mapped().hears(networkChanged, found, {
    kind: 'granted',
    gateway: 'one',
    grant: { ...grant, leaseSeconds: 100 },
  });
  short.passes(49 * second).hears(well, trialWanted);
  short.hears(grantedAt(trialPort(short))).passes(24 * second);
  t.false(short.kinds().includes('map'));
  short.passes(3 * second);
  t.deepEqual(
    short.orders
      .filter(({ kind }) => kind === 'map')
      .map((order) => order.kind === 'map' && order.request.externalPort),
    [16696],
    'renewed at three quarters of its lease',
  );
});

test('over NAT-PMP a trial waits for a look at the table to end, which asks for the mapped port', (t) => {
  const world = mappedByNatPmp().passes(second).hears(well);
  world.passes(2 * second).hears(announced);
  t.like(world.orders[0], { kind: 'check', depth: 'table' });
  t.deepEqual(world.hears(trialWanted).orders, []);
  t.true(trialPort(world.hears(well)) >= 20_000);
});

test('over NAT-PMP a trial without an answer may have moved the entry: it is asked to move it back, and a late answer is none', (t) => {
  const world = mappedByNatPmp().hears(trialWanted);
  const port = trialPort(world);
  world.passes(13 * second);
  t.like(
    world.orders.find(({ kind }) => kind === 'map'),
    { request: { externalPort: 16696 } },
  );
  t.deepEqual(world.hears(grantedAt(port)).orders, []);
  t.is(world.state, 'renewing');
  t.like(world.hears(granted).mapping.status(), { state: 'mapped', externalPort: 16696 });
});

test('over NAT-PMP the port of an old trial is granted like any other: when its answer is in, and when its time is over', (t) => {
  const asksAgain = (world: World) => world.hears(networkChanged, { kind: 'gatewayFound', gateway: byNatPmp });
  const late = mappedByNatPmp().hears(trialWanted);
  const port = trialPort(late);
  asksAgain(late).hears(grantedAt(port));
  t.is(late.state, 'renewing');
  t.like(late.hears({ ...grantedAt(port), asked: 16696 } as MappingEvent).mapping.status(), {
    state: 'mapped',
    externalPort: port,
  });
  const old = mappedByNatPmp().hears(trialWanted);
  const forgotten = trialPort(old);
  asksAgain(old).hears(granted);
  old.hears(trialEnded).passes(121 * second);
  t.like(
    asksAgain(old)
      .hears({ ...grantedAt(forgotten), asked: 16696 } as MappingEvent)
      .mapping.status(),
    { state: 'mapped', externalPort: forgotten },
  );
});

test('a finite lease is renewed at half time, with the same port', (t) => {
  const world = reach.mapped();
  const answers: MappingEvent = { kind: 'checked', gateway: 'one', answer: { answered: true, held: true } };
  let renewal: MappingEffect | undefined;
  const start = world.now;
  while (!renewal && world.now < start + hour) {
    world.passes(second);
    renewal = world.orders.find(({ kind }) => kind === 'map');
    if (world.kinds().includes('check')) world.hears(answers);
  }
  t.is(world.now - start, hour / 2);
  t.deepEqual(renewal, {
    kind: 'map',
    gateway: 'one',
    request: { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 },
  });
});

test('renewed at another port, the line at the one before is taken away', (t) => {
  const world = reach.mapped();
  world.passes(minute);
  world.hears(gone);
  t.is(world.kinds().at(-1), 'map');
  world.hears({ kind: 'granted', gateway: 'one', grant: { ...grant, externalPort: 40_001 } });
  t.deepEqual(
    world.orders.find(({ kind }) => kind === 'unmap'),
    { kind: 'unmap', gateway: 'one', internalPort: 16696, externalPort: 16696 },
  );
});

test('a permanent mapping is never renewed, but looked at every minute', (t) => {
  const world = new World()
    .passes(0)
    .hears(found, { ...granted, grant: { ...grant, leaseSeconds: 0 } } as MappingEvent);
  const seen: string[] = [];
  for (let seconds = 0; seconds < 7200; seconds++) {
    world.passes(second);
    for (const order of world.orders) seen.push(order.kind === 'check' ? order.depth : order.kind);
    if (world.kinds().includes('check')) world.hears({ kind: 'checked', gateway: 'one', answer: { answered: true } });
  }
  t.false(seen.includes('map'));
  const looks = seen.filter((kind) => kind === 'table').length;
  t.true(looks >= 118 && looks <= 120, `${looks} looks`);
});

test('25: another external address in the middle of a lease, or a reboot told by boot number or epoch: mapped again at once', (t) => {
  const first = { answered: true, life: '1', epochSeconds: 500, externalAddress: '11.0.0.2' };
  const later = [
    { ...first, externalAddress: '11.0.0.9' },
    { ...first, life: '2' },
    { ...first, epochSeconds: 3 },
  ];
  for (const answer of later) {
    const world = reach
      .mapped()
      .hears({ kind: 'checked', gateway: 'one', answer: first })
      .passes(5 * second);
    t.true(world.kinds().includes('check'));
    world.hears({ kind: 'checked', gateway: 'one', answer });
    t.is(world.state, 'renewing');
    t.deepEqual(world.kinds(), ['map']);
  }
});

test('a clock of the router that runs at 7/8 of ours is no restart', (t) => {
  const world = reach.mapped();
  for (let seconds = 0; seconds < 100; seconds += 4) {
    world.hears({
      kind: 'checked',
      gateway: 'one',
      answer: { answered: true, epochSeconds: 100 + Math.floor((seconds * 7) / 8) },
    });
    t.is(world.state, 'mapped');
    world.passes(4 * second);
  }
});

test('a router that falls silent is looked for anew after 90 s, and its mapping shown until then', (t) => {
  const world = reach.mapped();
  world.passes(80 * second);
  t.is(world.state, 'mapped');
  world.passes(11 * second);
  t.true(world.kinds().includes('search'));
  world.hears(searchEnded);
  t.is(world.state, 'absent');
  t.is(world.mapping.status().externalPort, null);
});

test('a router that lives, and does not answer where its table was, is looked for at once', (t) => {
  const well: MappingEvent = { kind: 'checked', gateway: 'one', answer: { answered: true } };
  const silent: MappingEvent = { kind: 'checked', gateway: 'one', answer: { answered: false } };
  const depths = (world: World) => world.orders.map((order) => (order.kind === 'check' ? order.depth : ''));
  const world = reach.mapped();
  world
    .passes(second)
    .hears(well)
    .passes(2 * second)
    .hears(announced);
  t.deepEqual(depths(world), ['table']);
  t.true(world.hears(silent).kinds().includes('search'));
  const calm = reach.mapped();
  calm
    .passes(second)
    .hears(well)
    .passes(5 * second);
  t.deepEqual(depths(calm), ['pulse']);
  t.false(calm.hears(silent).kinds().includes('search'), 'a pulse that is lost is none');
  const dead = reach.mapped();
  const asked = new Set<string>();
  for (let i = 0; i < 85; i++) {
    for (const depth of depths(dead.passes(second))) asked.add(depth);
    t.false(dead.hears(silent).kinds().includes('search'), 'one that answers nothing at all is waited for');
  }
  t.true(asked.has('table'));
});

test('searches for an absent router come at 2 s, then rarer, never rarer than 40 s', (t) => {
  const world = new World();
  const times: number[] = [];
  for (let seconds = 0; seconds < 600; seconds++) {
    world.passes(second);
    if (!world.kinds().includes('search')) continue;
    times.push(seconds);
    world.hears(searchEnded);
  }
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  t.true(gaps[0]! <= 4);
  t.true(Math.max(...gaps) <= 40 && Math.max(...gaps) > 20);
});

test('a device that announces itself all the time makes us search at most once a second', (t) => {
  const world = reach.absent();
  let searches = 0;
  for (let i = 0; i < 10_000; i++) {
    world.passes(1);
    if (world.kinds().includes('search')) {
      searches++;
      world.hears(searchEnded);
    }
    world.hears(announced);
  }
  t.true(searches >= 5 && searches <= 11, `${searches} searches in 10 s`);
});

test('of two routers, the one with a public address is kept and the other freed', (t) => {
  const inner = { ...grant, externalAddress: '192.168.0.7' };
  const world = new World().passes(0).hears(found, { kind: 'gatewayFound', gateway: other });
  world.hears({ kind: 'granted', gateway: 'one', grant: inner });
  t.deepEqual(
    world.orders.find(({ kind }) => kind === 'map'),
    {
      kind: 'map',
      gateway: 'two',
      request: { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 },
    },
  );
  world.hears({ kind: 'granted', gateway: 'two', grant });
  t.deepEqual(world.kinds(), ['unmap']);
  t.is(world.mapping.status().gateway, '192.168.2.1');
});

test('of two routers behind other NATs, the first is kept, and what it is asked waits for the second', (t) => {
  const inner = { ...grant, externalAddress: '192.168.0.7' };
  const world = new World().passes(0).hears(found, { kind: 'gatewayFound', gateway: other }, searchEnded);
  world.hears({ kind: 'granted', gateway: 'one', grant: inner });
  t.deepEqual(world.passes(10 * second).orders, []);
  world.hears({ kind: 'granted', gateway: 'two', grant: inner });
  t.is(world.mapping.status().gateway, '192.168.1.1');
  t.is(world.state, 'mapped');
  t.regex(world.mapping.status().reason!, /double NAT/);
  t.is(world.mapping.doubt(), 'private');
});

test('what is odd about a mapping is told by its kind: shared among customers, silent, nothing', (t) => {
  t.is(reach.asked().mapping.doubt(), undefined);
  const world = reach.mapped();
  t.is(world.mapping.doubt(), undefined);
  const shared = { ...grant, externalAddress: '100.64.0.7' };
  const behind = reach.asked().hears({ kind: 'granted', gateway: 'one', grant: shared }, searchEnded);
  t.is(behind.mapping.doubt(), 'shared');
  world.passes(91 * second);
  t.is(world.state, 'renewing');
  t.is(world.mapping.doubt(), 'silent');
  t.regex(world.mapping.status().reason!, /no longer answers/);
  t.is(world.hears(searchEnded).mapping.doubt(), undefined, 'there is none any more');
});

const listening: MappingEvent = { kind: 'companion', event: { kind: 'listening' } };
const overTcp = (event: CompanionEvent): MappingEvent => ({ kind: 'companion', event });
const tcpGranted = overTcp({ kind: 'mapAnswered', answer: { kind: 'granted', grant } });
const tcpTaken = overTcp({
  kind: 'mapAnswered',
  answer: { kind: 'refused', refusal: { code: 'conflict', detail: 'held by 192.168.1.9' } },
});
/** What is ordered over TCP. */
const tcpOrders = ({ orders }: World) => orders.flatMap((order) => (order.kind === 'companion' ? [order.order] : []));

test('over NAT-PMP a look that is under way as we leave may map again what was removed: it is removed once more', (t) => {
  const world = mappedByNatPmp().passes(second).hears(well);
  world.passes(2 * second).hears(announced);
  t.like(world.orders[0], { kind: 'check', depth: 'table' });
  t.deepEqual(
    world.hears(stopping).orders.filter(({ kind }) => kind === 'unmap'),
    [unmapOf(16696)],
  );
  t.deepEqual(world.hears(well).orders, [unmapOf(16696)]);
  const unheard = mappedByNatPmp().hears(stopping, { kind: 'checked', gateway: 'one', answer: { answered: false } });
  t.deepEqual(unheard.orders, [], 'it was not asked for the mapping');
  t.deepEqual(whileLookedAt().hears(stopping, well).orders, [], 'over UPnP a look is no more');
});

test('who is silent after it was given up has what it may have mapped removed, whoever is asked by then', (t) => {
  const world = new World()
    .passes(0)
    .hears(found, { kind: 'gatewayFound', gateway: { ...other, protocol: 'nat-pmp' } });
  world.passes(13 * second);
  t.like(
    world.orders.find(({ kind }) => kind === 'map'),
    { gateway: 'two' },
  );
  t.deepEqual(world.hears(refusedWith('silent', 16696)).orders, [unmapOf(16696)]);
});

/** The same router, asked by its other protocol. */
const twin: GatewayDescription = { ...byNatPmp, id: 'twin' };
const twinFound: MappingEvent = { kind: 'gatewayFound', gateway: twin };
const twinGranted = (externalPort: number, asked = externalPort): MappingEvent => ({
  kind: 'granted',
  gateway: 'twin',
  asked,
  grant: { ...grant, externalPort },
});

test('a router that is asked by its other protocol has one table: it is asked for what is mapped, and that is not removed', (t) => {
  const world = reach.mapped().hears(networkChanged, twinFound);
  t.like(world.orders[0], { kind: 'map', gateway: 'twin', request: { externalPort: 16696 } });
  t.deepEqual(world.hears(twinGranted(16696)).kinds(), []);
  t.like(world.mapping.status(), { state: 'mapped', protocol: 'nat-pmp', externalPort: 16696 });
  t.deepEqual(world.hears(networkChanged, found, granted).kinds(), [], 'and back');
  t.is(world.mapping.status().protocol, 'upnp');
  const elsewhere = reach.asked().hears(refusedWith('conflict'));
  const [order] = elsewhere.orders;
  const port = order?.kind === 'map' ? order.request.externalPort : 0;
  elsewhere.hears(grantedAt(port), searchEnded, networkChanged, twinFound);
  t.like(elsewhere.orders[0], { kind: 'map', gateway: 'twin', request: { externalPort: port } });
  t.deepEqual(elsewhere.hears(twinGranted(20_001, port)).orders[0], unmapOf(port), 'another port is another entry');
});

test('over NAT-PMP nothing is removed that would take what is mapped by UPnP', (t) => {
  const world = new World().passes(0).hears(twinFound, twinGranted(16696), searchEnded, networkChanged, found);
  world.hears(refusedWith('conflict'));
  const [order] = world.orders;
  t.deepEqual(world.hears(grantedAt(order?.kind === 'map' ? order.request.externalPort : 0)).kinds(), []);
  t.is(world.mapping.status().protocol, 'upnp');
});

test('what comes late over one protocol does not remove what is mapped, or asked for, over the other', (t) => {
  const late: readonly Heard[] = [{ ...granted, asked: 16696 }, refusedWith('silent', 16696)];
  for (const event of late) {
    const asked = reach.asked().hears(networkChanged, twinFound);
    t.deepEqual(asked.hears(event).kinds(), [], `asked for: ${event.kind}`);
    const mapped = reach.asked().hears(networkChanged, twinFound, twinGranted(16696));
    t.deepEqual(mapped.hears(event).kinds(), [], `mapped: ${event.kind}`);
    const moved = reach.asked().hears(networkChanged, twinFound, twinGranted(20_001, 16696));
    t.deepEqual(moved.hears(event).orders, [unmapOf(16696)], `at another port: ${event.kind}`);
  }
  const byUpnp = new World().passes(0).hears(twinFound, networkChanged, found, granted);
  t.deepEqual(byUpnp.hears(twinGranted(20_001, 16696)).kinds(), [], 'NAT-PMP removes all of our port');
});

/** The same router, and another address of ours on its side. */
const moved: GatewayDescription = { ...gateway, id: 'moved', localAddress: '192.168.1.21' };
const former = { localAddress: '192.168.1.20', externalAddress: '11.0.0.2' };
/** What is asked of the router after our address has changed. */
const askedAnew = (world: World, where = moved) => {
  const order = world
    .hears(networkChanged, { kind: 'gatewayFound', gateway: where })
    .orders.find(({ kind }) => kind === 'map');
  return order?.kind === 'map' ? order.request : undefined;
};

test('another address of ours behind the same router: it is asked for the port that it forwards to the one before', (t) => {
  const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
  t.deepEqual(askedAnew(reach.mapped()), { ...request, former });
  const elsewhere = reach.asked().hears(refusedWith('conflict'));
  const [order] = elsewhere.orders;
  const externalPort = order?.kind === 'map' ? order.request.externalPort : 0;
  t.deepEqual(askedAnew(elsewhere.hears(grantedAt(externalPort), searchEnded)), { ...request, externalPort, former });
  const unplugged = reach.mapped().hears(networkChanged, { kind: 'searchEnded', seen: undefined });
  t.is(unplugged.state, 'absent');
  t.deepEqual(askedAnew(unplugged), { ...request, former }, 'with no address in between');
  t.deepEqual(askedAnew(reach.mapped(), gateway), request, 'the same address');
  t.deepEqual(askedAnew(reach.mapped(), other), request, 'another router');
  const inner: Heard = { ...granted, grant: { ...grant, externalAddress: '192.168.0.7' } };
  t.deepEqual(askedAnew(new World().passes(0).hears(found, inner, searchEnded)), request, 'behind another NAT');
  const late = reach.mapped().hears(networkChanged, { kind: 'searchEnded', seen: undefined });
  late.now += hour;
  t.deepEqual(askedAnew(late), request, 'its lease is over');
});

test('over TCP too the port that goes to our address of before is asked for, also after another change of the network', (t) => {
  const world = reach.mapped().hears(listening);
  askedAnew(world);
  const movedGranted: Heard = { ...granted, gateway: 'moved' };
  world.hears(movedGranted, searchEnded);
  t.deepEqual(askedAnew(world)?.former, former);
  world.hears(movedGranted, searchEnded).passes(2 * second);
  t.deepEqual(tcpOrders(world)[0]?.request.former, former);
});

test('the place before is named for as long as its lease may stand, and no longer: then it may be another machine’s', (t) => {
  for (const leaseSeconds of [3600, 0]) {
    const world = new World()
      .passes(0)
      .hears(found, { ...granted, grant: { ...grant, leaseSeconds } }, searchEnded, listening);
    const movedGranted: Heard = { ...granted, gateway: 'moved', grant: { ...grant, leaseSeconds } };
    t.deepEqual(askedAnew(world)?.former, former);
    world.hears(movedGranted, searchEnded);
    world.now += hour - 1;
    t.deepEqual(askedAnew(world)?.former, former, `lease ${leaseSeconds}, an hour less a moment`);
    world.hears(movedGranted, searchEnded);
    world.now += 1;
    t.is(askedAnew(world)?.former, undefined, `lease ${leaseSeconds}, an hour`);
    world.hears(movedGranted, searchEnded).passes(2 * second);
    t.like(tcpOrders(world)[0], { kind: 'map', request: { former: undefined } }, 'over TCP');
  }
});

/** The port that a router is asked for last. */
const askedPort = ({ orders }: World) =>
  orders.map((order) => (order.kind === 'map' ? order.request.externalPort : 0)).find((port) => port > 0);

const refusedBy = ({ id }: GatewayDescription): Heard => ({
  kind: 'refused',
  gateway: id,
  refusal: { code: 'conflict', detail: 'error' },
});
const grantedBy = ({ id }: GatewayDescription, what: Grant): Heard => ({ kind: 'granted', gateway: id, grant: what });

/** Lives on with a router that answers well and grants what it is asked: the ports, and when it was asked for them. */
function livesOn(
  world: World,
  time: number,
  where: GatewayDescription,
  refuses: (port: number) => boolean = () => false,
) {
  const asked: (readonly [number, number])[] = [];
  for (const end = world.now + time; world.now < end; ) {
    world.passes(second);
    if (world.kinds().includes('check'))
      world.hears({ kind: 'checked', gateway: where.id, answer: { answered: true } });
    for (let port = askedPort(world); port !== undefined; port = askedPort(world)) {
      asked.push([port, world.now]);
      const externalAddress = world.mapping.status().externalAddress!;
      world.hears(
        refuses(port) ? refusedBy(where) : grantedBy(where, { ...grant, externalAddress, externalPort: port }),
      );
    }
  }
  return asked;
}

const movedNatPmp: GatewayDescription = { ...moved, id: 'moved by nat-pmp', protocol: 'nat-pmp' };

/** Our address changed soon after the grant, and the router keeps the port for the one before: we hold another. */
function movedInVain(where = moved, externalAddress = grant.externalAddress, leaseSeconds = 3600) {
  const from = where.protocol === 'upnp' ? gateway : byNatPmp;
  const first = grantedBy(from, { ...grant, leaseSeconds });
  const world = new World().passes(0).hears({ kind: 'gatewayFound', gateway: from }, first, searchEnded);
  const start = world.now;
  world.passes(80 * second);
  askedAnew(world, where);
  world.hears(refusedBy(where));
  const port = askedPort(world)!;
  world.hears(grantedBy(where, { ...grant, externalAddress, externalPort: port }), searchEnded);
  return { world, port, start };
}

test('a router that keeps our port for our address of before is asked for it again when that lease must be over', (t) => {
  for (const [where, from] of [
    [moved, 0],
    // Over NAT-PMP it was asked for last when we still had that address: the time counts from then.
    [movedNatPmp, 80 * second],
  ] as const) {
    const { world, port, start } = movedInVain(where);
    const asked = livesOn(world, 2 * hour, where);
    const [at, ...more] = asked.filter(([wanted]) => wanted === 16696).map(([, when]) => when - start - from);
    t.true(at! >= hour && at! < hour + 70 * second, `${where.id}: ${at}`);
    t.true(
      more.every((when) => when > at! + 29 * minute),
      'then it is renewed like any other',
    );
    t.true(asked.every(([wanted, when]) => wanted === 16696 || (wanted === port && when - start - from < at!)));
    t.is(world.mapping.status().externalPort, 16696);
  }
});

test('that port is another machine’s by now, or refused: the one we hold is renewed instead, and we do not ask again', (t) => {
  const { world, port } = movedInVain();
  const asked = livesOn(world, 5 * hour, moved, (wanted) => wanted === 16696);
  t.is(asked.filter(([wanted]) => wanted === 16696).length, 1);
  t.true(asked.every(([wanted]) => wanted === 16696 || wanted === port));
  t.like(world.mapping.status(), { state: 'mapped', externalPort: port, reason: null });
});

test('it is not asked for where the router has another address outside by now, or had granted it for good', (t) => {
  for (const { world } of [movedInVain(moved, '11.0.0.9'), movedInVain(moved, '11.0.0.2', 0)]) {
    const asked = livesOn(world, 3 * hour, moved);
    t.false(asked.some(([wanted]) => wanted === 16696));
  }
});

test('back at the address of before, the port that still goes there is asked for', (t) => {
  const { world } = movedInVain();
  world.hears(networkChanged, found);
  t.is(askedPort(world), 16696);
  world.hears(granted, searchEnded);
  t.is(livesOn(world, 2 * hour, gateway).filter(([wanted]) => wanted !== 16696).length, 0);
});

test('what another address of ours is granted is not removed for the one before: a router has one entry for a port', (t) => {
  const world = reach.mapped();
  askedAnew(world);
  t.deepEqual(world.hears({ ...granted, gateway: 'moved' }).kinds(), []);
  t.deepEqual(world.hears({ ...granted }).kinds(), [], 'nor by a late answer to the one before');
  const elsewhere = reach.mapped();
  askedAnew(elsewhere);
  const another: Heard = { ...granted, gateway: 'moved', grant: { ...grant, externalPort: 20_001 } };
  t.deepEqual(elsewhere.hears(another).orders[0], unmapOf(16696), 'another port is another entry');
});

test('what a router was asked for and never answered is removed as we leave, or when it is mapped elsewhere', (t) => {
  const removed = ({ orders }: World) => orders.filter(({ kind }) => kind === 'unmap');
  const silent = () => reach.asked().hears(searchEnded, refusedWith('silent'));
  t.is(silent().state, 'refused');
  t.deepEqual(removed(silent()), [], 'it is asked again soon');
  t.deepEqual(removed(silent().hears(stopping)), [unmapOf(16696)]);
  t.deepEqual(removed(reach.renewing().hears(refusedWith('silent'), stopping)), [unmapOf(16696)], 'held before');
  t.deepEqual(removed(reach.refused().hears(stopping)), [], 'that was an answer');
  const again = silent().hears(networkChanged, found, granted);
  t.deepEqual(removed(again), []);
  t.deepEqual(removed(again.hears(stopping)), [unmapOf(16696)], 'once');
  const elsewhere = silent().hears(networkChanged, { kind: 'gatewayFound', gateway: other });
  t.deepEqual(removed(elsewhere.hears({ ...granted, gateway: 'two' })), [unmapOf(16696)]);
  t.deepEqual(removed(elsewhere.hears(stopping)), [{ ...unmapOf(16696), gateway: 'two' }], 'it was removed before');
});

test('over TCP the same port is asked for after UDP was granted, told of apart, and given back with it', (t) => {
  const world = new World().passes(0).hears(listening, found, searchEnded);
  t.deepEqual(tcpOrders(world.passes(5 * second)), [], 'before there is a mapping');
  t.deepEqual(tcpOrders(world.hears(granted)), []);
  t.deepEqual(world.mapping.status().tcp, { mapped: false, reason: null });
  const [order] = tcpOrders(world.passes(second));
  t.like(order, { kind: 'map', gateway: 'one', request: { internalPort: 16696, externalPort: 16696 } });
  t.deepEqual(world.hears(tcpGranted).orders, [{ kind: 'companionChanged', status: { mapped: true, reason: null } }]);
  t.like(world.mapping.status(), { state: 'mapped', tcp: { mapped: true, reason: null } });
  world.hears(stopping);
  t.deepEqual(world.kinds(), ['unmap', 'companion']);
  t.is(tcpOrders(world)[0]?.kind, 'unmap');
  t.is(world.mapping.status().tcp, null);
});

test('refused over TCP, the mapping stays as it is, and nobody is told of a change of it', (t) => {
  const world = reach.mapped().hears(listening).passes(second).hears(tcpTaken);
  t.deepEqual(
    world.orders.map(({ kind }) => kind),
    ['companionChanged'],
  );
  t.like(world.mapping.status(), { state: 'mapped', externalPort: 16696, reason: null });
  t.regex(world.mapping.status().tcp!.reason!, /held by 192\.168\.1\.9.*forward TCP port 16696/);
});

test('a grant over TCP that arrives while we leave is taken back', (t) => {
  const world = reach.mapped().hears(listening).passes(second).hears(stopping);
  t.deepEqual(world.kinds(), ['unmap'], 'it is waited for');
  t.is(tcpOrders(world.hears(tcpGranted))[0]?.kind, 'unmap');
  t.deepEqual(world.hears(overTcp({ kind: 'unmapped' })).orders, []);
});

test('over TCP nothing is asked while UDP is, nor while a trial stands, and never for a trial', (t) => {
  const world = reach.mapped().hears(well, listening, trialWanted);
  const port = trialPort(world);
  t.deepEqual(tcpOrders(world.passes(3 * second)), []);
  t.deepEqual(tcpOrders(world.hears(grantedAt(port)).passes(30 * second)), []);
  world.hears(trialEnded);
  t.deepEqual(
    tcpOrders(world).map(({ request }) => request.externalPort),
    [16696],
  );
  t.deepEqual(tcpOrders(world.hears(tcpGranted, networkChanged).passes(5 * second)), [], 'during a search');
  const [again] = tcpOrders(world.hears(found, granted).passes(second));
  t.like(again, { kind: 'map', request: { externalPort: 16696 } });
});

test('over TCP the table is looked into when it was for UDP, once a minute and no oftener', (t) => {
  const world = reach.mapped().hears(listening).passes(second).hears(well, tcpGranted);
  const seen: string[] = [];
  for (let seconds = 0; seconds < 600; seconds++) {
    world.passes(second);
    const checked = world.orders.find((order) => order.kind === 'check');
    if (!checked) continue;
    world.hears(well);
    for (const { kind } of tcpOrders(world)) {
      seen.push(kind);
      t.is(checked.depth, 'table');
      world.hears(overTcp({ kind: 'looked', held: true }));
    }
  }
  t.true(seen.length >= 9 && seen.length <= 10, `${seen.length}`);
  t.deepEqual([...new Set(seen)], ['look']);
});

test('what peers see and what the router says differ: said, and taken back when they agree', (t) => {
  const world = reach.mapped().hears({ kind: 'observedExternally', address: '11.9.9.9' });
  t.regex(world.mapping.status().reason!, /peers see 11\.9\.9\.9: another NAT stands in front/);
  t.is(world.mapping.doubt(), 'seen-elsewhere');
  t.is(world.hears({ kind: 'observedExternally', address: '11.0.0.2' }).mapping.status().reason, null);
});

test('a router without an address outside: its line, and once peers see us the NAT in front of it', (t) => {
  const world = reach.asked().hears(searchEnded, refusedWith('not-connected'));
  t.is(world.mapping.doubt(), undefined);
  t.regex(world.mapping.status().reason!, /it has no address on the Internet side; check its line/);
  world.hears({ kind: 'observedExternally', address: '11.9.9.9' });
  t.regex(world.mapping.status().reason!, /peers see us at 11\.9\.9\.9, so a line works: another NAT stands in front/);
  t.is(world.mapping.doubt(), 'hidden');
  world.hears({ kind: 'observedExternally', address: undefined });
  t.regex(world.mapping.status().reason!, /check its line/);
});

test('a grant that arrives while we leave is taken back', (t) => {
  const world = reach.asked().hears(stopping, granted);
  t.deepEqual(world.orders, [{ kind: 'unmap', gateway: 'one', internalPort: 16696, externalPort: 16696 }]);
});

test('whatever routers answer, in any order: bounded work, and a deadline that is not passed by', (t) => {
  const address = fc.constantFrom('11.0.0.2', '11.0.0.3', '10.0.0.1', '100.64.0.1', '0.0.0.0', 'nonsense', '');
  const id = fc.constantFrom('one', 'two', 'three');
  const event: fc.Arbitrary<Heard> = fc.oneof(
    id.map(
      (name): MappingEvent => ({
        kind: 'gatewayFound',
        gateway: { ...gateway, id: name, address: `192.168.${name.length}.1` },
      }),
    ),
    fc.constant(searchEnded),
    fc.record({
      kind: fc.constant('granted' as const),
      gateway: id,
      grant: fc.record({
        externalAddress: address,
        externalPort: fc.integer({ min: -1, max: 70_000 }),
        leaseSeconds: fc.constantFrom(0, 1, 120, 3600, 4_294_967_295),
      }),
    }),
    fc.record({
      kind: fc.constant('refused' as const),
      gateway: id,
      refusal: fc.record({
        code: fc.constantFrom('conflict', 'permanent-only', 'same-port-only', 'silent', 'failed'),
        detail: fc.string(),
      }),
    }),
    fc.record({
      kind: fc.constant('checked' as const),
      gateway: id,
      answer: fc.record({
        answered: fc.boolean(),
        held: fc.boolean(),
        epochSeconds: fc.nat(),
        life: fc.string(),
        externalAddress: address,
      }),
    }),
    fc.constantFrom(announced, networkChanged, trialWanted, trialEnded, listening, tcpGranted, tcpTaken),
    fc.constantFrom(overTcp({ kind: 'unmapped' }), overTcp({ kind: 'looked', held: false })),
    address.map((text): MappingEvent => ({ kind: 'observedExternally', address: text })),
  );
  const step = fc.tuple(event, fc.nat({ max: 20 * minute }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World();
      for (const [next, wait] of steps) {
        world.hears(next);
        if (world.kinds().length > 4) return false;
        world.passes(wait);
        if (world.mapping.deadline() <= world.now) return false;
        const { state, externalPort } = world.mapping.status();
        if ((state === 'mapped') !== (externalPort !== null) && state !== 'renewing') return false;
      }
      return true;
    }),
    { seed: 5, numRuns: 300 },
  );
  t.pass();
});

test('without a default gateway nobody is told to switch on what no router here has', (t) => {
  const world = new World().passes(0).hears({ kind: 'searchEnded', seen: undefined });
  t.regex(world.mapping.status().reason!, /no IPv4 default gateway/);
  t.notRegex(world.mapping.status().reason!, /UPnP|switch on|forward/);
});
