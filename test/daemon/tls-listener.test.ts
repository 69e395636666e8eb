import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { StreamMark } from '../../daemon/stream-mark.js';
import { TcpBridge } from '../../daemon/tcp-bridge.js';
import { TlsListener } from '../../daemon/tls-listener.js';
import { until } from '../../lab/until.js';
import type { MeshError } from '../../src/errors.js';
import { bindForBoth } from '../helpers/port-for-both.js';
import { stranger } from '../helpers/stranger.js';
import { makeCertificate, writeCertificate } from '../helpers/tls-certificate.js';

const here = '127.0.0.1';
/** For what is a matter of milliseconds, and for the 5 s of a handshake, on a machine that has other things to do. */
const patience = 20_000;

async function plane(t: ExecutionContext, answers: boolean) {
  const socket = createSocket('udp4');
  const heard: string[] = [];
  socket.on('message', (bytes, from) => {
    heard.push(bytes.toString());
    if (answers) socket.send(Buffer.from(`${bytes} back`), from.port, from.address);
  });
  const port = await bindForBoth(socket, here);
  t.teardown(() => socket.close());
  return { socket, heard, port };
}

/** A node's listener on a free port, its streams bridged to a plane. */
async function listening(
  t: ExecutionContext,
  options: { readonly lookPause?: number; readonly name?: string; readonly mark?: StreamMark } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
  const files = writeCertificate(folder, makeCertificate(options.name ?? 'one.example.net'));
  const far = await plane(t, true);
  const bridge = new TcpBridge(far.port);
  let changes = 0;
  const listener = new TlsListener({
    listen: { address: here, port: 0 },
    files,
    mark: options.mark ?? new StreamMark(),
    accept: (socket) => bridge.accept(socket, 'tls'),
    changed: () => changes++,
    ...(options.lookPause === undefined ? {} : { lookPause: options.lookPause }),
  });
  t.teardown(() => {
    listener.close();
    bridge.close();
    rmSync(folder, { recursive: true });
  });
  await listener.look();
  return { listener, bridge, far, files, folder, port: listener.served!.port, changes: () => changes };
}

const tls = (port: number, name: string | undefined = 'asked.example.net') =>
  ({ kind: 'tls', endpoint: { address: here, port, name } }) as const;

/** A handshake from this address of loopback is done. */
async function getsIn(t: ExecutionContext, port: number, from: string): Promise<void> {
  const socket = connectTls({ socket: connect({ host: here, port, localAddress: from }), rejectUnauthorized: false });
  t.teardown(() => socket.destroy());
  await t.notThrowsAsync(once(socket, 'secureConnect'), from);
}

test('two planes talk over TLS as over UDP; the name asked for is on the wire, the certificate is nobody’s', async (t) => {
  const { far, port, bridge } = await listening(t);
  const near = await plane(t, false);
  const client = new TcpBridge(near.port);
  t.teardown(() => client.close());
  // In the way: what goes by is kept.
  const passed: Buffer[] = [];
  const wire = createServer((caller) => {
    const called = connect({ host: here, port });
    caller.on('data', (chunk) => passed.push(chunk));
    caller.pipe(called).pipe(caller);
    for (const socket of [caller, called]) socket.on('error', () => socket.destroy());
  }).listen(0, here);
  t.teardown(() => wire.close());
  await once(wire, 'listening');
  const local = await client.connect(tls((wire.address() as { port: number }).port));
  if (typeof local === 'string') return t.fail(local);
  near.socket.send('hello', local.port, local.address);
  await once(near.socket, 'message');
  t.deepEqual(far.heard, ['hello']);
  t.deepEqual(near.heard, ['hello back']);
  t.is(client.wayOf(local)?.kind, 'tls');
  t.deepEqual([...passed[0]!.subarray(0, 2)], [0x16, 0x03], 'it begins as a TLS handshake does');
  t.is(passed[0]![5], 1, 'with a ClientHello');
  t.true(passed[0]!.includes('asked.example.net'));
  t.false(Buffer.concat(passed).includes('hello'), 'what is inside is sealed');
  t.deepEqual([...bridge.drops()], []);
});

