import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { AdminServer } from '../../daemon/admin-server.js';
import type { NodeApi } from '../../daemon/api.js';
import { createLog } from '../../daemon/log.js';
import { MeshError } from '../../src/errors.js';
import { fakeNode, fakePeers, fakeRoutes, noNetworkStatus, wellStatus } from '../daemon/fake-node.js';

const weft = fileURLToPath(new URL('../../bin/weft.js', import.meta.url));
const quiet = createLog({ level: 'error', pretty: false, write: () => {} });

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly complaint: string;
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A command line whose daemon is this node; without one, whose daemon does not run. */
async function commandLine(
  t: ExecutionContext,
  api: NodeApi | undefined = fakeNode(),
  folder = folderFor(t),
  more: Readonly<Record<string, string>> = {},
) {
  const socket = join(folder, 'weft.sock');
  if (api) {
    const server = await AdminServer.listen(socket, api, quiet);
    t.teardown(() => server.close());
  }
  const { COLUMNS: _, ...others } = process.env;
  const env = { ...others, WEFT_SOCKET: socket, WEFT_STATE: join(folder, 'state'), ...more };
  return (...args: string[]): Promise<Ran> =>
    new Promise((resolve) => {
      const child = execFile(process.execPath, [weft, ...args], { env }, (_error, out, complaint) =>
        resolve({ status: child.exitCode ?? -1, out, complaint }),
      );
      child.stdin!.end('TOKEN\n');
    });
}

async function noDaemon(t: ExecutionContext, folder = folderFor(t)) {
  const run = await commandLine(t, fakeNode({}), folder);
  return (...args: string[]) => run(...args, '--socket', join(folder, 'none.sock'));
}

test('status: the table', async (t) => {
  const { status, out } = await (await commandLine(t))('status');
  t.is(status, 0);
  t.is(
    out,
    `well

node       attic  fd5e:cd52:8401:7::1
id         k7qd2mfa, number 65543
network    n4x2p6ra  fd5e:cd52:8400::/40
running    1d 2h, version 0.1.0
device     weft0, mtu 1380, offload tcp+udp
cipher     aes-256-gcm
workers    2
endpoints  11.0.0.7:16696 upnp proven, 192.168.1.20:16696 local
router     mapped by upnp at 192.168.1.1: 11.0.0.7:16696 for 1h, over TCP too
tunnels    2 up of 3
routes     3 selected of 5

warning: the network key exists on this machine only
  weft network-key export FILE
`,
  );
});

test('status --json is the promise, field by field', async (t) => {
  const { out } = await (await commandLine(t))('status', '--json');
  const status = JSON.parse(out);
  t.deepEqual(status, wellStatus);
  const promised = {
    '': [
      'schema',
      'version',
      'uptimeSeconds',
      'node',
      'network',
      'tun',
      'cipher',
      'workers',
      'endpoints',
      'portMapping',
      'tunnels',
      'routes',
      'health',
    ],
    node: ['name', 'id', 'address', 'prefix', 'number'],
    network: ['id', 'prefix'],
    tun: ['name', 'mtu', 'offload'],
    portMapping: ['state', 'protocol', 'gateway', 'externalAddress', 'externalPort', 'leaseSeconds', 'reason'],
    tunnels: ['up', 'total'],
    routes: ['selected', 'total'],
  };
  for (const [name, fields] of Object.entries(promised)) {
    const part = name === '' ? status : status[name];
    for (const field of fields) t.true(Object.hasOwn(part, field), `${name}.${field}`);
  }
});

test('status: 1 without a network, 1 when something is wrong, 2 without a daemon', async (t) => {
  const outside = await (await commandLine(t, fakeNode({ status: () => noNetworkStatus })))('status');
  t.is(outside.status, 1);
  t.regex(outside.out, /^no network\n\nfound one: weft init\nor join: {3}weft join TOKEN\n$/);

  const health = [{ code: 'tun', severity: 'error', message: 'weft0 is gone', fix: 'restart weftd' }] as const;
  const ill = await (await commandLine(t, fakeNode({ status: () => ({ ...wellStatus, health }) })))('status');
  t.is(ill.status, 1);
  t.regex(ill.out, /^not well\n/);

  const none = await (await noDaemon(t))('status', '--json');
  t.is(none.status, 2);
  t.is(JSON.parse(none.out).error.code, 'no-daemon');
  t.regex(none.complaint, /^weft: no weftd answers at .*; start it .*\n$/);
});

