import test from 'ava';
import fc from 'fast-check';
import type { Endpoint } from '../../src/addr/endpoint.js';
import { decodeMap } from '../../src/addr/fields.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { decodeDialBack, encodeDialBack, encodeDialBackBody } from '../../src/mesh/dial-back.js';
import { DialBackProver } from '../../src/mesh/dial-back-prover.js';
import {
  insideAny,
  type LocalAddress,
  Reachability,
  type ReachabilityEffect,
  type ReachabilityEvent,
} from '../../src/mesh/reachability.js';
import { leadsOutside, worthDialling } from '../../src/mesh/reachability-candidates.js';
import { seededRandom } from '../../src/random.js';
import { type Millis, minute, second } from '../../src/time.js';
import { NatModel, natKinds } from '../helpers/nat-model.js';
import { NatWorld } from '../helpers/nat-world.js';

const port = 16696;
const router = '192.168.1.1';
const overlay = insideAny([parsePrefix('fd12:3400::/40')!]);

/** A node with a Reachability; tunnels are there at once and carry messages; datagrams go through the NATs. */
class Node {
  readonly reach: Reachability;
  readonly inner: Endpoint;
  readonly nat: NatModel | undefined;
  readonly effects: ReachabilityEffect[] = [];
  readonly number: number;
  /** What this node's router does about a trial: forward it, only say so, or have no port for it. */
  router: 'forwards' | 'lies' | 'refuses' = 'refuses';
  readonly #world: NatWorld;
  readonly #peers = new Map<number, Node>();

  constructor(world: NatWorld, number: number, kind: keyof typeof natKinds | 'public') {
    this.#world = world;
    this.number = number;
    this.reach = new Reachability({ port, random: seededRandom(number), isInside: overlay, ipv6: false });
    const isPublic = kind === 'public';
    this.inner = { address: isPublic ? `11.0.${number}.1` : `192.168.${number}.2`, port };
    this.nat = isPublic ? undefined : new NatModel(`11.0.${number}.1`, natKinds[kind], seededRandom(number + 50));
    world.attach(this.inner, this.nat, (_, payload) =>
      this.hears({ kind: 'dialBackReceived', body: payload as Uint8Array }),
    );
    this.hears({ kind: 'addressesChanged', addresses: [{ device: 'eth0', address: this.inner.address }] });
  }

  /** A tunnel to a public node: both learn where the other sends from. */
  tunnelTo(other: Node): void {
    this.#peers.set(other.number, other);
    other.#peers.set(this.number, this);
    const seen = this.nat?.outward(this.inner, other.inner) ?? this.inner;
    this.hears({ kind: 'neighbourAt', node: other.number, endpoint: other.inner });
    other.hears({ kind: 'neighbourAt', node: this.number, endpoint: seen });
    this.hears({ kind: 'observed', by: other.number, endpoint: seen });
    other.hears({ kind: 'observed', by: this.number, endpoint: other.inner });
  }

  hears(event: ReachabilityEvent): void {
    this.#perform(this.reach.handle(event, this.#world.now));
  }

  proven(): string[] {
    return this.reach
      .endpoints()
      .flatMap(({ address, port: at, source, proven }) => (proven ? [`${address}:${at} ${source}`] : []));
  }

  #perform(effects: readonly ReachabilityEffect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === 'sendDialBack') {
        const fresh = { address: this.inner.address, port: 40_000 + this.#world.random.below(10_000) };
        this.#world.send(fresh, effect.to, effect.body);
      }
      if (effect.kind === 'sendMesh') {
        const event = { kind: 'messageReceived', from: this.number, message: decodeMap(effect.bytes)! } as const;
        this.#world.at(this.#world.now + 20, () => this.#peers.get(effect.to)?.hears(event));
      }
      if (effect.kind === 'trialWanted' && this.router !== 'refuses') {
        const endpoint = { address: this.nat!.address, port: 23_456 };
        if (this.router === 'forwards') this.nat!.forward(endpoint.port, this.inner);
        this.#world.at(this.#world.now + 50, () => this.hears({ kind: 'trialMapped', endpoint }));
      }
    }
    const deadline = this.reach.deadline();
    if (deadline > 30 * minute) return;
    this.#world.at(Math.max(deadline, this.#world.now), () => {
      if (this.reach.deadline() <= this.#world.now) this.#perform(this.reach.tick(this.#world.now));
    });
  }
}

/** The router of node 1 forwards this port of its outer address, or says so. */
const mappedAt = (external: number, source: 'upnp' | 'nat-pmp', asking = false): ReachabilityEvent => ({
  kind: 'mappingChanged',
  endpoint: { address: '11.0.1.1', port: external },
  source,
  router,
  asking,
});

function world(seed = 1): NatWorld {
  return new NatWorld(15, seededRandom(seed));
}

test('a public node is proven by its first neighbour, within a second', (t) => {
  const all = world();
  const [one, two] = [new Node(all, 1, 'public'), new Node(all, 2, 'public')];
  one.tunnelTo(two);
  all.runUntil(second);
  t.deepEqual(one.proven(), ['11.0.1.1:16696 local']);
  t.deepEqual(two.proven(), ['11.0.2.1:16696 local']);
});

test('26: a mapping is advertised as proven when a datagram has come through it, and not before', (t) => {
  const all = world();
  const [home, peer] = [new Node(all, 1, 'port-restricted'), new Node(all, 2, 'public')];
  home.tunnelTo(peer);
  all.runUntil(500);
  home.nat!.forward(20_123, home.inner);
  home.hears(mappedAt(20_123, 'upnp'));
  t.deepEqual(home.proven(), []);
  all.runUntil(second);
  t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
  t.like(
    home.effects.findLast(({ kind }) => kind === 'endpointsChanged'),
    {
      endpoints: [{ address: '11.0.1.1', port: 20_123, source: 'upnp', proven: true }],
    },
  );
});

test('26: a mapping that "succeeded" but leads nowhere stays unproven', (t) => {
  const all = world();
  const [home, peer] = [new Node(all, 1, 'port-restricted'), new Node(all, 2, 'public')];
  home.hears(mappedAt(20_123, 'upnp'));
  home.tunnelTo(peer);
  all.runUntil(5 * minute);
  t.deepEqual(home.proven(), []);
  t.true(home.reach.endpoints().some(({ source, proven }) => source === 'upnp' && !proven));
});

