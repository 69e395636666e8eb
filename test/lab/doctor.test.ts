import test from 'ava';
import type { CheckState, DoctorCheck } from '../../daemon/api.js';
import { home, host } from '../../lab/description.js';
import { network } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

/*
 * Each check of `weft doctor` in its failing form, on real machines: `flat` is broken in one way after the other,
 * `office` and `late` are ill from the start.
 */
const { serial } = test;
const world = await World.build(
  {
    'dc-1': host(),
    'dc-2': host(),
    flat: home({ nat: 'symmetric', ipv6: true }),
    office: home({ nat: 'udp-blocked' }),
    late: host(),
  },
  { cold: true },
);
test.after.always(() => world.remove());
const flat = world.node('flat');
/** As an operator sees it: the command line, its exit status and its JSON. */
async function doctor(node: WeftNode): Promise<{ lines: readonly DoctorCheck[]; code: number | null }> {
  const { stdout, stderr, code } = await node.run('doctor', '--json', '--state', node.state);
  if (stdout === '') throw new Error(stderr);
  return { lines: JSON.parse(stdout) as DoctorCheck[], code };
}
const of = (lines: readonly DoctorCheck[], code: string) => lines.find((line) => line.code === code)!;
const ill = (script: string, { host: { namespace } } = flat) => namespace.must(['sh', '-ec', script]);
/** The wall clock of a daemon, an hour slow. */
const slowClock = 'data:text/javascript,const%20now=Date.now;Date.now=()=>now()-3600000';

serial('without a network it speaks of the machine alone', async (t) => {
  await ill('sysctl -qw net.ipv6.conf.all.forwarding=1');
  await flat.start({ config: '[underlay]\nipv6 = true\n[[babel.interface]]\ndevice = "eth0"\n' });
  const { lines, code } = await doctor(flat);
  t.is(code, 0, JSON.stringify(lines));
  t.is(lines.length, 14);
  t.is(of(lines, 'tun').state, 'ok');
  for (const unknown of ['offload', 'mtu']) t.is(of(lines, unknown).state, 'unknown', unknown);
  await flat.kill('SIGTERM');
  const { lines: atRest } = await doctor(flat);
  t.is(atRest.length, 14, 'and with no daemon');
});

serial('what is wrong outside: a symmetric NAT, no router to ask, no way in, UDP blocked, a slow clock', async (t) => {
  await network(world, ['dc-1']);
  const joiners = ['dc-2', 'flat', 'office', 'late'].map((name) => world.node(name));
  await Promise.all(
    joiners.map(async (node) => {
      await node.start(node.name === 'late' ? { env: { NODE_OPTIONS: `--import=${slowClock}` } } : {});
      await node.join(await world.node('dc-1').invite());
    }),
  );
  const wanted = [
    ['flat', 'nat', 'warning', /symmetric/],
    ['flat', 'port-mapping', 'warning', /router|gateway/],
    ['flat', 'endpoints', 'warning', /none of .* was reached/],
    ['office', 'udp-out', 'warning', /over TCP only/],
    ['late', 'clock', 'error', /signed something \d+ s later|3\d\d\d s behind what most neighbours say/],
  ] as const;
  await Promise.all(
    wanted.map(async ([name, code, state, evidence]) => {
      const { value } = await until(
        `${name}: ${code} is a ${state}`,
        async () => of(await world.node(name).api.doctor(), code),
        (line) => line.state === state && evidence.test(line.evidence),
        40_000,
      );
      t.not(value.remedy, '', value.code);
    }),
  );
  const dialler = async (node: WeftNode, other: string) => (await node.peer(other))?.tunnel?.openedBy;
  t.is(await dialler(world.node('office'), 'dc-1'), 'self');
  t.is(await dialler(world.node('dc-1'), 'office'), 'peer');
  t.is(await dialler(world.node('dc-1'), 'dc-2'), null);
  const { health } = await world.node('late').status();
  const clock = health.find((line) => line.code === 'clock');
  t.is(clock?.severity, 'error');
  t.regex(clock!.fix, /timedatectl/);
  const text = (await flat.run('doctor')).stdout;
  t.regex(text, /symmetric/);
});

/** How to break a machine, `flat` unless another is named, the line that tells it, and what takes away what is left of it then. */
interface Ill {
  readonly what: string;
  readonly on?: string;
  readonly breaks: string;
  readonly code: string;
  readonly state: CheckState;
  readonly evidence: RegExp;
  /** Of what is to be done, or of the command that does it. */
  readonly remedy: RegExp;
  readonly mend: string;
}