test('TLS before 1.2 is refused', async (t) => {
  const { listener, port } = await listening(t);
  const old = connectTls({
    host: here,
    port,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    rejectUnauthorized: false,
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  await t.throwsAsync(once(old, 'secureConnect'));
  await until(
    'it is counted',
    async () => listener.drops().get('tls-handshake-failed'),
    (count) => count === 1,
    patience,
  );
});

test('garbage instead of a ClientHello ends the connection, and is counted', async (t) => {
  const { listener, far, port } = await listening(t);
  for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\0\x05hello', '\x16\x03\x01\xff\xff']) {
    const stranger = connect({ host: here, port });
    stranger.on('error', () => {});
    stranger.resume();
    stranger.end(garbage, 'latin1');
    await once(stranger, 'close');
  }
  await until(
    'they are counted',
    async () => listener.drops().get('tls-handshake-failed'),
    (count) => count === 3,
    patience,
  );
  t.deepEqual(far.heard, []);
});

test('plain frames inside TLS that are none end it, and are counted', async (t) => {
  const { bridge, port } = await listening(t);
  const stranger = connectTls({ host: here, port, rejectUnauthorized: false });
  await once(stranger, 'secureConnect');
  stranger.write('GET / HTTP/1.1\r\n\r\n');
  stranger.on('error', () => {});
  await once(stranger, 'close');
  t.is(bridge.drops().get('tls-malformed'), 1);
});

test('who never finishes a handshake has 8 places, is soon out, and keeps nobody else out meanwhile', async (t) => {
  const { listener, port } = await listening(t);
  const strangers: Socket[] = [];
  for (let i = 0; i < 40; i++) strangers.push(await stranger(t, port, here));
  const closed = () => strangers.filter(({ destroyed }) => destroyed).length;
  await until('all but 8 are closed', closed, (count) => count >= 32, patience);
  const tooMany = () => listener.drops().get('tls-too-many');
  t.is(tooMany(), 32);
  await getsIn(t, port, '127.0.0.9');
  t.is(tooMany(), 32);
  await until('5 s later they are out', closed, (count) => count === 40, patience);
  t.is(listener.drops().get('tls-handshake-timeout'), 8);
  await getsIn(t, port, here);
});

test('where all 32 places are taken, the oldest of the source that holds most gives way to another source', async (t) => {
  const { listener, port } = await listening(t);
  const held = new Map<string, Socket[]>();
  for (const [source, places] of Object.entries({ '127.0.1.1': 8, '127.0.1.2': 8, '127.0.1.3': 8, '127.0.1.4': 8 })) {
    const sockets: Socket[] = [];
    for (let i = 0; i < places; i++) sockets.push(await stranger(t, port, source));
    held.set(source, sockets);
  }
  const closed = () =>
    [...held].flatMap(([source, sockets]) => sockets.flatMap((one, i) => (one.destroyed ? [`${source} ${i}`] : [])));
  await getsIn(t, port, '127.0.1.5');
  await until('one is closed', closed, ({ length }) => length > 0, patience);
  t.deepEqual(closed(), ['127.0.1.1 0']);
  held.set('127.0.1.6', [await stranger(t, port, '127.0.1.6')]);
  await getsIn(t, port, '127.0.1.7');
  await until('another is closed', closed, ({ length }) => length > 1, patience);
  t.deepEqual(closed(), ['127.0.1.1 0', '127.0.1.2 0']);
  t.deepEqual([...listener.drops()], [['tls-too-many', 2]]);
});

test('a flood of connections is cut to a rate, what it cost is bounded, and another source gets in beside it', async (t) => {
  const { listener, port } = await listening(t);
  let closed = 0;
  for (let i = 0; i < 300; i++) {
    const flood = connect({ host: here, port }, () => flood.end('nonsense'));
    flood.on('error', () => {});
    flood.resume().on('close', () => closed++);
  }
  await getsIn(t, port, '127.0.0.9');
  await until(
    'all are closed',
    () => closed,
    (count) => count === 300,
    patience,
  );
  const drops = listener.drops();
  t.is((drops.get('tls-too-many') ?? 0) + (drops.get('tls-handshake-failed') ?? 0), 300, JSON.stringify([...drops]));
  t.true(drops.get('tls-too-many')! > 200, JSON.stringify([...drops]));
});

test('a certificate renewed on the disk is shown without a restart; a bad one is told, and the old one stays', async (t) => {
  const { listener, files, folder, port, changes } = await listening(t, { lookPause: 50 });
  const shown = async () => {
    const caller = connectTls({ host: here, port, rejectUnauthorized: false });
    await once(caller, 'secureConnect');
    const { subjectaltname } = caller.getPeerCertificate();
    caller.destroy();
    return subjectaltname;
  };
  t.is(await shown(), 'DNS:one.example.net');
  t.is(changes(), 1);
  writeCertificate(folder, makeCertificate('two.example.net'));
  await until('it is taken', shown, (name) => name === 'DNS:two.example.net', patience);
  await until(
    'and told',
    async () => listener.served?.name,
    (name) => name === 'two.example.net',
    patience,
  );
  writeFileSync(files.key, makeCertificate('three.example.net').key);
  await until(
    'the mismatch is told',
    async () => listener.problem?.code,
    (code) => code === 'tls-mismatch',
    patience,
  );
  t.is(await shown(), 'DNS:two.example.net');
  t.truthy(listener.served);
  writeCertificate(folder, makeCertificate('four.example.net'));
  await until(
    'and mended',
    async () => listener.problem,
    (problem) => problem === undefined,
    patience,
  );
  t.is(await shown(), 'DNS:four.example.net');
});

test('a port that is taken is told, and taken as soon as it is free', async (t) => {
  const blocker = createServer().listen(0, here);
  await once(blocker, 'listening');
  const { port } = blocker.address() as { port: number };
  const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
  const listener = new TlsListener({
    listen: { address: here, port },
    files: writeCertificate(folder, makeCertificate('one.example.net')),
    mark: new StreamMark(),
    accept: (socket) => socket.destroy(),
    changed: () => {},
    lookPause: 50,
  });
  t.teardown(() => {
    listener.close();
    rmSync(folder, { recursive: true });
  });
  await listener.look();
  t.like(listener.problem, {
    code: 'tls-port-taken',
    message: `another program listens on TCP ${here}:${port}`,
    cure: 'end it ("ss -ltnp" shows it), or set tls.listen',
  });
  t.is(listener.served, undefined);
  blocker.close();
  await until(
    'it is served',
    async () => listener.served?.port,
    (served) => served === port,
    patience,
  );
  t.is(listener.problem, undefined);
});

test('closed while it begins to listen, it keeps no port', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const free = createServer().listen(0, here);
  await once(free, 'listening');
  const { port } = free.address() as { port: number };
  free.close();
  await once(free, 'close');
  const files = writeCertificate(folder, makeCertificate('one.example.net'));
  const listener = new TlsListener({
    listen: { address: here, port },
    files,
    mark: new StreamMark(),
    accept: () => {},
    changed: () => {},
  });
  const looking = listener.look();
  listener.close();
  await looking;
  t.is(listener.served, undefined);
  const call = async () => {
    const caller = connect({ host: here, port });
    t.teardown(() => caller.destroy());
    return Promise.race([
      once(caller, 'error').then(([error]) => error.code),
      once(caller, 'connect').then(() => 'open'),
    ]);
  };
  // A process that another test has just forked holds our sockets until it is another program.
  await until('nobody listens', call, (answer) => answer === 'ECONNREFUSED', patience);
});

