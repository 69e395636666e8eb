import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readHost } from '../../daemon/kernel/actual.js';
import { Host } from '../../daemon/kernel/host.js';
import { HostKeeper } from '../../daemon/kernel/host-keeper.js';
import { type HostPlan, hostTag, noEntries, planEntries } from '../../daemon/kernel/plan.js';
import { checkMachine, checkTun } from '../../daemon/kernel/preflight.js';
import { type Underlay, watchUnderlay } from '../../daemon/kernel/underlay.js';
import { readLanDevice } from '../../daemon/lan/device.js';
import { Lans } from '../../daemon/lan/lans.js';
import { StreamMark } from '../../daemon/stream-mark.js';
import { TcpBridge } from '../../daemon/tcp-bridge.js';
import { TlsListener } from '../../daemon/tls-listener.js';
import { until } from '../../lab/until.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { MeshError } from '../../src/errors.js';
import { foreign } from '../../src/ffi.js';
import { openLinuxPlane, defaultMark as outerMark } from '../../src/tunnel/plane/linux.js';
import { openTun } from '../../src/tunnel/plane/linux-tun.js';
import { makeCertificate, writeCertificate } from '../helpers/tls-certificate.js';

/*
 * This thread, and the `ip` processes it starts, live in a network namespace of their own, which goes when they end.
 * Tests share it and run one after the other.
 */
const cloneNewnet = 0x4000_0000;
if (foreign('int unshare(int flags)')(cloneNewnet) !== 0) throw new Error('needs root');
const { serial } = test;

function ip(...args: string[]): string {
  const { stdout, stderr, status } = spawnSync('ip', args);
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
  return stdout.toString();
}

function wayTo(address: string, ...more: string[]): string {
  const { stdout, stderr } = spawnSync('ip', ['-6', 'route', 'get', address, ...more]);
  return `${stdout}${stderr}`;
}

ip('link', 'set', 'lo', 'up');

/** npm puts node_modules/.bin first, and a package there brings an `nft` that is not nftables. */
const systemEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

function planFor(device: string, network: string, own: string): HostPlan {
  const prefix = parsePrefix(`${own}::/64`)!;
  return {
    device,
    mtu: 1380,
    segments: 44,
    mark: outerMark,
    network: parsePrefix(network)!,
    own: prefix,
    node: `${own}::1`,
    apps: [`${own}:8000:1:2:3`],
    lans: [],
    ipv4Source: undefined,
  };
}

const first = planFor('weft0', 'fd5e:cd52:8400::/40', 'fd5e:cd52:8401:7');
const second = planFor('weft1', 'fd99:aaaa:bb00::/40', 'fd99:aaaa:bb01:9');

function makeTun(t: import('ava').ExecutionContext, device: string): void {
  ip('tuntap', 'add', device, 'mode', 'tun');
  t.teardown(() => spawnSync('ip', ['link', 'del', device]));
}

/** A device with a carrier: its other end is far9. */
function makeWire(t: import('ava').ExecutionContext, device: string): void {
  ip('link', 'add', device, 'type', 'veth', 'peer', 'name', 'far9');
  t.teardown(() => void ip('link', 'del', device));
  ip('link', 'set', 'far9', 'up');
}

/** A device wan9 that the machine's own default routes lead to. */
function makeWayOut(t: import('ava').ExecutionContext): void {
  makeWire(t, 'wan9');
  ip('link', 'set', 'wan9', 'up');
  ip('addr', 'add', '10.1.0.1/24', 'dev', 'wan9');
  for (const family of ['-4', '-6']) ip(family, 'route', 'add', 'default', 'dev', 'wan9', 'metric', '2000');
}

/** Begins to write down what the kernel says of its routes, a line a change; gives what was said so far. */
async function watchRoutes(t: import('ava').ExecutionContext, device: string): Promise<() => string> {
  const monitor = spawn('ip', ['-o', 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => void monitor.kill());
  let seen = '';
  monitor.stdout.on('data', (text) => {
    seen += text;
  });
  let probes = 0;
  const isWatched = await within10Seconds(() => {
    ip('route', 'replace', `10.6.0.${probes++ % 256}/32`, 'dev', device);
    return seen !== '';
  });
  t.true(isWatched);
  return () => seen;
}

serial('a plan is brought about, and a second time nothing is left to do', async (t) => {
  makeTun(t, 'weft0');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  t.true((await host.apply(first)).changes > 0);
  t.deepEqual((await host.apply(first)).changes, 0);

  t.regex(wayTo('fd5e:cd52:8402::1'), /dev weft0 .*src fd5e:cd52:8401:7::1/);
  t.regex(wayTo(first.node), /^local .*dev lo/);
  t.regex(wayTo(first.apps[0]!), /^local .*dev lo/);
  t.regex(wayTo('fd5e:cd52:8401:7::9'), /No route to host|unreachable/);
  t.regex(wayTo('fd5e:cd52:8402::1', 'mark', String(outerMark)), /No route to host|unreachable/);
  t.regex(ip('link', 'show', 'weft0'), /mtu 1380/);
  t.notRegex(ip('-6', 'addr', 'show', 'dev', 'weft0'), /fe80/);
});

serial('the operator may route inside the own /64: a container network there is found', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'cni0');
  ip('link', 'set', 'cni0', 'up');
  ip('-6', 'addr', 'add', 'fd5e:cd52:8401:7:1::1/80', 'dev', 'cni0', 'nodad');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  await host.apply(first);
  t.regex(wayTo('fd5e:cd52:8401:7:1::5'), /dev cni0/);
});

