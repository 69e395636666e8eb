import test from 'ava';
import type { Endpoint } from '../../src/addr/endpoint.js';
import type { RecordedEndpoint } from '../../src/addr/endpoint-record.js';
import { decodeMap } from '../../src/addr/fields.js';
import { Connector, type ConnectorEffect } from '../../src/control/connector.js';
import type { NatClass } from '../../src/mesh/nat-class.js';
import { mostTries } from '../../src/mesh/punching.js';
import { decodePunch, encodePunch } from '../../src/mesh/punching-message.js';
import { type TopologyLimits, usualLimits } from '../../src/mesh/topology.js';
import { seededRandom } from '../../src/random.js';
import { type Millis, minute, never, second } from '../../src/time.js';
import { natKinds } from '../helpers/nat-model.js';
import { World } from '../mesh/world.js';

const anywhere = () => true;
const hour: Millis = 60 * minute;
const symmetric: NatClass = { translated: true, portPreservation: false, ...natKinds.symmetric };
/** What another node says arrives after this; a dial that leads nowhere ends after that. */
const answersIn: Millis = 40;
const dialLasts: Millis = 15 * second;

/**
 * The connector of a home behind a symmetric NAT. Some others stand open, and a tunnel comes to stand with each of them that
 * is dialled; the rest are homes like it, which know that punching is hopeless, and dials of them lead nowhere.
 */
class Home {
  readonly homes: ReadonlySet<number>;
  /** With whom it has begun exchanges, in their order. */
  readonly offered: number[] = [];
  /** Why it says that one stays relayed. */
  readonly reasons = new Set<string>();
  tunnels = 0;
  readonly #connector: Connector;
  readonly #exchanges = new Set<string>();
  #agenda: { readonly at: Millis; readonly happens: () => ConnectorEffect[] }[] = [];
  #now: Millis = 0;

  constructor(open: number, homes: number, limits: TopologyLimits) {
    const world = new World(20);
    const first = world.found();
    const numbers: number[] = [];
    const addOther = () => {
      const other = world.member(first, 'other');
      numbers.push(other.mesh!.membership.number);
      return other;
    };
    while (numbers.length < open - 1) addOther();
    // The homes are there for their records alone, which the first takes in and they need not.
    world.lose = (from, { kind }) => from === first && kind === 'sendMesh';
    for (let i = 0; i < homes; i++) {
      const other = addOther();
      const seen = { ...other.endpoint, source: 'observed', proven: false } as const;
      world.post(other, { kind: 'endpointsChanged', endpoints: [seen] });
      world.run(second);
      world.crash(other);
    }
    world.lose = () => false;
    const me = world.member(first, 'me').mesh!;
    world.run(minute);
    this.homes = new Set(numbers.slice(open - 1));
    this.#connector = new Connector(me, [], [], seededRandom(20), anywhere, () => 0, limits);
    this.movesTo('12.0.0.1');
  }

  /** Its router has another address; the NAT is of the same kind. */
  movesTo(address: string): void {
    const seen = { address, port: 40_000, source: 'observed', proven: false } as const;
    this.#perform(this.#connector.sideChanged([seen], symmetric, this.#now));
  }

  /** The homes that are not among these. */
  missedIn(nodes: readonly number[]): number[] {
    return [...this.homes].filter((home) => !nodes.includes(home));
  }

  run(time: Millis): void {
    const end = this.#now + time;
    for (;;) {
      const next = this.#agenda.reduce((earliest, { at }) => Math.min(earliest, at), never);
      const at = Math.max(this.#now, Math.min(next, this.#connector.deadline()));
      if (at > end) break;
      this.#now = at;
      const due = this.#agenda.filter((each) => each.at <= at);
      this.#agenda = this.#agenda.filter((each) => each.at > at);
      for (const { happens } of due) this.#perform(happens());
      this.#perform(this.#connector.tick(at));
    }
    this.#now = end;
  }

  #later(after: Millis, happens: () => ConnectorEffect[]): void {
    this.#agenda.push({ at: this.#now + after, happens });
  }

  #perform(effects: readonly ConnectorEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'dial') this.#dial(effect.node);
      if (effect.kind === 'failed') this.reasons.add(effect.reason);
      if (effect.kind === 'sendMesh') this.#say(effect.to, effect.bytes);
    }
  }

  #dial(node: number): void {
    if (this.homes.has(node)) this.#later(dialLasts, () => this.#connector.dialFailed(node, this.#now));
    else
      this.#later(answersIn, () => {
        this.tunnels++;
        return this.#connector.tunnelUp(node, this.#now);
      });
  }

  #say(to: number, bytes: Uint8Array): void {
    const message = decodePunch(decodeMap(bytes)!);
    if (message?.kind !== 'offer') return;
    const { exchange } = message;
    const key = Buffer.from(exchange).toString('hex');
    if (this.#exchanges.has(key)) return;
    this.#exchanges.add(key);
    this.offered.push(to);
    const refusal = decodeMap(encodePunch({ kind: 'no', exchange, reason: 'hopeless' }))!;
    this.#later(answersIn, () => this.#connector.messageReceived(to, refusal, this.#now));
  }
}

