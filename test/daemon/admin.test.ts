import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { adminClient } from '../../daemon/admin-client.js';
import { AdminServer } from '../../daemon/admin-server.js';
import type { NodeApi, PingReply } from '../../daemon/api.js';
import { createLog, type Log } from '../../daemon/log.js';
import { MeshError } from '../../src/errors.js';
import { fakeNode, wellStatus } from './fake-node.js';

const quiet: Log = createLog({ level: 'error', pretty: false, write: () => {} });

function socketIn(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-admin-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'run', 'weft.sock');
}

async function serving(t: ExecutionContext, api: NodeApi, log = quiet): Promise<string> {
  const socket = socketIn(t);
  const server = await AdminServer.listen(socket, api, log);
  t.teardown(() => server.close());
  return socket;
}

/** Sends octets as they are and returns all that comes back. */
function raw(socket: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(socket, () => connection.write(text));
    let answer = '';
    connection.setEncoding('utf8');
    connection.on('data', (chunk) => {
      answer += chunk;
    });
    connection.on('close', () => resolve(answer));
    connection.on('error', reject);
  });
}

test('a call crosses the socket and its answer comes back', async (t) => {
  const client = adminClient(await serving(t, fakeNode()));
  t.deepEqual(await client.status(), wellStatus);
  t.deepEqual(
    (await client.routes({ target: 'garden' })).map((row) => row.prefix),
    ['192.168.7.0/24'],
  );
});

test('an operator mistake keeps its code, message and cure', async (t) => {
  const client = adminClient(await serving(t, fakeNode()));
  const error = await t.throwsAsync(async () => client.join({ token: 'nonsense' }), { instanceOf: MeshError });
  t.deepEqual([error.code, error.message, error.cure], ['token-malformed', 'this is no token', 'copy the whole token']);
});

test('a bug behind the socket is logged, answered without detail, and the server lives on', async (t) => {
  const lines: string[] = [];
  const log = createLog({ level: 'error', pretty: false, write: (line) => lines.push(line) });
  const broken = fakeNode({
    peers: () => {
      throw new TypeError('undefined is not a peer');
    },
  });
  const client = adminClient(await serving(t, broken, log));
  const error = await t.throwsAsync(async () => client.peers(), { instanceOf: MeshError });
  t.is(error.code, 'internal');
  t.notRegex(error.message, /undefined/);
  t.regex(lines.join(''), /undefined is not a peer/);
  t.deepEqual(await client.status(), wellStatus);
});

test('a stream hands over its items and ends', async (t) => {
  const client = adminClient(await serving(t, fakeNode()));
  const replies: PingReply[] = [];
  await client.ping({ target: 'garden', count: 3 }, (reply) => replies.push(reply), new AbortController().signal);
  t.deepEqual(
    replies.map((reply) => reply.rttMs),
    [11, null, 13],
  );
});

test('a client that goes away ends the work done for it', async (t) => {
  let ended = () => {};
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const api = fakeNode({
    events: (_options, emit, signal) => {
      emit({ at: '', kind: 'tunnel-up', message: '', node: null });
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          ended();
          resolve();
        });
      });
    },
  });
  const client = adminClient(await serving(t, api));
  const stop = new AbortController();
  await client.events({}, () => stop.abort(), stop.signal);
  await over;
  t.pass();
});

test('without a daemon the client says so and how to start one', async (t) => {
  const error = await t.throwsAsync(async () => adminClient(socketIn(t)).status(), { instanceOf: MeshError });
  t.is(error.code, 'no-daemon');
  t.regex(error.cure, /systemctl start weft/);
});

test('a daemon that stops in the middle is named', async (t) => {
  const socket = socketIn(t);
  const server = await AdminServer.listen(socket, fakeNode({ status: () => new Promise(() => {}) }), quiet);
  const asked = t.throwsAsync(async () => adminClient(socket).status(), { instanceOf: MeshError });
  const asking = adminClient(socket);
  await asking.peers();
  await server.close();
  t.is((await asked).code, 'daemon-gone');
});

test('a second daemon on a live socket is refused; a dead socket is replaced', async (t) => {
  const socket = await serving(t, fakeNode());
  const error = await t.throwsAsync(AdminServer.listen(socket, fakeNode(), quiet), { instanceOf: MeshError });
  t.is(error.code, 'socket-in-use');

  const stale = socketIn(t);
  const first = await AdminServer.listen(stale, fakeNode(), quiet);
  await first.close();
  writeFileSync(stale, '');
  const second = await AdminServer.listen(stale, fakeNode(), quiet);
  t.teardown(() => second.close());
  t.deepEqual(await adminClient(stale).status(), wellStatus);
});

test('the socket is for its owner and group only', async (t) => {
  const socket = await serving(t, fakeNode());
  t.is(statSync(socket).mode & 0o777, 0o660);
  t.is(statSync(join(socket, '..')).mode & 0o007, 0);
});

for (const [what, request] of [
  ['no JSON', 'hello'],
  ['no object', '5'],
  ['null', 'null'],
  ['an unknown method', '{"method":"format"}'],
  ['a name every object has', '{"method":"constructor"}'],
  ['options that are a list', '{"method":"status","options":[]}'],
] as const) {
  test(`a request that is ${what} is refused in words`, async (t) => {
    const answer = await raw(await serving(t, fakeNode()), `${request}\n`);
    t.is(JSON.parse(answer).error.code, 'bad-request');
  });
}

test('a request without end is cut off', async (t) => {
  const answer = await raw(await serving(t, fakeNode()), 'x'.repeat(100_000));
  t.is(JSON.parse(answer).error.code, 'request-too-long');
});
