import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { State } from '../../daemon/state.js';
import { home, host } from '../../lab/description.js';
import { allPairsPing, pairState } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { joinRace } from '../../lab/scenarios/join-race.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { decodeChain } from '../../src/addr/certificate-chain.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import { type CborValue, decodeCbor, encodeCbor } from '../../src/cbor.js';
import { JoinType } from '../../src/mesh/join-datagram.js';
import { second } from '../../src/time.js';

/*
 * One network for all tests of this file, which build on one another: `home-i` is behind a NAT that maps nothing and
 * becomes an issuer; the others have public addresses.
 */
const { serial } = test;
const world = await World.build({ 'home-i': home(), 'dc-1': host(), 'dc-2': host(), 'dc-3': host() }, { cold: true });
test.after.always(() => world.remove());
const [atHome, one, two, three] = ['home-i', 'dc-1', 'dc-2', 'dc-3'].map((name) => world.node(name)) as [
  WeftNode,
  WeftNode,
  WeftNode,
  WeftNode,
];

/** A blob of a node's state folder, decoded. */
function stored(node: WeftNode, blob: string): { readonly [key: string]: CborValue } {
  const headLength = 'weft state 1\n'.length + 32;
  const bytes = readFileSync(join(node.state, `${blob}.state`)).subarray(headLength);
  return decodeCbor(new Uint8Array(bytes), 1 << 20) as { readonly [key: string]: CborValue };
}

/** The one line on standard error, when the command was refused with exit 1. */
async function refusal(node: WeftNode, ...words: readonly string[]): Promise<string> {
  const { code, stderr, stdout } = await node.run(...words);
  if (code !== 1 || !/^weft: [^\n]+; [^\n]+\n$/.test(stderr)) {
    throw new Error(`weft ${words.join(' ')}: exit ${code}\n${stdout}${stderr}`);
  }
  return stderr;
}

serial('a newcomer joins an issuer behind a NAT through another member', async (t) => {
  await Promise.all([atHome, one, two, three].map((node) => node.start()));
  await one.init();
  await atHome.join(await one.invite());
  await one.weft('issuer', 'add', 'home-i');
  const { value: token } = await until(
    'the new issuer admits',
    () => atHome.invite(),
    () => true,
    10 * second,
  );
  const { node } = await two.join(token);
  await allPairsPing([atHome, one, two], 10 * second);
  await pairState(atHome, two, 'direct', 10 * second);
  t.not((await one.status()).node!.prefix, node.prefix);
});

serial('an issuer admits while the first one is dead, until it is revoked itself', async (t) => {
  // The door that is left leads on without the one that dies, and a token names it once its record has come.
  await pairState(atHome, two, 'direct', 10 * second);
  await one.kill('SIGKILL');
  const { value: invited } = await until(
    'a token names the door that is left',
    async () => {
      const token = await atHome.invite();
      return { token, doors: requireInvitation(token).members.map(({ endpoint }) => endpoint.address) };
    },
    ({ doors }) => doors.includes(two.host.address),
    10 * second,
  );
  await three.join(invited.token).catch(async (error) => {
    t.log(`the token names ${invited.doors.join(', ')}`);
    for (const node of [atHome, two, three]) t.log(`${node.tail()}\n${JSON.stringify((await node.status()).drops)}`);
    throw error;
  });
  await pairState(two, three, 'connected', 10 * second);
  await one.start();
  await pairState(one, three, 'connected', 15 * second);
  t.deepEqual(
    (await one.weft<{ name: string; revoked: boolean }[]>('issuer', 'list')).map(({ name, revoked }) => [
      name,
      revoked,
    ]),
    [
      ['dc-1', false],
      ['home-i', false],
    ],
  );
  await one.weft('issuer', 'revoke', 'home-i');
  const line = await until(
    'the revoked issuer may not invite',
    () => refusal(atHome, 'invite'),
    () => true,
    10 * second,
  );
  t.regex(line.value, /this node is no issuer; run it on an issuer: weft issuer list/);
  // Whom it admitted stays.
  await pairState(one, three, 'connected', 10 * second);
  t.true(await one.pings(await three.address()));
});

serial('of two machines with one token exactly one is admitted, round after round', async (t) => {
  for (let round = 0; round < 3; round++) {
    for (const node of [two, three]) if ((await node.status()).node) await node.api.leave({});
    const { told } = await joinRace(one, two, three);
    t.is(told.code, 'token-used');
    t.regex(told.message, /used by another machine/);
  }
});

serial(
  'the issuer dies between spending the token and answering: the newcomer asks again and gets the same certificate',
  async (t) => {
    for (const node of [two, three]) if ((await node.status()).node) await node.api.leave({});
    const token = await one.invite();
    await one.host.namespace.nft(`
    table inet silence {
      counter answers { }
      chain out { type filter hook output priority 0; udp sport 16696 @th,64,8 ${JoinType.transport} counter name answers drop; }
    }`);
    const joining = two.join(token);
    joining.catch(() => {}); // it is killed, or it succeeds by asking again: both are looked at below
    await until(
      'the token is spent and the answer lost',
      () => one.host.namespace.must(['nft', 'list', 'counter', 'inet', 'silence', 'answers']),
      (text) => /packets [1-9]/.test(text),
      10 * second,
    );
    await one.kill('SIGKILL');
    const spent = (stored(one, 'issuer').tokens as { certificate?: Uint8Array }[]).at(-1)!.certificate!;
    t.truthy(spent);
    // The newcomer crashes too: it has its keys on the disk, and no membership.
    await two.kill('SIGKILL');
    await joining.catch(() => {});
    await one.host.namespace.nft('delete table inet silence');
    await Promise.all([one.start(), two.start()]);
    t.is((await two.status()).node, null);
    await two.join(token);
    const chain = decodeChain(stored(two, 'membership').chain as Uint8Array)!;
    t.deepEqual(chain.node.bytes, new Uint8Array(spent));
    // Another machine does not get in with it.
    t.regex(await refusal(three, 'join', token), /the token was used by another machine; ask for another one/);
  },
);

serial('a token that has expired admits nobody', async (t) => {
  const token = await one.invite();
  await one.kill('SIGKILL');
  // Its owner's table says when it ends: an hour ago.
  const state = State.open(one.state);
  const table = decodeCbor(state.read('issuer')!, 1 << 20) as { tokens: { expires: number }[] };
  for (const each of table.tokens) each.expires = Math.floor(Date.now() / 1000) - 3600;
  state.write('issuer', encodeCbor(table as unknown as CborValue));
  state.close();
  await one.start();
  t.regex(await refusal(three, 'join', token), /the token has expired; ask for another one: weft invite/);
});
