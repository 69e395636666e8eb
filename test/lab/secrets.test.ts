import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { State } from '../../daemon/state.js';
import { host } from '../../lab/description.js';
import { allPairsPing } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { decodeInvitation } from '../../src/addr/invitation.js';
import { type CborValue, decodeCbor, encodeCbor } from '../../src/cbor.js';
import { type Secret, secretsIn } from '../helpers/secret-scan.js';

/*
 * Whatever a member can be made to say, at the most talkative log level, holds no secret: all commands as tables and as
 * JSON, live views, refusals, damaged state, a crash. `anna` founds and admits; every daemon notes its handshakes' keys
 * for the test.
 */
const { serial } = test;
const world = await World.build({ anna: host(), ben: host(), carl: host() });
test.after.always(() => world.remove());
const names = ['anna', 'ben', 'carl'];
const [anna, ben, carl] = names.map((name) => world.node(name)) as [WeftNode, WeftNode, WeftNode];
const config = '[port-mapping]\nenabled = false\n[log]\nlevel = "debug"\n[force]\nworkers = 1\n';

const phrase = 'correct horse battery staple';
const passphraseFile = join(world.folder, 'passphrase');
writeFileSync(passphraseFile, `${phrase}\n`, { mode: 0o600 });
const sealedBy = ['--passphrase-file', passphraseFile];

