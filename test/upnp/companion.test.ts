import test from 'ava';
import fc from 'fast-check';
import { minute, second } from '../../src/time.js';
import { type Anchor, Companion, type CompanionEvent, type CompanionOrder } from '../../src/upnp/companion.js';
import type { RefusalCode } from '../../src/upnp/contract.js';
import { gateway, other } from './gateways.js';

/** UDP is mapped here, by a grant of its own. */
const udpAt = (externalPort = 16696, where = gateway, leaseSeconds = 3600): Anchor => ({
  gateway: where,
  grant: { externalAddress: '11.0.0.2', externalPort, leaseSeconds },
});

const grantedAt = (externalPort: number): CompanionEvent => ({
  kind: 'mapAnswered',
  answer: { kind: 'granted', grant: { externalAddress: '11.0.0.2', externalPort, leaseSeconds: 3600 } },
});
const refused = (code: RefusalCode): CompanionEvent => ({
  kind: 'mapAnswered',
  answer: { kind: 'refused', refusal: { code, detail: 'error' } },
});
const unmapped: CompanionEvent = { kind: 'unmapped' };

/** A Companion on a virtual clock; `orders` has what it ordered since it was last read. */
class World {
  readonly companion = new Companion(16696, 3600);
  now = 1000;
  anchor: Anchor | undefined;
  isAtRest = true;
  #orders: CompanionOrder[] = [];

  /** Listening, beside a UDP mapping; without one of its own yet. */
  static listening(anchor: Anchor | undefined = udpAt()): World {
    return new World().hears({ kind: 'listening' }).beside(anchor);
  }

  /** Its own is granted as well. */
  static mapped(anchor = udpAt()): World {
    const world = World.listening(anchor).passes(second);
    world.hears(grantedAt(anchor.grant.externalPort)).read();
    return world;
  }

  beside(anchor: Anchor | undefined): this {
    this.anchor = anchor;
    return this.#look();
  }

  atRest(isAtRest: boolean): this {
    this.isAtRest = isAtRest;
    return this.#look();
  }

  hears(...events: CompanionEvent[]): this {
    for (const event of events) {
      this.companion.handle(event, this.now);
      this.#look();
    }
    return this;
  }

  udpSeen(): this {
    this.companion.udpSeen();
    return this.#look();
  }

  passes(time: number): this {
    for (const end = this.now + time; ; ) {
      this.now = Math.min(end, Math.max(this.now, this.companion.deadline()));
      if (this.now === end) return this.#look();
      this.#look();
    }
  }

  /** Kind, gateway and external port of each order since the last time. */
  read(): string[] {
    const orders = this.#orders.map(({ kind, gateway, request }) => `${kind} ${gateway} ${request.externalPort}`);
    this.#orders = [];
    return orders;
  }

  #look(): this {
    const order = this.companion.next(this.anchor, undefined, this.isAtRest, this.now);
    if (order) this.#orders.push(order);
    return this;
  }
}

test('a second after UDP was granted the same port is asked for over TCP, and again after every grant', (t) => {
  const world = World.listening();
  t.deepEqual(world.passes(second - 1).read(), []);
  t.deepEqual(world.companion.status(), { mapped: false, reason: null });
  t.deepEqual(world.passes(1).read(), ['map one 16696']);
  t.deepEqual(world.hears(grantedAt(16696)).companion.status(), { mapped: true, reason: null });
  t.deepEqual(world.beside(udpAt()).passes(second).read(), ['map one 16696']);
  t.true(world.companion.status().mapped, 'it stands meanwhile');
});

test('a grant that comes while it is asked for is followed by another question', (t) => {
  const world = World.listening().passes(second);
  world.beside(udpAt()).passes(second).hears(grantedAt(16696)).passes(second);
  t.deepEqual(world.read(), ['map one 16696', 'map one 16696']);
});