test('peers: the table and the list', async (t) => {
  const run = await commandLine(t);
  t.is(
    (await run('peers')).out,
    `NAME    STATE    VIA         RTT  LOSS  ADDRESS              ENDPOINT         JITTER   MTU    SENT  RECEIVED    FOR  LAST ERROR
cellar  direct   -       12.3 ms   0 %  fd5e:cd52:8401:8::1  11.0.0.8:16696  0.40 ms  1472  123 MB     999 B  1h 6m
garden  relayed  cellar        -     -  fd5e:cd52:8401:9::1  -                     -     -       -         -      -  no answer to 5 handshakes
`,
  );
  t.deepEqual(JSON.parse((await run('peers', '--json')).out), fakePeers);
});

test('every table fits 80 columns where the terminal has no more', async (t) => {
  const run = await commandLine(t, fakeNode(), folderFor(t), { COLUMNS: '80' });
  const views = [['status'], ['peers'], ['routes'], ['why', 'garden'], ['issuer', 'list'], ['app', 'list'], ['doctor']];
  for (const words of [...views, ['trace', 'garden'], ['--help'], ['invite', '--help'], ['network-key', '--help']]) {
    const { out } = await run(...words);
    t.true(out.length > 40, words.join(' '));
    t.deepEqual(
      out.split('\n').filter((line) => line.length > 80),
      [],
      words.join(' '),
    );
  }
  t.regex((await run('peers')).out, /^garden .*\n {4}last error no answer to 5 handshakes\n$/m);
});

test('a token where something else was meant is not quoted', async (t) => {
  const run = await commandLine(t);
  const token = `weft1${'a7bq'.repeat(40)}`;
  for (const words of [[token], [`--${token}`], ['status', `--state=${token}`]]) {
    const { status, out, complaint } = await run(...words, '--json');
    t.is(status, 1, words.join(' '));
    t.notRegex(out + complaint, /a7bqa7bq/, words[0]);
    t.regex(complaint, /\[token\]/);
  }
});

test('a slip in a command is answered with what was meant, for programs too', async (t) => {
  const run = await commandLine(t);
  const slip = await run('stats', '--json');
  t.regex(slip.complaint, /^weft: unknown command 'stats'; did you mean "status"\? see weft --help.*\n$/);
  t.is(JSON.parse(slip.out).error.code, 'usage');
  const bare = await run('issuer', '--json');
  t.is(bare.status, 1);
  t.is(JSON.parse(bare.out).error.message, 'a command is missing');
  t.regex((await run('issuer')).complaint, /^Usage: weft issuer/);
});

test('an issuer whose key was stolen is ended with all it admitted', async (t) => {
  const asked: object[] = [];
  const row = { name: 'cellar', id: 'c2c2c2c2', prefix: 'fd5e:cd52:8402::/48', self: false, revoked: true };
  const issuerRevoke: NodeApi['issuerRevoke'] = (options) => {
    asked.push(options);
    return row;
  };
  const run = await commandLine(t, fakeNode({ issuerRevoke }));
  t.regex((await run('issuer', 'revoke', 'cellar')).out, /admits nobody any more; whom it admitted stays\n$/);
  t.regex((await run('issuer', 'revoke', 'cellar', '--stolen')).out, /whom it admitted is out\n$/);
  t.deepEqual(asked, [{ name: 'cellar' }, { name: 'cellar', stolen: true }]);
});