/** A home whose NAT keeps port numbers and lets in by address, mapped where its own traffic leaves; a neighbour. */
function mappedWhereItLeaves(all: NatWorld, does: Node['router'] = 'refuses'): Node {
  const home = new Node(all, 1, 'address-restricted');
  home.router = does;
  home.hears(mappedAt(port, 'upnp'));
  home.tunnelTo(new Node(all, 2, 'public'));
  return home;
}

/** Of everything it has told so far, what was told as proven. */
function toldProven({ effects }: Node): string[] {
  return effects.flatMap((effect) =>
    effect.kind === 'endpointsChanged'
      ? effect.endpoints.filter(({ proven }) => proven).map(({ source }) => source)
      : [],
  );
}

/** How many dials were asked for. */
const asksOf = ({ effects }: Node) =>
  effects.filter((effect) => effect.kind === 'sendMesh' && decodeDialBack(decodeMap(effect.bytes)!)?.kind === 'ask')
    .length;

const toldOfTrials = ({ effects }: Node) =>
  effects.map(({ kind }) => kind).filter((kind) => kind === 'trialWanted' || kind === 'trialEnded');

for (const lie of ['lies', 'refuses'] as const) {
  test(`26: whoever gets in through our own hole proves no mapping; the router ${lie}`, (t) => {
    const all = world();
    const home = mappedWhereItLeaves(all, lie);
    all.runUntil(5 * minute);
    t.is(asksOf(home) > 0, lie === 'lies', 'only the port of a trial is worth a dial');
    home.tunnelTo(new Node(all, 3, 'public'));
    all.runUntil(25 * minute);
    t.deepEqual(toldProven(home), []);
    t.true(home.reach.endpoints().some(({ source }) => source === 'upnp'));
    const once = lie === 'lies' ? ['trialWanted', 'trialEnded'] : ['trialWanted'];
    t.deepEqual(toldOfTrials(home), [once, once, once].flat(), 'at first, and every ten minutes');
  });
}

/** A router is asked for a first mapping, or there is none to ask. */
const nothingMapped = (asking: boolean): ReachabilityEvent => ({
  kind: 'mappingChanged',
  endpoint: undefined,
  source: 'nat-pmp',
  router,
  asking,
});

test('26: no dial is wasted on our own hole while a router that was found has not answered yet', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.tunnelTo(new Node(all, 2, 'public'));
  home.hears(nothingMapped(true));
  all.runUntil(5 * second);
  home.tunnelTo(new Node(all, 3, 'public'));
  all.runUntil(9 * second);
  t.is(asksOf(home), 0);
  home.hears(mappedAt(port, 'nat-pmp'));
  all.runUntil(minute);
  t.is(asksOf(home), 0, 'nor after it, as the router refuses a trial');
});

test('what peers see is asked about at once when the router refuses, and after ten seconds when it is silent', (t) => {
  const all = world();
  const [refused, unanswered] = [new Node(all, 1, 'address-restricted'), new Node(all, 2, 'address-restricted')];
  const peer = new Node(all, 3, 'public');
  for (const home of [refused, unanswered]) {
    home.tunnelTo(peer);
    home.hears(nothingMapped(true));
  }
  all.runUntil(4 * second);
  t.is(asksOf(refused), 0);
  refused.hears(nothingMapped(false));
  t.is(asksOf(refused), 1);
  all.runUntil(9.9 * second);
  unanswered.hears(nothingMapped(true)); // another port, another router: the wait does not begin anew
  t.is(asksOf(unanswered), 0);
  all.runUntil(10 * second);
  t.is(asksOf(unanswered), 1);
  t.is(asksOf(refused), 1, 'what peers see was reached');
});

const seenAt = (by: number, port: number, address = '11.0.1.1'): ReachabilityEvent => ({
  kind: 'observed',
  by,
  endpoint: { address, port },
});

/** A home with two neighbours, whose router was asked in vain for eight seconds; half a minute after it began. */
function askedInVain(all: NatWorld): Node {
  const home = new Node(all, 1, 'address-restricted');
  home.tunnelTo(new Node(all, 2, 'public'));
  home.tunnelTo(new Node(all, 3, 'public'));
  home.hears(nothingMapped(true));
  all.runUntil(8 * second);
  home.hears(nothingMapped(false));
  all.runUntil(30 * second);
  return home;
}

test('a router that never answers holds up what peers see once, and not whenever it is asked again', (t) => {
  const all = world();
  const home = askedInVain(all);
  const before = asksOf(home);
  home.hears(nothingMapped(true));
  home.hears(seenAt(3, port + 1));
  all.runUntil(33 * second);
  t.true(asksOf(home) > before);
});

const changes: Readonly<Record<string, readonly ReachabilityEvent[]>> = {
  'the machine woke up': [{ kind: 'wokeUp' }],
  'a peer sees another address': [seenAt(2, port, '11.0.9.9')],
  'the line was down': [
    { kind: 'neighbourDown', node: 2 },
    { kind: 'neighbourDown', node: 3 },
    { kind: 'neighbourAt', node: 3, endpoint: { address: '11.0.3.1', port } },
    seenAt(3, port),
  ],
};
for (const [what, events] of Object.entries(changes)) {
  test(`a router that never answered may where the network is another, and is waited for: ${what}`, (t) => {
    const all = world();
    const home = askedInVain(all);
    for (const event of events) home.hears(event);
    home.hears(nothingMapped(true));
    home.hears(seenAt(3, port + 1));
    const before = asksOf(home);
    all.runUntil(39 * second);
    t.is(asksOf(home), before);
    all.runUntil(43 * second);
    t.true(asksOf(home) > before);
  });
}

test('a router that has no mapping for us any more holds up what peers see again: it answers', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.tunnelTo(new Node(all, 2, 'public'));
  home.hears(nothingMapped(true));
  all.runUntil(second);
  home.hears(nothingMapped(false));
  home.hears(mappedAt(20_123, 'nat-pmp'));
  all.runUntil(30 * second);
  home.hears(nothingMapped(true));
  home.hears(seenAt(2, port + 1));
  const before = asksOf(home);
  all.runUntil(39 * second);
  t.is(asksOf(home), before);
});