const recorder = join(import.meta.dirname, 'key-recorder.js');
const keysOf = (node: WeftNode) => join(world.folder, `${node.name}.keys`);
const recording = (node: WeftNode, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import=${recorder}`,
  WEFT_TEST_KEYS: keysOf(node),
  ...more,
});

/** All that was said so far, beside the logs of the running daemons. */
const said: string[] = [];
const say = async (output: Promise<{ readonly stdout: string; readonly stderr: string }>) => {
  const { stdout, stderr } = await output;
  said.push(stdout, stderr);
  return stdout + stderr;
};

/** The token that anna minted for nobody: it is still good. */
let token = '';

/** What must not be said: keys and tokens on the disk, the passphrase, and what handshakes agreed on. */
function secrets(): Secret[] {
  const all = [anna, ben, carl].flatMap((node) => {
    const blob = (name: string): { readonly [key: string]: CborValue } => {
      const file = join(node.state, `${name}.state`);
      if (!existsSync(file)) return {};
      const octets = readFileSync(file).subarray('weft state 1\n'.length + 32);
      return decodeCbor(new Uint8Array(octets), 1 << 20) as { readonly [key: string]: CborValue };
    };
    const tokens = (blob('issuer').tokens ?? []) as { readonly secret: Uint8Array }[];
    const derived = readFileSync(keysOf(node), 'latin1').trim().split('\n');
    const held: readonly (readonly [string, CborValue | undefined])[] = [
      ['signing key', blob('identity').key],
      ['agreement key', blob('identity').dh],
      ['network key', blob('network-key').key],
      ...tokens.map((each, i) => [`secret of token ${i}`, each.secret] as const),
      ...derived.map((hex, i) => [`derived key ${i}`, new Uint8Array(Buffer.from(hex, 'hex'))] as const),
    ];
    return held.flatMap(([name, octets]) =>
      octets instanceof Uint8Array ? [{ name: `${name} of ${node.name}`, octets }] : [],
    );
  });
  const invitation = decodeInvitation(token)!;
  return [
    ...all,
    { name: 'passphrase', octets: new Uint8Array(Buffer.from(phrase)) },
    { name: 'secret in the token', octets: invitation.secret },
    { name: 'token', octets: new Uint8Array(Buffer.from(token.slice('weft1'.length))) },
  ];
}

function everything(): string {
  return [...said, ...[anna, ben, carl].flatMap((node) => node.log())].join('\n');
}

/** Commands that show something, and what to ask them; live views end after a moment. */
const shown: readonly (readonly string[])[] = [
  ['status'],
  ['peers'],
  ['routes'],
  ['routes', 'ben'],
  ['why', 'ben'],
  ['doctor'],
  ['trace', 'ben'],
  ['ping', 'ben', '-c', '2', '-i', '100ms'],
  ['resolve', 'ben'],
  ['app', 'list'],
  ['issuer', 'list'],
  ['identity', 'export', '-', ...sealedBy],
  ['network-key', 'export', '-', ...sealedBy],
  ['config'],
];
const live = [['top'], ['log', '--level', 'debug'], ['events']];
/** Of these the tests run what can be refused; what an order of theirs says is in `orders`. */
const orders = ['init', 'invite', 'join', 'leave', 'grant', 'revoke', 'help'];

serial('no command is left out', async (t) => {
  await found();
  const { stdout } = await anna.run('--help');
  const listed = [...stdout.matchAll(/^ {2}([a-z-]+)(?= |$)/gm)].map(([, name]) => name!);
  t.true(listed.length > 20, listed.join());
  const asked = new Set([...shown, ...live].map(([name]) => name!).concat(orders));
  t.deepEqual(
    [...new Set(listed)].filter((name) => !name.startsWith('-') && !asked.has(name)),
    [],
  );
});

/** Daemons, a network of three, and a token nobody has used. */
async function found(): Promise<void> {
  await Promise.all([anna, ben, carl].map((node) => node.start({ config, env: recording(node) })));
  await anna.init();
  for (const node of [ben, carl]) await node.join(await anna.invite());
  await allPairsPing([anna, ben, carl], 15_000);
  token = await anna.invite();
}

serial('no table, no --json and no live view holds a secret', async (t) => {
  const watched = Promise.all(
    [anna, ben].flatMap((node) =>
      live.flatMap((words) => [words, [...words, '--json']].map((each) => say(node.watch(4000, ...each)))),
    ),
  );
  for (let i = 0; i < shown.length; i += 4) {
    const some = shown.slice(i, i + 4).flatMap((words) => [words, [...words, '--json']]);
    for (const text of await Promise.all(some.map((words) => say(anna.run(...words))))) t.not(text, '');
  }
  // While they look: a tunnel falls and comes back, a member is sent away.
  await ben.kill('SIGKILL');
  await ben.start({ env: recording(ben) });
  await say(anna.run('grant', 'carl', '--lan', '10.9.0.0/16'));
  await say(anna.run('app', 'add', 'talk'));
  await allPairsPing([anna, ben, carl], 15_000);
  await watched;
  const all = secrets();
  t.true(all.filter(({ name }) => name.startsWith('derived')).length > 50, `${all.length}`);
  for (const wanted of ['signing key of carl', 'network key of anna', 'secret of token 0 of anna', 'passphrase']) {
    t.true(
      all.some(({ name }) => name === wanted),
      wanted,
    );
  }
  t.true(everything().length > 5000, `${everything().length} characters`);
  t.deepEqual(secretsIn(everything(), all), []);
});

serial('no refusal holds a secret', async (t) => {
  const typo = token.slice(0, 30) + (token[30] === 'a' ? 'b' : 'a') + token.slice(31);
  const wrong = join(world.folder, 'wrong');
  writeFileSync(wrong, 'another passphrase\n', { mode: 0o600 });
  const file = join(world.folder, 'anna.identity');
  await anna.weft('identity', 'export', file, ...sealedBy);
  const refused: readonly (readonly [WeftNode, ...string[]])[] = [
    [ben, 'join', token],
    [ben, 'join', typo],
    [ben, 'join', token.slice(0, -9)],
    [ben, 'joln', token],
    [ben, 'join', token, token],
    [ben, 'init'],
    [ben, 'invite'],
    [ben, 'issuer', 'add', 'carl'],
    [anna, 'revoke', token],
    [anna, 'resolve', token],
    [anna, 'network-key', 'import', file, ...sealedBy],
    [anna, 'identity', 'import', file, ...sealedBy],
    [anna, 'network-key', 'import', file, '--passphrase-file', wrong],
  ];
  for (const [node, ...words] of refused) {
    for (const each of [words, [...words, '--json']]) {
      const { code, stdout, stderr } = await node.run(...each);
      t.not(code, 0, `${each.join(' ')}: ${stdout}`);
      said.push(stdout, stderr);
    }
  }
  t.deepEqual(secretsIn(everything(), secrets()), []);
});

serial('damaged state and a crash say no secret', async (t) => {
  const before = secrets();
  await carl.kill('SIGTERM');
  const starts = async (env: NodeJS.ProcessEnv = {}) => {
    const error = await t.throwsAsync(carl.start({ env: recording(carl, env) }));
    said.push(String(error), ...carl.log());
    return String(error);
  };
  for (const blob of ['identity', 'membership']) {
    const file = join(carl.state, `${blob}.state`);
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 20);
    t.regex(await starts(), /damaged or only half there/);
    writeFileSync(file, whole, { mode: 0o600 });
  }
  // Whole by its sum, and not what it should be: one key is cut short.
  const state = State.open(carl.state);
  const good = state.read('identity')!;
  const fields = decodeCbor(good, 1 << 20) as { [key: string]: CborValue };
  state.write('identity', encodeCbor({ ...fields, dh: (fields.dh as Uint8Array).subarray(0, 31) }));
  state.close();
  t.regex(await starts(), /identity\.state/);
  const mended = State.open(carl.state);
  mended.write('identity', good);
  mended.close();

  await carl.start({ env: recording(carl) });
  await carl.kill('SIGUSR2');
  t.regex(carl.log().join('\n'), /on purpose/, 'it says why');
  t.deepEqual(secretsIn(everything(), [...before, ...secrets()]), []);
});

serial('and a secret in a log would have been found', async (t) => {
  await carl.start({ env: recording(carl, { WEFT_TEST_LEAK: 'yes' }) });
  await until(
    'carl has made a key',
    () => carl.log().some((line) => line.includes('a careless line')),
    (is) => is,
    10_000,
  );
  // Of the same agreement others may have noted the same key.
  const found = secretsIn(everything(), secrets());
  t.true(found.length > 0);
  t.deepEqual(
    found.filter((name) => !name.startsWith('derived key')),
    [],
  );
});
