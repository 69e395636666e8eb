import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Membership } from '../../daemon/api.js';
import { State } from '../../daemon/state.js';
import { host } from '../../lab/description.js';
import { allPairsPing, network } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { type CborValue, decodeCbor, encodeCbor } from '../../src/cbor.js';
import { second } from '../../src/time.js';

/* One network of machines with public addresses for all tests of this file, which build on one another. */
const { serial } = test;
const world = await World.build({ anna: host(), ben: host(), carl: host(), dora: host() }, { cold: true });
test.after.always(() => world.remove());
const names = ['anna', 'ben', 'carl', 'dora'];
const nodes = names.map((name) => world.node(name));
const [anna, ben, carl, dora] = nodes as [WeftNode, WeftNode, WeftNode, WeftNode];
test.before(() => network(world, names, '[port-mapping]\nenabled = false\n[force]\nworkers = 1\n'));

/** The passphrase for whatever is exported here, as a file. */
const passphraseFile = join(world.folder, 'passphrase');
writeFileSync(passphraseFile, 'correct horse battery\n', { mode: 0o600 });
const sealedBy = ['--passphrase-file', passphraseFile];

serial('force.no-warm-up: nobody rehearses packets over loopback', async (t) => {
  await allPairsPing(nodes, 10 * second);
  for (const node of nodes) t.is(await node.host.namespace.must(['ss', '-Hun', 'src', '127.0.0.1']), '');
});

serial('what a member set up in the kernel and somebody deletes is put back', async (t) => {
  const ip = (...words: readonly string[]) => anna.host.namespace.must(['ip', '-6', ...words]);
  const kept = async () => {
    const shown = [
      await ip('rule'),
      await ip('route', 'show', 'table', 'all', 'proto', '120'),
      await ip('addr', 'show', 'dev', 'lo'),
    ];
    return shown
      .join('')
      .split('\n')
      .filter((line) => /proto 120|metric 17000/.test(line))
      .sort()
      .join('\n');
  };
  const before = await kept();
  await ip('rule', 'del', 'pref', '17000');
  await ip('route', 'flush', 'table', 'all', 'proto', '120');
  await ip('addr', 'del', `${await anna.address()}/128`, 'dev', 'lo');
  const { took } = await until(
    'all is there again',
    kept,
    (now) => now === before,
    5 * second,
    () => anna.tail(),
  );
  t.log(`after ${Math.round(took)} ms`);
  t.true(await anna.pings(await ben.address()));
});

serial('a revoked node is out everywhere within 10 s, and stays out', async (t) => {
  const address = await dora.address();
  await anna.weft('revoke', 'dora');
  const revoked = performance.now();
  await until(
    'nobody has a tunnel or a route to dora',
    async () =>
      (await Promise.all([anna, ben, carl].map((node) => node.peer('dora')))).map((peer) => peer?.state ?? 'gone'),
    (states) => states.every((state) => state === 'gone' || state === 'unreachable'),
    10 * second,
  );
  await until(
    'dora has no tunnel',
    async () => (await dora.peers()).filter((peer) => peer.tunnel),
    (tunnels) => tunnels.length === 0,
    10 * second - (performance.now() - revoked),
  );
  t.true(performance.now() - revoked < 10 * second);
  await until(
    'dora says that it is revoked',
    async () => (await dora.status()).health.map((item) => item.code),
    (codes) => codes.includes('revoked'),
    10 * second,
    () => dora.tail(),
  );
  // It does not believe it: what it knows of revocations is gone from its disk, and it dials.
  await dora.kill('SIGKILL');
  const state = State.open(dora.state);
  const membership = decodeCbor(state.read('membership')!, 1 << 20) as { revocations: CborValue[] };
  membership.revocations = [];
  state.write('membership', encodeCbor(membership as unknown as CborValue));
  state.close();
  await anna.host.namespace.nft(`
    table inet watch {
      counter dialled { }
      chain in { type filter hook input priority 0; ip saddr ${dora.host.address} udp dport 16696 counter name dialled; }
    }`);
  await dora.start();
  await until(
    'dora dials anna again and again',
    () => anna.host.namespace.must(['nft', 'list', 'counter', 'inet', 'watch', 'dialled']),
    (text) => Number(/packets (\d+)/.exec(text)?.[1]) >= 2,
    30 * second,
    () => dora.tail(),
  );
  for (const node of [anna, ben, carl]) t.is((await node.peer('dora'))?.tunnel ?? null, null);
  t.false(await anna.pings(address));
  await anna.host.namespace.nft('delete table inet watch');
});

serial('a revoked machine leaves, and comes back with an invitation of its own', async (t) => {
  const old = await dora.address();
  await dora.weft('leave');
  t.is((await dora.status()).node, null);
  t.notRegex(await dora.host.namespace.must(['ip', '-6', 'addr', 'show', 'dev', 'lo']), new RegExp(old));
  t.notRegex(await dora.host.namespace.must(['ip', '-6', 'route', 'show', 'table', 'all']), /proto 120/);
  t.notRegex(await dora.host.namespace.must(['ip', 'link']), /weft0/);
  await dora.join(await anna.invite());
  t.not(await dora.address(), old);
  await allPairsPing(nodes, 10 * second);
});

serial('a new machine takes over the address of a lost one', async (t) => {
  const old = (await carl.status()).node!;
  const { node } = await (async (): Promise<Membership> => {
    const token = await anna.invite('--as', 'carl');
    await dora.weft('leave');
    return dora.weft('join', token);
  })();
  t.is(node.address, old.address);
  t.is(node.name, 'carl');
  t.not(node.id, old.id);
  await until(
    'the old key is out',
    async () => (await carl.status()).health.map((item) => item.code),
    (codes) => codes.includes('revoked'),
    10 * second,
    () => `${carl.tail()}\n${anna.tail()}`,
  );
  await allPairsPing([anna, ben, dora], 10 * second);
  t.is((await anna.peers()).filter((peer) => peer.name === 'carl').length, 1);
  await carl.weft('leave');
});

serial('an exported identity is the same node on another machine', async (t) => {
  const file = join(world.folder, 'ben.identity');
  const before = (await ben.status()).node!;
  await ben.weft('identity', 'export', file, ...sealedBy);
  await ben.kill('SIGKILL');
  const { node } = await carl.weft<Membership>('identity', 'import', file, ...sealedBy);
  t.deepEqual(node, before);
  await allPairsPing([anna, carl, dora], 10 * second);
});

serial('the network key is exported, removed, and brought back', async (t) => {
  const warned = async () => (await anna.status()).health.some((item) => item.code === 'network-key-not-exported');
  t.true(await warned());
  const file = join(world.folder, 'network.key');
  const early = await anna.run('network-key', 'remove');
  t.is(early.code, 1);
  t.regex(early.stderr, /only copy .*; .*weft network-key export FILE/);
  // An export that is not written is none: something is in the way of the file.
  t.is((await anna.run('network-key', 'export', world.folder, ...sealedBy)).code, 1);
  t.true(await warned());
  await anna.weft('network-key', 'export', file, ...sealedBy);
  t.false(await warned());
  await anna.weft('network-key', 'remove');
  t.false(existsSync(join(anna.state, 'network-key.state')));
  await anna.kill('SIGTERM');
  await anna.start();
  const refused = await anna.run('issuer', 'add', 'ben');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /the network key is not on this machine; .*weft network-key import FILE/);
  await anna.weft('network-key', 'import', file, ...sealedBy);
  await anna.weft('issuer', 'add', 'ben');
  t.false(await warned());
  t.notRegex(readFileSync(file, 'latin1'), /weft state/);
});