test('what was proven of our own hole stays so while a router that was found later is asked', (t) => {
  const all = world();
  const home = new Node(all, 1, 'endpoint-independent');
  home.tunnelTo(new Node(all, 2, 'public'));
  home.hears({ kind: 'neighbourAt', node: 3, endpoint: { address: '11.0.3.1', port }, uncalled: true });
  all.runUntil(5 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 observed']);
  home.hears(nothingMapped(true));
  all.runUntil(9 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 observed']);
});

test('one neighbour is enough to prove a mapping where our own traffic leaves: the router forwards another port too', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all, 'forwards');
  home.nat!.forward(port, home.inner);
  all.runUntil(second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 upnp']);
  all.runUntil(25 * minute);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 upnp'], 'and the trial is no endpoint');
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialEnded'], 'once for a router');
});

test('a mapping where our own traffic leaves, by a router without a port for trials: a stranger proves it, and nobody we called', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all);
  const comes = (node: number) =>
    home.hears({ kind: 'neighbourAt', node, endpoint: { address: `11.0.${node}.1`, port }, uncalled: true });
  home.nat!.forward(port, home.inner);
  all.runUntil(5 * second);
  home.hears({ kind: 'called', endpoints: [{ address: '11.0.3.1', port }] });
  comes(3);
  all.runUntil(6 * second);
  t.deepEqual(home.proven(), []);
  comes(4);
  all.runUntil(7 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 upnp']);
});

test('a router that has moved its only entry to the trial is dialled again when it has moved it back; two dials in all', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.router = 'forwards';
  home.hears(mappedAt(port, 'nat-pmp'));
  home.tunnelTo(new Node(all, 2, 'public'));
  all.runUntil(second);
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialEnded']);
  home.hears(mappedAt(port, 'nat-pmp', true));
  all.runUntil(2 * second);
  t.is(asksOf(home), 1);
  t.deepEqual(home.proven(), []);
  home.nat!.forward(port, home.inner);
  home.hears(mappedAt(port, 'nat-pmp'));
  all.runUntil(3 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 nat-pmp']);
  t.is(asksOf(home), 2);
  home.hears(mappedAt(port, 'nat-pmp', true));
  t.deepEqual(home.proven(), ['11.0.1.1:16696 nat-pmp'], 'while it is renewed it stands');
  t.is(asksOf(home), 2);
});

test('a trial that was lost has shown nothing: another one is wanted at once, and nothing waits for the entry to come back', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.router = 'lies';
  home.hears(mappedAt(port, 'nat-pmp'));
  home.tunnelTo(new Node(all, 2, 'public'));
  all.runUntil(second);
  t.deepEqual(toldOfTrials(home), ['trialWanted']);
  home.hears({ kind: 'trialLost' });
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialWanted']);
  home.hears({ kind: 'trialLost' });
  home.router = 'refuses';
  home.nat!.forward(port, home.inner);
  all.runUntil(5 * second);
  t.deepEqual(
    toldOfTrials(home).filter((kind) => kind === 'trialEnded'),
    [],
  );
  home.hears({ kind: 'neighbourAt', node: 4, endpoint: { address: '11.0.4.1', port }, uncalled: true });
  all.runUntil(6 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 nat-pmp']);
});

test('a trial is over when peers see us at another address: what the router says of its own waits for that', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all, 'lies');
  all.runUntil(second);
  t.deepEqual(toldOfTrials(home), ['trialWanted']);
  const seenAt = (address: string) => home.hears({ kind: 'observed', by: 2, endpoint: { address, port } });
  seenAt('11.0.9.9');
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialEnded']);
  all.runUntil(minute);
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialEnded'], 'nobody could dial another one');
  seenAt('11.0.1.1');
  all.runUntil(minute + second);
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialEnded', 'trialWanted']);
});

test('a trial waits for somebody to dial it, and one where nothing can be tried is given back', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all);
  all.runUntil(second);
  home.hears({ kind: 'neighbourDown', node: 2 });
  home.hears({ kind: 'trialLost' });
  all.runUntil(minute);
  t.deepEqual(toldOfTrials(home), ['trialWanted']);
  home.tunnelTo(new Node(all, 3, 'public'));
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialWanted']);
  home.hears({ kind: 'trialMapped', endpoint: { address: '11.0.1.1', port } });
  t.deepEqual(toldOfTrials(home), ['trialWanted', 'trialWanted', 'trialEnded']);
});

test('a mapping at a port that none of our own traffic leaves from needs no trial', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.nat!.forward(20_123, home.inner);
  home.hears(mappedAt(20_123, 'upnp'));
  home.tunnelTo(new Node(all, 2, 'public'));
  all.runUntil(5 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
  t.deepEqual(toldOfTrials(home), []);
});

/** A home with a mapping at a port none of its traffic leaves from, on a router without a port for trials. */
function mappedElsewhere(all: NatWorld): Node {
  const home = new Node(all, 1, 'port-restricted');
  home.nat!.forward(20_123, home.inner);
  home.hears(mappedAt(20_123, 'upnp'));
  return home;
}

/** A neighbour that says it sees our frames come from this port. */
function liesAbout(all: NatWorld, home: Node, number: number, at: number): void {
  home.tunnelTo(new Node(all, number, 'public'));
  home.hears({ kind: 'observed', by: number, endpoint: { address: '11.0.1.1', port: at } });
}

test('one member that lies about where it sees us casts no doubt where two tell the truth, and is not asked to dial there', (t) => {
  const all = world();
  const home = mappedElsewhere(all);
  for (const number of [2, 3]) home.tunnelTo(new Node(all, number, 'public'));
  liesAbout(all, home, 4, 20_123);
  for (let minutes = 1; minutes <= 20; minutes++) {
    all.runUntil(minutes * minute);
    t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
    home.hears({ kind: 'wokeUp' }); // and it is to be proven anew
  }
  t.deepEqual(toldOfTrials(home).filter((kind) => kind === 'trialWanted').length, 0);
  const askedOf = home.effects.flatMap((effect) => {
    const message = effect.kind === 'sendMesh' ? decodeDialBack(decodeMap(effect.bytes)!) : undefined;
    return effect.kind === 'sendMesh' && message?.kind === 'ask' && message.endpoint.port === 20_123 ? [effect.to] : [];
  });
  t.true(askedOf.length >= 20);
  t.false(askedOf.includes(4));
});

