import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { dialStream } from '../../daemon/dial-stream.js';
import { portProblem } from '../../daemon/port-problem.js';
import { StreamMark } from '../../daemon/stream-mark.js';
import { TcpBridge } from '../../daemon/tcp-bridge.js';
import { frameForStream, longestOnStream, StreamCutter } from '../../daemon/tcp-frames.js';
import { until } from '../../lab/until.js';
import { parseIp } from '../../src/addr/ip.js';
import { AgreementKey } from '../../src/crypto.js';
import { appendMacs, datagramMacsLength } from '../../src/datagram-mac.js';
import { seededRandom } from '../../src/random.js';
import { FrameType } from '../../src/tunnel/frame.js';
import { Guard, maxHandshakeLength } from '../../src/tunnel/guard.js';
import { bindForBoth } from '../helpers/port-for-both.js';
import { stranger } from '../helpers/stranger.js';

/** For what is a matter of milliseconds, on a machine that has other things to do. */
const patience = 20_000;

test('any stream of frames, cut anywhere, gives the same datagrams', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { maxLength: 12 }),
      fc.array(fc.nat(200), { maxLength: 20 }),
      (datagrams, cuts) => {
        const stream = Buffer.concat(datagrams.map((datagram) => frameForStream(datagram)!));
        const cutter = new StreamCutter();
        const got: Buffer[] = [];
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          got.push(...cutter.push(stream.subarray(at, at + cut))!.map((one) => Buffer.from(one)));
          at += cut;
        }
        t.deepEqual(
          got.map((one) => [...one]),
          datagrams.map((one) => [...one]),
        );
      },
    ),
  );
});

test('a length of zero or beyond the longest ends the stream', (t) => {
  t.is(new StreamCutter().push(Buffer.from([0, 0, 1])), undefined);
  t.is(new StreamCutter().push(Buffer.from([0xff, 0xff, 1])), undefined);
  t.is(frameForStream(new Uint8Array(longestOnStream + 1)), undefined);
  t.is(frameForStream(new Uint8Array(0)), undefined);
});

async function udp(answer: (bytes: Buffer) => Buffer | undefined) {
  const socket = createSocket('udp4');
  const heard: string[] = [];
  socket.on('message', (bytes, from) => {
    heard.push(bytes.toString());
    const reply = answer(bytes);
    if (reply) socket.send(reply, from.port, from.address);
  });
  return { socket, heard, port: await bindForBoth(socket, '127.0.0.1') };
}

test('two planes talk through two bridges as over UDP', async (t) => {
  const far = await udp((bytes) => Buffer.from(`${bytes} back`));
  const near = await udp(() => undefined);
  const server = new TcpBridge(far.port);
  const client = new TcpBridge(near.port);
  const spare = await udp(() => undefined);
  const tcpPort = spare.port;
  t.is(await server.listen(tcpPort, '127.0.0.1'), undefined);
  const local = await client.connect({ kind: 'tcp', endpoint: { address: '127.0.0.1', port: tcpPort } });
  if (typeof local === 'string') return t.fail(local);
  near.socket.send('hello', local.port, local.address);
  await once(near.socket, 'message');
  t.deepEqual(far.heard, ['hello']);
  t.deepEqual(near.heard, ['hello back']);
  for (const one of [far, near, spare]) one.socket.close();
  server.close();
  client.close();
});

test('a stranger on the TCP port hears nothing, and nonsense closes the connection', async (t) => {
  const plane = await udp(() => undefined);
  const bridge = new TcpBridge(plane.port);
  t.is(await bridge.listen(plane.port, '127.0.0.1'), undefined);
  const stranger = connect({ host: '127.0.0.1', port: plane.port });
  let heard = 0;
  stranger.on('data', (chunk) => {
    heard += chunk.length;
  });
  await once(stranger, 'connect');
  stranger.write('GET / HTTP/1.1\r\n\r\n'); // 0x4745 is no length
  await once(stranger, 'close');
  t.is(heard, 0);
  t.deepEqual(plane.heard, []);
  bridge.close();
  plane.socket.close();
});

test('strangers have 8 streams of one source and 64 in all; who comes from another source gets in, and who was answered stays', async (t) => {
  const plane = await udp((bytes) => (bytes.toString() === 'known' ? bytes : undefined));
  let clock = 0;
  const bridge = new TcpBridge(plane.port, '127.0.0.1', new StreamMark(), dialStream, () => (clock += 20));
  t.teardown(() => {
    bridge.close();
    plane.socket.close();
  });
  t.is(await bridge.listen(plane.port, '127.0.0.1'), undefined);
  const open: { readonly name: string; readonly socket: Socket }[] = [];
  const come = async (source: string, places: number) => {
    for (let i = 0; i < places; i++) {
      open.push({ name: `${source} ${i}`, socket: await stranger(t, plane.port, source) });
    }
  };
  const closed = () => open.filter(({ socket }) => socket.destroyed).map(({ name }) => name);
  const tooMany = () => bridge.drops().get('tcp-too-many') ?? 0;
  await come('127.0.1.1', 1);
  const [first] = open;
  first!.socket.write(frameForStream(Buffer.from('known'))!);
  await once(first!.socket, 'data');
  await come('127.0.1.2', 9);
  await until('the ninth is there', tooMany, (count) => count === 1, patience);
  for (let source = 3; source <= 8; source++) await come(`127.0.1.${source}`, 8);
  await come('127.0.1.1', 7); // beside the one that was answered
  await come('127.0.1.9', 1);
  await until('a newcomer is there', tooMany, (count) => count === 2, patience);
  await until('two have gone', closed, ({ length }) => length === 2, patience);
  t.deepEqual(closed(), ['127.0.1.2 0', '127.0.1.2 1']);
});