serial('while no daemon holds the TUN an app bound to its address sees loss, not an error', async (t) => {
  makeTun(t, 'weft0');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  await host.apply(first);
  const socket = createSocket('udp6');
  t.teardown(() => void socket.close());
  await new Promise<void>((resolve) => socket.bind(0, first.apps[0], resolve));
  for (let i = 0; i < 20; i++) {
    const error = await new Promise<Error | null>((resolve) =>
      socket.send('x', 9, 'fd5e:cd52:8402::1', (outcome) => resolve(outcome)),
    );
    t.is(error, null);
  }
});

serial('without weft0 packets for the network leave by no other way', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'eth9');
  ip('link', 'set', 'eth9', 'up');
  ip('-6', 'addr', 'add', '2001:db8::2/64', 'dev', 'eth9', 'nodad');
  ip('-6', 'route', 'add', 'default', 'via', '2001:db8::1', 'dev', 'eth9');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  await host.apply(first);
  t.regex(wayTo('2001:db8:ffff::1'), /dev eth9/);
  ip('link', 'del', 'weft0');
  t.regex(wayTo('fd5e:cd52:8402::1'), /No route to host|unreachable/);
});

serial('what an earlier run left behind is reconciled: old address, app and routes go', async (t) => {
  makeTun(t, 'weft0');
  const before = { ...first, lans: [{ prefix: parsePrefix('192.168.7.0/24')!, via: 'overlay' as const }] };
  await new Host('weft0').apply(before);
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  const after = planFor('weft0', 'fd77:0:0::/40', 'fd77:0:1:2');
  await host.apply(after);
  t.deepEqual(sorted(await readHost(hostTag('weft0'))), sorted(planEntries(after)));
  t.notRegex(ip('-6', 'addr', 'show', 'dev', 'lo'), /fd5e/);
});

serial(
  'what an earlier run left for LANs behind others does not leave in the clear until it is learned or given up',
  async (t) => {
    makeTun(t, 'weft0');
    makeWayOut(t);
    const overlay = (text: string) => ({ prefix: parsePrefix(text)!, via: 'overlay' }) as const;
    const lans = ['10.8.0.0/16', '2001:db8:8::/48', '0.0.0.0/0', '::/0'].map(overlay);
    const router = { prefix: parsePrefix('10.9.0.0/16')!, via: 'lan', router: '10.1.0.9', device: 'wan9' } as const;
    await new Host('weft0').apply({ ...first, lans: [...lans, router] });
    const host = new Host('weft0');
    t.teardown(() => host.remove());
    const ways = () => ['10.8.1.1', '2001:db8:8::1'].map((to) => String(spawnSync('ip', ['route', 'get', to]).output));
    const seen = await watchRoutes(t, 'wan9');
    // Two routes are replaced, three removed; a second time nothing is left to do.
    for (const changes of [5, 0]) {
      t.like(await host.apply(first, true), { changes, keptLeft: true });
      for (const way of ways()) t.regex(way, /unreachable|No route/);
      t.regex(ip('route', 'get', '10.9.1.1'), /10\.9\.1\.1 dev wan9/, 'routers on our LANs are not waited for');
      for (const to of ['11.9.9.9', '2001:db9::1']) t.regex(ip('route', 'get', to), /dev wan9/, 'nor is a way out');
    }
    // One is learned again, in the place of the route that was kept; what was not is given up.
    t.is((await host.apply({ ...first, lans: lans.slice(0, 1) }, true)).changes, 1);
    t.regex(ways()[0]!, /dev weft0/);
    t.regex(ways()[1]!, /unreachable|No route/);
    t.true(await within10Seconds(() => seen().includes('10.8.0.0/16 dev weft0')));
    t.regex(seen(), /unreachable 10\.8\.0\.0\/16/);
    t.notRegex(seen(), /Deleted .*(10\.8\.0|2001:db8:8:)/, 'never without a route meanwhile');
    t.false((await host.apply({ ...first, lans: lans.slice(0, 1) })).keptLeft);
    t.regex(ways()[0]!, /dev weft0/);
    t.regex(ways()[1]!, /dev wan9/);
    t.false((await host.apply({ ...first, lans: lans.slice(0, 1) }, true)).keptLeft, 'nothing is left any more');
  },
);