test('a kernel that refuses the mark of the tunnels is told of once, with a cure, and streams come and go all the same', async (t) => {
  const told: MeshError[] = [];
  const mark = new StreamMark(
    (problem) => told.push(problem),
    () => false,
  );
  const { port } = await listening(t, { mark });
  t.like(told[0], {
    code: 'stream-mark-refused',
    message:
      'the kernel refuses to mark TCP sockets, so tunnels over TCP and TLS may be sent into the overlay they carry',
    cure: 'give weftd CAP_NET_ADMIN (packaging/weft.service does)',
  });
  const near = await plane(t, false);
  const client = new TcpBridge(near.port, here, mark);
  t.teardown(() => client.close());
  t.is(await client.listen(near.port, here), undefined);
  t.is(typeof (await client.connect(tls(port))), 'object');
  t.is(told.length, 1);
});

test('a server that was closed before it could be marked says nothing of the kernel', (t) => {
  const told: string[] = [];
  const mark = new StreamMark(
    ({ code }) => told.push(code),
    () => false,
  );
  mark.server(createServer());
  t.deepEqual(told, []);
});

test('a dial alone tells that it could not be marked', async (t) => {
  const told: string[] = [];
  const client = new TcpBridge(
    9,
    here,
    new StreamMark(
      ({ code }) => told.push(code),
      () => false,
    ),
  );
  t.teardown(() => client.close());
  await client.connect({ kind: 'tcp', endpoint: { address: here, port: 9 } });
  t.deepEqual(told, ['stream-mark-refused']);
});