test('a peer cannot send escape sequences to the terminal', async (t) => {
  const nasty = { ...fakePeers[1]!, lastError: '\u001b[2Jgone\r\n' };
  const { out } = await (await commandLine(t, fakeNode({ peers: () => [nasty] })))('peers');
  t.false(out.includes('\u001b') || out.includes('\r'));
  t.regex(out, /\?\[2Jgone\?\?\n$/);
});

test('routes: all of them, or those of one target', async (t) => {
  const run = await commandLine(t);
  t.is(
    (await run('routes')).out,
    `   PREFIX                 NEXT HOP   METRIC  ORIGIN  FEASIBLE    AGE  EGRESS  SEQNO  ROUTER ID         NOT USED BECAUSE
*  fd5e:cd52:8401:7::/64  this node       0  attic   yes       1d 2h  -           7  0100070000000001
   192.168.7.0/24         cellar        312  garden  yes         12s  garden  65535  0100090000000001  nothing is heard from that neighbour at the moment
`,
  );
  t.deepEqual(JSON.parse((await run('routes', 'garden', '--json')).out), [fakeRoutes[1]]);
});

test('the socket and --json may stand before the command', async (t) => {
  const folder = folderFor(t);
  await commandLine(t, fakeNode(), folder);
  const elsewhere = await commandLine(t, fakeNode({ status: () => noNetworkStatus }));
  const { out, status } = await elsewhere('--socket', join(folder, 'weft.sock'), '--json', 'status');
  t.is(status, 0);
  t.deepEqual(JSON.parse(out), wellStatus);
});

test('why: the decision, the candidates, what would change it', async (t) => {
  t.is(
    (await (await commandLine(t))('why', 'garden')).out,
    `garden (fd5e:cd52:8401:9::1): goes through cellar: the only feasible route

   NEXT HOP  METRIC  FEASIBLE  HEARD  SEQNO  REASON
*  cellar       312  yes         12s      3  lowest metric

what would change it: a direct tunnel with a metric below 312
`,
  );
});

test('init says to keep a copy of the network key; --json has node and network', async (t) => {
  const run = await commandLine(t);
  t.regex(
    (await run('init')).out,
    /^attic is fd5e:cd52:8401:7::1 in network n4x2p6ra .*\n.*network-key export FILE\n.*weft invite\n$/,
  );
  const { schema, node, network } = JSON.parse((await run('init', '--json')).out);
  t.is(schema, 1);
  t.deepEqual([node, network], [wellStatus.node, wellStatus.network]);
});

test('invite hands its options over and prints the token', async (t) => {
  let asked: unknown;
  const api = fakeNode();
  const run = await commandLine(t, {
    ...api,
    invite: (options) => {
      asked = options;
      return api.invite(options);
    },
  });
  const args = [
    '--name',
    'cellar',
    '--expires',
    '90m',
    '--endpoint',
    'a:1',
    '--endpoint',
    'b:2',
    '--lan',
    '10.0.0.0/8',
  ];
  const { out } = await run('invite', ...args, '--json');
  t.deepEqual(asked, { name: 'cellar', expiresSeconds: 5400, endpoints: ['a:1', 'b:2'], lan: ['10.0.0.0/8'] });
  t.deepEqual(JSON.parse(out), {
    schema: 1,
    token: 'TOKEN',
    name: 'cellar',
    issuer: 'attic',
    expires: '2026-11-23T12:00:00.000Z',
    warning: null,
  });
  t.is((await run('invite')).out.split('\n')[0], 'TOKEN');
});

test('invite says on stderr when a token may lead nowhere, and to programs', async (t) => {
  const run = await commandLine(t);
  t.is((await run('invite')).complaint, '');
  const { out, complaint, status } = await run('invite', '--name', 'far');
  t.deepEqual([out.split('\n')[0], complaint, status], ['TOKEN', 'weft: nobody gets in\n', 0]);
  t.like(JSON.parse((await run('invite', '--name', 'far', '--json')).out), { warning: 'nobody gets in' });
});

test('join takes the token as an argument or from standard input', async (t) => {
  const run = await commandLine(t);
  t.is((await run('join', 'TOKEN')).status, 0);
  t.is((await run('join', '-')).status, 0);
});

test('an error is one line on stderr and exit 1; with --json it is told to programs too', async (t) => {
  const run = await commandLine(t);
  const plain = await run('join', 'nonsense');
  t.deepEqual(plain, { status: 1, out: '', complaint: 'weft: this is no token; copy the whole token\n' });
  const forPrograms = await run('join', 'nonsense', '--json');
  t.deepEqual(JSON.parse(forPrograms.out), {
    error: { code: 'token-malformed', message: 'this is no token', cure: 'copy the whole token' },
  });
  t.is(forPrograms.status, 1);
});

for (const args of [
  ['frobnicate'],
  ['issuer', 'frobnicate'],
  ['why'],
  ['status', '--loud'],
  ['invite', '--expires', 'soon'],
  ['ping', 'x', '-c', '0'],
]) {
  test(`a wrong use is one line that names the cure: weft ${args.join(' ')}`, async (t) => {
    const { status, out, complaint } = await (await commandLine(t))(...args);
    t.is(status, 1);
    t.is(out, '');
    t.regex(complaint, /^weft: [^\n]+; see weft --help, or weft COMMAND --help\n$/);
  });
}

test('without a daemon every command that needs one says so in the same words, with the cure', async (t) => {
  const folder = folderFor(t);
  const run = await noDaemon(t, folder);
  t.is((await run('init')).status, 0);
  const cause = `no weftd answers at ${join(folder, 'none.sock')}`;
  const cure = 'start it (systemctl start weft, or npm start in a clone), or name its socket with --socket';
  const asked = [['status'], ['peers'], ['routes'], ['why', 'x'], ['invite'], ['app', 'list'], ['resolve', 'x']];
  for (const args of [...asked, ['ping', 'x'], ['trace', 'x'], ['grant', 'x'], ['top'], ['log'], ['events']]) {
    const { status, complaint } = await run(...args);
    t.is(status, args[0] === 'status' ? 2 : 1);
    t.is(complaint, `weft: ${cause}; ${cure}\n`, args[0]);
  }
});

test('a key is exported into a new file of its owner only, and never over another', async (t) => {
  const folder = folderFor(t);
  const kept: string[] = [];
  const networkKeyKept: NodeApi['networkKeyKept'] = ({ sealed }) => {
    kept.push(sealed);
    return { id: 'n4x2p6ra', prefix: 'fd5e:cd52:8400::/40' };
  };
  const run = await commandLine(t, fakeNode({ networkKeyKept }), folder);
  const passphrase = join(folder, 'passphrase');
  writeFileSync(passphrase, 'correct horse\n');
  const file = join(folder, 'key');
  const exported = await run('network-key', 'export', file, '--passphrase-file', passphrase, '--json');
  t.deepEqual(JSON.parse(exported.out), { schema: 1, file });
  t.is(readFileSync(file, 'utf8'), 'sealed 13\n');
  t.is(statSync(file).mode & 0o777, 0o600);
  const again = await run('network-key', 'export', file, '--passphrase-file', passphrase);
  t.is(again.status, 1);
  t.regex(again.complaint, /key is there already; .*never written over/);
  t.deepEqual(kept, ['sealed 13'], 'what was read back counts as exported, and nothing that was not written');
  const printed = await run('network-key', 'export', '-', '--passphrase-file', passphrase);
  t.is(printed.out, 'sealed 13\n');
  t.is(kept.length, 2);
  t.regex((await run('network-key', 'remove')).out, /no longer on this machine/);
  t.is((await run('network-key', 'import', file, '--passphrase-file', passphrase)).status, 0);
  t.regex((await run('identity', 'export', join(folder, 'other'))).complaint, /no terminal .*--passphrase-file/);
});

test('a network key is never written over: not by the next network, and not by leaving it', async (t) => {
  const folder = folderFor(t);
  const state = join(folder, 'state');
  const socket = join(folder, 'none.sock');
  const run = await commandLine(t, fakeNode(), folder);
  const atRest = (...words: string[]) => run(...words, '--state', state, '--socket', socket);
  t.is((await atRest('init')).status, 0);
  const key = readFileSync(join(state, 'network-key.state'));
  // As the operator is told to do with a membership that is damaged.
  rmSync(join(state, 'membership.state'));
  t.is((await atRest('init')).status, 0);
  t.notDeepEqual(readFileSync(join(state, 'network-key.state')), key);
  const kept = () => readdirSync(state).filter((name) => name.startsWith('network-key-'));
  t.is(kept().length, 1);
  t.deepEqual(readFileSync(join(state, kept()[0]!)), key);
  t.is(statSync(join(state, kept()[0]!)).mode & 0o777, 0o600);
  // Brought back with its membership gone for good, it is no key of the second network.
  writeFileSync(join(state, 'network-key.state'), key, { mode: 0o600 });
  const refused = await atRest('network-key', 'remove');
  t.regex(refused.complaint, /the network key is not on this machine/);
});

test('apps, names, issuers and revocation', async (t) => {
  const run = await commandLine(t);
  t.is((await run('app', 'add', 'web')).out, 'fd5e:cd52:8401:7:9b0c:1:2:3\n');
  t.deepEqual(JSON.parse((await run('app', 'add', 'web', '--json')).out), {
    schema: 1,
    name: 'web',
    address: 'fd5e:cd52:8401:7:9b0c:1:2:3',
  });
  t.deepEqual(
    JSON.parse((await run('app', 'list', '--json')).out).map((app: { name: string }) => app.name),
    ['web', 'db'],
  );
  t.is((await run('resolve', 'web@garden')).out, 'fd5e:cd52:8401:9::1\n');
  t.is(
    (await run('issuer', 'list')).out,
    'NAME   PREFIX               STATE      ID\nattic  fd5e:cd52:8401::/48  this node  k7qd2mfa\n',
  );
  const granted = await run('grant', 'garden', '--lan', '10.0.0.0/8', '--lan', '2001:db8::/48');
  t.is(granted.out, 'garden may announce 10.0.0.0/8, 2001:db8::/48\n');
  t.is((await run('grant', 'garden')).out, 'garden may announce no LAN prefix\n');
  t.is((await run('revoke', 'garden')).out, 'garden (d3d3d3d3) is out\n');
});

test('ping: each reply, then the sum; exit 1 when none came back', async (t) => {
  const run = await commandLine(t);
  t.is(
    (await run('ping', 'garden', '-c', '3')).out,
    `1: fd5e:cd52:8401:9::1 11.0 ms via cellar
2: no answer
3: fd5e:cd52:8401:9::1 13.0 ms via cellar
2 of 3 answered (33.3 % lost); 11.0 ms / 12.0 ms / 13.0 ms
`,
  );
  const deaf = fakeNode({
    ping: async (_options, emit) => emit({ sequence: 1, address: 'fd5e::1', rttMs: null, via: null }),
  });
  const lost = await (await commandLine(t, deaf))('ping', 'garden', '--json');
  t.is(lost.status, 1);
  const { sent, received, rttMs } = JSON.parse(lost.out);
  t.deepEqual([sent, received, rttMs], [1, 0, null]);
});

test('trace and doctor', async (t) => {
  const run = await commandLine(t);
  t.is(
    (await run('trace', 'garden')).out,
    `HOP  NAME    ADDRESS                  RTT  ENDPOINT
  1  cellar  fd5e:cd52:8401:8::1  12.3 ms  11.0.0.8:16696
  2  garden  fd5e:cd52:8401:9::1        -  -
`,
  );
  t.is(
    (await run('doctor')).out,
    `ok       TUN device: weft0 is up
warning  clock: an hour ahead of the issuers
         -> switch on time synchronisation
            timedatectl set-ntp true
`,
  );
});

test('a live view ends when the node ends it', async (t) => {
  const api = fakeNode({
    events: async (_options, emit) =>
      emit({ at: '2026-11-22T12:00:00.000Z', kind: 'tunnel-up', message: 'tunnel to cellar is up', node: 'cellar' }),
    log: async (_options, emit) => emit({ level: 'info', msg: 'tunnel up' }),
  });
  const run = await commandLine(t, api);
  t.is((await run('events')).out, '2026-11-22T12:00:00.000Z tunnel-up cellar: tunnel to cellar is up\n');
  t.is((await run('log')).out, '{"level":"info","msg":"tunnel up"}\n');
});

test('a failing daemon is told in one line', async (t) => {
  const api = fakeNode({
    peers: () => {
      throw new MeshError('no-network', 'this machine belongs to no network', 'weft init, or weft join TOKEN');
    },
  });
  const { status, complaint } = await (await commandLine(t, api))('peers');
  t.is(status, 1);
  t.is(complaint, 'weft: this machine belongs to no network; weft init, or weft join TOKEN\n');
});
