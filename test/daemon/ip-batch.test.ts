import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { ipAttempt, ipJsonBatch } from '../../daemon/kernel/ip.js';
import { readUnderlay, type Underlay, watchUnderlay } from '../../daemon/kernel/underlay.js';
import { MeshError } from '../../src/errors.js';

/** A program called `ip` in front of the real one: what it does with commands on its standard input, and what it says as a monitor. */
function fakeIp(t: import('ava').ExecutionContext, batch: string, monitor = ':'): void {
  const folder = mkdtempSync(join(tmpdir(), 'weft-ip-'));
  const before = process.env.PATH;
  process.env.PATH = `${folder}${delimiter}${before}`;
  t.teardown(() => {
    process.env.PATH = before;
    rmSync(folder, { recursive: true });
  });
  const alone =
    'case "$*" in *"rule show") echo \'[{"priority":7}]\';; *monitor*) MONITOR; exec sleep 60;; esac'.replace(
      'MONITOR',
      monitor,
    );
  writeFileSync(join(folder, 'ip'), `#!/bin/sh\ncase "$*" in *-batch*) ${batch};; *) ${alone};; esac\n`);
  chmodSync(join(folder, 'ip'), 0o755);
}

test.serial('one process answers all commands, in their order, without what it filtered out', async (t) => {
  fakeIp(t, 'sed "s/.*/[{\\"asked\\":\\"&\\"},{}]/"');
  t.deepEqual(await ipJsonBatch('-6', ['rule show', 'link show']), [
    [{ asked: 'rule show' }],
    [{ asked: 'link show' }],
  ]);
});

test.serial('a version that prints nothing for an empty list is asked one by one', async (t) => {
  fakeIp(t, 'cat >/dev/null; echo \'[{"priority":7}]\'');
  t.deepEqual(await ipJsonBatch('-4', ['route show', 'rule show']), [[], [{ priority: 7 }]]);
});

test.serial('the command that was refused is named', async (t) => {
  fakeIp(t, 'cat >/dev/null; echo "Error: bad" >&2; echo "Command failed -:2" >&2; exit 1');
  const error = await t.throwsAsync(ipJsonBatch(undefined, ['addr show', 'route show']), { instanceOf: MeshError });
  t.regex(error.message, /refused "ip route show": bad/);
});

test.serial('of commands that are tried each one that was refused is named, with its own reason', async (t) => {
  const complaint =
    'Error: bad\\nmore of it\\nCommand failed -:1\\nRTNETLINK answers: No such process\\nCommand failed -:3\\n';
  fakeIp(t, `cat >/dev/null; printf '${complaint}' >&2; exit 1`);
  const refused = await ipAttempt('-4', ['route add a', 'route add b', 'route del c']);
  t.deepEqual(
    refused.map(({ command, problem }) => [command, problem.message]),
    [
      ['route add a', 'the kernel refused "ip route add a": bad'],
      ['route del c', 'the kernel refused "ip route del c": No such process'],
    ],
  );
});

test.serial('an ip that ends without naming a command has carried out none that we know of', async (t) => {
  fakeIp(t, 'cat >/dev/null; echo "Cannot open netlink socket: Operation not permitted" >&2; exit 255');
  const error = await t.throwsAsync(ipAttempt('-6', ['addr add a', 'addr add b']), { instanceOf: MeshError });
  t.like(error, { code: 'kernel-refused', cure: 'run as root, or give it CAP_NET_ADMIN' });
  t.regex(error.message, /Cannot open netlink socket/);
});

