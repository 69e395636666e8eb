import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { carrier, home, host, line } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

function namespacesNamed(prefix: string): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith(prefix));
}

/** Names of the namespaces made by process `pid`. */
const namespacesOf = (pid: number) => namespacesNamed(`weft-${pid}-`);

const tenPlaces = {
  'dc-1': host(),
  'dc-2': host(),
  'dc-3': host(),
  upnp: home({ mapping: ['igd2', 'nat-pmp'] }),
  cone: home({ nat: 'endpoint-independent' }),
  symmetric: home({ nat: 'symmetric' }),
  flat: home({ members: ['anna', 'ben'] }),
  isp: carrier(),
  farm: home({ behind: 'isp' }),
  office: home({ nat: 'udp-blocked' }),
};

test.serial('ten places stand at once, are connected, and go without a trace', async (t) => {
  const started = performance.now();
  const world = await World.build(tenPlaces);
  const took = performance.now() - started;
  t.log(`built in ${Math.round(took)} ms`);
  // 140 ms on a calm machine; this one may be busy.
  t.true(took < 4000, `built in ${took} ms`);
  const ping = (from: string, to: string) =>
    world
      .host(from)
      .namespace.run(['ping', '-c1', '-W1', to])
      .then(({ code }) => code === 0);
  const at = (name: string) => world.host(name).address;
  t.true(await ping('dc-1', at('dc-2')));
  t.true(await ping('farm', at('dc-1')));
  t.true(await ping('office', at('dc-3')));
  t.true(await ping('anna', at('ben')));
  t.false(await ping('dc-1', at('anna')));
  const prefix = `${basename(world.folder)}-`;
  t.true(namespacesNamed(prefix).length > 10);
  world.remove();
  t.deepEqual(namespacesNamed(prefix), []);
  t.false(existsSync(world.folder));
});

test.serial('separated parties meet nowhere but elsewhere', async (t) => {
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), flat: home() });
  t.teardown(() => world.remove());
  const ping = (from: string, to: string) =>
    world
      .host(from)
      .namespace.run(['ping', '-c1', '-W1', world.host(to).address])
      .then(({ code }) => code === 0);
  await world.separate('flat', 'dc-1');
  t.false(await ping('flat', 'dc-1'));
  t.true(await ping('flat', 'dc-2'));
  await world.reunite('flat', 'dc-1');
  t.true(await ping('flat', 'dc-1'));
  await world.separate('flat', 'dc-1', 'udp');
  t.true(await ping('flat', 'dc-1'));
});

/** Asks for a NAT-PMP mapping (RFC 6886 §3.3); gives the external port. */
async function mapByNatPmp(world: World, name: string, port: number): Promise<number | undefined> {
  const socket = udpOn(world.host(name));
  const answer = new Promise<Buffer>((resolve) => socket.once('message', resolve));
  const request = Buffer.alloc(12);
  request[1] = 1; // map UDP
  request.writeUInt16BE(port, 4);
  request.writeUInt16BE(port, 6);
  request.writeUInt32BE(3600, 8);
  socket.send(request, 5351, '192.168.1.1');
  const reply = await Promise.race([answer, sleep(10_000, undefined, { ref: false })]);
  socket.close();
  return reply?.readUInt16BE(2) === 0 ? reply.readUInt16BE(10) : undefined;
}

test.serial('a home router maps by real miniupnpd, and a reboot with another address forgets it', async (t) => {
  const world = await World.build({ 'dc-1': host(), 'home-a': home({ mapping: ['nat-pmp'] }) });
  t.teardown(() => world.remove());
  const router = world.router('home-a');
  const inside = udpOn(world.host('home-a'), 16696);
  const outside = udpOn(world.host('dc-1'));
  const heard: string[] = [];
  inside.on('message', (message) => heard.push(message.toString()));
  const knock = async (text: string) => {
    outside.send(text, 16696, router.address);
    await sleep(100);
  };
  const knockHeard = async (text: string) => {
    await knock(text);
    await until(
      text,
      () => heard,
      (texts) => texts.includes(text),
      10_000,
    );
  };
  await knock('before the mapping');
  t.is(await mapByNatPmp(world, 'home-a', 16696), 16696);
  t.deepEqual(await router.gateway!.mappings(), [
    { protocol: 'udp', externalPort: 16696, address: '192.168.1.10', port: 16696 },
  ]);
  await knockHeard('mapped');
  // A connection that lives on both sides of the reboot must not keep its old address.
  const outerAddresses: string[] = [];
  outside.on('message', (_, { address }) => outerAddresses.push(address));
  const answer = async () => {
    const before = outerAddresses.length;
    inside.send('answer', outside.address().port, world.host('dc-1').address);
    await until(
      'the answer comes',
      () => outerAddresses.length,
      (count) => count > before,
      10_000,
    );
  };
  await answer();
  const before = router.address;
  await router.switchOff();
  await router.switchOn(before.replace(/\d+$/, '77'));
  await knock('after the reboot');
  t.deepEqual(await router.gateway!.mappings(), []);
  t.is(await mapByNatPmp(world, 'home-a', 16696), 16696);
  await knockHeard('mapped again');
  await answer();
  t.deepEqual(outerAddresses, [before, router.address]);
  inside.close();
  outside.close();
  t.deepEqual(heard, ['mapped', 'mapped again']);
  t.not(router.address, before);
});