test('the lease is the usual one, and none where the UDP mapping is permanent', (t) => {
  for (const lease of [0, 120]) {
    const companion = new Companion(16696, 3600);
    companion.handle({ kind: 'listening' }, 0);
    const anchor = udpAt(16696, gateway, lease);
    companion.next(anchor, undefined, true, 0);
    t.is(companion.next(anchor, undefined, true, second)?.request.leaseSeconds, lease === 0 ? 0 : 3600);
  }
});

test('nothing is asked while the router is asked for something else, nor before anything listens', (t) => {
  const busy = World.listening().atRest(false);
  t.deepEqual(busy.passes(minute).read(), []);
  t.deepEqual(busy.atRest(true).read(), ['map one 16696']);
  const deaf = new World().beside(udpAt());
  t.deepEqual(deaf.passes(minute).read(), []);
  t.deepEqual(deaf.companion.status(), { mapped: false, reason: 'nothing of ours listens on TCP port 16696' });
  t.deepEqual(deaf.hears({ kind: 'listening' }).read(), ['map one 16696'], 'a taken port was given up');
});

for (const [code, wait] of [
  ['conflict', 10 * minute],
  ['not-authorised', 10 * minute],
  ['silent', minute],
] as const) {
  test(`${code}: a word for the operator, and asked again after ${wait / minute} minutes`, (t) => {
    const world = World.listening().passes(second).hears(refused(code));
    world.read();
    t.false(world.companion.status().mapped);
    t.regex(world.companion.status().reason!, /forward TCP port 16696 to 192\.168\.1\.20/);
    t.deepEqual(world.passes(wait - 1).read(), []);
    t.deepEqual(world.passes(1).read(), ['map one 16696']);
    t.deepEqual(world.hears(grantedAt(16696)).companion.status(), { mapped: true, reason: null });
  });
}

test('granted at another port it is of no use: given back, and said', (t) => {
  const world = World.listening().passes(second);
  world.read();
  t.deepEqual(world.hears(grantedAt(40_000)).read(), ['unmap one 40000']);
  t.regex(world.companion.status().reason!, /offers port 40000 instead/);
  t.deepEqual(
    world
      .hears(unmapped)
      .passes(9 * minute)
      .read(),
    [],
  );
});

test('it goes where UDP goes: given back where it was first, then asked for', (t) => {
  for (const [name, next] of [
    ['one 20001', udpAt(20_001)],
    ['two 16696', udpAt(16696, other)],
  ] as const) {
    const world = World.mapped().beside(next);
    t.deepEqual(world.read(), ['unmap one 16696'], name);
    t.deepEqual(world.companion.status(), { mapped: false, reason: null });
    t.deepEqual(world.passes(minute).read(), [], 'one question at a time');
    t.deepEqual(world.hears(unmapped).read(), [`map ${name}`]);
  }
});

test('it ends with the UDP mapping, also in the middle of a question; what another machine holds is left alone', (t) => {
  t.deepEqual(World.mapped().beside(undefined).read(), ['unmap one 16696']);
  const asked = () => {
    const world = World.listening().passes(second);
    world.read();
    return world.beside(undefined);
  };
  t.deepEqual(asked().read(), []);
  t.deepEqual(asked().hears(grantedAt(16696)).read(), ['unmap one 16696']);
  t.deepEqual(asked().hears(grantedAt(40_000)).read(), ['unmap one 40000']);
  t.deepEqual(asked().hears(refused('silent')).read(), ['unmap one 16696'], 'it may be there');
  for (const code of ['conflict', 'not-kept', 'not-authorised'] as const)
    t.deepEqual(asked().hears(refused(code)).read(), [], code);
  const renewed = (code: RefusalCode) =>
    World.mapped().beside(udpAt()).passes(second).hears(refused(code)).beside(undefined).read();
  t.deepEqual(renewed('failed'), ['map one 16696', 'unmap one 16696'], 'the one before may stand');
  t.deepEqual(renewed('conflict'), ['map one 16696'], 'somebody else has it by now');
  t.deepEqual(World.listening().beside(undefined).read(), [], 'nothing was asked');
});

