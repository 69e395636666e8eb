import { join } from 'node:path';
import test from 'ava';
import { home, host, line } from '../../lab/description.js';
import { allPairsPing } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { second } from '../../src/time.js';
import { Babeld } from '../interop/babeld.js';
import { Bird } from '../interop/bird.js';
import type { Place } from '../interop/router.js';

/*
 * Two homes whose routers keep their UDP apart, so a relay carries everything between them:
 *
 *   home-a 192.168.10.0/24: gwa and gwz (weft), ra (a babeld router), ha (a plain host)
 *   home-b 192.168.20.0/24: gwb (weft), rb (a BIRD router), hb (a plain host)
 *   hub: weft on the Internet; a line of 30 ms leads from it to rc (a babeld router)
 *
 * One world for all tests of this file, which build on one another.
 */
const { serial } = test;
const world = await World.build({
  hub: host(),
  rc: host({ online: false }),
  far: line('hub', 'rc', { delay: 30 }),
  'home-a': home({ lan: '192.168.10.0', members: ['gwa', 'gwz', 'ra', 'ha'] }),
  'home-b': home({ lan: '192.168.20.0', members: ['gwb', 'rb', 'hb'] }),
});
test.after.always(() => world.remove());

const [hub, gwa, gwz, gwb] = ['hub', 'gwa', 'gwz', 'gwb'].map((name) => world.node(name)) as [
  WeftNode,
  WeftNode,
  WeftNode,
  WeftNode,
];
const plain = '[port-mapping]\nenabled = false\n';
const gateway = `${plain}[[babel.interface]]\ndevice = "eth0"\nhello-interval = "1s"\nupdate-interval = "2s"\n`;
const distant = `${gateway.replace('eth0', 'line0')}type = "tunnel"\nimport = ["10.30.0.0/16", "0.0.0.0/0"]\n`;
/** gwb takes the way out that the hub has by rc. */
const outward = `[babel]\naccept-default-routes = true\n${gateway}`;
const grantsA = ['192.168.10.0/24', 'fd0a:10::/64', '10.10.0.0/16', 'fd0a:aa::/48'];
const grantsB = ['192.168.20.0/24', 'fd0b:20::/64', '10.20.0.0/16', 'fd0b:bb::/48'];
const asFlags = (prefixes: readonly string[]) => prefixes.flatMap((prefix) => ['--lan', prefix]);

const place: Place = {
  file: (name) => join(world.folder, name),
  start: (on, program, ...args) => world.host(on.name).namespace.spawn([program, ...args]),
};
const routerOn = (name: string, number: number) => ({ name, namespace: '', number });

const inside = (name: string, ...command: readonly string[]) => world.host(name).namespace.must(command);
const ip = (name: string, ...words: readonly string[]) => inside(name, 'ip', ...words);

async function pings(from: string, to: string, source?: string): Promise<boolean> {
  const flags = source === undefined ? [] : ['-I', source];
  const { code } = await world.host(from).namespace.run(['ping', '-n', '-q', '-c1', '-W1', ...flags, to]);
  return code === 0;
}

async function reaches(from: string, to: string, within: number, source?: string): Promise<number> {
  const { took } = await until(
    `${from} pings ${to}`,
    () => pings(from, to, source),
    (answers) => answers,
    within,
    async () => [await table('gwa'), await table('gwb'), gwa.tail(8), gwb.tail(8), ...(await selected(hub))].join('\n'),
  );
  return took;
}

/** The kernel's LAN table on a gateway, both families. */
async function table(name: string): Promise<string> {
  const show = async (family: string) => {
    const { stdout } = await world.host(name).namespace.run(['ip', family, 'route', 'show', 'table', '21000']);
    return stdout;
  };
  return `${await show('-4')}${await show('-6')}`;
}

async function linkLocalOf(name: string): Promise<string> {
  return /inet6 (fe80:\S+)\//.exec(await ip(name, '-6', 'addr', 'show', 'dev', 'eth0'))![1]!;
}

async function selected(node: WeftNode): Promise<string[]> {
  const rows = await node.routes();
  return rows.filter((row) => row.selected).map((row) => `${row.prefix} ${row.egress ?? ''} via ${row.nextHop}`);
}