serial('LAN prefixes of both families go through the overlay, but never in the place of a LAN we are on', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'lan9');
  ip('link', 'set', 'lan9', 'up');
  ip('addr', 'add', '10.9.0.1/24', 'dev', 'lan9');
  ip('-6', 'addr', 'add', '2001:db8:9::1/64', 'dev', 'lan9', 'nodad');
  ip('route', 'add', 'default', 'via', '10.9.0.254');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  const lans = ['192.168.7.0/24', '10.9.0.0/25', '2001:db8:7::/48', '2001:db8:9::/80'].map((text) => ({
    prefix: parsePrefix(text)!,
    via: 'overlay' as const,
  }));
  await host.apply({ ...first, lans });
  t.regex(ip('route', 'get', '192.168.7.5'), /dev weft0/);
  t.regex(wayTo('2001:db8:7::5'), /dev weft0 .*src fd5e:cd52:8401:7::1/);
  t.regex(ip('route', 'get', '10.9.0.5'), /dev lan9/);
  t.regex(wayTo('2001:db8:9::5'), /dev lan9/);
  t.regex(ip('route', 'get', '192.168.7.5', 'mark', String(outerMark)), /via 10\.9\.0\.254 dev lan9/);
  t.is((await host.apply({ ...first, lans })).changes, 0);
  // A default route of the overlay's goes when the unit stops, however it does; all else stays as it is.
  ip('-6', 'route', 'add', 'default', 'via', '2001:db8:9::fe');
  const defaults = ['0.0.0.0/0', '::/0'].map((text) => ({ prefix: parsePrefix(text)!, via: 'overlay' as const }));
  await host.apply({ ...first, lans: [...lans, ...defaults] });
  const wayOut = () => [ip('route', 'get', '192.0.2.9'), wayTo('2001:db8:ffff::9')];
  for (const way of wayOut()) t.regex(way, /dev weft0/);
  for (let round = 0; round < 2; round++) runStopPost();
  for (const way of wayOut()) t.regex(way, /dev lan9/);
  t.is((await host.apply({ ...first, lans })).changes, 0);
  await host.apply(first);
  t.regex(ip('route', 'get', '192.168.7.5'), /dev lan9/);
});

/** What systemd runs when the daemon has ended; none of it may fail the unit. */
function runStopPost(): void {
  const unit = readFileSync(new URL('../../../packaging/weft.service', import.meta.url), 'utf8');
  const lines = [...unit.matchAll(/^ExecStopPost=-(\S+) (.+)$/gm)];
  if (lines.length === 0) throw new Error('the unit has no ExecStopPost');
  for (const [, program, words] of lines) spawnSync(program!, words!.split(' '));
}

serial('routes to routers on a LAN are set once, change their way, and go one by one', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'lan9');
  ip('link', 'set', 'lan9', 'up');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  const way = (text: string, router: string) =>
    ({ prefix: parsePrefix(text)!, via: 'lan', router, device: 'lan9' }) as const;
  const lans = [
    way('10.9.0.0/16', '10.1.0.9'),
    way('10.8.0.0/16', 'fe80::9'),
    way('2001:db8:8::/48', 'fe80::9'),
    { prefix: parsePrefix('10.7.0.0/16')!, via: 'nowhere' as const },
  ];
  await host.apply({ ...first, lans });
  t.is((await host.apply({ ...first, lans })).changes, 0);
  t.regex(ip('route', 'get', '10.8.1.1'), /via inet6 fe80::9 dev lan9/);
  t.regex(spawnSync('ip', ['route', 'get', '10.7.1.1']).stderr.toString(), /unreachable|No route/);
  const moved = [way('10.9.0.0/16', '10.1.0.8'), { prefix: parsePrefix('10.8.0.0/16')!, via: 'overlay' as const }];
  t.is((await host.apply({ ...first, lans: moved })).changes, 6, 'two replaced, two routes and the IPv6 rules removed');
  t.regex(ip('route', 'get', '10.9.1.1'), /via 10\.1\.0\.8 dev lan9/);
  t.regex(ip('route', 'get', '10.8.1.1'), /dev weft0/);
  t.is((await host.apply({ ...first, lans: moved })).changes, 0);
});

serial(
  'a route to a router, into the overlay or nowhere takes the place of another without a gap, IPv6 as IPv4',
  async (t) => {
    makeTun(t, 'weft0');
    makeWire(t, 'lan9');
    ip('link', 'set', 'lan9', 'up');
    const host = new Host('weft0');
    t.teardown(() => host.remove());
    const prefixes = ['10.9.0.0/16', '2001:db8:9::/48', '2001:db8:8::/48'];
    const ways = {
      'via fe80::9 dev lan9': { via: 'lan', router: 'fe80::9', device: 'lan9' },
      'via fe80::8 dev lan9': { via: 'lan', router: 'fe80::8', device: 'lan9' },
      'dev weft0': { via: 'overlay' },
      unreachable: { via: 'nowhere' },
    } as const;
    const names = Object.keys(ways) as (keyof typeof ways)[];
    const apply = (way: keyof typeof ways) =>
      host.apply({ ...first, lans: prefixes.map((text) => ({ prefix: parsePrefix(text)!, ...ways[way] })) });
    await apply(names[0]!);
    const seen = await watchRoutes(t, 'lan9');
    // From each to each other.
    const order = [0, 1, 2, 3, 0, 2, 1, 3, 2, 0, 3, 1, 0].map((i) => names[i]!);
    for (const [step, way] of order.slice(1).entries()) {
      const before = seen().length;
      const { refused, changes } = await apply(way);
      t.deepEqual(refused, []);
      t.true(changes >= prefixes.length);
      const arrived = (text: string) =>
        seen()
          .slice(before)
          .split('\n')
          .some((line) => line.includes(text) && line.replace('inet6 ', '').includes(way));
      t.true(await within10Seconds(() => prefixes.every(arrived)), `${order[step]} to ${way}: ${seen().slice(before)}`);
    }
    t.notRegex(seen(), /Deleted .*(10\.9\.0\.|2001:db8:[89]:)/, 'one after the other, never none');
    await host.apply(first);
    t.true(await within10Seconds(() => (seen().match(/Deleted .*(10\.9\.0\.|2001:db8:[89]:)/g) ?? []).length === 3));
  },
);

