import test from 'ava';
import { type Chain, type Packet, PacketFilter } from '../../../daemon/doctor/packet-filter.js';

type Expression = Readonly<Record<string, unknown>>;

const forward = { family: 'ip6', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' } as const;
const user = { family: 'ip6', table: 'filter', name: 'DOCKER-USER' } as const;
const rule = (chain: string, ...expr: readonly Expression[]) => ({ family: 'ip6', table: 'filter', chain, expr });
const is = (left: Expression, right: unknown, op = '==') => ({ match: { op, left, right } });
const meta = (key: string) => ({ meta: { key } });
const dport = (protocol: string) => ({ payload: { protocol, field: 'dport' } });
const state = (...states: readonly string[]) => is({ ct: { key: 'state' } }, states, 'in');
const [accept, drop, counter] = [{ accept: null }, { drop: null }, { counter: { packets: 0, bytes: 0 } }] as const;
const packet: Packet = { family: 'ip6', iifname: 'weft0', oifname: 'eth1', l4proto: 'udp', dport: 16696 };

/** What FORWARD, with DOCKER-USER beside it, makes of the packet. */
const verdict = (...rules: readonly ReturnType<typeof rule>[]) =>
  new PacketFilter([forward, user], rules).judge('forward', packet)[0]!.verdict;

test('without a rule the policy decides', (t) => {
  t.is(verdict(), 'dropped');
  const open = new PacketFilter([{ ...forward, policy: 'accept' }], []);
  t.deepEqual(
    open.judge('forward', packet).map((one) => one.verdict),
    ['passes'],
  );
});

test('a rule that accepts our device lets it pass, one for another device does not', (t) => {
  t.is(verdict(rule('FORWARD', is(meta('iifname'), 'weft0'), counter, accept)), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('iifname'), 'weft*'), accept)), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('oifname'), { set: ['eth0', 'eth1'] }), accept)), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('iifname'), 'docker0', '!='), accept)), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('iifname'), 'docker0'), accept)), 'dropped');
  t.is(verdict(rule('FORWARD', is(meta('oifname'), 'weft0'), accept)), 'dropped');
});

test('what only lets answers back does not let a new connection in', (t) => {
  t.is(verdict(rule('FORWARD', state('established', 'related'), accept)), 'dropped');
  t.is(verdict(rule('FORWARD', state('new', 'established'), accept)), 'passes');
});

test('what is for another protocol or family is for no packet of ours', (t) => {
  const field = (protocol: string, name: string) => ({ payload: { protocol, field: name } });
  for (const protocol of ['icmpv6', 'icmp', 'tcp', 'sctp', 'esp']) {
    t.is(verdict(rule('FORWARD', is(field(protocol, 'type'), 1), accept)), 'dropped', protocol);
  }
  t.is(verdict(rule('FORWARD', is(field('ip', 'saddr'), '10.0.0.1'), accept)), 'dropped');
  t.is(verdict(rule('FORWARD', is(field('ip6', 'saddr'), 'fd00::1'), accept)), 'unclear');
  t.is(verdict(rule('FORWARD', is(field('ip6', 'nexthdr'), 'tcp'), accept)), 'dropped');
  t.is(verdict(rule('FORWARD', is(field('ip6', 'nexthdr'), 'udp'), accept)), 'passes');
});

test('where a packet comes from counts where that is known', (t) => {
  const sport = { payload: { protocol: 'udp', field: 'sport' } };
  const from = (port: number) => new PacketFilter([forward], [rule('FORWARD', is(sport, port), accept)]);
  t.is(from(5353).outcome('forward', packet), 'unclear');
  t.is(from(5353).outcome('forward', { ...packet, sport: 5353 }), 'passes');
  t.is(from(53).outcome('forward', { ...packet, sport: 5353 }), 'dropped');
});

test('together base chains let pass what all of them do', (t) => {
  const other = { ...forward, family: 'inet', table: 'other', policy: 'accept' } as const;
  const address = { payload: { protocol: 'ip6', field: 'saddr' } };
  const outcome = (...chains: readonly Chain[]) =>
    new PacketFilter(chains, [rule('FORWARD', is(address, 'fd00::1'), accept)]).outcome('forward', packet);
  t.is(outcome(), 'passes');
  t.is(outcome(other), 'passes');
  t.is(outcome(other, forward), 'unclear');
  t.is(outcome(forward, { ...other, policy: 'drop' }), 'dropped');
});

test('chains are followed where they are jumped to, and left where they return', (t) => {
  const jump = rule('FORWARD', counter, { jump: { target: 'DOCKER-USER' } });
  const ours = rule('DOCKER-USER', is(meta('iifname'), 'weft0'), accept);
  t.is(verdict(jump, ours), 'passes');
  t.is(verdict(ours), 'dropped', 'nobody jumps there');
  t.is(verdict(jump, rule('DOCKER-USER', { return: null }), ours), 'dropped');
  t.is(verdict(jump, rule('DOCKER-USER', drop), ours), 'dropped');
  const last = rule('FORWARD', is(meta('iifname'), 'weft0'), accept);
  t.is(verdict(rule('FORWARD', { goto: { target: 'DOCKER-USER' } }), last), 'dropped', 'goto does not come back');
  t.is(verdict(jump, last), 'passes');
  t.is(verdict(rule('FORWARD', { jump: { target: 'FORWARD' } })), 'dropped', 'a circle ends');
});