/** Waits until the node's selected LAN prefixes, of those asked about, are these. */
async function knows(node: WeftNode, wanted: Readonly<Record<string, boolean>>, within: number): Promise<number> {
  const { took } = await until(
    `${node.name} knows ${JSON.stringify(wanted)}`,
    async () => (await node.routes()).filter((row) => row.selected).map((row) => row.prefix),
    (prefixes) => Object.entries(wanted).every(([prefix, is]) => prefixes.includes(prefix) === is),
    within,
    () => node.tail(),
  );
  return took;
}

let babeld: Babeld;
let bird: Bird;

test.before(async () => {
  await world.separate('home-a', 'home-b', 'udp');
  await ip('ha', '-6', 'addr', 'add', 'fd0a:10::13/64', 'dev', 'eth0', 'nodad');
  await ip('hb', '-6', 'addr', 'add', 'fd0b:20::12/64', 'dev', 'eth0', 'nodad');
  await ip('gwa', '-6', 'addr', 'add', 'fd0a:10::10/64', 'dev', 'eth0', 'nodad');
  await ip('gwz', '-6', 'addr', 'add', 'fd0a:10::11/64', 'dev', 'eth0', 'nodad');
  await ip('gwb', '-6', 'addr', 'add', 'fd0b:20::10/64', 'dev', 'eth0', 'nodad');
  await Promise.all([hub.start({ config: distant }), gwa.start({ config: gateway }), gwb.start({ config: outward })]);
  await hub.init();
  await gwa.join(await hub.invite(...asFlags(grantsA)));
  await gwb.join(await hub.invite(...asFlags(grantsB)));
  const overlay = (await hub.status()).network!.prefix;
  // Plain hosts have routes to the gateway of their LAN, as a home router would hand them out.
  await ip('ha', 'route', 'add', '192.168.20.0/24', 'via', '192.168.10.10');
  for (const prefix of ['192.168.10.0/24', '10.10.0.0/16'])
    await ip('hb', 'route', 'add', prefix, 'via', '192.168.20.10');
  for (const prefix of [overlay, 'fd0b:20::/64']) await ip('ha', '-6', 'route', 'add', prefix, 'via', 'fd0a:10::10');
  for (const prefix of [overlay, 'fd0a:10::/64']) await ip('hb', '-6', 'route', 'add', prefix, 'via', 'fd0b:20::10');
});

serial('plain hosts of two LANs talk through their gateways and a relay, over IPv4 and IPv6', async (t) => {
  await allPairsPing([hub, gwa, gwb], 15 * second);
  await reaches('ha', '192.168.20.12', 10 * second);
  await reaches('hb', '192.168.10.13', 15 * second);
  await reaches('ha', 'fd0b:20::12', 15 * second);
  await reaches('hub', 'fd0a:10::13', 15 * second);
  await reaches('ha', await hub.address(), 15 * second);
  await reaches('gwa', '192.168.20.12', 15 * second);
  t.is((await gwa.peer('gwb'))?.state, 'relayed');
  const said = (await gwa.status()).health.map((item) => item.code);
  t.false(said.includes('forwarding-off'), said.join());
  t.regex(
    gwa.log().join('\n'),
    /forwarding-on.*net\.ipv6\.conf\.eth0\.accept_ra = 2.*net\.ipv6\.conf\.all\.forwarding = 1/,
  );
});

serial('real routers on both LANs: their prefixes reach the other side, and what may not pass is named', async (t) => {
  await ip('ra', 'addr', 'add', '10.10.0.1/32', 'dev', 'lo');
  await ip('ra', 'addr', 'add', '10.10.0.2/32', 'dev', 'lo');
  await ip('ra', 'addr', 'add', '172.16.5.1/32', 'dev', 'lo');
  await ip('ra', '-6', 'addr', 'add', 'fd0a:aa::1/128', 'dev', 'lo', 'nodad');
  await ip('rb', 'addr', 'add', '10.20.0.1/32', 'dev', 'lo');
  await ip('rb', '-6', 'addr', 'add', 'fd0b:bb::1/128', 'dev', 'lo', 'nodad');
  const allow = ['10.10.0.0/16', '172.16.0.0/12', '192.168.10.0/24', 'fd0a:aa::/48'];
  babeld = new Babeld(place, routerOn('ra', 1), {
    devices: ['eth0'],
    announce: allow.map((prefix) => `redistribute local ip ${prefix} allow`),
  });
  bird = new Bird(place, routerOn('rb', 2), { devices: ['eth0'] });
  await Promise.all([babeld.ready(), bird.ready()]);
  await reaches('ra', '10.20.0.1', 115 * second, '10.10.0.1');
  await reaches('rb', 'fd0a:aa::1', 15 * second, 'fd0b:bb::1');
  await reaches('ra', '192.168.20.12', 15 * second, '10.10.0.1');
  const rows = (await hub.routes()).filter((row) => row.prefix === '10.10.0.1/32' && row.selected);
  t.is(rows[0]?.egress, 'gwa');
  t.regex(await table('gwa'), /10\.10\.0\.1 via 192\.168\.10\.12 dev eth0 proto 120/);
  for (const [code, words] of [
    ['import-meets-connected', /192\.168\.10\.12\/32 .*from fe80::\S+ on eth0/],
    ['foreign-import', /172\.16\.5\.1\/32/],
  ] as const) {
    await until(
      `gwa says ${code}`,
      async () => (await gwa.status()).health.filter((item) => item.code === code).map(({ message }) => message),
      (messages) => words.test(messages.join('; ')),
      10 * second,
      () => gwa.tail(),
    );
  }
  t.deepEqual([...babeld.complaints, ...bird.complaints], []);
});

