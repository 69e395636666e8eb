import test from 'ava';
import fc from 'fast-check';
import type { Endpoint } from '../../src/addr/endpoint.js';
import { decodeMap } from '../../src/addr/fields.js';
import { type NatClass, type PunchSide, whyNoPunch } from '../../src/mesh/nat-class.js';
import {
  dialsPerMinute,
  mostTries,
  Punching,
  type PunchingEffect,
  type PunchingEvent,
  punchesPerMinute,
} from '../../src/mesh/punching.js';
import { decodePunch, encodePunch } from '../../src/mesh/punching-message.js';
import { seededRandom } from '../../src/random.js';
import { type Millis, minute, second } from '../../src/time.js';
import { type NatKind, NatModel, natKinds } from '../helpers/nat-model.js';
import { NatWorld } from '../helpers/nat-world.js';

type Kind = keyof typeof natKinds | 'public';

/** The relay through which both are reached meanwhile; its address is where they are seen from. */
const relay: Endpoint = { address: '11.0.0.1', port: 16696 };
const overlayDelay: Millis = 40;
const anywhere = () => true;

/** A node with a Punching, a NAT before it, and handshakes reduced to an initiation and its answer. */
class Node {
  readonly punching: Punching;
  readonly inner: Endpoint;
  readonly nat: NatModel | undefined;
  readonly failures: string[] = [];
  connectedAt: Millis | undefined;
  readonly #world: NatWorld;
  readonly #number: number;
  #other: Node | undefined;
  #isLost = () => false;

  constructor(world: NatWorld, number: number, kind: Kind, knowsItself: boolean) {
    this.#world = world;
    this.#number = number;
    this.punching = new Punching(number, world.random, anywhere);
    const isPublic = kind === 'public';
    this.inner = { address: isPublic ? `11.0.${number}.1` : `192.168.${number}.2`, port: 16696 };
    this.nat = isPublic ? undefined : new NatModel(`11.0.${number}.1`, natKinds[kind], world.random);
    world.attach(this.inner, this.nat, (from, payload) => this.#receive(from, payload as string));
    const seen = this.nat?.outward(this.inner, relay) ?? this.inner;
    const nat: NatKind | undefined = isPublic ? undefined : natKinds[kind];
    const known: Pick<NatClass, 'mapping' | 'filtering'> = nat ?? natKinds['endpoint-independent'];
    const side: PunchSide = {
      open: isPublic ? ['ipv4'] : [],
      nat: knowsItself ? known : { mapping: undefined, filtering: undefined },
    };
    this.hears({ kind: 'sideChanged', endpoints: nat ? [seen, this.inner] : [seen], side });
  }

  loses(isLost: () => boolean): void {
    this.#isLost = isLost;
  }

  meets(other: Node): void {
    this.#other = other;
  }

  hears(event: PunchingEvent): void {
    this.#perform(this.punching.handle(event, this.#world.now));
  }

  #perform(effects: readonly PunchingEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'sendPunch') this.#world.send(this.inner, effect.to, 'punch');
      if (effect.kind === 'punchFailed') this.failures.push(effect.reason);
      if (effect.kind === 'dial') this.#dial(effect.endpoints);
      if (effect.kind === 'sendMesh' && !this.#isLost()) {
        const event = {
          kind: 'messageReceived',
          from: this.#number,
          message: decodeMap(effect.bytes)!,
          admitted: true,
        } as const;
        this.#world.at(this.#world.now + overlayDelay, () => this.#other!.hears(event));
      }
    }
    const deadline = this.punching.deadline();
    if (deadline < 10 * minute) {
      this.#world.at(Math.max(deadline, this.#world.now), () => {
        if (this.punching.deadline() <= this.#world.now) this.#perform(this.punching.tick(this.#world.now));
      });
    }
  }

  /** As a handshake is tried: along all paths at once, again and again. */
  #dial(endpoints: readonly Endpoint[]): void {
    for (const after of [0, 250, 750, 1750]) {
      this.#world.at(this.#world.now + after, () => {
        if (this.connectedAt !== undefined) return;
        for (const endpoint of endpoints) this.#world.send(this.inner, endpoint, `initiation ${this.#number}`);
      });
    }
  }

  #receive(from: Endpoint, payload: string): void {
    if (payload.startsWith('initiation')) this.#world.send(this.inner, from, `response ${this.#number}`);
    if (payload === 'punch' || this.connectedAt !== undefined) return;
    this.connectedAt = this.#world.now;
    this.hears({ kind: 'tunnelUp', node: this.#other!.#number });
  }
}