test('the order counts: who is dropped first is not accepted after', (t) => {
  const all = rule('FORWARD', { reject: { type: 'tcp reset' } });
  const ours = rule('FORWARD', is(meta('iifname'), 'weft0'), accept);
  t.is(verdict(all, ours), 'dropped');
  t.is(verdict(ours, all), 'passes');
});

test('what rejects by a rule drops as well as a policy does', (t) => {
  const chain = { ...forward, policy: 'accept' };
  const filter = new PacketFilter([chain], [rule('FORWARD', { reject: { type: 'icmpx' } })]);
  t.is(filter.judge('forward', packet)[0]!.verdict, 'dropped');
});

test('ports and protocols are compared', (t) => {
  const port = (right: unknown, protocol = 'udp') => verdict(rule('FORWARD', is(dport(protocol), right), accept));
  t.is(port(16696), 'passes');
  t.is(port({ set: [{ range: [16_000, 17_000] }, 5] }), 'passes');
  t.is(port({ set: [{ range: [1, 1023] }, 5] }), 'dropped');
  t.is(port(16696, 'tcp'), 'dropped');
  t.is(port(16696, 'th'), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('l4proto'), 'tcp'), accept)), 'dropped');
  t.is(verdict(rule('FORWARD', is(meta('nfproto'), 'ipv6'), accept)), 'passes');
  t.is(verdict(rule('FORWARD', is(meta('nfproto'), 'ipv4'), accept)), 'dropped');
});

test('what is decided by something else is unclear where it might let us pass, and only there', (t) => {
  const address = is({ payload: { protocol: 'ip6', field: 'saddr' } }, { prefix: { addr: 'fd00::', len: 8 } });
  t.is(verdict(rule('FORWARD', address, accept)), 'unclear');
  t.is(verdict(rule('FORWARD', is(meta('iifname'), '@inside'), accept)), 'unclear');
  t.is(verdict(rule('FORWARD', { xt: { type: 'match', name: 'addrtype' } }, accept)), 'unclear');
  t.is(verdict(rule('FORWARD', { limit: { rate: 5 } }, accept)), 'unclear');
  t.is(verdict(rule('FORWARD', address, { jump: { target: 'DOCKER-USER' } }), rule('DOCKER-USER', accept)), 'unclear');
  t.is(verdict(rule('FORWARD', address, drop)), 'dropped', 'it would be dropped either way');
  t.is(verdict(rule('FORWARD', address, drop), rule('FORWARD', accept)), 'passes', 'only what is odd is dropped');
  t.is(verdict(rule('FORWARD', address, accept), rule('FORWARD', is(meta('iifname'), 'docker0'), accept)), 'unclear');
});

const vmap = (key: Expression, ...pairs: readonly (readonly [unknown, Expression])[]) => ({
  vmap: { key, data: { set: pairs } },
});
const ctState = { ct: { key: 'state' } };

test('a verdict map is followed: the ruleset of a home router as nftables’ wiki has it', (t) => {
  const answers = rule('FORWARD', vmap(ctState, ['invalid', drop], ['established', accept], ['related', accept]));
  const inside = rule('FORWARD', is(meta('iifname'), 'eth1'), accept);
  t.is(verdict(answers, inside), 'dropped', 'it lets in what comes from its own network, not from our device');
  t.is(verdict(answers, rule('FORWARD', vmap(meta('iifname'), ['eth1', accept], ['weft0', accept]))), 'passes');
  t.is(verdict(rule('FORWARD', vmap(ctState, ['new', accept]))), 'passes');
  const jump = { jump: { target: 'DOCKER-USER' } };
  const byDevice = rule('FORWARD', vmap(meta('iifname'), ['lo', accept], ['weft*', jump]));
  t.is(verdict(byDevice, rule('DOCKER-USER', accept)), 'passes');
  t.is(verdict(byDevice), 'dropped');
  t.is(verdict(rule('FORWARD', vmap(meta('iifname'), ['*', accept], ['weft0', drop]))), 'dropped');
  t.is(verdict(rule('FORWARD', vmap(meta('iifname'), ['*', accept], ['eth1', drop]))), 'passes');
  const port = (protocol: string) => verdict(rule('FORWARD', vmap(dport(protocol), [{ range: [1, 20_000] }, accept])));
  t.is(port('udp'), 'passes');
  t.is(port('tcp'), 'dropped');
  const back = rule('FORWARD', vmap(meta('iifname'), ['weft0', { return: null }]));
  t.is(verdict(back, rule('FORWARD', accept)), 'dropped', 'the rest is not asked');
});