serial('a network that is routed onto the LAN without a gateway is originated, and withdrawn, at once', async (t) => {
  const network = '10.10.77.0/24';
  const took: number[] = [];
  for (const [verb, isThere] of [
    ['add', true],
    ['del', false],
  ] as const) {
    await ip('gwa', 'route', verb, network, 'dev', 'eth0', 'proto', 'static');
    took.push(await knows(hub, { [network]: isThere }, 5 * second));
  }
  const said = `the hub knows after ${took.map(Math.round).join(' and ')} ms`;
  t.log(said);
  t.true(Math.max(...took) < 3 * second, said);
});

serial(
  'what the kernel refuses is in status, keeps nothing else out, and is in the kernel once it may be',
  async (t) => {
    // The router's address on a device that is down: the kernel takes it for ours, and no event tells of it.
    await ip('gwb', 'link', 'add', 'off9', 'type', 'veth', 'peer', 'name', 'off8');
    await ip('gwb', 'addr', 'add', '192.168.20.11/32', 'dev', 'off9');
    await ip('rb', 'addr', 'add', '10.20.0.2/32', 'dev', 'lo');
    await ip('rb', '-6', 'addr', 'add', 'fd0b:bb::2/128', 'dev', 'lo', 'nodad');
    const kernel = async () =>
      `${await table('gwb')}\n${(await gwb.status()).health.map((item) => JSON.stringify(item)).join('\n')}`;
    const comes = (wanted: RegExp, unwanted: RegExp) =>
      until(`${wanted} without ${unwanted}`, kernel, (text) => wanted.test(text) && !unwanted.test(text), 10 * second);
    const { value } = await comes(/kernel-refused.*10\.20\.0\.2.*ip route get 192\.168\.20\.11/, /10\.20\.0\.2 via/);
    t.regex(value, /10\.20\.0\.1 via 192\.168\.20\.11 dev eth0/, 'what was taken before stays');
    await comes(/fd0b:bb::2 via fe80::/, /10\.20\.0\.2 via/);
    const onLo = () => ip('gwb', '-6', 'addr', 'show', 'dev', 'lo');
    const { address } = await gwb.app('files');
    t.true((await onLo()).includes(address), 'an app that has nothing to do with it is added');
    await gwb.api.appRemove({ name: 'files' });
    t.false((await onLo()).includes(address), 'and removed');
    await ip('gwb', 'link', 'del', 'off9');
    const { took } = await comes(/10\.20\.0\.2 via 192\.168\.20\.11 dev eth0/, /kernel-refused/);
    t.log(`taken ${Math.round(took)} ms after the reason was gone`);
  },
);