serial('one refused route keeps no other out, of either family, and is named', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'lan9');
  ip('link', 'set', 'lan9', 'up');
  ip('addr', 'add', '10.9.0.1/24', 'dev', 'lan9');
  ip('-6', 'addr', 'add', '2001:db8:9::1/64', 'dev', 'lan9', 'nodad');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  const good = ['10.8.0.0/16', '2001:db8:8::/48'].map((text) => ({
    prefix: parsePrefix(text)!,
    via: 'overlay' as const,
  }));
  const refused = [
    // Next hops that are addresses of this machine, and a device that is not there.
    { text: '10.7.0.0/16', router: '10.9.0.1', device: 'lan9' },
    { text: '2001:db8:7::/48', router: '2001:db8:9::1', device: 'lan9' },
    { text: '10.7.0.0/16', router: '10.1.0.9', device: 'gone9' },
    { text: '2001:db8:7::/48', router: 'fe80::9', device: 'gone9' },
  ];
  for (const { text, router, device } of refused) {
    const lans = [{ prefix: parsePrefix(text)!, via: 'lan', router, device } as const, ...good];
    const report = await host.apply({ ...first, lans });
    t.deepEqual(
      report.refused.map(({ command, problem }) => [command.includes(text), problem.code]),
      [[true, 'kernel-refused']],
    );
    const { problem } = report.refused[0]!;
    t.true(problem.message.includes(text), problem.message);
    t.true(problem.cure.includes(`ip route get ${router}`), problem.cure);
    t.regex(ip('route', 'get', '10.8.1.1'), /dev weft0/, router);
    t.regex(wayTo('2001:db8:8::1'), /dev weft0/, router);
    t.deepEqual((await host.apply({ ...first, lans: good })).refused, [], 'without it nothing is left to complain of');
    await host.apply(first);
  }
});

serial('two networks on one host do not touch each other', async (t) => {
  makeTun(t, 'weft0');
  makeTun(t, 'weft1');
  const [one, two] = [new Host('weft0'), new Host('weft1')];
  await one.apply(first);
  await two.apply(second);
  t.is((await one.apply(first)).changes, 0);
  t.regex(wayTo('fd5e:cd52:8402::1'), /dev weft0/);
  t.regex(wayTo('fd99:aaaa:bb02::1'), /dev weft1/);
  await one.remove();
  t.is((await two.apply(second)).changes, 0);
  await two.remove();
});

serial('removal takes all of it away, without any record of what it was', async (t) => {
  const everything = () =>
    [ip('-6', 'addr'), ip('-6', 'route', 'show', 'table', 'all'), ip('-6', 'rule'), ip('rule')].join('');
  const before = everything();
  makeTun(t, 'weft0');
  await new Host('weft0').apply({
    ...first,
    lans: [{ prefix: parsePrefix('192.168.7.0/24')!, via: 'overlay' as const }],
  });
  t.not(everything(), before);
  await new Host('weft0').remove();
  t.is(everything(), before);
  t.deepEqual(await readHost(hostTag('weft0')), noEntries);
});

serial('weftd --clean does the same from the command line, and again when nothing is left', async (t) => {
  makeTun(t, 'weft0');
  await new Host('weft0').apply(first);
  const weftd = fileURLToPath(new URL('../../bin/weftd.js', import.meta.url));
  for (let i = 0; i < 2; i++) {
    const { status, stderr } = spawnSync(process.execPath, [weftd, '--clean'], { env: { HOME: '/nonexistent' } });
    t.deepEqual([status, stderr.toString()], [0, '']);
    t.deepEqual(await readHost(hostTag('weft0')), noEntries);
    t.notRegex(ip('link'), /weft0/);
  }
});

serial('IPv6 switched off by sysctl is switched on for lo and weft0 only, and said', async (t) => {
  const all = '/proc/sys/net/ipv6/conf/all/disable_ipv6';
  const byDefault = '/proc/sys/net/ipv6/conf/default/disable_ipv6';
  for (const file of [all, byDefault]) writeFileSync(file, '1');
  t.teardown(() => {
    for (const file of [all, byDefault]) writeFileSync(file, '0');
  });
  makeTun(t, 'weft0');
  makeWire(t, 'eth9');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  t.deepEqual((await host.apply(first)).ipv6Enabled, ['lo', 'weft0']);
  t.regex(wayTo('fd5e:cd52:8402::1'), /dev weft0/);
  t.regex(ip('-6', 'addr', 'show', 'dev', 'lo'), /fd5e:cd52:8401:7::1/);
  ip('link', 'set', 'eth9', 'up');
  t.is(ip('-6', 'addr', 'show', 'dev', 'eth9'), '');
  t.deepEqual((await host.apply(first)).ipv6Enabled, []);
});

