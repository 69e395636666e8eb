import test from 'ava';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { highOf, lowOf } from '../../src/routing/router-id.js';
import { Hand } from './hand.js';
import { Network, prefix } from './network.js';
import { hex, packet, tlvsOf } from './tlvs.js';

/* RFC 9229: which of the two encodings of an IPv4 prefix is used when, and that on receipt they are the same. */

const ipv4 = 1;
const ipv4ViaIpv6 = 4;
const updateType = 8;
const routeRequestType = 9;
const seqnoRequestType = 10;

/** The address encodings of the TLVs of this type in all that was said on a LAN, those of IPv6 and of everything left out. */
function encodingsOf(world: Network, lan: number, type: number): number[] {
  const found: number[] = [];
  for (const { bytes } of world.heardOn(lan)) {
    for (let at = 4; at < bytes.length; at += bytes[at] === 0 ? 1 : 2 + bytes[at + 1]!) {
      if (bytes[at] === type) found.push(bytes[at + 2]!);
    }
  }
  return found.filter((encoding) => encoding === ipv4 || encoding === ipv4ViaIpv6);
}

const text = '10.9.0.0/16';

/** Says what a router there would of the prefix, by this next hop or by its own link-local address. */
function update(lan: Hand, metric: number, nextHop4: string | undefined): void {
  const { bytes, length } = prefix(text);
  const [routerIdHigh, routerIdLow] = lan.routerId;
  const fields = { prefix: bytes, prefixLength: length, routerIdHigh, routerIdLow, seqno: 7, metric, interval: 6000 };
  lan.say((writer) => writer.update({ ...fields, ...(nextHop4 && { nextHop4: parseIp(nextHop4)! }) }));
}

test('an IPv4 prefix is announced in one encoding: the plain one where we have IPv4 on the LAN, else by an IPv6 next hop', (t) => {
  const world = new Network(81);
  world.node(1);
  for (const [ownIpv4, encoding] of [
    [parseIp('10.0.0.1')!, ipv4],
    [undefined, ipv4ViaIpv6],
  ] as const) {
    const lan = world.lan();
    world.attach(1, lan, ownIpv4 ? { ownIpv4 } : {});
    world.send(1, { kind: 'originate', prefix: prefix('10.1.0.0/16'), metric: 0 });
    world.run(40_000);
    const used = encodingsOf(world, lan, updateType);
    t.true(used.length >= 2, `${used}`);
    t.deepEqual([...new Set(used)], [encoding]);
  }
});

test('what was announced by an IPv6 next hop is asked for in the plain encoding: its seqno, and the route before it expires', (t) => {
  const world = new Network(82);
  world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.attach(1, world.lan());
  world.run(100);
  const hand = new Hand(world, lan, 'fe80::9');
  hand.keepGreeting();
  world.run(5000);
  hand.announce(text, 7, 0, 400);
  world.run(2000);
  hand.announce(text, 7, 900, 400);
  world.run(14_000);
  for (const type of [seqnoRequestType, routeRequestType]) {
    const used = encodingsOf(world, lan, type);
    t.true(used.length > 0, `${type}`);
    t.deepEqual([...new Set(used)], [ipv4], `${type}`);
  }
});

test('both encodings are one route: each takes the place of the other, and retracts it', (t) => {
  const world = new Network(83);
  const node = world.node(1);
  const lan = world.lan();
  world.attach(1, lan);
  world.run(100);
  const hand = new Hand(world, lan, 'fe80::9');
  hand.keepGreeting();
  world.run(5000);
  const ways = () =>
    node.speaker
      .view(world.now, prefix(text))
      .map(({ nextHop, metric, selected }) => ({ nextHop: formatIp(nextHop!), metric, selected }));
  const [plain, viaIpv6] = ['10.0.0.9', undefined] as const;
  for (const [said, retracted] of [
    [plain, plain],
    [plain, viaIpv6],
    [viaIpv6, plain],
    [viaIpv6, viaIpv6],
  ] as const) {
    for (const nextHop of [said === plain ? viaIpv6 : plain, said]) {
      update(hand, 0, nextHop);
      t.deepEqual(ways(), [{ nextHop: nextHop ?? 'fe80::9', metric: 96, selected: true }]);
    }
    update(hand, 0xffff, retracted);
    t.deepEqual(
      ways().map(({ metric, selected }) => [metric, selected]),
      [[0xffff, false]],
    );
    world.run(1000);
  }
});

for (const [name, encoding] of [
  ['in the plain encoding', '01'],
  ['by an IPv6 next hop', '04'],
] as const) {
  test(`a request for an IPv4 prefix ${name} is answered`, (t) => {
    const world = new Network(84);
    const node = world.node(1);
    const lan = world.lan();
    world.attach(1, lan);
    const own = prefix('10.1.0.0/16');
    world.send(1, { kind: 'originate', prefix: own, metric: 0 });
    world.run(100);
    const hand = new Hand(world, lan, 'fe80::9');
    hand.keepGreeting();
    world.run(5000);
    const answers = (request: string) => {
      const from = world.heardOn(lan).length;
      world.say(lan, hand.address, packet(hex(request)));
      world.run(300);
      const said = world.heardOn(lan).slice(from);
      return said.flatMap(({ bytes }) => tlvsOf(bytes)).filter((line) => line.startsWith('update 10.1.0.0/16'));
    };
    const { routerId, seqno } = node.speaker.view(world.now, own)[0]!;
    t.regex(answers(`0904 ${encoding}10 0a01`)[0] ?? '', new RegExp(` id ${routerId} seqno ${seqno} `));
    const wanted = (seqno + 1) & 0xffff;
    const [high, low] = [highOf(routerId), lowOf(routerId)].map((half) => half.toString(16).padStart(8, '0'));
    const asked = `0a10 ${encoding}10 ${wanted.toString(16).padStart(4, '0')} 4000 ${high}${low} 0a01`;
    t.regex(answers(asked)[0] ?? '', new RegExp(` id ${routerId} seqno ${wanted} `));
  });
}