function pair(one: Kind, other: Kind, knowThemselves: boolean, seed: number) {
  const world = new NatWorld(15, seededRandom(seed));
  const a = new Node(world, 1, one, knowThemselves);
  const b = new Node(world, 2, other, knowThemselves);
  a.meets(b);
  b.meets(a);
  return { world, a, b };
}

const kinds: readonly Kind[] = ['public', 'endpoint-independent', 'address-restricted', 'port-restricted', 'symmetric'];

/** What theory allows (RFC 5128 §3.3, §3.4), written before the results; the order of the two does not matter. */
const relayed = new Set(['port-restricted symmetric', 'symmetric port-restricted', 'symmetric symmetric']);

for (const one of kinds) {
  for (const other of kinds) {
    const expected = relayed.has(`${one} ${other}`) ? 'relayed' : 'direct';
    test(`27: ${one} asks ${other}: ${expected}`, (t) => {
      for (const knows of [true, false]) {
        for (let seed = 0; seed < 10; seed++) {
          const { world, a, b } = pair(one, other, knows, seed);
          a.hears({ kind: 'directWanted', node: 2 });
          world.runUntil(10 * second);
          t.is(a.connectedAt === undefined, expected === 'relayed');
          t.is(b.connectedAt === undefined, expected === 'relayed');
          if (expected === 'direct') t.true(a.connectedAt! < (knows ? 0.5 : 2) * second, `after ${a.connectedAt} ms`);
          else if (knows) t.regex(a.failures[0]!, /do not allow it|symmetric/);
          else t.is(a.failures[0], 'no datagram got through from either side');
        }
      }
    });
  }
}

test('both want each other at the same moment: one exchange goes on', (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const { world, a, b } = pair('port-restricted', 'port-restricted', true, seed);
    a.hears({ kind: 'directWanted', node: 2 });
    b.hears({ kind: 'directWanted', node: 1 });
    world.runUntil(5 * second);
    t.true(a.connectedAt! < second);
    t.true(b.connectedAt! < second);
    t.deepEqual([...a.failures, ...b.failures], []);
  }
});

test('messages that get lost on their way through the relays are made up for', (t) => {
  for (let lost = 0; lost < 4; lost++) {
    const { world, a, b } = pair('port-restricted', 'port-restricted', true, lost);
    let count = 0;
    for (const node of [a, b]) node.loses(() => count++ === lost);
    a.hears({ kind: 'directWanted', node: 2 });
    b.hears({ kind: 'directWanted', node: 1 });
    world.runUntil(10 * second);
    t.true(a.connectedAt! < 3 * second, `message ${lost} lost: ${a.connectedAt} ms`);
    t.true(b.connectedAt! < 3 * second);
  }
});

test('symmetric against symmetric says so, and sends nothing', (t) => {
  const { world, a, b } = pair('symmetric', 'symmetric', true, 1);
  const before = a.nat!.sent + b.nat!.sent;
  a.hears({ kind: 'directWanted', node: 2 });
  world.runUntil(5 * second);
  t.regex(b.failures[0]!, /both NATs are symmetric/);
  t.is(a.nat!.sent + b.nat!.sent, before);
});