serial(
  'a device that somebody set down is left so, all else is kept up, and its routes come back with it',
  async (t) => {
    makeTun(t, 'weft0');
    makeWayOut(t);
    const host = new Host('weft0');
    t.teardown(() => host.remove());
    const overlay = (text: string) => ({ prefix: parsePrefix(text)!, via: 'overlay' }) as const;
    const lans = [
      ...['10.8.0.0/16', '2001:db8:8::/48', '0.0.0.0/0', '::/0'].map(overlay),
      { prefix: parsePrefix('10.7.0.0/16')!, via: 'nowhere' } as const,
    ];
    const wayTo4 = (address: string) => String(spawnSync('ip', ['route', 'get', address]).output);
    t.false((await host.apply({ ...first, lans })).deviceIsDown);
    for (const way of [wayTo4('11.9.9.9'), wayTo('2001:db9::1')]) t.regex(way, /dev weft0/);
    ip('link', 'set', 'weft0', 'down');
    const refused = { prefix: parsePrefix('10.6.0.0/16')!, via: 'lan', router: '10.1.0.9', device: 'gone9' } as const;
    const report = await host.apply({ ...first, lans: [...lans, refused] });
    t.deepEqual([report.deviceIsDown, report.refused.length], [true, 1], 'whatever else is refused');
    t.notRegex(ip('link', 'show', 'weft0'), /[<,]UP[,>]/);
    for (const way of [wayTo4('10.7.1.1'), wayTo4('10.8.1.1'), wayTo('2001:db8:8::1')]) {
      t.regex(way, /unreachable|No route/, 'never in the clear by the default route');
    }
    for (const way of [wayTo4('11.9.9.9'), wayTo('2001:db9::1')]) t.regex(way, /dev wan9/, 'which is not hidden');
    t.like(await host.apply({ ...first, lans }), { changes: 0, deviceIsDown: true });
    ip('link', 'set', 'weft0', 'up');
    t.false((await host.apply({ ...first, lans })).deviceIsDown);
    t.regex(wayTo('fd5e:cd52:8402::1'), /dev weft0 .*src fd5e:cd52:8401:7::1/);
    for (const way of [wayTo4('10.8.1.1'), wayTo4('11.9.9.9'), wayTo('2001:db8:8::1'), wayTo('2001:db9::1')]) {
      t.regex(way, /dev weft0/);
    }
    // The next daemon begins anew.
    ip('link', 'set', 'weft0', 'down');
    t.false((await new Host('weft0').apply(first)).deviceIsDown);
    t.regex(ip('link', 'show', 'weft0'), /[<,]UP[,>]/);
  },
);

serial('a device that went away is an error with a cure, and what does without it is as planned', async (t) => {
  makeTun(t, 'weft0');
  makeWire(t, 'lan9');
  ip('link', 'set', 'lan9', 'up');
  const host = new Host('weft0');
  t.teardown(() => host.remove());
  const lans = [
    { prefix: parsePrefix('10.8.0.0/16')!, via: 'overlay' as const },
    { prefix: parsePrefix('10.9.0.0/16')!, via: 'lan' as const, router: '10.1.0.9', device: 'lan9' },
  ];
  await host.apply({ ...first, lans });
  ip('link', 'del', 'weft0');
  for (const left of [lans, lans.slice(0, 1), []]) {
    const error = await t.throwsAsync(host.apply({ ...first, lans: left }), { instanceOf: MeshError });
    t.is(error.code, 'no-device');
    const { routes4, rules4 } = await readHost(hostTag('weft0'));
    const routes = [/^unreachable 10\.8/, /^10\.9.* via 10\.1\.0\.9/].slice(0, left.length);
    t.deepEqual([routes4.length, rules4.length], [routes.length, left.length > 0 ? 2 : 0]);
    for (const route of routes) t.true(routes4.some((line) => route.test(line)));
  }
});

const listen = { address: '0.0.0.0', port: 16696 };

async function finding(t: import('ava').ExecutionContext, device = 'weft0', at = listen): Promise<MeshError> {
  return t.throwsAsync(checkMachine({ device, listen: at }), { instanceOf: MeshError });
}

serial('a machine without IPv4 is told so; with an address all is well', async (t) => {
  t.is((await finding(t)).code, 'no-ipv4');
  makeWire(t, 'eth9');
  ip('addr', 'add', '11.0.0.1/24', 'dev', 'eth9');
  ip('link', 'set', 'eth9', 'up');
  await t.notThrowsAsync(checkMachine({ device: 'weft0', listen }));
});

serial('29: a port that another daemon has is named with its cure', async (t) => {
  const at = { address: '127.0.0.1', port: 16696 };
  const other = createSocket('udp4');
  t.teardown(() => void other.close());
  await new Promise<void>((resolve) => other.bind(16696, '0.0.0.0', resolve));
  const error = await finding(t, 'weft0', at);
  t.is(error.code, 'port-in-use');
  t.regex(error.message, /16696/);
  t.regex(error.cure, /listen = /);
});