test('a lie that nobody was there to outvote counts no longer than NATs remember', (t) => {
  const all = world();
  const home = mappedElsewhere(all);
  liesAbout(all, home, 4, 20_123);
  all.runUntil(5 * minute);
  for (const number of [2, 3]) home.tunnelTo(new Node(all, number, 'public'));
  all.runUntil(15 * minute - second);
  t.deepEqual(home.proven(), [], 'it may have been true');
  all.runUntil(15 * minute + second);
  t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
});

test('26: one member that lies makes no mapping believed that two see to be our own hole', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all);
  home.tunnelTo(new Node(all, 3, 'public'));
  liesAbout(all, home, 4, 30_000);
  all.runUntil(25 * minute);
  t.deepEqual(toldProven(home), []);
});

test('a trial where our own traffic leaves shows nothing', (t) => {
  const all = world();
  const home = mappedWhereItLeaves(all);
  home.hears({ kind: 'trialMapped', endpoint: { address: '11.0.1.1', port } });
  all.runUntil(5 * second);
  t.deepEqual(home.proven(), []);
});

test('double NAT: an external address that is not what peers see is never dialled', (t) => {
  const all = world();
  const [home, peer] = [new Node(all, 1, 'port-restricted'), new Node(all, 2, 'public')];
  home.hears({
    kind: 'mappingChanged',
    endpoint: { address: '11.7.7.7', port },
    source: 'upnp',
    router,
    asking: false,
  });
  home.tunnelTo(peer);
  all.runUntil(10 * minute);
  t.false(all.sentTo.has('11.7.7.7'));
  t.deepEqual(
    home.effects.filter(({ kind }) => kind === 'observedExternally'),
    [{ kind: 'observedExternally', address: '11.0.1.1' }],
  );
});

test('proven again after every change: the router reboots and forwards from another address', (t) => {
  const all = world();
  const [home, peer] = [new Node(all, 1, 'port-restricted'), new Node(all, 2, 'public')];
  home.router = 'forwards';
  home.nat!.forward(port, home.inner);
  home.hears(mappedAt(port, 'nat-pmp'));
  home.tunnelTo(peer);
  all.runUntil(500);
  home.hears(mappedAt(port, 'nat-pmp', true));
  home.hears(mappedAt(port, 'nat-pmp'));
  all.runUntil(second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 nat-pmp']);
  all.runUntil(70 * second); // else its one prober has dialled as often as it may
  home.nat!.reboot();
  home.hears({ kind: 'addressesChanged', addresses: [{ device: 'eth0', address: home.inner.address }] });
  t.deepEqual(home.proven(), []);
  all.runUntil(100 * second);
  t.deepEqual(home.proven(), []);
  home.nat!.forward(port, home.inner);
  home.hears(mappedAt(port, 'nat-pmp'));
  all.runUntil(102 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:16696 nat-pmp']);
});

test('a mapping at an address that no peer sees us at any more is not proven, at once; where one still does, and to who sees us on its LAN, it is', (t) => {
  const all = world();
  const home = new Node(all, 1, 'port-restricted');
  home.nat!.forward(20_000, home.inner);
  home.hears(mappedAt(20_000, 'upnp'));
  for (const number of [2, 3]) home.tunnelTo(new Node(all, number, 'public'));
  all.runUntil(5 * second);
  const mapped = ['11.0.1.1:20000 upnp'];
  t.deepEqual(home.proven(), mapped);
  const seenBy = (by: number, address: string) => home.hears({ kind: 'observed', by, endpoint: { address, port } });
  seenBy(2, '11.0.9.9');
  t.deepEqual(home.proven(), mapped);
  home.hears({ kind: 'neighbourAt', node: 4, endpoint: { address: '192.168.1.4', port } });
  seenBy(4, '192.168.1.2');
  seenBy(3, '11.0.9.9');
  t.deepEqual(home.proven(), [], 'whom the address belongs to now is not known');
  all.runUntil(6 * second);
  t.deepEqual(home.effects.filter(({ kind }) => kind === 'endpointsChanged').at(-1), {
    kind: 'endpointsChanged',
    endpoints: home.reach.endpoints(),
  });
  for (const node of [2, 3]) home.hears({ kind: 'neighbourDown', node });
  t.deepEqual(home.proven(), mapped, 'the LAN says nothing');
});

test('a mapping lost without a sign is found out, and is unproven then', (t) => {
  const all = world();
  const [home, peer, other] = [
    new Node(all, 1, 'port-restricted'),
    new Node(all, 2, 'public'),
    new Node(all, 3, 'public'),
  ];
  home.router = 'forwards';
  home.nat!.forward(port, home.inner);
  home.hears(mappedAt(port, 'upnp'));
  home.tunnelTo(peer);
  home.tunnelTo(other);
  all.runUntil(second);
  t.is(home.proven().length, 1);
  home.nat!.reboot();
  all.runUntil(12 * minute);
  t.deepEqual(home.proven(), []);
});

for (const kind of ['endpoint-independent', 'address-restricted', 'port-restricted', 'symmetric'] as const) {
  test(`a NAT is classified by what neighbours see: ${kind}`, (t) => {
    const all = world();
    const home = new Node(all, 1, kind);
    for (let number = 2; number <= 4; number++) home.tunnelTo(new Node(all, number, 'public'));
    all.runUntil(3 * minute);
    const symmetric = kind === 'symmetric';
    t.deepEqual(home.reach.nat(), {
      translated: true,
      mapping: symmetric ? 'address-and-port-dependent' : 'endpoint-independent',
      // Two ports of one address tell these apart, and not more: the worst that fits is said.
      filtering: kind === 'port-restricted' || symmetric ? 'address-and-port-dependent' : 'address-dependent',
      portPreservation: !symmetric,
    });
    t.true(home.reach.endpoints().filter(({ source }) => source === 'observed').length <= 2);
  });
}

test('a dial-back through an address-restricted NAT proves nothing: the prover is no stranger', (t) => {
  const all = world();
  const home = new Node(all, 1, 'address-restricted');
  home.tunnelTo(new Node(all, 2, 'public'));
  all.runUntil(5 * second);
  t.is(home.reach.nat().filtering, 'address-dependent');
  t.deepEqual(home.proven(), []);
});

test('a stranger that got in proves an endpoint that only our own traffic opens; one that we had called does not', (t) => {
  const all = world();
  const home = new Node(all, 1, 'endpoint-independent');
  home.tunnelTo(new Node(all, 2, 'public'));
  all.runUntil(5 * second);
  home.hears({ kind: 'neighbourAt', node: 3, endpoint: { address: '11.0.3.1', port }, uncalled: false });
  home.hears({ kind: 'neighbourAt', node: 4, endpoint: { address: '11.0.2.1', port: 5 }, uncalled: true });
  t.deepEqual(home.proven(), []);
  home.hears({ kind: 'neighbourAt', node: 5, endpoint: { address: '11.0.5.1', port }, uncalled: true });
  t.deepEqual(home.proven(), ['11.0.1.1:16696 observed']);
  t.is(home.reach.nat().filtering, 'endpoint-independent');
  home.hears({ kind: 'addressesChanged', addresses: [{ device: 'eth0', address: home.inner.address }] });
  all.runUntil(10 * second);
  t.deepEqual(home.proven(), []);
});

/** A machine behind a router, seen from outside at 11.0.1.1:40000; a neighbour on its LAN dials back whatever it sees and is asked for. */
function withMate(mate: Endpoint, seen: Endpoint) {
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: true });
  const prover = new DialBackProver(seededRandom(2));
  let now = 0;
  const hear = (event: ReachabilityEvent): void => perform(reach.handle(event, now));
  const perform = (effects: readonly ReachabilityEffect[]): void => {
    for (const effect of effects) {
      const message = effect.kind === 'sendMesh' && effect.to === 3 && decodeDialBack(decodeMap(effect.bytes)!);
      if (!message || (message.kind !== 'ask' && message.kind !== 'arrived')) continue;
      const answers = message.kind === 'ask' ? prover.asked(1, message, seen, now) : prover.arrived(1, message, now);
      for (const answer of answers) {
        if (answer.kind === 'sendDialBack') hear({ kind: 'dialBackReceived', body: answer.body });
        else hear({ kind: 'messageReceived', from: 3, message: decodeMap(answer.bytes)! });
      }
    }
  };
  const addresses = ['192.168.1.10', '2001:db8:1::10'].map((address) => ({ device: 'eth0', address }));
  hear({ kind: 'addressesChanged', addresses });
  hear({ kind: 'neighbourAt', node: 2, endpoint: { address: '11.0.2.1', port } });
  hear({ kind: 'observed', by: 2, endpoint: { address: '11.0.1.1', port: 40_000 } });
  hear({ kind: 'neighbourAt', node: 3, endpoint: mate, uncalled: true });
  hear({ kind: 'observed', by: 3, endpoint: seen });
  for (; now < 20 * second; now += 500) perform(reach.tick(now));
  const proven = reach.endpoints().flatMap((each) => (each.proven ? [each.address] : []));
  return { proven, filtering: reach.nat().filtering };
}