const dockers = (family: string, more = '') =>
  `ip link add docker0 type bridge; nft "add table ${family} filter; add chain ${family} filter FORWARD { type filter hook forward priority 0; policy drop; }; ${more}"`;
const undocker = (family: string) => `ip link del docker0; nft delete table ${family} filter`;

const ills: readonly Ill[] = [
  {
    what: 'Docker drops what a gateway forwards',
    breaks: dockers(
      'ip6',
      'add chain ip6 filter DOCKER-USER; add rule ip6 filter FORWARD counter jump DOCKER-USER; add rule ip6 filter FORWARD ct state established,related accept',
    ),
    code: 'firewall',
    state: 'error',
    evidence: /dropped in ip6 filter FORWARD \(Docker/,
    remedy: /DOCKER-USER iifname weft0/,
    mend: undocker('ip6'),
  },
  {
    what: 'Docker drops it, of a version that has no chain for users',
    breaks: dockers('ip6'),
    code: 'firewall',
    state: 'error',
    evidence: /dropped in ip6 filter FORWARD \(Docker/,
    remedy: /ip6 filter FORWARD iifname weft0/,
    mend: undocker('ip6'),
  },
  {
    what: 'two firewalls that reject at the end drop it',
    breaks:
      'for t in one two; do nft "add table inet $t; add chain inet $t f { type filter hook forward priority 0; policy accept; }; add rule inet $t f ct state established accept; add rule inet $t f reject with icmpx admin-prohibited"; done',
    code: 'firewall',
    state: 'error',
    evidence: /dropped in inet one f, inet two f: /,
    remedy: /inet one f iifname weft0.*inet two f oifname weft0/,
    mend: 'nft delete table inet one; nft delete table inet two',
  },
  {
    what: 'a firewall that lets nothing in',
    breaks:
      'nft "add table inet mine; add chain inet mine in { type filter hook input priority 0; policy drop; }; add rule inet mine in ct state established,related accept; add rule inet mine in iif lo accept"',
    code: 'firewall',
    state: 'warning',
    evidence: /dropped in inet mine in/,
    remedy: /udp dport 16696 counter accept/,
    mend: 'nft delete table inet mine',
  },
  {
    what: 'a firewall that lets nothing in by IPv6 but what IPv6 needs',
    breaks:
      'nft "add table ip6 mine; add chain ip6 mine in { type filter hook input priority 0; policy drop; }; add rule ip6 mine in ct state established,related accept; add rule ip6 mine in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept"',
    code: 'firewall',
    state: 'warning',
    evidence: /dropped in ip6 mine in, and no endpoint is proven/,
    remedy: /ip6 mine in udp dport 16696 counter accept/,
    mend: 'nft delete table ip6 mine',
  },
  {
    what: 'a firewall that lets out TCP and names alone',
    on: 'office',
    breaks:
      'nft "add table inet mine; add chain inet mine out { type filter hook output priority 0; policy drop; }; add rule inet mine out oif lo accept; add rule inet mine out meta l4proto tcp accept; add rule inet mine out udp dport 53 accept"',
    code: 'firewall',
    state: 'warning',
    evidence: /what leaves UDP port 16696 is dropped in inet mine out/,
    remedy: /inet mine out udp sport 16696 counter accept/,
    mend: 'nft delete table inet mine',
  },
  {
    what: 'a gateway whose kernel does not forward',
    breaks: 'sysctl -qw net.ipv6.conf.all.forwarding=0',
    code: 'ipv6',
    state: 'error',
    evidence: /does not forward IPv6/,
    remedy: /forwarding=1/,
    mend: 'true',
  },
  {
    what: 'strict rp_filter with two uplinks',
    breaks:
      'sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=1; ip link add lte0 type veth peer name lte1; sysctl -qw net.ipv4.conf.lte0.rp_filter=1; ip link set lte1 up; ip addr add 192.168.7.2/24 dev lte0; ip link set lte0 up; ip route add default via 192.168.7.1 metric 900',
    code: 'kernel-settings',
    state: 'warning',
    evidence: /strict rp_filter on eth0 .*strict rp_filter on lte0/,
    remedy: /eth0\.rp_filter=2 .*lte0\.rp_filter=2/,
    mend: 'sysctl -qw net.ipv4.conf.eth0.rp_filter=0; ip link del lte0',
  },
  {
    what: 'a device too narrow',
    breaks: 'ip link set eth0 mtu 1200',
    code: 'mtu',
    state: 'error',
    evidence: /only 1200 octets/,
    remedy: /ip link set eth0 mtu 1500/,
    mend: 'true',
  },
  {
    what: 'no way to the Internet',
    breaks: 'ip -4 route del default',
    code: 'underlay',
    state: 'warning',
    evidence: /no default route/,
    remedy: /ip route/,
    mend: 'ip route add default via 192.168.1.1',
  },
];

for (const { what, on, breaks, code, state, evidence, remedy, mend } of ills) {
  serial(`what is wrong on the machine: ${what}`, async (t) => {
    const node = world.node(on ?? 'flat');
    await ill(breaks, node);
    const { lines, code: exit } = await doctor(node);
    const line = of(lines, code);
    t.is(line.state, state, line.evidence);
    t.regex(line.evidence, evidence);
    t.regex(`${line.remedy} ${line.command}`, remedy);
    if (state === 'error') t.is(exit, 1);
    if (line.command !== '') {
      t.true(
        (await node.run('doctor')).stdout.includes(`\n            ${line.command}\n`),
        'printed as it is to be typed',
      );
      await ill(line.command, node);
      const { value } = await until(
        'the line is well when its command was run',
        async () => of(await node.api.doctor(), code),
        (now) => now.state === 'ok',
        10_000,
      );
      t.log(value.evidence);
    }
    await ill(mend, node);
    t.not(of(await node.api.doctor(), code).evidence, line.evidence, 'mended, it is not said any more');
  });
}

serial(
  'IPv6 that is switched off on the TUN is on again by itself, with its routes, and the log says so',
  async (t) => {
    const address = await world.node('dc-1').address();
    const { namespace } = flat.host;
    const pings = async () => (await namespace.run(['ping', '-n', '-q', '-c1', '-W1', address])).code === 0;
    // It had no way to the Internet a moment ago, and maybe for so long that its tunnels fell.
    await until('it has its tunnel', pings, Boolean, 20_000, () => flat.tail());
    await ill('sysctl -qw net.ipv6.conf.weft0.disable_ipv6=1', flat);
    const { took } = await until(
      'its packets find their way again',
      pings,
      (answers) => answers,
      5000,
      () => flat.tail(),
    );
    t.log(`after ${Math.round(took)} ms`);
    t.is(of(await flat.api.doctor(), 'ipv6').state, 'ok');
    t.regex(flat.log().join('\n'), /ipv6 was off and is on now/);
  },
);

serial('what is not known is not called well: what a gateway lets members reach on its LAN', async (t) => {
  const line = of(await flat.api.doctor(), 'exposure');
  t.is(line.state, 'unknown');
  t.regex(line.evidence, /on the LAN behind eth0 was not checked/);
  t.not(line.remedy, '');
});

serial('a database open to members, and closed to them by the packet filter; large packets switched off', async (t) => {
  const redis = flat.host.namespace.spawn([
    process.execPath,
    '-e',
    'require("node:net").createServer().listen(6379, "::", () => console.log("listening"))',
  ]);
  await new Promise((resolve) => redis.stdout.once('data', resolve));
  const open = of(await flat.api.doctor(), 'exposure');
  t.is(open.state, 'warning', open.evidence);
  t.regex(open.evidence, /Redis \(6379\)/);
  const member = world.node('dc-1').host.namespace;
  const connecting = `require("node:net").connect(6379, "${await flat.address()}").on("connect", () => process.exit(0)).on("error", ({ code }) => { console.log(code); process.exit(1); })`;
  const connects = async () => member.run([process.execPath, '-e', connecting], { timeout: 10_000 });
  await until('a member connects to it', connects, ({ code }) => code === 0, 10_000);
  await ill(
    'nft "add table inet mine; add chain inet mine in { type filter hook input priority 0; policy accept; }; add rule inet mine in iifname weft0 tcp dport 6379 reject with tcp reset"',
  );
  t.regex((await connects()).stdout, /ECONNREFUSED/);
  const closed = of(await flat.api.doctor(), 'exposure');
  t.is(closed.state, 'unknown', closed.evidence);
  t.regex(closed.evidence, /^the packet filter closes TCP 6379 to members; .* LAN behind eth0 was not checked/);
  redis.kill('SIGKILL');
  await flat.kill('SIGTERM');
  const { lines: atRest } = await doctor(flat);
  t.regex(of(atRest, 'tun').evidence, /^none is open: no weftd answers at /);
  t.regex(of(atRest, 'tun').remedy, /^start it \(systemctl start weft, or npm start in a clone\)/);
  await flat.start({ config: '[tun]\noffload = false\n' });
  const line = of(await flat.api.doctor(), 'offload');
  t.is(line.state, 'warning', line.evidence);
  t.regex(line.remedy, /tun\.offload = true/);
});