serial('an address this machine lacks is named', async (t) => {
  t.is((await finding(t, 'weft0', { address: '11.9.9.9', port: 16696 })).code, 'listen-address-missing');
});

serial('29: a TUN that another daemon holds, or a device that is none, is named with its cure', async (t) => {
  const at = { address: '127.0.0.1', port: 16696 };
  makeWire(t, 'weft5');
  const none = await finding(t, 'weft5', at);
  t.is(none.code, 'tun-mismatch');
  t.regex(none.cure, /tun\.name = "weft1"/);

  const all = { noVnetHeader: false, noTso: false, noUso: false };
  const { queues } = openTun({ name: 'weft0', queues: 2, persistent: true, ...all });
  t.teardown(() => void ip('link', 'del', 'weft0'));
  ip('link', 'set', 'weft0', 'up');
  const busy = await finding(t, 'weft0', at);
  t.is(busy.code, 'tun-busy');
  t.regex(busy.cure, /^stop it \(another weftd\?\), or .*tun\.name = "weft1"/);
  for (const queue of queues) closeSync(queue);
  await t.notThrowsAsync(checkMachine({ device: 'weft0', listen: at }), 'nobody holds it any more');
});

serial('no /dev/net/tun and no permission are told apart', (t) => {
  t.is(t.throws(() => checkTun('/dev/net/none'), { instanceOf: MeshError }).code, 'no-tun-device');
  t.is(t.throws(() => checkTun('/dev/net/tun', 0n), { instanceOf: MeshError }).code, 'tun-not-permitted');
  t.notThrows(() => checkTun());
});