serial('a prefix withdrawn on the LAN is gone everywhere; kill -9 and a restart leave no stale route', async (t) => {
  await knows(gwb, { '10.10.0.1/32': true, '10.10.0.2/32': true }, 10 * second);
  await gwa.kill('SIGKILL');
  t.regex(await table('gwa'), /10\.10\.0\.2 via/, 'the kernel keeps what a killed daemon gave it');
  await ip('ra', 'addr', 'del', '10.10.0.2/32', 'dev', 'lo');
  const monitor = world.host('gwa').namespace.spawn(['ip', '-o', 'monitor', 'route']);
  t.teardown(() => void monitor.kill());
  let seen = '';
  monitor.stdout.on('data', (text) => {
    seen += text;
  });
  let probes = 0;
  /** The monitor listens then, and has shown all that was done before. Each probe is a new route: of one that is as it was nothing is told. */
  const isHeard = async () => {
    const first = probes;
    await until(
      'the monitor shows what is done now',
      async () => {
        await ip('gwa', 'route', 'replace', 'throw', `192.0.2.${probes++}`, 'table', '999');
        return seen;
      },
      () =>
        Array.from({ length: probes - first }, (_, i) => first + i).some((probe) =>
          seen.includes(`192.0.2.${probe} table`),
        ),
      10 * second,
    );
  };
  await isHeard();
  await gwa.start();
  await knows(gwa, { '10.20.0.1/32': true, 'fd0b:20::/64': true }, 10 * second);
  // A route that is learned before the first look at the kernel is found in it as it was, and not touched.
  for (const way of ['10.20.0.1 dev weft0', 'fd0b:20::/64 dev weft0']) {
    await until(
      `${way} is in the kernel`,
      () => table('gwa'),
      (text) => text.includes(way),
      10 * second,
      () => gwa.tail(),
    );
  }
  await isHeard();
  t.notRegex(seen, /Deleted (?:10\.20\.0\.1|fd0b:20::\/64) /, 'never in the clear until then');
  await reaches('ra', '10.20.0.1', 15 * second, '10.10.0.1');
  t.notRegex(await table('gwa'), /10\.10\.0\.2 via/);
  await knows(gwb, { '10.10.0.1/32': true, '10.10.0.2/32': false }, 10 * second);
});

serial('a grant taken away takes its routes with it everywhere, and given back brings them', async (t) => {
  await hub.weft('grant', 'gwb', '--lan', '192.168.20.0/24');
  const took = await Promise.all(
    [hub, gwa].map((node) => knows(node, { '10.20.0.1/32': false, '192.168.20.0/24': true }, 10 * second)),
  );
  t.true(Math.max(...took) < 5 * second, `gone after ${took} ms`);
  await until(
    'the kernel knows it no more',
    () => table('gwa'),
    (routes) => !routes.includes('10.20.0.1 dev'),
    10 * second,
  );
  await hub.weft('grant', 'gwb', ...asFlags(grantsB));
  await knows(gwa, { '10.20.0.1/32': true, 'fd0b:20::/64': true }, 15 * second);
  await reaches('ra', '10.20.0.1', 10 * second, '10.10.0.1');
});

serial('two gateways on one LAN make no loop, and each stands in for the other', async (t) => {
  await gwz.start({ config: gateway });
  await gwz.join(await hub.invite(...asFlags(grantsA)));
  await until(
    'both gateways are ways to the LAN',
    async () => (await hub.routes()).filter((row) => row.prefix === '10.10.0.1/32').map((row) => row.egress),
    (egresses) => egresses.includes('gwa') && egresses.includes('gwz'),
    15 * second,
    () => gwz.tail(),
  );
  for (const row of (await hub.routes()).filter(({ prefix }) => prefix === '10.10.0.1/32')) {
    t.is(row.reason.startsWith('used: '), row.selected, `${row.nextHop}: ${row.reason}`);
  }
  await until(
    'the router has two ways out',
    async () => (await babeld.table()).filter((row) => row.prefix === '10.20.0.1/32').length,
    (ways) => ways === 2,
    10 * second,
    () => babeld.evidence(),
  );
  await reaches('ra', '10.20.0.1', 10 * second, '10.10.0.1');
  // Neither takes what came out of the overlay back from the LAN, or sends the LAN's own prefixes round.
  for (const name of ['gwa', 'gwz']) {
    for (const way of ['10.20.0.1 dev weft0', '10.10.0.1 via 192.168.10.12 dev eth0']) {
      await until(
        `${name} has ${way}`,
        () => table(name),
        (routes) => routes.includes(way),
        10 * second,
      );
    }
  }
  const met = (await gwz.status()).health.filter((item) => item.message.includes('192.168.10.0/24'));
  t.deepEqual(met, [], 'gateways do not tell each other of the LAN they share');
  const used = (await babeld.table()).find((row) => row.prefix === '10.20.0.1/32' && row.selected)!;
  const [dies, stays] = used.via === (await linkLocalOf('gwa')) ? [gwa, gwz] : [gwz, gwa];
  await dies.kill('SIGKILL');
  t.log(
    `${stays.name} stood in for ${dies.name} after ${await reaches('ra', '10.20.0.1', 15 * second, '10.10.0.1')} ms`,
  );
  await stays.kill('SIGTERM');
  t.notRegex(await table(stays.name), /via 192\.168\.10\.12/, 'an orderly stop takes them away');
});