test.serial(
  'default routes are those of PPP too, of a router without an IPv4 address, and each way of several',
  async (t) => {
    const routes = [
      { dst: 'default', dev: 'wwan0', scope: 'link', metric: 700, flags: [] },
      { dst: 'default', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth2', metric: 5, flags: [] },
      {
        dst: 'default',
        nexthops: [
          { gateway: '192.168.1.1', dev: 'eth0', weight: 1, flags: [] },
          { gateway: '192.168.2.1', dev: 'eth1', weight: 5, flags: ['linkdown'] },
        ],
      },
      { dst: 'default', gateway: 'fd00::1', dev: 'weft0', metric: 1, flags: [] },
      { type: 'unreachable', dst: 'default', metric: 99, flags: [] },
    ];
    fakeIp(t, `cat >/dev/null; echo '[]'; echo '${JSON.stringify(routes)}'`);
    t.deepEqual((await readUnderlay((device) => device === 'weft0')).defaultRoutes, [
      { device: 'eth0', gateway: '192.168.1.1' },
      { device: 'eth1', gateway: '192.168.2.1' },
      { device: 'eth2', gateway: 'fe80::1' },
      { device: 'wwan0' },
    ]);
  },
);

test.serial('a look at the network that fails is repeated, not put off until the next change', async (t) => {
  fakeIp(t, '[ -e "$0.asked" ] && sed "s/.*/[]/" || { cat >"$0.asked"; echo "Error: busy" >&2; exit 1; }');
  t.timeout(60_000);
  const failures: unknown[] = [];
  const underlay = await new Promise<Underlay>((resolve) => {
    const stop = watchUnderlay(() => false, {
      changed: (seen) => {
        stop();
        resolve(seen);
      },
      ownTouched: () => {},
      routesChanged: () => {},
      failed: (error) => void failures.push(error),
      blind: () => t.fail('once is not for good'),
    });
  });
  t.deepEqual(underlay, { addresses: [], defaultRoutes: [] });
  t.regex(String(failures[0]), /busy/);
});

test.serial('a look at the network that fails again a second later is told as well', async (t) => {
  fakeIp(t, 'echo "Error: busy" >&2; exit 1');
  t.timeout(60_000);
  const failures: unknown[] = [];
  const begun = performance.now();
  await new Promise<void>((resolve) => {
    const stop = watchUnderlay(() => false, {
      changed: () => t.fail(),
      ownTouched: () => {},
      routesChanged: () => {},
      failed: (error) => void failures.push(error),
      blind: () => {
        stop();
        resolve();
      },
    });
  });
  t.is(failures.length, 1);
  t.true(performance.now() - begun > 900, 'not at the first failure');
});

/** What a watch is told, besides what is in the snapshot, when the monitor says this line. */
async function toldOf(t: import('ava').ExecutionContext, line: string): Promise<string> {
  // Another address at each look, so that each is told.
  const address = '{\\"local\\":\\"192.0.2.$n\\",\\"prefixlen\\":24,\\"scope\\":\\"global\\"}';
  const link = `{\\"ifname\\":\\"eth0\\",\\"flags\\":[\\"LOWER_UP\\"],\\"addr_info\\":[${address}]}`;
  const look = `cat >/dev/null; echo >>"$0.looks"; n=$(wc -l <"$0.looks"); echo "[${link}]"; echo '[]'`;
  fakeIp(t, look, `printf '%b\\n' '${line}'`);
  const told: string[] = [];
  let looks = 0;
  await new Promise<void>((resolve) => {
    const stop = watchUnderlay((device) => device === 'weft0', {
      changed: () => {
        if (++looks < 2) return;
        setImmediate(() => {
          stop();
          resolve();
        });
      },
      ownTouched: () => void told.push('ours'),
      routesChanged: () => void told.push('routes'),
      failed: (error) => t.fail(String(error)),
      blind: () => t.fail(),
    });
  });
  return told.join();
}

test.serial('of what happens in the kernel what may concern our routes, or those of others, is told', async (t) => {
  t.timeout(60_000);
  const lines = {
    'Deleted 10.10.0.0/16 via 192.168.10.12 dev eth0 table 21000 proto 120 onlink metric 1024 ': 'ours',
    'Deleted unreachable fd5e:cd52:8400::/40 dev lo proto 120 metric 17000 error -101 pref medium': 'ours',
    'Deleted 17000:\\tnot from all fwmark 0x77656674 lookup 17000 proto 120': 'ours',
    'Deleted 1: lo    inet6 fd5e:cd52:8401:7::1/128 metric 17000 scope global': 'ours',
    '2: eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default': 'ours',
    '7: weft0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1380 state UNKNOWN': 'ours',
    'netlink receive error No buffer space available (105)': 'ours,routes',
    '10.5.0.0/16 dev eth0 proto static scope link ': 'routes',
    'default via fe80::99 dev eth0 proto ra metric 100 pref medium': 'routes',
    'Deleted 10.30.0.0/16 via 192.168.10.1 dev eth0 proto bird metric 32': 'routes',
    'Deleted 2001:db8::/32 dev eth0 proto ra metric 1024 pref medium': 'routes',
    '10.10.0.0/16 via 192.168.10.12 dev eth0 table 21000 proto 120 onlink metric 1024': '',
    'unreachable fd5e:cd52:8400::/40 dev lo proto 120 metric 17000 pref medium': '',
    'local 192.0.2.1 dev eth0 table local proto kernel scope host src 192.0.2.1': '',
    '2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP': '',
  };
  for (const [line, told] of Object.entries(lines)) t.is(await toldOf(t, line), told, line);
});