test('what a neighbour on our LAN proves is a private address, and nothing of the NAT or firewall that stands before the LAN', (t) => {
  const filtering = 'address-and-port-dependent';
  t.deepEqual(withMate({ address: '192.168.1.11', port }, { address: '192.168.1.10', port }), {
    proven: ['192.168.1.10'],
    filtering,
  });
  const overIpv6 = { address: '2001:db8:1::10', port };
  t.deepEqual(withMate({ address: '2001:db8:1::11', port }, overIpv6), { proven: [], filtering });
  // Who is at another /64 comes through the router.
  t.deepEqual(withMate({ address: '2001:db8:2::11', port }, overIpv6), {
    proven: [overIpv6.address],
    filtering: 'endpoint-independent',
  });
});

test('a member that asks for a dial-back to a third address causes no packet there', (t) => {
  const all = world();
  const [prober, asker] = [new Node(all, 1, 'public'), new Node(all, 2, 'port-restricted')];
  asker.tunnelTo(prober);
  for (const address of ['11.6.6.6', '192.168.1.1', '11.0.1.1', '11.0.3.1']) {
    for (let i = 0; i < 50; i++) {
      const bytes = encodeDialBack({ kind: 'ask', nonce: new Uint8Array(8).fill(i), endpoint: { address, port: 53 } });
      prober.hears({ kind: 'messageReceived', from: 2, message: decodeMap(bytes)! });
    }
  }
  all.runUntil(5 * minute);
  t.deepEqual(
    prober.effects.filter((effect) => effect.kind === 'sendDialBack' && effect.to.address !== '11.0.2.1'),
    [],
  );
  for (const address of ['11.6.6.6', '192.168.1.1', '11.0.3.1']) t.false(all.sentTo.has(address));
});

test('a prober that is alone dials 6 a minute: who needs a seventh proof waits, is told how long, and gets it', (t) => {
  const all = world();
  const [prober, asker] = [new Node(all, 1, 'public'), new Node(all, 2, 'public')];
  asker.tunnelTo(prober);
  const own = { address: asker.inner.address, port };
  let proofs = 0;
  let longest = 0;
  for (let seconds = 1; seconds <= 75; seconds++) {
    all.runUntil(seconds * second);
    const isProven = asker.proven().length > 0;
    if (isProven) {
      proofs++;
      if (proofs < 7) asker.hears({ kind: 'addressesChanged', addresses: [{ device: 'eth0', address: own.address }] });
      if (proofs === 7) break;
    } else longest = Math.max(longest, asker.reach.waitFor(own, all.now) ?? 0);
  }
  t.is(proofs, 7);
  t.true(longest > 50 * second && longest <= 61 * second, `${longest} ms`);
});

/** Messages of the asker's: whom it asked to dial, in order. */
const askedOf = ({ effects }: Node) =>
  effects.flatMap((effect) =>
    effect.kind === 'sendMesh' && decodeDialBack(decodeMap(effect.bytes)!)?.kind === 'ask' ? [effect.to] : [],
  );