test('20 connections of a source and 32 of all are taken at once, and 10 and 50 a second; so many strangers displace no newcomer', async (t) => {
  let now = 0;
  const plane = await udp((bytes) => bytes);
  const bridge = new TcpBridge(plane.port, '127.0.0.1', new StreamMark(), dialStream, () => now);
  t.teardown(() => {
    bridge.close();
    plane.socket.close();
  });
  t.is(await bridge.listen(plane.port, '127.0.0.1'), undefined);
  const tooMany = () => bridge.drops().get('tcp-too-many') ?? 0;
  const come = async (sources: readonly string[], refused: number) => {
    const open = await Promise.all(sources.map((source) => stranger(t, plane.port, source)));
    await until('the others are closed', tooMany, (count) => count >= refused, patience);
    t.is(tooMany(), refused);
    return open;
  };
  const of = (places: number, net: number) => Array.from({ length: places }, (_, i) => `127.0.${net}.${i + 1}`);
  const [newcomer] = await come(['127.0.1.1'], 0);
  await come(of(100, 2), 69);
  now = 500;
  await come(of(30, 3), 74);
  t.false(newcomer!.destroyed);
  newcomer!.write(frameForStream(Buffer.from('hello'))!);
  await until(
    'it is answered',
    () => newcomer!.bytesRead,
    (octets) => octets > 0,
    patience,
  );
  now = 10_000;
  await come(new Array(30).fill('127.0.4.1'), 74 + 10 + 13); // 20 come in, 12 of which give way to the next, and one other, as 57 were there
  now = 11_000;
  await come(new Array(30).fill('127.0.4.1'), 97 + 20 + 10);
});

test('a stranger who knows our key and calls without end over a stream uses up the handshakes of no other source', async (t) => {
  const publicKey = new AgreementKey(seededRandom(1).bytes(32)).publicKey;
  const guard = new Guard({ publicKey, cookieSecret: new Uint8Array(32), random: seededRandom(2) });
  const verdicts: string[] = [];
  const plane = createSocket('udp4');
  plane.on('message', (bytes, { address, port }) => {
    // All at one moment: on a machine that is slow a source would have earned another handshake meanwhile.
    const verdict = guard.admit(bytes, { address: parseIp(address)!, port }, 0);
    verdicts.push(typeof verdict === 'string' ? verdict : 'cookie');
    if (verdict === 'pass') plane.send('answer', port, address);
  });
  const port = await bindForBoth(plane, '127.0.0.1');
  const bridge = new TcpBridge(port);
  t.teardown(() => {
    bridge.close();
    plane.close();
  });
  t.is(await bridge.listen(port, '127.0.0.1'), undefined);
  const body = new Uint8Array(maxHandshakeLength - datagramMacsLength);
  body[0] = FrameType.initiation;
  const call = frameForStream(appendMacs(publicKey, body))!;
  const flood = await Promise.all([1, 2].map(() => stranger(t, port, '127.0.1.1')));
  for (let i = 0; i < 45; i++) flood[i % 2]!.write(call); // a source has 40 at once; from 50 on all are asked for cookies
  await until(
    'the flood is there',
    () => verdicts.length,
    (count) => count === 45,
    patience,
  );
  t.is(verdicts.at(-1), 'handshake-source-rate');
  const caller = await stranger(t, port, '127.0.1.2');
  caller.write(call);
  await until(
    'the call is there',
    () => verdicts.length,
    (count) => count === 46,
    patience,
  );
  t.is(verdicts.at(-1), 'pass');
  await until(
    'it is answered',
    () => caller.bytesRead,
    (octets) => octets > 0,
    patience,
  );
});

test('a refused connection is told in words', async (t) => {
  const bridge = new TcpBridge(9);
  const answer = await bridge.connect({ kind: 'tcp', endpoint: { address: '127.0.0.1', port: 9 } });
  t.regex(String(answer), /TCP 127\.0\.0\.1 port 9: .*ECONNREFUSED/);
  bridge.close();
});

const portOf = (server: Server) => (server.address() as { port: number }).port;