serial('every change of the underlay is told, and our own devices are none of it', async (t) => {
  makeWire(t, 'eth9');
  ip('link', 'set', 'far9', 'down');
  makeTun(t, 'weft0');
  const seen: Underlay[] = [];
  let touched = 0;
  let wake = () => {};
  const stop = watchUnderlay((device) => device === 'weft0', {
    changed: (underlay) => {
      seen.push(underlay);
      wake();
    },
    ownTouched: () => {
      touched++;
      wake();
    },
    routesChanged: () => {},
    failed: (error) => t.fail(String(error)),
    blind: () => t.fail(),
  });
  t.teardown(stop);
  const until = async (isThere: (underlay: Underlay) => boolean) => {
    while (!seen.length || !isThere(seen.at(-1)!)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  await until((underlay) => underlay.addresses.length === 0);
  ip('link', 'set', 'far9', 'up');
  ip('link', 'set', 'eth9', 'up');
  ip('addr', 'add', '11.0.0.1/24', 'dev', 'eth9');
  await until((underlay) => underlay.addresses.some((address) => address.address === '11.0.0.1'));
  ip('route', 'add', 'default', 'via', '11.0.0.254');
  await until((underlay) => underlay.defaultRoutes[0]?.gateway === '11.0.0.254');
  ip('route', 'replace', 'default', 'dev', 'eth9', 'scope', 'link');
  await until(({ defaultRoutes: [best] }) => best?.device === 'eth9' && best.gateway === undefined);
  ip('-4', 'route', 'replace', 'default', 'via', 'inet6', 'fe80::1', 'dev', 'eth9');
  await until((underlay) => underlay.defaultRoutes[0]?.gateway === 'fe80::1');
  ip('route', 'replace', 'default', 'nexthop', 'via', '11.0.0.253', 'nexthop', 'via', '11.0.0.254');
  await until((underlay) => underlay.defaultRoutes[1]?.gateway === '11.0.0.254');
  ip('link', 'set', 'far9', 'down');
  await until((underlay) => underlay.addresses.length === 0);
  ip('link', 'set', 'far9', 'up');
  await until((underlay) => underlay.addresses.some((address) => address.device === 'eth9'));
  const before = touched;
  ip('link', 'set', 'weft0', 'up');
  await until(() => touched > before);
  ip('-6', 'addr', 'add', 'fd5e::1/64', 'dev', 'weft0');
  ip('addr', 'add', '11.0.0.2/24', 'dev', 'eth9');
  await until((underlay) => underlay.addresses.some((address) => address.address === '11.0.0.2'));
  t.true(seen.every((underlay) => underlay.addresses.every((address) => address.device === 'eth9')));
});

serial(
  'what of ours somebody deletes is back at once, and what we take away ourselves is looked at once',
  async (t) => {
    makeTun(t, 'weft0');
    makeWire(t, 'lan9');
    ip('addr', 'add', '10.1.0.1/24', 'dev', 'lan9');
    ip('link', 'set', 'lan9', 'up');
    const host = new Host('weft0');
    const changes: number[] = [];
    const behind = { prefix: parsePrefix('10.8.0.0/16')!, via: 'overlay' } as const;
    const onLan = { prefix: parsePrefix('10.9.0.0/16')!, via: 'lan', router: '10.1.0.9', device: 'lan9' } as const;
    let plan: HostPlan = { ...first, lans: [behind, onLan] };
    const keeper = new HostKeeper(
      {
        apply: async (...round) => {
          const report = await host.apply(...round);
          changes.push(report.changes);
          return report;
        },
      },
      () => plan,
      { ipv6Enabled: () => {}, refused: () => {}, deviceSet: () => {} },
    );
    await keeper.apply();
    const stop = await new Promise<() => void>((resolve) => {
      const end: () => void = watchUnderlay((device) => device === 'weft0', {
        changed: () => resolve(() => end()),
        ownTouched: () => keeper.follow(),
        routesChanged: () => {},
        failed: (error) => t.fail(String(error)),
        blind: () => t.fail(),
      });
    });
    t.teardown(async () => {
      stop();
      keeper.stop();
      await host.remove();
    });
    const whole = sorted(planEntries(plan));
    const isWhole = async (after: string) => {
      const { took } = await until(
        `all is as planned after ${after}`,
        async () => sorted(await readHost(hostTag('weft0'))),
        (entries) => JSON.stringify(entries) === JSON.stringify(whole),
        5000,
      );
      t.log(`${after}: as planned after ${Math.round(took)} ms`);
    };
    const deletions = [
      ['route', 'flush', 'table', '21000'],
      ['rule', 'del', 'pref', '19000'],
      ['-6', 'rule', 'del', 'pref', '17000'],
      ['-6', 'route', 'flush', 'table', '17000'],
      ['-6', 'addr', 'del', `${first.node}/128`, 'dev', 'lo'],
    ];
    for (const deletion of deletions) ip(...deletion);
    await isWhole('deletions');
    ip('link', 'set', 'lan9', 'down');
    ip('link', 'set', 'lan9', 'up');
    t.false(ip('route', 'show', 'table', '21000').includes('10.9.0.0'), 'the kernel said nothing of it');
    await isWhole('a device of a LAN was set down and up');
    const before = changes.length;
    plan = { ...first, lans: [] };
    await keeper.apply();
    await until(
      'what we took away is heard, and nothing is found to be done',
      () => changes.slice(before),
      ([own, ...looks]) => own! > 0 && looks.includes(0),
      10_000,
    );
  },
);

serial('a link-local address that the kernel still tries out is not there yet, and no trouble', async (t) => {
  makeWire(t, 'eth9');
  const isTentative = () => ip('-6', 'addr', 'show', 'dev', 'eth9', 'tentative') !== '';
  const troubles: string[] = [];
  let lans: Lans | undefined;
  t.teardown(() => lans?.close());
  ip('link', 'set', 'eth9', 'up');
  await until(
    'the address is listed',
    () => readLanDevice('eth9'),
    (device) => device !== undefined,
    10_000,
  );
  t.true(isTentative());
  await new Promise<void>((resolve) => {
    lans = new Lans(['eth9'], {
      up: () => resolve(),
      down: () => {},
      received: () => {},
      trouble: (_, { message }) => void troubles.push(message),
    });
  });
  t.false(isTentative());
  t.deepEqual(troubles, []);
});

const watcher = fileURLToPath(new URL('./underlay-child.js', import.meta.url));

/** Processes called `ip` in our namespace. */
function ipProcesses(): string[] {
  const ours = readlinkSync('/proc/thread-self/ns/net');
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readText(pid, 'comm') === 'ip\n' && readlinkSync(`/proc/${pid}/ns/net`) === ours;
    } catch {
      return false; // it ended while we looked
    }
  });
}

function readText(pid: string, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8');
}

async function within10Seconds(isSo: () => boolean): Promise<boolean> {
  const deadline = performance.now() + 10_000;
  while (!isSo() && performance.now() < deadline) await setImmediate();
  return isSo();
}

serial('whether it stops in order or is killed, a watching daemon leaves no process behind', async (t) => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const child = spawn(process.execPath, [watcher], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    t.true(await within10Seconds(() => ipProcesses().length === 1));
    child.kill(signal);
    await once(child, 'close');
    t.true(await within10Seconds(() => ipProcesses().length === 0));
  }
});

function sorted(entries: object): object {
  return Object.fromEntries(Object.entries(entries).map(([kind, lines]) => [kind, [...lines].sort()]));
}