test('looked for when UDP was, and never by itself; asked for again when it is gone', (t) => {
  const world = World.mapped();
  t.deepEqual(world.passes(60 * minute).read(), []);
  for (const held of [true, undefined]) {
    t.deepEqual(world.udpSeen().read(), ['look one 16696']);
    t.deepEqual(world.hears({ kind: 'looked', held }).passes(minute).read(), []);
  }
  world.udpSeen();
  t.deepEqual(world.hears({ kind: 'looked', held: false }).read(), ['look one 16696', 'map one 16696']);
  world.hears(refused('conflict')).read();
  t.deepEqual(world.udpSeen().read(), [], 'nothing of ours is there');
});

test('whatever comes in any order: one question at a time, and nothing of ours left in the end, nor anything of others taken', (t) => {
  const places = [
    [gateway, 16696],
    [gateway, 20_001],
    [other, 16696],
  ] as const;
  const step = fc.oneof(
    fc.record({ does: fc.constant('udp' as const), where: fc.option(fc.constantFrom(...places)) }),
    fc.record({ does: fc.constant('answer' as const), as: fc.constantFrom('well', 'unheard', 'elsewhere', 'unable') }),
    fc.record({ does: fc.constant('wait' as const), time: fc.nat({ max: 12 * minute }) }),
    fc.record({ does: fc.constant('rest' as const), is: fc.boolean() }),
    fc.record({ does: fc.constant('seen' as const) }),
    fc.record({ does: fc.constant('neighbour' as const), where: fc.constantFrom(...places) }),
  );
  const key = (where: string, port: number) => `${where} ${port}`;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = World.listening(undefined);
      /** What each router forwards, and to whom. */
      const table = new Map<string, 'us' | 'neighbour'>();
      let waiting: string | undefined;
      const take = () => {
        const [order, ...more] = world.read();
        if (more.length > 0 || (order && waiting)) throw new Error('two questions at a time');
        waiting ??= order;
      };
      const answer = (as: string) => {
        if (!waiting) return;
        const [kind, where, text] = waiting.split(' ') as [CompanionOrder['kind'], string, string];
        const place = key(where, Number(text));
        waiting = undefined;
        if (kind === 'look') return world.hears({ kind: 'looked', held: table.get(place) === 'us' });
        if (kind === 'unmap') {
          if (table.get(place) === 'neighbour') throw new Error(`${place} of the neighbour is given back`);
          table.delete(place);
          return world.hears(unmapped);
        }
        if (table.get(place) === 'neighbour') return world.hears(refused('conflict'));
        if (as === 'unable') return world.hears(refused('failed'));
        const port = as === 'elsewhere' ? 40_000 : Number(text);
        // As over NAT-PMP, the one entry of a port of ours is moved.
        for (const [each, whose] of table) if (whose === 'us' && each.startsWith(where)) table.delete(each);
        table.set(key(where, port), 'us');
        return world.hears(as === 'unheard' ? refused('silent') : grantedAt(port));
      };
      for (const next of steps) {
        if (next.does === 'udp') world.beside(next.where ? udpAt(next.where[1], next.where[0]) : undefined);
        else if (next.does === 'wait') world.passes(next.time);
        else if (next.does === 'rest') world.atRest(next.is);
        else if (next.does === 'seen') world.udpSeen();
        else if (next.does === 'answer') answer(next.as);
        else {
          const place = key(next.where[0].id, next.where[1]);
          if (!table.has(place)) table.set(place, 'neighbour');
        }
        take();
      }
      world.beside(undefined);
      take();
      for (let rest = 0; waiting; rest++) {
        if (rest > 3) throw new Error('no end');
        answer('well');
        take();
      }
      return ![...table.values()].includes('us');
    }),
    { seed: 5, numRuns: 2000 },
  );
  t.pass();
});