/** Of a stream that the far end has ended with a frame that is none. */
const endings: Readonly<Record<string, (socket: Socket) => boolean>> = {
  'it has heard the frame, and does not know yet what it is': ({ readableLength }) => readableLength === 2,
  'it is closed': ({ destroyed }) => destroyed,
};

for (const [name, hasCome] of Object.entries(endings)) {
  test(`a stream that has ended when its dial hears that it is open is told in words, and the dial ends: ${name}`, async (t) => {
    const server = createServer((socket) => socket.end(Buffer.of(0, 0))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    // Tells late that it is open, as a machine that is busy would.
    const bridge = new TcpBridge(9, '127.0.0.1', new StreamMark(), (to, mark) => {
      const { socket, opened } = dialStream(to, mark);
      const late = async () => {
        await opened;
        if (name === 'it is closed') socket.resume();
        await until(name, () => hasCome(socket), Boolean, patience);
      };
      return { socket, opened: late() };
    });
    t.teardown(() => {
      bridge.close();
      server.close();
    });
    const answer = bridge.connect({ kind: 'tcp', endpoint: { address: '127.0.0.1', port: portOf(server) } });
    t.is(await Promise.race([answer, pause(2 * patience, 'late', { ref: false })]), 'TCP to 127.0.0.1: closed at once');
  });
}

test('a stream that ends later is no way any more', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end(Buffer.of(0, 0))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bridge = new TcpBridge(9);
  t.teardown(() => {
    bridge.close();
    server.close();
  });
  const answer = await bridge.connect({ kind: 'tcp', endpoint: { address: '127.0.0.1', port: portOf(server) } });
  if (typeof answer === 'string') return t.fail(answer);
  await until(
    'it is gone',
    () => bridge.wayOf(answer),
    (way) => way === undefined,
    patience,
  );
  t.is(bridge.drops().get('tcp-malformed'), 1);
});

test('a TCP port that is taken is told with cause and cure, and dialling goes on', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const bridge = new TcpBridge(9);
  t.teardown(() => {
    bridge.close();
    taken.close();
  });
  const problem = await bridge.listen(portOf(taken), '127.0.0.1');
  t.like(problem, {
    code: 'tcp-port-taken',
    message: `another program listens on TCP 127.0.0.1:${portOf(taken)}`,
    cure: 'end it ("ss -ltnp" shows it), or set listen',
  });
  const answer = await bridge.connect({ kind: 'tcp', endpoint: { address: '127.0.0.1', port: portOf(taken) } });
  t.is(typeof answer, 'object');
});

test('a TCP port that was taken is taken over once it is free, unless the bridge was closed meanwhile', async (t) => {
  for (const isClosed of [false, true]) {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = portOf(taken);
    const bridge = new TcpBridge(9);
    t.teardown(() => bridge.close());
    let listens = false;
    void bridge.listening.then(() => {
      listens = true;
    });
    t.like(await bridge.listen(port, '127.0.0.1', 50), { code: 'tcp-port-taken' });
    t.false(listens);
    if (isClosed) bridge.close();
    taken.close();
    await once(taken, 'close');
    const tryIt = async () => {
      const caller = connect({ host: '127.0.0.1', port });
      const answer = await once(caller, 'connect').then(
        () => true,
        () => false,
      );
      caller.destroy();
      return answer;
    };
    if (isClosed) {
      await pause(200);
      t.false(await tryIt());
    } else {
      const deadline = performance.now() + patience;
      while (!(await tryIt())) {
        if (performance.now() > deadline) return t.fail('nothing listens');
        await pause(20);
      }
    }
    t.is(listens, !isClosed);
  }
});

test('why nothing listens: each cause has its cure, and the key of the config that mends it', (t) => {
  const told = (code: string) =>
    portProblem('tls', { address: '0.0.0.0', port: 443 }, 'tls.listen', Object.assign(new Error(code), { code }));
  t.like(told('EACCES'), {
    code: 'tls-port-forbidden',
    message: 'weftd may not listen on TCP 0.0.0.0:443',
    cure: 'give it CAP_NET_BIND_SERVICE (packaging/weft.service does), or set tls.listen to a port from 1024 on',
  });
  t.like(told('EADDRNOTAVAIL'), {
    code: 'tls-no-listener',
    message: 'TCP 0.0.0.0:443: EADDRNOTAVAIL',
    cure: 'correct tls.listen',
  });
});

test('connections still opening count among the 16', async (t) => {
  const silent: Socket[] = [];
  let over = false;
  const server = createServer((socket) => {
    silent.push(socket.on('error', () => {}));
    if (over) socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  const bridge = new TcpBridge(9);
  const to = { kind: 'tls', endpoint: { address: '127.0.0.1', port, name: undefined } } as const;
  const answers = Array.from({ length: 20 }, () => bridge.connect(to));
  // Any other would hear after 5 s that nobody answers.
  t.deepEqual(await Promise.all(answers.slice(16)), new Array(4).fill('too many TCP tunnels'));
  over = true;
  for (const socket of silent) socket.destroy();
  await Promise.all(answers);
  bridge.close();
  server.close();
});