serial('on an interface of type tunnel delay counts, for babeld and for weft alike (RFC 9616)', async (t) => {
  await ip('rc', 'addr', 'add', '10.30.0.1/32', 'dev', 'lo');
  await ip('rc', 'route', 'add', 'default', 'dev', 'line0', 'proto', 'static');
  await hub.weft('grant', 'hub', '--lan', '10.30.0.0/16', '--lan', '0.0.0.0/0');
  const distantRouter = new Babeld(place, routerOn('rc', 3), {
    devices: ['line0'],
    announce: ['redistribute local ip 10.30.0.0/16 allow', 'redistribute ip 0.0.0.0/0 le 0 allow'],
    type: 'tunnel',
  });
  await distantRouter.ready();
  const { prefix } = (await hub.status()).node!;
  // 96 for the hop, and on top the share of the most, 150 of ours and 96 of babeld's, that the delay has between 10 and 120 ms.
  const delayIn = (metric: number, most: number) => 10 + (110 * (metric - 96)) / most;
  await until(
    'both count the 60 ms of the line, and what a busy machine adds, and agree',
    async () => {
      const ours = (await hub.routes()).find((row) => row.prefix === '10.30.0.1/32' && row.selected)?.metric ?? 0;
      const theirs = (await distantRouter.table()).find((row) => row.prefix === prefix)?.metric ?? 0;
      return [delayIn(ours, 150), delayIn(theirs, 96)] as const;
    },
    ([ours, theirs]) => Math.min(ours, theirs) > 50 && Math.max(ours, theirs) < 90 && Math.abs(ours - theirs) < 15,
    30 * second,
    async () => `${await distantRouter.evidence()}\n${hub.tail()}`,
  );
  t.deepEqual(distantRouter.complaints, []);
});

serial('another Babel daemon on the machine is noticed and named', async (t) => {
  await until(
    'gwb has its way out by the overlay',
    () => table('gwb'),
    (routes) => /default dev weft0/.test(routes),
    10 * second,
    () => gwb.tail(),
  );
  await gwb.kill('SIGTERM');
  const left = await table('gwb');
  t.notRegex(left, /default|via/, 'stopped, it does not keep the machine from its own way out');
  t.regex(left, /10\.30\.0\.1 dev weft0/, 'and sends nothing for LANs behind others in the clear');
  const other = await new Babeld(place, routerOn('gwb', 4), { devices: ['eth0'], announce: [] }).ready();
  await gwb.start();
  const { value } = await until(
    'gwb says who is in the way',
    async () => (await gwb.status()).health.find((item) => item.code === 'babel-port-taken')?.message ?? '',
    (message) => message !== '',
    15 * second,
    () => gwb.tail(),
  );
  t.regex(value, /^babeld \(\d+\) already speaks Babel on this machine, so weft cannot on eth0/);
  await other.end('SIGTERM');
  await until(
    'gwb takes over when it has gone',
    async () => (await gwb.status()).health.map((item) => item.code),
    (codes) => !codes.includes('babel-port-taken'),
    15 * second,
  );
});

serial('a gateway whose weft0 is deleted ends, and leaves no route to a router of its LAN', async (t) => {
  const routes = (wanted: RegExp) =>
    until(
      `${wanted} on gwb`,
      () => table('gwb'),
      (text) => wanted.test(text),
      10 * second,
      () => gwb.tail(),
    );
  await routes(/10\.20\.0\.1 via[\s\S]*fd0b:bb::1 via/);
  await routes(/10\.30\.0\.1 dev weft0/);
  await ip('gwb', 'link', 'del', 'weft0');
  await until(
    'the daemon has ended',
    () => gwb.pid,
    (pid) => pid === undefined,
    15 * second,
    () => gwb.tail(),
  );
  const left = await table('gwb');
  t.notRegex(left, /via|weft0/);
  t.regex(left, /unreachable 10\.30\.0\.1/, 'a LAN behind others is not reached in the clear');
  t.notRegex(gwb.log().join('\n'), /stopping failed/);
});
