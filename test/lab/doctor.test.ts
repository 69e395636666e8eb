import test from 'ava';
import type { CheckState, DoctorCheck } from '../../daemon/api.js';
import { home, host } from '../../lab/description.js';
import { network } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

/*
 * Each check of `weft doctor` in its failing form, on real machines: `flat` is broken in one way after the other, `office`
 * and `late` are ill from the start.
 */
const { serial } = test;
const world = await World.build({
  'dc-1': host(),
  'dc-2': host(),
  flat: home({ nat: 'symmetric' }),
  office: home({ nat: 'udp-blocked' }),
  late: host(),
});
test.after.always(() => world.remove());
const flat = world.node('flat');
/** As an operator sees it: the command line, its exit status and its JSON. */
async function doctor(node: WeftNode): Promise<{ lines: readonly DoctorCheck[]; code: number | null }> {
  const { stdout, stderr, code } = await node.run('doctor', '--json');
  if (stdout === '') throw new Error(stderr);
  return { lines: JSON.parse(stdout) as DoctorCheck[], code };
}
const of = (lines: readonly DoctorCheck[], code: string) => lines.find((line) => line.code === code)!;
const ill = (script: string) => flat.host.namespace.must(['sh', '-ec', script]);
/** The wall clock of a daemon, an hour slow. */
const slowClock = 'data:text/javascript,const%20now=Date.now;Date.now=()=>now()-3600000';

serial('without a network it speaks of the machine alone', async (t) => {
  await ill('sysctl -qw net.ipv6.conf.all.forwarding=1');
  await flat.start({ config: '[[babel.interface]]\ndevice = "eth0"\n' });
  const { lines, code } = await doctor(flat);
  t.is(code, 0, JSON.stringify(lines));
  t.is(lines.length, 14);
  t.is(of(lines, 'tun').state, 'ok');
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
        20_000,
      );
      t.not(value.remedy, '', value.code);
    }),
  );
  const { health } = await world.node('late').status();
  const clock = health.find((line) => line.code === 'clock');
  t.is(clock?.severity, 'error');
  t.regex(clock!.fix, /timedatectl/);
  const text = (await flat.run('doctor')).stdout;
  t.regex(text, /symmetric/);
});

/** How to break `flat`, the line that tells it, and how to mend it. */
const ills: readonly (readonly [string, string, string, CheckState, RegExp, RegExp, string])[] = [
  [
    'Docker drops what a gateway forwards',
    'ip link add docker0 type bridge; nft "add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }"',
    'firewall',
    'error',
    /dropped by default in ip6 filter FORWARD \(Docker/,
    /DOCKER-USER -i weft0/,
    'ip link del docker0; nft delete table ip6 filter',
  ],
  [
    'a firewall that lets nothing in',
    'nft "add table inet mine; add chain inet mine in { type filter hook input priority 0; policy drop; }; add rule inet mine in ct state established,related accept; add rule inet mine in iif lo accept"',
    'firewall',
    'warning',
    /dropped in inet mine in/,
    /udp dport 16696 accept/,
    'nft delete table inet mine',
  ],
  [
    'a gateway whose kernel does not forward',
    'sysctl -qw net.ipv6.conf.all.forwarding=0',
    'ipv6',
    'error',
    /does not forward IPv6/,
    /forwarding=1/,
    'sysctl -qw net.ipv6.conf.all.forwarding=1',
  ],
  [
    'IPv6 switched off on the TUN',
    'sysctl -qw net.ipv6.conf.weft0.disable_ipv6=1',
    'ipv6',
    'error',
    /weft0\.disable_ipv6 = 1/,
    /sysctl -w/,
    'sysctl -qw net.ipv6.conf.weft0.disable_ipv6=0 net.ipv6.conf.all.forwarding=1',
  ],
  [
    'strict rp_filter with two uplinks',
    'sysctl -qw net.ipv4.conf.all.rp_filter=1; ip link add lte0 type veth peer name lte1; ip link set lte1 up; ip addr add 192.168.7.2/24 dev lte0; ip link set lte0 up; ip route add default via 192.168.7.1 metric 900',
    'kernel-settings',
    'warning',
    /strict rp_filter/,
    /rp_filter=2/,
    'sysctl -qw net.ipv4.conf.all.rp_filter=0; ip link del lte0',
  ],
  [
    'a device too narrow',
    'ip link set eth0 mtu 1200',
    'mtu',
    'error',
    /only 1200 octets/,
    /mtu 1500/,
    'ip link set eth0 mtu 1500',
  ],
  [
    'no way to the Internet',
    'ip -4 route del default',
    'underlay',
    'warning',
    /no default route/,
    /ip route/,
    'ip route add default via 192.168.1.1',
  ],
];

for (const [what, break_, code, state, evidence, remedy, mend] of ills) {
  serial(`what is wrong on the machine: ${what}`, async (t) => {
    await ill(break_);
    const { lines, code: exit } = await doctor(flat);
    const line = of(lines, code);
    t.is(line.state, state, line.evidence);
    t.regex(line.evidence, evidence);
    t.regex(line.remedy, remedy);
    if (state === 'error') t.is(exit, 1);
    await ill(mend);
    t.not(of(await flat.api.doctor(), code).evidence, line.evidence, 'mended, it is not said any more');
  });
}

serial('a database open to members; and large packets switched off', async (t) => {
  const redis = flat.host.namespace.spawn([
    process.execPath,
    '-e',
    'require("node:net").createServer().listen(6379, "::", () => console.log("listening"))',
  ]);
  await new Promise((resolve) => redis.stdout.once('data', resolve));
  const open = of(await flat.api.doctor(), 'exposure');
  t.is(open.state, 'warning', open.evidence);
  t.regex(open.evidence, /Redis \(6379\)/);
  redis.kill('SIGKILL');
  await flat.kill('SIGTERM');
  await flat.start({ config: '[tun]\noffload = false\n' });
  const line = of(await flat.api.doctor(), 'offload');
  t.is(line.state, 'warning', line.evidence);
  t.regex(line.remedy, /tun\.offload = true/);
});