/** The prover has dialled for this one as often as it may, before the asker's own last start. */
function dialledFor(prober: Node, asker: number): void {
  for (let i = 0; i < 6; i++) {
    const endpoint = { address: `11.0.${asker}.1`, port: 40_000 + i };
    const bytes = encodeDialBack({ kind: 'ask', nonce: new Uint8Array(8).fill(i), endpoint });
    prober.hears({ kind: 'messageReceived', from: asker, message: decodeMap(bytes)! });
  }
}

test('a prober that says it is busy is passed over: each of the others is asked at once, and it once', (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const all = world(seed);
    const home = new Node(all, 1, 'port-restricted');
    const probers = [2, 3, 4].map((number) => new Node(all, number, 'public'));
    for (const prober of probers) home.tunnelTo(prober);
    for (const busy of probers.slice(0, 2)) dialledFor(busy, 1);
    home.nat!.forward(20_123, home.inner);
    home.hears(mappedAt(20_123, 'upnp'));
    all.runUntil(400);
    t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
    const asked = askedOf(home);
    t.is(new Set(asked).size, asked.length, `nobody twice: ${asked}`);
  }
});

test('where the only prober is busy, it is asked every five seconds until it is not: who waits is proven within five of that', (t) => {
  const all = world();
  const [home, prober] = [new Node(all, 1, 'port-restricted'), new Node(all, 2, 'public')];
  home.tunnelTo(prober);
  dialledFor(prober, 1);
  const endpoint = { address: '11.0.1.1', port: 20_123 };
  home.nat!.forward(endpoint.port, home.inner);
  home.hears(mappedAt(endpoint.port, 'upnp'));
  all.runUntil(minute - second);
  t.deepEqual(home.proven(), []);
  t.true(home.reach.waitFor(endpoint, all.now)! <= 5 * second);
  const asks = askedOf(home).length;
  t.true(asks > 10 && asks < 30, `${asks}`);
  all.runUntil(minute + 6 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
});

test('what was asked of a neighbour that goes is asked of another one at once', (t) => {
  const all = world(3);
  const home = new Node(all, 1, 'port-restricted');
  for (const number of [2, 3]) home.tunnelTo(new Node(all, number, 'public'));
  all.runUntil(second);
  home.nat!.forward(20_123, home.inner);
  home.hears(mappedAt(20_123, 'upnp'));
  const [first] = askedOf(home);
  home.hears({ kind: 'neighbourDown', node: first! });
  t.deepEqual(askedOf(home), [first, first === 2 ? 3 : 2]);
  all.runUntil(2 * second);
  t.deepEqual(home.proven(), ['11.0.1.1:20123 upnp']);
});

/** A node whose operator says where it is reached, and what happens to it; it asks whom it is told to. */
function configuredNode() {
  const endpoint = { address: '11.0.1.1', port };
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  let now = 0;
  const asks: { readonly at: Millis; readonly to: number; readonly nonce: Uint8Array }[] = [];
  const see = (effects: readonly ReachabilityEffect[]) => {
    for (const effect of effects) {
      const message = effect.kind === 'sendMesh' ? decodeDialBack(decodeMap(effect.bytes)!) : undefined;
      if (effect.kind === 'sendMesh' && message?.kind === 'ask')
        asks.push({ at: now, to: effect.to, nonce: message.nonce });
    }
  };
  const hears = (event: ReachabilityEvent) => see(reach.handle(event, now));
  const up = (node: number) => {
    hears({ kind: 'neighbourAt', node, endpoint: { address: `11.0.${node}.1`, port } });
    hears({ kind: 'observed', by: node, endpoint });
  };
  const runUntil = (end: Millis) => {
    for (; reach.deadline() <= end; see(reach.tick(now))) now = Math.max(now, reach.deadline());
    now = end;
  };
  hears({ kind: 'endpointsConfigured', endpoints: [endpoint] });
  return { reach, endpoint, asks, hears, up, runUntil };
}

test('what one sees that is no neighbour counts for nothing, and it is asked for no proof', (t) => {
  const { reach, endpoint, asks, hears, runUntil } = configuredNode();
  hears({ kind: 'observed', by: 9, endpoint });
  hears({ kind: 'observed', by: 8, endpoint: { address: '11.6.6.6', port: 53 } });
  runUntil(minute);
  t.deepEqual(
    reach.endpoints().map(({ address }) => address),
    [endpoint.address],
  );
  t.deepEqual(asks, []);
  hears({ kind: 'neighbourAt', node: 9, endpoint: { address: '11.0.9.1', port } });
  t.deepEqual(
    asks.map(({ to }) => to),
    [9],
    'and counts when its tunnel stands',
  );
});

test('ever so many that are no neighbours keep no neighbour out', (t) => {
  const { endpoint, asks, hears, up } = configuredNode();
  for (let by = 1000; by < 1300; by++) hears({ kind: 'observed', by, endpoint });
  up(2);
  t.deepEqual(
    asks.map(({ to }) => to),
    [2],
  );
});

test('an endpoint that has failed is asked about again although nobody was there to ask when its turn came', (t) => {
  const { endpoint, reach, asks, hears, up, runUntil } = configuredNode();
  up(2);
  runUntil(20 * second);
  t.deepEqual(
    asks.map(({ at }) => at),
    [0, 2 * second, 4 * second],
  );
  t.is(reach.waitFor(endpoint, 20 * second), 16 * second);
  hears({ kind: 'neighbourDown', node: 2 });
  runUntil(minute);
  up(2);
  runUntil(minute + second);
  t.is(asks.length, 4);
});

test('a proof is renewed although nobody was there to ask when it had grown old', (t) => {
  const { endpoint, reach, asks, hears, up, runUntil } = configuredNode();
  up(2);
  const message = decodeMap(encodeDialBack({ kind: 'proven', nonce: asks[0]!.nonce }))!;
  hears({ kind: 'messageReceived', from: 2, message });
  t.like(reach.endpoints(), [{ ...endpoint, proven: true }]);
  runUntil(9 * minute);
  hears({ kind: 'neighbourDown', node: 2 });
  runUntil(12 * minute);
  t.is(asks.length, 1);
  up(2);
  runUntil(12 * minute + second);
  t.is(asks.length, 2);
});

test('a prober dials 6 a minute for one, and 30 for all', (t) => {
  const prober = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  const dialled: Millis[] = [];
  const byAsker = new Map<number, number>();
  const ask = (from: number, now: Millis) => {
    const endpoint = { address: `11.0.1.${from}`, port };
    const bytes = encodeDialBack({ kind: 'ask', nonce: new Uint8Array(8).fill(now % 256), endpoint });
    for (const effect of prober.handle({ kind: 'messageReceived', from, message: decodeMap(bytes)! }, now)) {
      if (effect.kind !== 'sendDialBack') continue;
      dialled.push(now);
      byAsker.set(from, (byAsker.get(from) ?? 0) + 1);
      t.true(effect.body.length + 1 <= 64);
    }
  };
  for (let from = 1; from <= 40; from++)
    prober.handle({ kind: 'neighbourAt', node: from, endpoint: { address: `11.0.1.${from}`, port } }, 0);
  for (let now = 0; now < minute; now += 100) for (let from = 1; from <= 40; from++) ask(from, now);
  t.is(dialled.length, 30);
  t.true([...byAsker.values()].every((count) => count <= 6));
  const first = byAsker.get(1)!;
  for (let now = minute; now < 2 * minute; now += 100) ask(1, now);
  t.is(byAsker.get(1), first + 6);
});

test('forged dial-backs and proofs prove nothing', (t) => {
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  const endpoint = { address: '11.0.1.1', port };
  reach.handle({ kind: 'endpointsConfigured', endpoints: [endpoint] }, 0);
  reach.handle({ kind: 'neighbourAt', node: 2, endpoint: { address: '11.0.2.1', port } }, 0);
  const [asked] = reach.handle({ kind: 'observed', by: 2, endpoint }, 0);
  t.is(asked?.kind, 'sendMesh');
  const nonce = (decodeDialBack(decodeMap((asked as { bytes: Uint8Array }).bytes)!) as { nonce: Uint8Array }).nonce;
  const forged = new Uint8Array(8);
  t.deepEqual(reach.handle({ kind: 'dialBackReceived', body: encodeDialBackBody(forged, forged) }, 10), []);
  t.deepEqual(reach.handle({ kind: 'dialBackReceived', body: new Uint8Array(3) }, 10), []);
  const proof = (from: number, n: Uint8Array) =>
    reach.handle(
      { kind: 'messageReceived', from, message: decodeMap(encodeDialBack({ kind: 'proven', nonce: n }))! },
      20,
    );
  proof(2, forged);
  proof(3, nonce);
  t.false(reach.endpoints()[0]!.proven);
  proof(2, nonce);
  t.true(reach.endpoints()[0]!.proven);
});

test('a prover confirms only the proof its own datagram carried', (t) => {
  const prober = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  const endpoint = { address: '11.0.2.1', port };
  prober.handle({ kind: 'neighbourAt', node: 2, endpoint }, 0);
  const nonce = new Uint8Array(8).fill(1);
  const hear = (from: number, message: Parameters<typeof encodeDialBack>[0]) =>
    prober
      .handle({ kind: 'messageReceived', from, message: decodeMap(encodeDialBack(message))! }, 5)
      .filter(({ kind }) => kind !== 'endpointsChanged');
  const [dial] = hear(2, { kind: 'ask', nonce, endpoint });
  const proof = (dial as { body: Uint8Array }).body.slice(8);
  t.deepEqual(hear(2, { kind: 'arrived', nonce, proof: new Uint8Array(8) }), []);
  t.deepEqual(hear(3, { kind: 'arrived', nonce, proof }), []);
  t.is(hear(2, { kind: 'arrived', nonce, proof }).length, 1);
});

/** Of a machine with these addresses, those it advertises. */
function advertised(addresses: readonly (readonly [device: string, address: string])[], observed?: string): string[] {
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: true });
  reach.handle({ kind: 'addressesChanged', addresses: addresses.map(([device, address]) => ({ device, address })) }, 0);
  if (observed) reach.handle({ kind: 'observed', by: 2, endpoint: { address: observed, port } }, 0);
  return reach.endpoints().map(({ address }) => address);
}