/** A process that builds a world, says so, and then does what `then` says. */
async function builder(then: string) {
  const path = (file: string) => join(import.meta.dirname, '../../lab', file);
  const script = `
    const { World } = await import('${path('world.js')}');
    const { host, home } = await import('${path('description.js')}');
    const world = await World.build({ 'dc-1': host({ wire: { delay: 1 } }), flat: home({ mapping: ['igd2'] }) });
    const sleeper = world.host('flat').namespace.spawn(['sleep', '1000']);
    console.log('built');
    setInterval(() => {}, 1000);
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  );
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return { child, ended };
}

test.serial('a world goes with its process: exception, Ctrl-C, SIGTERM', async (t) => {
  const thrown = await builder('throw new Error("on purpose")');
  t.is(await thrown.ended, 1);
  t.deepEqual(namespacesOf(thrown.child.pid!), []);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { child, ended } = await builder('');
    t.not(namespacesOf(child.pid!).length, 0);
    child.kill(signal);
    t.is(await ended, code);
    t.deepEqual(namespacesOf(child.pid!), []);
  }
});

test.serial('what a killed process left is removed by the next world', async (t) => {
  const { child, ended } = await builder('');
  child.kill('SIGKILL');
  await ended;
  t.not(namespacesOf(child.pid!).length, 0);
  const world = await World.build({ 'dc-1': host() });
  t.teardown(() => world.remove());
  t.deepEqual(namespacesOf(child.pid!), []);
  const left = readdirSync('/proc').filter((entry) => Number(entry) === child.pid);
  t.deepEqual(left, []);
});

test.serial('a command that must succeed says how it ended and what it said', async (t) => {
  const world = await World.build({ 'dc-1': host() });
  t.teardown(() => world.remove());
  const { namespace } = world.host('dc-1');
  const fails = ['sh', '-c', 'echo a warning >&2; exit 3'];
  await t.throwsAsync(namespace.must(fails), { message: /exit 3: a warning/ });
  await t.throwsAsync(namespace.must(['sleep', '10'], { timeout: 50 }), { message: /it was killed/ });
});

test.serial('what cannot be built is refused by name', async (t) => {
  await t.throwsAsync(World.build({ 'Home A': host() }), { message: /no name/ });
  await t.throwsAsync(World.build({ flat: home({ members: ['anna'] }), anna: host() }), { message: /two machines/ });
  await t.throwsAsync(World.build({ farm: home({ behind: 'nobody' }) }), { message: /no carrier/ });
});

test.serial('a line joins two hosts that are not on the Internet, and only them', async (t) => {
  const world = await World.build({
    a: host({ online: false }),
    b: host({ online: false }),
    c: host(),
    'a-b': line('a', 'b'),
    'b-c': line('b', 'c', { delay: 0 }),
  });
  t.teardown(() => world.remove());
  const ping = (from: string, to: string) =>
    world
      .host(from)
      .namespace.run(['ping', '-c1', '-W1', to])
      .then(({ code }) => code === 0);
  t.deepEqual(world.host('b').addresses, ['11.128.0.2', '11.128.1.1']);
  t.true(await ping('a', '11.128.0.2'));
  t.true(await ping('b', '11.128.1.2'));
  t.false(await ping('a', world.host('c').address));
  await world.wire('a-b').cut();
  t.false(await ping('a', '11.128.0.2'));
});

test.serial('public IPv6 is end to end, but homes let only answers in', async (t) => {
  const world = await World.build({ 'dc-1': host({ ipv6: true }), flat: home({ ipv6: true }), old: home() });
  t.teardown(() => world.remove());
  t.is(world.host('old').ipv6, undefined);
  const ping = (from: string, to: string) =>
    world
      .host(from)
      .namespace.run(['ping', '-c1', '-W1', to])
      .then(({ code }) => code === 0);
  const [dc, flat] = [world.host('dc-1'), world.host('flat')];
  t.true(await ping('flat', dc.ipv6!));
  t.false(await ping('dc-1', flat.ipv6!));
  const [here, there] = [udpOn(flat, 0, '::'), udpOn(dc, 4000, '::')];
  const seen = new Promise<string>((resolve) => there.once('message', (_, { address }) => resolve(address)));
  here.send('hello', 4000, dc.ipv6);
  t.is(await seen, flat.ipv6!);
  here.close();
  there.close();
});