test('a map that is not known, and whoever else may decide, makes it unclear', (t) => {
  const address = { payload: { protocol: 'ip6', field: 'saddr' } };
  t.is(verdict(rule('FORWARD', { vmap: { key: meta('iifname'), data: '@verdicts' } })), 'unclear');
  t.is(verdict(rule('FORWARD', vmap(address, ['fd00::1', accept]))), 'unclear');
  t.is(verdict(rule('FORWARD', vmap({ concat: [meta('iifname'), address] }, [{ concat: [] }, accept]))), 'unclear');
  t.is(verdict(rule('FORWARD', vmap(address, ['fd00::1', drop]))), 'dropped');
  t.is(verdict(rule('FORWARD', { queue: { num: 0 } })), 'unclear');
  t.is(verdict(rule('FORWARD', is(meta('iifname'), 'docker0'), { queue: { num: 0 } })), 'dropped');
  t.is(verdict(rule('FORWARD', { xt: { type: 'target', name: 'NFQUEUE' } })), 'unclear');
  t.is(verdict(rule('FORWARD', { limit: { rate: 5 } }, { log: { prefix: 'x' } })), 'dropped', 'it decides nothing');
  t.is(verdict(rule('FORWARD', { xt: { type: 'target', name: 'LOG' } })), 'dropped');
  t.is(verdict(rule('FORWARD', { flow: { op: 'add', flowtable: '@f' } })), 'dropped');
});

test('a rule that may send the packet back makes it unclear where it would pass then, and only there', (t) => {
  const allowed = is({ payload: { protocol: 'ip6', field: 'saddr' } }, '@allowed');
  const back = { return: null };
  const [list, end] = [rule('DOCKER-USER', allowed, back), rule('DOCKER-USER', drop)];
  const accepted = rule('FORWARD', is(dport('udp'), 16696), accept);
  const jump = rule('FORWARD', { jump: { target: 'DOCKER-USER' } });
  t.is(verdict(jump, accepted, list, end), 'unclear', 'who is on the list comes in');
  t.is(verdict(jump, list, end), 'dropped', 'who comes back is dropped after');
  t.is(verdict(jump, rule('FORWARD', drop), accepted, list, end), 'dropped', 'and so is who meets another drop first');
  t.is(verdict(jump, accepted, end, list), 'dropped', 'nobody comes to the list');
  t.is(verdict(jump, accepted, list), 'passes');
  t.is(verdict(rule('FORWARD', { goto: { target: 'DOCKER-USER' } }), accepted, list, end), 'dropped');
  const map = rule('DOCKER-USER', vmap({ payload: { protocol: 'ip6', field: 'saddr' } }, ['fd00::1', back]));
  t.is(verdict(jump, accepted, map, end), 'unclear');
  const open = (...rules: readonly ReturnType<typeof rule>[]) =>
    new PacketFilter([{ ...forward, policy: 'accept' }, user], rules).outcome('forward', packet);
  t.is(open(jump, list, end), 'unclear', 'the policy takes who comes back');
  t.is(open(rule('FORWARD', { goto: { target: 'DOCKER-USER' } }), list, end), 'unclear');
  t.is(open(rule('FORWARD', allowed, back), rule('FORWARD', drop)), 'unclear');
  t.is(open(jump, rule('FORWARD', drop), list, end), 'dropped');
  t.is(verdict(rule('FORWARD', allowed, back), rule('FORWARD', drop), accepted), 'dropped');
});

test('chains of other hooks and families are not asked, those of both families are', (t) => {
  const chains = [
    { ...forward, name: 'a', hook: 'input' },
    { ...forward, name: 'b', family: 'ip' },
    { ...forward, name: 'c', family: 'inet' },
    { ...forward, name: 'd', family: 'bridge' },
  ];
  const asked = new PacketFilter(chains, []).judge('forward', packet).map(({ chain }) => chain.name);
  t.deepEqual(asked, ['c']);
});

test('what nft prints is read', (t) => {
  const json = JSON.stringify({
    nftables: [
      { metainfo: { json_schema_version: 1 } },
      { table: { family: 'ip6', name: 'filter', handle: 1 } },
      { chain: { ...forward, handle: 1, type: 'filter', prio: 0 } },
      { chain: { ...user, handle: 2 } },
      { rule: { ...rule('FORWARD', counter, { jump: { target: 'DOCKER-USER' } }), handle: 3 } },
      { rule: { ...rule('DOCKER-USER', is(meta('iifname'), 'weft0'), counter, accept), handle: 4 } },
      { set: { family: 'ip6', table: 'filter', name: 's' } },
    ],
  });
  const filter = PacketFilter.parse(json);
  t.is(filter.judge('forward', packet)[0]!.verdict, 'passes');
  t.is(filter.judge('forward', { ...packet, iifname: 'eth1', oifname: 'weft0' })[0]!.verdict, 'dropped');
  t.true(filter.hasBeside(filter.chains[0]!, 'DOCKER-USER'));
  t.false(filter.hasBeside({ ...forward, family: 'ip' }, 'DOCKER-USER'));
});