serial(
  'streams carry the mark of the tunnels at both ends, plain and in TLS, from the first packet to the last',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-mark-'));
    const plane = createSocket('udp4').bind(0, '127.0.0.1');
    await once(plane, 'listening');
    const tcpPort = 16_696;
    const refused: string[] = [];
    const mark = new StreamMark(({ code }) => refused.push(code));
    const bridge = new TcpBridge(plane.address().port, '127.0.0.1', mark);
    t.is(await bridge.listen(tcpPort, '127.0.0.1'), undefined);
    const listener = new TlsListener({
      listen: { address: '127.0.0.1', port: 0 },
      files: writeCertificate(folder, makeCertificate('one.example.net')),
      mark,
      accept: (socket) => bridge.accept(socket, 'tls'),
      changed: () => {},
    });
    await listener.look();
    t.teardown(() => {
      listener.close();
      bridge.close();
      plane.close();
      rmSync(folder, { recursive: true });
      nft('delete table inet marks');
    });
    nft(`table inet marks { chain out { type filter hook output priority 0;
    meta l4proto tcp meta mark ${outerMark} counter comment "marked"
    meta l4proto tcp meta mark != ${outerMark} counter comment "bare"
  }
  }`);
    const ends = [
      { kind: 'tcp', endpoint: { address: '127.0.0.1', port: tcpPort } },
      { kind: 'tls', endpoint: { address: '127.0.0.1', port: listener.served!.port, name: undefined } },
    ] as const;
    for (const end of ends) {
      const before = counted('marked');
      t.is(typeof (await bridge.connect(end)), 'object', end.kind);
      t.true(counted('marked') >= before + 3, `${end.kind}: SYN, SYN ACK, ACK`);
      t.is(counted('bare'), 0, end.kind);
    }
    t.deepEqual(refused, []);
  },
);

serial('29: no packet of a tunnel enters the overlay that has the best route to its other end', async (t) => {
  makeWire(t, 'lan9');
  ip('link', 'set', 'lan9', 'up');
  ip('addr', 'add', '10.9.0.1/24', 'dev', 'lan9');
  ip('-6', 'addr', 'add', '2001:db8:9::1/64', 'dev', 'lan9', 'nodad');
  for (const router of ['10.9.0.254', '2001:db8:9::fe']) {
    ip('neigh', 'add', router, 'lladdr', '02:00:00:00:00:09', 'dev', 'lan9');
    ip(router.includes(':') ? '-6' : '-4', 'route', 'add', 'default', 'via', router);
  }
  const plane = await openLinuxPlane({ tunName: 'weft0', port: 16_696, ipv6: true });
  const host = new Host('weft0');
  const [bare4, bare6] = [createSocket('udp4'), createSocket('udp6')];
  const streams: Socket[] = [];
  t.teardown(async () => {
    for (const socket of [bare4, bare6]) socket.close();
    for (const stream of streams) stream.destroy();
    await host.remove();
    await plane.stop();
    nft('delete table inet marks');
  });
  const lans = ['192.0.2.0/24', '2001:db8:7::/48'].map((text) => ({
    prefix: parsePrefix(text)!,
    via: 'overlay' as const,
  }));
  await host.apply({ ...first, lans });
  const ends = [
    { link: 1, family: 'ip', address: '192.0.2.9', bare: bare4 },
    { link: 2, family: 'ip6', address: '2001:db8:7::9', bare: bare6 },
  ] as const;
  const kinds = ['udp sport 16696', 'udp sport != 16696', 'meta l4proto tcp'];
  const rules = ends.flatMap(({ family, address }) => [
    `${family} daddr ${address} oifname weft0 counter comment "${family} overlay"`,
    ...kinds.map((kind, i) => `${family} daddr ${address} oifname lan9 ${kind} counter comment "${family} ${i}"`),
  ]);
  nft(`table inet marks { chain out { type filter hook output priority 0; ${rules.join('\n')}\n}\n}`);
  const key = () => new SharedArrayBuffer(32);
  for (const { link, family, address, bare } of ends) {
    const endpoint = { address, port: 16_696 };
    const path = { kind: 'direct', endpoint } as const;
    await new Promise((resolve) => bare.send('x', endpoint.port, address, resolve));
    t.is(counted(`${family} overlay`), 1, `${address}: what is not of a tunnel goes into the overlay`);
    for (const fresh of [false, true]) {
      plane.command({ kind: 'sendDatagram', to: path, bytes: new Uint8Array(64), fresh });
    }
    plane.command({ kind: 'openLink', link, node: 100 + link, carriage: path });
    plane.command({
      kind: 'installSession',
      session: {
        ...{
          link,
          cipher: 'aes-256-gcm',
          localIndex: 6 * link,
          localLanes: 6,
          remoteIndex: 6 * link,
          remoteLanes: 6,
        },
        ...{ sendKey: key(), receiveKey: key(), role: 'initiator' },
      },
    });
    const stream = new StreamMark().socket(address).on('error', () => {});
    streams.push(stream.connect(443, address));
    await until(
      `${address}: handshakes and probes, a dial-back, a SYN leave`,
      () => kinds.map((_, i) => counted(`${family} ${i}`)),
      ([packets, dialBacks, streams]) => packets! >= 2 && dialBacks! >= 1 && streams! >= 1,
      10_000,
    );
    t.is(counted(`${family} overlay`), 1, `${address}: and none into the overlay`);
  }
});

function nft(rules: string): void {
  const { stderr, status } = spawnSync('nft', ['-f', '-'], { input: `${rules}\n`, env: systemEnv });
  if (status !== 0) throw new Error(`nft: ${stderr}`);
}

/** How many packets the rule with this comment has counted. */
function counted(comment: string): number {
  const { stdout } = spawnSync('nft', ['list', 'table', 'inet', 'marks'], { env: systemEnv });
  return Number(
    new RegExp(`packets (\\d+) bytes \\d+ comment "${comment}"`).exec(stdout.toString())?.[1] ?? Number.NaN,
  );
}