test('29: no overlay address is advertised, whichever device has it and whoever sees us there; nor a loopback or link-local one', (t) => {
  const addresses = [
    ['eth0', '192.168.1.20'],
    ['weft0', 'fd12:3400:1::1'],
    ['tun9', 'fd12:3400:ff::1'],
    ['eth0', 'fe80::1'],
    ['eth0', '169.254.9.9'],
    ['lo', '127.0.0.1'],
    ['eth0', '2001:db8::5'],
  ] as const;
  t.deepEqual(advertised(addresses, 'fd12:3400:9::1'), ['192.168.1.20', '2001:db8::5']);
});

test('31: no address of a container bridge is advertised; one of 100.64.0.0/10 is, and one of any other bridge', (t) => {
  const addresses = [
    ['wwan0', '100.72.0.9'],
    ['docker0', '172.17.0.1'],
    ['br-1a2b3c4d5e6f', '172.18.0.1'],
    ['docker_gwbridge', '172.19.0.1'],
    ['veth12', '10.88.0.1'],
    ['virbr0', '192.168.122.1'],
    ['cni0', '10.42.0.1'],
    ['br-lan', '192.168.1.1'],
    ['br-ext', '198.51.100.7'],
    ['br0', '192.168.2.1'],
  ] as const;
  t.deepEqual(advertised(addresses).sort(), ['100.72.0.9', '192.168.1.1', '192.168.2.1', '198.51.100.7']);
});

test('nothing is advertised before the addresses of the machine were heard of, whoever sees us; then all of it at once', (t) => {
  const own = { address: '11.0.1.1', port };
  const toldWith = (addresses: readonly LocalAddress[]) => {
    const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
    const told: { readonly at: Millis; readonly endpoints: readonly string[] }[] = [];
    const see = (effects: readonly ReachabilityEffect[], at: Millis) => {
      for (const effect of effects) {
        if (effect.kind !== 'endpointsChanged') continue;
        told.push({ at, endpoints: effect.endpoints.map(({ address, source }) => `${address} ${source}`) });
      }
    };
    const tickUntil = (end: Millis) => {
      for (let at = reach.deadline(); at <= end; at = reach.deadline()) see(reach.tick(Math.max(0, at)), at);
    };
    see(reach.handle({ kind: 'endpointsConfigured', endpoints: [] }, 0), 0);
    tickUntil(60);
    see(reach.handle({ kind: 'neighbourAt', node: 2, endpoint: { address: '11.0.2.1', port } }, 60), 60);
    see(reach.handle({ kind: 'observed', by: 2, endpoint: own }, 60), 60);
    tickUntil(400);
    see(reach.handle({ kind: 'addressesChanged', addresses }, 400), 400);
    tickUntil(500);
    return told;
  };
  t.deepEqual(toldWith([{ device: 'eth0', address: own.address }]), [{ at: 400, endpoints: ['11.0.1.1 local'] }]);
  // It could not be found out: what others see is told.
  t.deepEqual(toldWith([]), [{ at: 400, endpoints: ['11.0.1.1 observed'] }]);
});

