import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Membership } from '../../daemon/api.js';
import { type HostSpec, host } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import type { Output } from '../../lab/namespace.js';
import { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

/*
 * What an operator, a disk or a machine can get wrong: each gives one line that names the cause and the cure, exit 1, and
 * loses nothing (issue: Bad input). `lone` founds a network and is broken in every way; the others have a part each.
 */
const { serial } = test;
const unmapped = '[port-mapping]\nenabled = false\n';
/** One thread: nothing here depends on how many move packets, and some sixty daemons start. */
const config = `${unmapped}[force]\nworkers = 1\n`;
const machines: Record<string, HostSpec> = { lone: host(), off: host(), twin: host(), old: host(), early: host() };
const world = await World.build(machines, { cold: true });
test.after.always(() => world.remove());
const lone = world.node('lone');

const bin = (file: string) => join(import.meta.dirname, '../../bin', file);
const configFile = join(world.folder, 'plain.toml');
writeFileSync(configFile, config);

/** Runs weftd on the machine until it ends; `before` is a command that starts what follows it. */
function weftd(node: WeftNode, options: { readonly config?: string; readonly before?: readonly string[] } = {}) {
  const file = join(world.folder, `${node.name}.toml`);
  writeFileSync(file, options.config ?? config);
  const flags = ['--state', node.state, '--socket', join(world.folder, `${node.name}.sock`), '--config', file];
  const command = [...(options.before ?? []), process.execPath, bin('weftd.js'), ...flags];
  // One that is not refused would run for ever.
  return node.host.namespace.run(command, { timeout: 60_000 });
}

/** Exit 1, and the one line on standard error: "PROGRAM: cause; cure". */
function refused(t: ExecutionContext, output: Output, line: RegExp): void {
  const last = output.stderr.split('\n').filter((text) => text !== '' && !text.startsWith('{'));
  t.is(output.code, 1, output.stdout + output.stderr);
  t.is(last.length, 1, output.stderr);
  t.regex(last[0]!, /^weftd?: .+; .+$/);
  t.regex(last[0]!, line);
}

/** The node is what it was: it starts and is well. */
async function stillWell(t: ExecutionContext, node: WeftNode, before: Membership): Promise<void> {
  await node.start({ config });
  const { node: info, network } = await node.status();
  t.deepEqual({ node: info, network }, { node: before.node, network: before.network });
  await node.kill('SIGTERM');
}

let founded: Membership;

serial('tokens that are none, and commands where there is no network', async (t) => {
  refused(t, await lone.run('join', 'not-a-token', '--state', lone.state), /token.*; .*weft invite/);
  refused(t, await lone.run('invite', '--state', lone.state), /belongs to no network; found one with "weft init"/);
  await lone.start({ config });
  refused(t, await lone.run('join', 'weft1qqqqqqqqq'), /token.*; .*weft invite/);
  founded = await lone.init();
  const token = await lone.invite();
  const typo = token.slice(0, 20) + (token[20] === 'a' ? 'b' : 'a') + token.slice(21);
  const twin = world.node('twin');
  refused(t, await twin.run('join', typo, '--state', twin.state), /token.*; /);
  refused(t, await twin.run('join', token.slice(0, -7), '--state', twin.state), /token.*; /);
  t.is((await twin.run('status')).code, 2);
});

serial('a member is not made a member of another network by mistake', async (t) => {
  const other = world.node('early');
  await other.start({ config });
  // Founded, but the port is taken: that is a member all the same, not a machine on which another network may be founded.
  const held = udpOn(other.host, 16696);
  refused(t, await other.run('init'), /UDP port 16696 is in use; .*; then restart weftd/);
  held.close();
  refused(t, await other.run('init'), /UDP port 16696 is in use; .*; then restart weftd/);
  const { network: kept, health } = await other.status();
  t.true(health.some(({ code }) => code === 'port-in-use'));
  await other.kill('SIGTERM');
  await other.start({ config });
  const { network } = await other.status();
  t.is(network!.id, kept!.id);
  refused(
    t,
    await lone.run('join', await other.invite()),
    /a member of another network; leave it first \(weft leave\)/,
  );
  refused(t, await lone.run('join', await lone.invite()), /a member of that network; see it with: weft status/);
  refused(t, await lone.run('init'), /member of network .* already; leave it first/);
  t.not((await lone.status()).network!.id, network!.id);
  await other.kill('SIGTERM');
});

serial('a configuration that is wrong', async (t) => {
  await lone.kill('SIGTERM');
  refused(
    t,
    await weftd(lone, { config: 'lisen = "0.0.0.0:1"\n' }),
    /lone\.toml line 1: unknown key "lisen"; did you mean "listen"\?/,
  );
  refused(
    t,
    await weftd(lone, { config: '\n[tun]\nmtu = "big"\n' }),
    /lone\.toml line 3: bad value for "tun\.mtu"; it must be/,
  );
  refused(t, await weftd(lone, { config: 'listen = \n' }), /lone\.toml/);
  await stillWell(t, lone, founded);
});

serial('a port and a device that others hold', async (t) => {
  const socket = udpOn(lone.host, 16696);
  refused(t, await weftd(lone), /UDP port 16696 is in use; stop the other program .*or choose another port/);
  socket.close();
  await lone.host.namespace.must(['ip', 'link', 'add', 'weft7', 'type', 'veth', 'peer', 'far7']);
  refused(t, await weftd(lone, { config: `${config}[tun]\nname = "weft7"\n` }), /weft7 exists and is no TUN device; /);
  refused(
    t,
    await weftd(lone, { config: `listen = "11.99.99.99:16696"\n${config}` }),
    /does not have the address 11\.99\.99\.99; /,
  );
  // A TUN of the name that was made by hand, of one queue, is not refused: it is made anew.
  const { namespace } = lone.host;
  await namespace.must(['ip', 'link', 'del', 'weft0']);
  await namespace.must(['ip', 'tuntap', 'add', 'dev', 'weft0', 'mode', 'tun']);
  t.notRegex(await namespace.must(['ip', '-d', 'link', 'show', 'weft0']), /multi_queue/);
  await stillWell(t, lone, founded);
  t.regex(await namespace.must(['ip', '-d', 'link', 'show', 'weft0']), /multi_queue/);
});

serial('npm start where it cannot start: one line, and no network is founded', async (t) => {
  const state = join(world.folder, 'fresh');
  const where = ['--state', state, '--socket', join(world.folder, 'fresh.sock'), '--config', configFile];
  const start = [process.execPath, join(import.meta.dirname, '../../scripts/start.js')];
  const user = ['env', '--ignore-environment', 'HOME=/nonexistent', 'setpriv', '--reuid=65534', '--clear-groups', '--'];
  const { namespace } = lone.host;
  const socket = udpOn(lone.host, 16696);
  const taken = await namespace.run([...start, ...where], { timeout: 60_000 });
  socket.close();
  const plain = await namespace.run([...user, ...start]);
  t.regex(taken.stderr, /^weft: UDP port 16696 is in use; stop the other program [^;\n]*\n$/);
  t.is(
    plain.stderr,
    'weft: making a network device needs root; type the same as root, with sudo before it for instance\n',
  );
  for (const { code, stdout } of [taken, plain]) t.deepEqual({ code, stdout }, { code: 1, stdout: '' });
  t.false(existsSync(state));
});

serial('one address to listen at, and another number of workers than last time', async (t) => {
  const { address, namespace } = lone.host;
  await lone.start({ config: `listen = "${address}:16696"\n${config}` });
  t.regex(
    await namespace.must(['ss', '-lunH', 'sport = 16696']),
    new RegExp(` ${address.replaceAll('.', '\\.')}:16696 `),
  );
  await lone.kill('SIGKILL');
  await lone.start({ config: `${unmapped}[force]\nworkers = 2\n` });
  t.regex(await namespace.must(['ss', '-lunH', 'sport = 16696']), / 0\.0\.0\.0:16696 /);
  t.regex(await namespace.must(['ip', '-d', 'link', 'show', 'weft0']), /multi_queue/);
  t.is(await lone.address(), founded.node.address);
  await lone.kill('SIGTERM');
});

serial('no right to a TUN, and no TUN at all', async (t) => {
  const without = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--'];
  refused(t, await weftd(lone, { before: without }), /network device is not permitted; run as root/);
  const hidden = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
  refused(t, await weftd(lone, { before: hidden }), /\/dev\/net\/tun does not exist; load the module \(modprobe tun\)/);
  await stillWell(t, lone, founded);
});

serial('no IPv4', async (t) => {
  const { namespace, address } = lone.host;
  const before = await namespace.must(['ip', '-4', 'route', 'show', 'default']);
  await namespace.must(['ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
  refused(t, await weftd(lone), /no IPv4 address.*; connect it to a network/);
  await namespace.must(['ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
  await namespace.must(['ip', 'route', 'replace', ...before.trim().split(/\s+/)]);
  await stillWell(t, lone, founded);
});

serial('state that is half there, or that something stands in the way of', async (t) => {
  for (const blob of ['identity', 'membership', 'issuer', 'network-key', 'routing']) {
    const file = join(lone.state, `${blob}.state`);
    const whole = readFileSync(file);
    truncateSync(file, Math.floor(whole.length / 2));
    refused(t, await weftd(lone), new RegExp(`${blob}\\.state is damaged or only half there; put back a copy`));
    writeFileSync(file, whole, { mode: 0o600 });
  }
  const file = join(lone.state, 'membership.state');
  renameSync(file, `${file}.aside`);
  mkdirSync(file);
  refused(t, await weftd(lone), /cannot read .*membership\.state \(EISDIR\); check the disk/);
  renameSync(file, `${file}.folder`);
  renameSync(`${file}.aside`, file);
  // What a crash in the middle of a write leaves behind is cleared away.
  writeFileSync(join(lone.state, 'membership.state.new'), 'half');
  await stillWell(t, lone, founded);
  t.false(existsSync(join(lone.state, 'membership.state.new')));
});

serial('what belongs to another user', async (t) => {
  // As an ordinary user is: without the rights that let root read, enter and change what is not its own.
  const rights = ['dac_override', 'dac_read_search', 'fowner'].map((right) => `-${right}`).join(',');
  const plain = ['setpriv', `--bounding-set=${rights}`, `--inh-caps=${rights}`, '--'];
  const [nobody, root] = [65534, 0];
  const identity = join(lone.state, 'identity.state');
  const mine = /\(E(ACCES|PERM)\); run as the user who owns it, usually root \(sudo\)/;
  const cases: readonly (readonly [string, RegExp])[] = [
    [lone.state, /cannot (open|read) .*lone/],
    [identity, /cannot read .*identity\.state/],
  ];
  for (const [path, line] of cases) {
    chownSync(path, nobody, nobody);
    const output = await weftd(lone, { before: plain });
    refused(t, output, line);
    refused(t, output, mine);
    chownSync(path, root, root);
  }
  const locked = join(world.folder, 'locked.toml');
  writeFileSync(locked, config, { mode: 0o600 });
  chownSync(locked, nobody, nobody);
  const flags = ['--state', lone.state, '--config', locked];
  const { namespace } = lone.host;
  refused(
    t,
    await namespace.run([...plain, process.execPath, bin('weftd.js'), ...flags]),
    /cannot read .*locked\.toml.*; .*(sudo|permission)/,
  );
  await lone.start({ config });
  const socket = join(dirname(lone.state), 'sock');
  chownSync(socket, nobody, nobody);
  const weft = [...plain, process.execPath, bin('weft.js'), 'status', '--socket', socket];
  refused(t, await namespace.run(weft), /not allowed to use .*; use sudo, or join the group that owns the socket/);
  await lone.kill('SIGTERM');
  await stillWell(t, lone, founded);
});

serial('a damaged identity, and the way back that the message names', async (t) => {
  const twin = world.node('twin');
  await lone.start({ config });
  await twin.run('join', await lone.invite('--name', 'phoenix'), '--state', twin.state);
  await twin.start({ config });
  const address = await twin.address();
  await twin.kill('SIGTERM');
  const identity = join(twin.state, 'identity.state');
  truncateSync(identity, 60);
  const output = await weftd(twin);
  refused(t, output, /identity\.state is damaged .*; put back a copy of it, or begin anew with the same address: /);
  const [, aside] = /: \((cd .*)\), then/.exec(output.stderr)!;
  await twin.host.namespace.must(['sh', '-c', aside!]);
  const token = await lone.invite('--as', 'phoenix');
  const joined = await twin.run('join', token, '--state', twin.state);
  t.is(joined.code, 0, joined.stderr);
  await twin.start({ config });
  t.is(await twin.address(), address);
  await twin.weft('leave');
  await Promise.all([twin.kill('SIGTERM'), lone.kill('SIGTERM')]);
});

serial('a token for somewhere else than this machine’s network leads', async (t) => {
  await lone.start({ config });
  const token = await lone.invite();
  const { namespace } = world.host('early');
  const way = (await namespace.must(['ip', '-4', 'route', 'show', 'default'])).trim();
  await namespace.must(['ip', '-4', 'route', 'del', 'default']);
  const early = new WeftNode(world.host('early'), join(world.folder, 'nowhere'));
  refused(
    t,
    await early.run('join', token, '--state', early.state),
    /cannot send to UDP .* \(ENETUNREACH\); connect it to a network that leads there \("ip route get /,
  );
  await namespace.must(['ip', 'route', 'add', ...way.split(/\s+/)]);
  await lone.kill('SIGTERM');
});

serial('IPv6 switched off by sysctl is switched on where it is needed, and only there', async (t) => {
  const off = world.node('off');
  const { namespace } = off.host;
  await namespace.must(['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
  await off.start({ config });
  await off.init();
  const value = async (device: string) =>
    (await namespace.must(['sysctl', '-n', `net.ipv6.conf.${device}.disable_ipv6`])).trim();
  t.deepEqual(await Promise.all(['weft0', 'lo', 'eth0', 'all', 'default'].map(value)), ['0', '0', '1', '1', '1']);
  t.true(await off.pings(await off.address()));
  await off.kill('SIGTERM');
});

serial('two networks on one host keep out of each other’s way', async (t) => {
  const [twin, old] = [world.node('twin'), world.node('old')];
  await Promise.all([lone.start({ config }), old.start({ config }), twin.start({ config })]);
  await old.init();
  await twin.join(await lone.invite());
  // The same device, the same port, the same folder: each is refused.
  const second = new WeftNode(twin.host, join(world.folder, 'second'));
  await second.run('join', await old.invite(), '--state', second.state);
  refused(t, await weftd(second), /another process holds weft0; stop it .*tun\.name = "weft1"/);
  refused(t, await weftd(second, { config: `${config}[tun]\nname = "weft1"\n` }), /UDP port 16696 is in use/);
  refused(
    t,
    await weftd(twin, { config: `${config}[tun]\nname = "weft1"\n` }),
    /another weftd or weft command is using/,
  );

  await second.start({ within: 30_000, config: `listen = "0.0.0.0:16700"\n${config}[tun]\nname = "weft1"\n` });
  const pings = async () => [await twin.pings(await lone.address()), await twin.pings(await old.address())];
  for (let tries = 0; tries < 50 && !(await pings()).every(Boolean); tries++);
  t.deepEqual(await pings(), [true, true]);
  // One leaves, the other stays as it is.
  await second.weft('leave');
  t.true(await twin.pings(await lone.address()));
  t.false(await twin.pings(await old.address()));
  await Promise.all([twin.kill('SIGTERM'), old.kill('SIGTERM'), second.kill('SIGTERM')]);
});

/** Makes Date.now() of every Node process it is given to as an environment wrong by so many seconds. */
function wrongClock(seconds: number): NodeJS.ProcessEnv {
  const script = `const now=Date.now;Date.now=()=>now()+${seconds}*1000`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

const since1970 = -Math.floor(Date.now() / 1000) + 100;

serial('a clock in 1970 founds no network, and keeps nobody from joining one', async (t) => {
  const early = world.node('early');
  await early.start({ config });
  await early.weft('leave', '--force');
  await early.kill('SIGTERM');
  await early.start({ config, env: wrongClock(since1970) });
  refused(t, await early.run('init'), /clock of this machine says 1970-01-01; set it \(timedatectl/);
  await early.join(await lone.invite());
  for (let tries = 0; tries < 50 && !(await early.pings(await lone.address())); tries++);
  t.true(await early.pings(await lone.address()));
  t.deepEqual(
    (await early.status()).health.map(({ code, severity }) => ({ code, severity })),
    [{ code: 'clock', severity: 'error' }],
  );
  const { code, stdout } = await early.run('status');
  t.is(code, 1);
  t.regex(stdout, /the clock of this machine says 1970-01-01.*\n?.*timedatectl set-ntp true/);
});

serial('a clock an hour ahead, on the issuer or on the newcomer, changes nothing, and is told', async (t) => {
  const off = world.node('off');
  await off.start({ config, env: wrongClock(3600) });
  await off.weft('leave', '--force');
  await off.join(await lone.invite('--expires', '10m'));
  await until(
    'status tells the clock',
    async () => (await off.status()).health.find((line) => line.code === 'clock')?.message ?? '',
    (message) => /36\d\d s (ahead of|apart)/.test(message),
    20_000,
  );
  // Of two clocks nobody can tell which is wrong: no error, and no other exit, before there is a third
  // (docs/OPERATIONS.md).
  const { health, tunnels } = await off.status();
  const told = health.find((line) => line.code === 'clock');
  t.is(told?.severity, tunnels.up > 1 ? 'error' : 'warning');
  t.regex(told?.fix ?? '', /timedatectl set-ntp true/);
  await lone.kill('SIGTERM');
  await lone.start({ config, env: wrongClock(3600) });
  const twin = world.node('twin');
  await twin.start({ config });
  await twin.weft('leave');
  await twin.join(await lone.invite('--expires', '10m'));
  for (let tries = 0; tries < 50 && !(await twin.pings(await lone.address())); tries++);
  t.true(await twin.pings(await lone.address()));
  t.true(await off.pings(await lone.address()));
});