/** Three tunnels of its own choice are all it wants. */
const few: TopologyLimits = { ...usualLimits, ownRandom: 3, ownNear: 0, leastTunnels: 3 };

test('among more than 16 nodes, homes that were tried in vain are left in peace once there are tunnels enough', (t) => {
  const home = new Home(4, 20, few);
  home.run(2 * minute);
  t.true(home.tunnels >= 3, 'tunnels enough');
  t.true(home.offered.length > 0, 'some homes were tried before');
  const before = home.offered.length;
  home.run(2 * hour);
  t.deepEqual(home.offered.slice(before), []);
});

test('among few nodes, where all are wanted, a home that was tried in vain is tried ever more seldom, and soon after a move', (t) => {
  const home = new Home(2, 5, usualLimits);
  home.run(2 * hour);
  for (const other of home.homes) {
    const times = home.offered.filter((to) => to === other).length;
    t.true(times >= 10 && times <= 30, `${times} times in two hours`);
  }
  const before = home.offered.length;
  home.movesTo('12.0.0.2');
  home.run(20 * second);
  t.deepEqual(home.missedIn(home.offered.slice(before)), []);
});

test('homes that cannot be reached, more than punching keeps at a time, are all tried, and none is told that there is no place', (t) => {
  const home = new Home(1, mostTries + 12, usualLimits);
  home.run(30 * minute);
  t.deepEqual(home.missedIn(home.offered), []);
  t.deepEqual([...home.reasons], ['the NATs of both sides do not allow it']);
});

const onLan: RecordedEndpoint = { address: '192.168.1.10', port: 16696, source: 'local', proven: true };
const behindNat: RecordedEndpoint = { address: '12.0.7.1', port: 40_000, source: 'observed', proven: false };
const mapped: RecordedEndpoint = { ...behindNat, source: 'upnp', proven: true };
const overIpv6: RecordedEndpoint = { address: '2001:db8::1', port: 16696, source: 'local', proven: true };
const localIpv6: RecordedEndpoint = { ...overIpv6, address: '2001:db8:7::1', proven: false };
const ula: RecordedEndpoint = { ...localIpv6, address: 'fd77::1' };
const mine: RecordedEndpoint = { ...behindNat, address: '12.0.0.1' };
const ipv4Alone = ({ address }: Endpoint) => !address.includes(':');

const encounters: readonly (readonly [string, boolean, RecordedEndpoint[], RecordedEndpoint[], typeof ipv4Alone])[] = [
  ['neither side is open', true, [behindNat], [mine], anywhere],
  ['the other router forwards', false, [mapped], [mine], anywhere],
  ['our router forwards', false, [behindNat], [{ ...mapped, address: mine.address }], anywhere],
  ['a neighbour on its LAN reached the other', true, [onLan, behindNat], [mine], anywhere],
  ['a neighbour on our LAN reached us', true, [behindNat], [onLan, mine], anywhere],
  ['the other is open over IPv6', false, [overIpv6, behindNat], [localIpv6, mine], anywhere],
  ['the other is open over IPv6, which this network has not', true, [overIpv6, behindNat], [mine], anywhere],
  [
    'the other is open over IPv6, of which we have a private address',
    true,
    [overIpv6, behindNat],
    [ula, mine],
    anywhere,
  ],
  ['the other is open over IPv6, which is off here', true, [overIpv6, behindNat], [localIpv6, mine], ipv4Alone],
  ['we are open over IPv6', false, [overIpv6, behindNat], [overIpv6, mine], anywhere],
  ['we are open over IPv6, which the other has not', true, [behindNat], [overIpv6, mine], anywhere],
  ['the other is open, and nothing is known of our own endpoints yet', false, [overIpv6, behindNat], [], anywhere],
];

for (const [when, isPunched, theirs, ours, isDiallable] of encounters) {
  test(`a hole is ${isPunched ? '' : 'not '}punched when ${when}`, (t) => {
    const world = new World(21);
    const first = world.found();
    const other = world.member(first, 'other');
    const me = world.member(first, 'me').mesh!;
    world.post(other, { kind: 'endpointsChanged', endpoints: theirs });
    world.run(minute);
    const node = other.mesh!.membership.number;
    t.deepEqual(me.directory.byNumber(node)?.endpoints, theirs);
    const connector = new Connector(me, [], [], seededRandom(21), isDiallable, () => 0, usualLimits);
    const effects = [...connector.sideChanged(ours, symmetric, 0), ...connector.tick(0), ...connector.tick(second)];
    t.true(effects.some((effect) => effect.kind === 'dial' && effect.node === node));
    t.is(
      effects.some((effect) => effect.kind === 'sendMesh' && effect.to === node),
      isPunched,
    );
  });
}
