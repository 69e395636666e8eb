import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import test from 'ava';
import { JoinStreams } from '../../daemon/join-streams.js';
import { frameForStream } from '../../daemon/tcp-frames.js';
import { until } from '../../lab/until.js';
import { knownInvitation } from '../addr/vectors.js';

const here = '127.0.0.1';
/** For what is a matter of milliseconds, on a machine that has other things to do. */
const patience = 20_000;

test('a stream that a member refused or has ended is opened again, and none that stands', async (t) => {
  const accepted: Socket[] = [];
  const heardThere: Buffer[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.on('data', (chunk) => heardThere.push(chunk));
    socket.on('error', () => {});
  });
  server.listen(0, here);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const [member] = knownInvitation().members;
  const endpoint = { address: here, port };
  const streams = new JoinStreams([{ ...member!, endpoint }]);
  t.teardown(() => {
    streams.close();
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  const heard: string[] = [];
  const open = () => streams.open((from, bytes) => heard.push(`${from.port} ${Buffer.from(bytes)}`));
  const isOpen = (count: number) =>
    until(
      `${count} accepted`,
      () => [accepted.length, streams.isAnyOpen],
      ([number, isAny]) => number === count && isAny === true,
      patience,
    );
  open();
  await isOpen(1);
  open();
  accepted[0]!.end();
  await until(
    'it has ended',
    () => streams.isAnyOpen,
    (isAny) => !isAny,
    patience,
  );
  t.is(accepted.length, 1);
  open();
  await isOpen(2);
  streams.send(endpoint, Buffer.from('asks'));
  accepted[1]!.write(frameForStream(Buffer.from('answers'))!);
  await until(
    'both are heard',
    () => [Buffer.concat(heardThere).includes('asks'), ...heard],
    ([there, ...answers]) => there === true && answers.length === 1,
    patience,
  );
  t.deepEqual(heard, [`${port} answers`]);
});