test('a symmetric NAT replaced by a better one is noticed: tried again when our side changes', (t) => {
  const { world, a } = pair('symmetric', 'port-restricted', true, 1);
  a.hears({ kind: 'directWanted', node: 2 });
  world.runUntil(2 * second);
  t.is(a.failures.length, 1);
  const own = { address: '11.0.1.1', port: 16696 };
  a.hears({ kind: 'sideChanged', endpoints: [own], side: { open: ['ipv4'], nat: natKinds['endpoint-independent'] } });
  world.runUntil(30 * second);
  t.true(a.connectedAt === undefined); // the model's NAT is what it was; that it was tried is what counts
  t.true(a.failures.length >= 2);
});

test('27: two nodes behind one NAT, hairpin off, meet on their LAN', (t) => {
  const world = new NatWorld(1, seededRandom(3));
  const nat = new NatModel('11.0.1.1', natKinds['port-restricted'], world.random);
  const received: string[] = [];
  const inner = (host: number) => ({ address: `192.168.1.${host}`, port: 16696 });
  const machines = [1, 2].map((number) => new Punching(number, seededRandom(number), anywhere));
  const dials: Endpoint[][] = [];
  const perform = (number: number, effects: readonly PunchingEffect[]) => {
    for (const effect of effects) {
      if (effect.kind === 'dial') dials.push([...effect.endpoints]);
      if (effect.kind === 'sendPunch') world.send(inner(number), effect.to, 'punch');
      if (effect.kind !== 'sendMesh') continue;
      const event = {
        kind: 'messageReceived',
        from: number,
        message: decodeMap(effect.bytes)!,
        admitted: true,
      } as const;
      world.at(world.now + 1, () => perform(effect.to, machines[effect.to - 1]!.handle(event, world.now)));
    }
    for (const [i, machine] of machines.entries()) {
      const deadline = machine.deadline();
      if (deadline < minute)
        world.at(
          Math.max(deadline, world.now),
          () => machine.deadline() <= world.now && perform(i + 1, machine.tick(world.now)),
        );
    }
  };
  for (const number of [1, 2]) {
    world.attach(inner(number), nat, (from) => received.push(`${from.address} reaches ${number}`));
    const endpoints = [nat.outward(inner(number), relay), inner(number)];
    perform(
      number,
      machines[number - 1]!.handle(
        { kind: 'sideChanged', endpoints, side: { open: [], nat: natKinds['port-restricted'] } },
        0,
      ),
    );
  }
  perform(1, machines[0]!.handle({ kind: 'directWanted', node: 2 }, 0));
  world.runUntil(500);
  t.true(dials[0]!.some(({ address }) => address === '192.168.1.2'));
  t.true(received.includes('192.168.1.2 reaches 1'));
});

test('private endpoints of another house are sent nothing', (t) => {
  const { world, a } = pair('port-restricted', 'port-restricted', true, 1);
  a.hears({ kind: 'directWanted', node: 2 });
  world.runUntil(5 * second);
  t.false(world.sentTo.has('192.168.2.2'));
  t.false(world.sentTo.has('192.168.1.2'));
});