test('IPv6 stays out where underlay.ipv6 is off', (t) => {
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  reach.handle({ kind: 'addressesChanged', addresses: [{ device: 'eth0', address: '2001:db8::5' }] }, 0);
  t.deepEqual(reach.endpoints(), []);
});

test('27: a NAT that gives another port every 30 s: what is advertised follows, and stays bounded', (t) => {
  const reach = new Reachability({ port, random: seededRandom(1), isInside: overlay, ipv6: false });
  reach.handle({ kind: 'addressesChanged', addresses: [] }, 0);
  reach.handle({ kind: 'neighbourAt', node: 2, endpoint: { address: '11.0.2.1', port } }, 0);
  let told = 0;
  for (let now = 0; now < 30 * minute; now += 30 * second) {
    reach.handle({ kind: 'observed', by: 2, endpoint: { address: '11.0.1.1', port: 2000 + now / 1000 } }, now);
    for (let at = reach.deadline(); at < now + 30 * second; at = reach.deadline()) {
      told += reach.tick(at).filter(({ kind }) => kind === 'endpointsChanged').length;
    }
    t.is(reach.endpoints().length, 1);
  }
  t.true(told >= 55 && told <= 60, `told ${told} times`);
});

test('whatever neighbours say, work is bounded and the deadline is not passed by', (t) => {
  const endpoint = fc.record({
    address: fc.constantFrom('11.0.0.1', '11.0.0.2', '192.168.1.1', '127.0.0.1', 'fd12:3400::1'),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  const nonce = fc.integer({ min: 0, max: 3 }).map((n) => new Uint8Array(8).fill(n));
  const node = fc.integer({ min: 1, max: 400 });
  const message = fc.oneof(
    fc.record({
      kind: fc.constant('ask' as const),
      nonce,
      endpoint: endpoint.filter(({ address }) => address.startsWith('1') && !address.startsWith('127')),
    }),
    fc.record({ kind: fc.constant('arrived' as const), nonce, proof: nonce }),
    fc.record({ kind: fc.constant('proven' as const), nonce }),
    fc.record({
      kind: fc.constant('refused' as const),
      nonce,
      reason: fc.constantFrom('busy' as const, 'notYours' as const),
    }),
  );
  const event: fc.Arbitrary<ReachabilityEvent> = fc.oneof(
    fc.record({ kind: fc.constant('observed' as const), by: node, endpoint }),
    fc.record({ kind: fc.constant('neighbourAt' as const), node, endpoint }),
    fc.record({ kind: fc.constant('neighbourDown' as const), node }),
    fc.record({
      kind: fc.constant('mappingChanged' as const),
      endpoint: fc.option(endpoint, { nil: undefined }),
      source: fc.constantFrom('upnp' as const, 'nat-pmp' as const),
      router: fc.constant(router),
      asking: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('trialMapped' as const), endpoint }),
    fc.constant({ kind: 'trialLost' as const }),
    fc.record({ kind: fc.constant('called' as const), endpoints: fc.array(endpoint, { maxLength: 4 }) }),
    fc.record({
      kind: fc.constant('messageReceived' as const),
      from: node,
      message: message.map((m) => decodeMap(encodeDialBack(m))!),
    }),
    fc.uint8Array({ maxLength: 70 }).map((body): ReachabilityEvent => ({ kind: 'dialBackReceived', body })),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.integer({ min: 0, max: 5000 })), { maxLength: 150 }), (steps) => {
      const reach = new Reachability({ port, random: seededRandom(3), isInside: overlay, ipv6: true });
      let now = 0;
      const dials: Millis[] = [];
      for (const [next, wait] of steps) {
        const effects = reach.handle(next, now);
        now += wait;
        for (let ticks = 0; reach.deadline() <= now; ticks++) {
          if (ticks > 100) return false;
          effects.push(...reach.tick(now));
        }
        for (const effect of effects) if (effect.kind === 'sendDialBack') dials.push(now);
        if (reach.endpoints().length > 4) return false;
      }
      return dials.every((start) => dials.filter((at) => at >= start && at < start + minute).length <= 31);
    }),
    { seed: 8, numRuns: 200 },
  );
  t.pass();
});

test('whose private endpoints are worth a datagram', (t) => {
  const at = (...addresses: string[]) => addresses.map((address) => ({ address, port }));
  const theirs = at('11.0.1.1', '192.168.1.7');
  t.deepEqual(worthDialling(theirs, at('11.0.2.2', '192.168.2.9')), at('11.0.1.1'));
  t.deepEqual(worthDialling(theirs, at('11.0.1.1', '192.168.9.9')), theirs);
  t.deepEqual(worthDialling(theirs, at('11.0.2.2', '192.168.1.9')), theirs);
  t.deepEqual(worthDialling(at('100.72.0.9'), at('11.0.2.2')), []);
  const customer = at('11.0.1.1', '100.72.0.9');
  t.deepEqual(worthDialling(customer, at('11.0.1.1', '192.168.9.9')), customer, 'two customers of one carrier');
});

test('what leads outside: neither private, nor ours, nor in our own /64', (t) => {
  const at = (address: string) => ({ address, port });
  const ours = ['11.0.1.1', '192.168.1.9', '2001:db8:1:1::9'].map(at);
  const inside = ['192.168.2.7', '100.72.0.9', 'fd00::1', '11.0.1.1', '2001:db8:1:1::7'];
  const outside = ['11.0.1.2', '2001:db8:1:2::7'];
  t.deepEqual(
    [...inside, ...outside].filter((address) => leadsOutside(at(address), ours)),
    outside,
  );
});
