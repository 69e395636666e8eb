import test from 'ava';
import type { NodeApi } from '../../daemon/api.js';
import { welcome } from '../../scripts/welcome.js';
import { MeshError } from '../../src/errors.js';
import { fakeNode, noNetworkStatus } from '../daemon/fake-node.js';

function noting(changes: Partial<NodeApi>): { readonly api: NodeApi; readonly did: string[] } {
  const did: string[] = [];
  const node = fakeNode(changes);
  return {
    did,
    api: {
      ...node,
      init: (options) => {
        did.push('init');
        return node.init(options);
      },
      join: (options) => {
        did.push('join');
        return node.join(options);
      },
    },
  };
}

const outside = { status: () => noNetworkStatus };

test('a machine without a network founds one; the line for the next machine has a real token', async (t) => {
  const { api, did } = noting(outside);
  t.is(
    await welcome(api, undefined),
    `weft: this machine is attic in network n4x2p6ra

  its address        fd5e:cd52:8401:7::1
  how it is          npx weft status
  another machine    npm start -- join TOKEN
                     good once, until 2026-11-23T12:00:00.000Z
  keep a copy        npx weft network-key export FILE   (then store FILE elsewhere)

Ctrl-C stops it; the address stays with this machine.
`,
  );
  t.deepEqual(did, ['init']);
});

test('with a token it joins', async (t) => {
  const { api, did } = noting(outside);
  t.regex(await welcome(api, 'TOKEN'), /fd5e:cd52:8401:7::1/);
  t.deepEqual(did, ['join']);
});

test('a member stays what it is, with and without a token', async (t) => {
  const { api, did } = noting({});
  await welcome(api, undefined);
  t.deepEqual(did, []);
  const refusing = (code: string) => ({
    join: () => {
      throw new MeshError(code, 'this machine is a member of another network', 'leave it first (weft leave)');
    },
  });
  const another = await welcome({ ...api, ...refusing('wrong-network') }, 'TOKEN');
  t.regex(another, /^weft: the token was not used: this machine is a member of another network; leave it first/);
  t.regex(another, /\nweft: this machine is attic in network/);
  t.regex(await welcome({ ...api, ...refusing('already-member') }, 'TOKEN'), /^weft: this machine is attic in network/);
});

test('a node that may not admit others says who can', async (t) => {
  const { api } = noting({
    invite: () => {
      throw new MeshError('not-issuer', 'this node is no issuer', 'ask attic: weft issuer add cellar');
    },
  });
  t.regex(await welcome(api, undefined), /another machine {4}no token from here: this node is no issuer; ask attic/);
});

test('what is wrong with the doors of the token is said below it', async (t) => {
  const { api } = noting({ invite: () => fakeNode().invite({ name: 'far' }) });
  t.regex(await welcome(api, undefined), /good once, until \S+\n {21}nobody gets in\n\n/);
});

test('a bad token is an error, not a new network', async (t) => {
  const { api, did } = noting(outside);
  const error = await t.throwsAsync(welcome(api, 'nonsense'), { instanceOf: MeshError });
  t.is(error.code, 'token-malformed');
  t.deepEqual(did, ['join']);
});