test('28: whoever asks, and for whatever: never more than the budget leaves in a minute', (t) => {
  const endpoint = fc.record({
    address: fc.constantFrom('11.0.0.9', '11.0.0.8', '192.168.1.7', '11.1.1.1'),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  const side = { open: [], nat: { mapping: undefined, filtering: undefined } } as const;
  const nodeOf = fc.integer({ min: 1, max: 300 });
  const exchange = fc.integer({ min: 0, max: 2 }).map((n) => new Uint8Array(8).fill(n));
  const message = fc.oneof(
    fc.record({
      kind: fc.constantFrom('offer' as const, 'answer' as const),
      exchange,
      endpoints: fc.array(endpoint, { maxLength: 4 }),
      side: fc.constant(side),
    }),
    fc.record({ kind: fc.constant('go' as const), exchange }),
    fc.record({
      kind: fc.constant('no' as const),
      exchange,
      reason: fc.constantFrom('busy' as const, 'hopeless' as const),
    }),
  );
  const step = fc.record({
    from: nodeOf,
    pause: fc.constantFrom(0, 0, 0, 1, 10, 1000),
    event: fc.oneof(
      { weight: 8, arbitrary: message.map((m) => ({ message: decodeMap(encodePunch(m))! })) },
      fc.constantFrom('directWanted' as const, 'tunnelDown' as const, 'directUnwanted' as const),
    ),
  });
  const burst = fc.array(step, { minLength: 200, maxLength: 600 });
  fc.assert(
    fc.property(burst, (steps) => {
      const punching = new Punching(150, seededRandom(4), anywhere);
      const sent: Millis[] = [];
      const dialled: Millis[] = [];
      let now = 0;
      const note = (effects: readonly PunchingEffect[]) => {
        for (const effect of effects) {
          if (effect.kind === 'sendPunch') sent.push(now);
          if (effect.kind === 'dial') dialled.push(now);
        }
      };
      for (const { from, pause, event } of steps) {
        now += pause;
        if (typeof event === 'string') note(punching.handle({ kind: event, node: from }, now));
        else {
          note(punching.handle({ kind: 'messageReceived', from, message: event.message, admitted: true }, now));
          // The same node goes on at once, so that the budget and not the liar's haste is what holds.
          if (event.message.t === 'punch') {
            note(
              punching.handle(
                {
                  kind: 'messageReceived',
                  admitted: true,
                  from,
                  message: decodeMap(encodePunch({ kind: 'go', exchange: event.message.x as Uint8Array }))!,
                },
                now,
              ),
            );
          }
        }
        while (punching.deadline() <= now) note(punching.tick(now));
      }
      const mostIn = (times: readonly Millis[]) =>
        Math.max(0, ...times.map((start) => times.filter((at) => at >= start && at < start + minute).length));
      return mostIn(sent) <= punchesPerMinute && mostIn(dialled) <= dialsPerMinute;
    }),
    { seed: 9, numRuns: 30 },
  );
  t.pass();
});

/** Punches that 118 members get out of a node in a second who offer and go on at once, each with the most endpoints. */
function punchesOfAFlood(mostPunches?: number): number {
  const punching = new Punching(1, seededRandom(1), anywhere, mostPunches);
  let sent = 0;
  for (let from = 2; from < 120; from++) {
    const exchange = new Uint8Array(8).fill(from);
    const endpoints = [1, 2, 3, 4].map((port) => ({ address: '11.9.9.9', port }));
    const side = { open: [], nat: { mapping: undefined, filtering: undefined } };
    const offer = decodeMap(encodePunch({ kind: 'offer', exchange, endpoints, side }))!;
    punching.handle({ kind: 'messageReceived', from, message: offer, admitted: true }, 0);
    const go = decodeMap(encodePunch({ kind: 'go', exchange }))!;
    const effects = punching.handle({ kind: 'messageReceived', from, message: go, admitted: true }, 0);
    for (let now = 60; now <= 1000; now += 10) effects.push(...punching.tick(now));
    sent += effects.filter(({ kind }) => kind === 'sendPunch').length;
  }
  return sent;
}

test('a flood of offers reaches the budget and stops there; without a bound it would not', (t) => {
  const sent = punchesOfAFlood();
  t.true(punchesOfAFlood(Number.POSITIVE_INFINITY) > 2 * punchesPerMinute);
  // What is left at the end is too little for a whole exchange.
  t.true(sent > punchesPerMinute - 5 * 4 && sent <= punchesPerMinute);
});

test('nothing is sent to an endpoint that may not be dialled, whoever names it', (t) => {
  const forbidden = { address: '192.168.1.255', port: 16696 };
  const allowed = { address: '11.0.0.2', port: 6 };
  const punching = new Punching(1, seededRandom(1), ({ address }) => address !== forbidden.address);
  const side: PunchSide = { open: [], nat: { mapping: undefined, filtering: undefined } };
  const own = [
    { address: '11.0.0.1', port: 5 },
    { address: '192.168.1.2', port: 5 },
  ];
  punching.handle({ kind: 'sideChanged', endpoints: own, side }, 0);
  const exchange = new Uint8Array(8).fill(3);
  const hears = (message: Uint8Array) =>
    punching.handle({ kind: 'messageReceived', from: 2, message: decodeMap(message)!, admitted: true }, 0);
  hears(encodePunch({ kind: 'offer', exchange, endpoints: [forbidden, allowed], side }));
  const effects = hears(encodePunch({ kind: 'go', exchange }));
  for (let now = 60; now <= 1000; now += 10) effects.push(...punching.tick(now));
  const sentTo = effects.flatMap((effect) =>
    effect.kind === 'sendPunch' ? [effect.to] : effect.kind === 'dial' ? effect.endpoints : [],
  );
  t.deepEqual(sentTo, new Array(6).fill(allowed), 'five punches and a dial');
});

test('one node that offers again and again is refused after three', (t) => {
  const punching = new Punching(9, seededRandom(1), anywhere);
  const kinds: string[] = [];
  for (let i = 0; i < 6; i++) {
    const exchange = new Uint8Array(8).fill(i);
    const side = { open: [], nat: { mapping: undefined, filtering: undefined } };
    const offer = decodeMap(encodePunch({ kind: 'offer', exchange, endpoints: [], side }))!;
    for (const effect of punching.handle(
      { kind: 'messageReceived', from: 2, message: offer, admitted: true },
      i * second,
    )) {
      if (effect.kind === 'sendMesh') kinds.push(decodePunch(decodeMap(effect.bytes)!)!.kind);
    }
  }
  t.deepEqual(kinds, ['answer', 'answer', 'answer', 'no', 'no', 'no']);
});

test('messages survive the wire, and none that is cut or altered throws', (t) => {
  const side: PunchSide = { open: ['ipv4'], nat: { mapping: 'address-dependent', filtering: undefined } };
  const exchange = new Uint8Array(8).fill(7);
  const endpoints = [
    { address: '11.0.0.1', port: 1 },
    { address: '2001:db8::1', port: 65535 },
  ];
  for (const message of [
    { kind: 'offer', exchange, endpoints, side },
    { kind: 'answer', exchange, endpoints: [], side },
    { kind: 'go', exchange },
    { kind: 'no', exchange, reason: 'busy' },
  ] as const) {
    const bytes = encodePunch(message);
    t.deepEqual(decodePunch(decodeMap(bytes)!), message as never);
    for (let i = 0; i < bytes.length; i++) {
      const altered = new Uint8Array(bytes);
      altered[i]! ^= 0x55;
      for (const variant of [bytes.subarray(0, i), altered]) {
        const map = decodeMap(variant);
        t.notThrows(() => map && decodePunch(map));
      }
    }
  }
});

const bothStrict = { mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent' } as const;
const over = {
  ipv4: [{ address: '11.0.0.2', port: 6 }],
  ipv6: [{ address: '2001:db8:2::1', port: 6 }],
  'private ipv6': [{ address: 'fd00:77::1', port: 6 }],
};

/** What who is open over some families answers an offer of another, behind the strictest NATs both. */
function answerTo(open: PunchSide['open'], theirs: readonly Endpoint[], theirOpen: PunchSide['open'] = []): string {
  const punching = new Punching(1, seededRandom(5), anywhere);
  const endpoints = [
    { address: '11.0.0.1', port: 5 },
    { address: '2001:db8:1::1', port: 5 },
  ];
  punching.handle({ kind: 'sideChanged', endpoints, side: { open, nat: bothStrict } }, 0);
  const side = { open: theirOpen, nat: bothStrict };
  const message = decodeMap(encodePunch({ kind: 'offer', exchange: new Uint8Array(8), endpoints: theirs, side }))!;
  const [said] = punching.handle({ kind: 'messageReceived', from: 2, message, admitted: true }, 0);
  return said?.kind === 'sendMesh' ? String(decodeMap(said.bytes)!.t) : 'nothing';
}

test('who is open over one family is so to those who have it: for others its NAT counts', (t) => {
  t.is(answerTo(['ipv4'], over.ipv4), 'punchback');
  t.is(answerTo(['ipv6'], over.ipv4), 'punchno');
  t.is(answerTo(['ipv6'], over.ipv6), 'punchback');
  t.is(answerTo(['ipv6'], over['private ipv6']), 'punchno');
  t.is(answerTo(['ipv4'], over.ipv6), 'punchno');
  t.is(answerTo(['ipv4', 'ipv6'], over.ipv6), 'punchback');
  t.is(answerTo([], over.ipv6, ['ipv6']), 'punchback', 'we have both');
  t.is(answerTo([], over.ipv6), 'punchno');
});

test('an offer says of which family it is open; of one from a version that does not, any may be', (t) => {
  const terms = { exchange: new Uint8Array(8), endpoints: over.ipv4 };
  for (const open of [[], ['ipv4'], ['ipv6'], ['ipv4', 'ipv6']] as const) {
    const map = decodeMap(encodePunch({ kind: 'offer', ...terms, side: { open, nat: bothStrict } }))!;
    t.is(map.o, open.length > 0 ? 1 : 0);
    t.like(decodePunch(map), { side: { open } });
    const { v: _, ...older } = map;
    t.like(decodePunch(older), { side: { open: open.length > 0 ? ['ipv4', 'ipv6'] : [] } });
  }
});

test('whether punching can help does not depend on who asks', (t) => {
  const kindOf = fc.constantFrom(
    undefined,
    'endpoint-independent' as const,
    'address-dependent' as const,
    'address-and-port-dependent' as const,
  );
  const side = fc.record({ open: fc.constant([]), nat: fc.record({ mapping: kindOf, filtering: kindOf }) });
  fc.assert(
    fc.property(
      side,
      side,
      (one, other) => (whyNoPunch(one, other) === undefined) === (whyNoPunch(other, one) === undefined),
    ),
    { seed: 2 },
  );
  t.pass();
});

test('who wants no more tunnels answers an offer with "busy" and sends nothing else', (t) => {
  const punching = new Punching(1, seededRandom(5), anywhere);
  const side: PunchSide = { open: [], nat: { mapping: undefined, filtering: undefined } };
  punching.handle({ kind: 'sideChanged', endpoints: [{ address: '11.0.0.1', port: 5 }], side }, 0);
  const offer = decodeMap(
    encodePunch({
      kind: 'offer',
      exchange: new Uint8Array(8).fill(3),
      endpoints: [{ address: '11.0.0.2', port: 6 }],
      side,
    }),
  )!;
  const effects = punching.handle({ kind: 'messageReceived', from: 2, message: offer, admitted: false }, 0);
  t.is(effects.length, 1);
  const [answer] = effects;
  t.true(answer?.kind === 'sendMesh' && answer.to === 2);
  t.like(decodePunch(decodeMap((answer as { bytes: Uint8Array }).bytes)!), { kind: 'no', reason: 'busy' });
  t.deepEqual(punching.tick(60 * second), []);
});

test('a budget between one exchange and two lets one out whole, cuts the next short, and says that it did', (t) => {
  const punching = new Punching(1, seededRandom(6), anywhere, 7);
  const side: PunchSide = { open: [], nat: { mapping: undefined, filtering: undefined } };
  punching.handle({ kind: 'sideChanged', endpoints: [{ address: '11.0.0.1', port: 5 }], side }, 0);
  const punchedTo: string[] = [];
  const failed: string[] = [];
  const perform = (effects: readonly PunchingEffect[]) => {
    for (const effect of effects) {
      if (effect.kind === 'sendPunch') punchedTo.push(effect.to.address);
      if (effect.kind === 'punchFailed') failed.push(`${effect.node}: ${effect.reason}`);
    }
  };
  const offerOf = (from: number, now: number) => {
    const endpoints = [{ address: `11.0.0.${from}`, port: 6 }];
    const exchange = new Uint8Array(8).fill(from);
    const message = decodeMap(encodePunch({ kind: 'offer', exchange, endpoints, side }))!;
    perform(punching.handle({ kind: 'messageReceived', from, message, admitted: true }, now));
  };
  // Two begin while nothing is spent, one after it is.
  offerOf(2, 0);
  offerOf(3, 900);
  for (let now = 0; now < 10 * second; now += 10) {
    if (now === 5 * second) offerOf(4, now);
    if (now >= punching.deadline()) perform(punching.tick(now));
  }
  t.deepEqual(
    [2, 3, 4].map((node) => punchedTo.filter((address) => address === `11.0.0.${node}`).length),
    [5, 2, 0],
  );
  const spent = 'this node may send no more than 7 hole punches a minute, and has';
  t.deepEqual(failed.sort(), ['2: no datagram got through from either side', `3: ${spent}`, `4: ${spent}`]);
});

test('27: of two behind one NAT through which neither gets back in, the reason names it', (t) => {
  const punching = new Punching(1, seededRandom(7), anywhere);
  const side: PunchSide = { open: [], nat: natKinds['port-restricted'] };
  punching.handle({ kind: 'sideChanged', endpoints: [{ address: '11.0.0.1', port: 5 }], side }, 0);
  const endpoints = [
    { address: '11.0.0.1', port: 6 },
    { address: '192.168.1.7', port: 16696 },
  ];
  const message = decodeMap(encodePunch({ kind: 'offer', exchange: new Uint8Array(8), endpoints, side }))!;
  const effects = [...punching.handle({ kind: 'messageReceived', from: 2, message, admitted: true }, 0)];
  while (punching.deadline() < 10 * second) effects.push(...punching.tick(punching.deadline()));
  t.deepEqual(
    effects.flatMap((effect) => (effect.kind === 'punchFailed' ? [effect.reason] : [])),
    [
      'no datagram got through from either side: both stand behind 11.0.0.1, which lets nothing back in (no hairpinning)',
    ],
  );
});

/** A node that wants tunnels to as many silent ones as it may, one after another, each given up when it has failed. */
function manySilent(givesUp: boolean) {
  const punching = new Punching(1, seededRandom(29), anywhere);
  let now = 0;
  const run = (until: Millis) => {
    const effects: PunchingEffect[] = [];
    for (; now <= until; now = Math.max(now + 1, Math.min(punching.deadline(), until + 1))) {
      const tick = punching.tick(now);
      effects.push(...tick);
      for (const effect of tick)
        if (givesUp && effect.kind === 'punchFailed')
          punching.handle({ kind: 'directUnwanted', node: effect.node }, now);
    }
    return effects;
  };
  for (let node = 2; node < 2 + mostTries; node++) punching.handle({ kind: 'directWanted', node }, now);
  run(5 * second);
  return { punching, run, want: (node: number) => punching.handle({ kind: 'directWanted', node }, now) };
}

test('who was given up takes no place from another, is offered nothing, and is asked again not before its time', (t) => {
  const { run, want } = manySilent(true);
  t.deepEqual(run(8 * second), []);
  t.deepEqual(want(50), [], 'it has just failed');
  t.deepEqual(
    want(1000).map((effect) => effect.kind === 'sendMesh' && effect.to),
    [1000],
  );
  const offered = run(minute).flatMap((effect) => (effect.kind === 'sendMesh' ? [effect.to] : []));
  t.deepEqual(new Set(offered), new Set([1000, 50]));
});

test('with all places wanted, one more is told why it is not tried', (t) => {
  const { want } = manySilent(false);
  t.deepEqual(want(1000), [
    { kind: 'punchFailed', node: 1000, reason: `with ${mostTries} other nodes it is being tried already` },
  ]);
});
