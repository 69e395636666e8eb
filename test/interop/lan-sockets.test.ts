import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { babelGroup, babelPort } from '../../daemon/lan/sockets.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { routerHas } from './agree.js';
import { clock } from './in-time.js';
import type { StrangerWords } from './stranger.js';
import { Missing, patience, until } from './until.js';
import { Weft } from './weft.js';
import { Wire } from './wire.js';
import { linkLocalOf, onHost, World } from './world.js';

const program = join(dirname(fileURLToPath(import.meta.url)), 'stranger.js');
const announced = '2001:db8:77::/48';

/** What makes whoever takes it use a route: Hello, IHU and an Update. */
function persuasion(): string {
  const writer = new PacketWriter(600);
  writer.hello(7, 400);
  writer.ihu(undefined, 96, 1200);
  const { bytes, length } = parsePrefix(announced)!;
  const routerId = { routerIdHigh: 9, routerIdLow: 9 };
  writer.update({ prefix: bytes, prefixLength: length, ...routerId, seqno: 7, metric: 0, interval: 1600 });
  return Buffer.from(writer.finish()).toString('hex');
}

test('what comes from another port, from no link-local address or from our own is dropped unread, by group and by address', async (t) => {
  const world = new World();
  t.teardown(() => world.close());
  const [a, b] = [world.host('a'), world.host('b')];
  world.lan('lan0', a, b);
  const global = '2001:db8::1';
  onHost(a, 'ip', 'addr', 'add', `${global}/64`, 'dev', 'lan0', 'nodad');
  const wire = await new Wire(world, 'lan0').ready();
  const weft = await new Weft(world, b, { devices: ['lan0'], originate: ['fd00:2::1/128'] }).ready();
  const say = (words: Omit<StrangerWords, 'device' | 'octets'>) =>
    onHost(a, process.execPath, program, JSON.stringify({ device: 'lan0', octets: persuasion(), ...words }));
  const before = await weft.table();
  const since = clock();
  const unicast = linkLocalOf(b);
  for (const to of [babelGroup, unicast]) {
    say({ source: linkLocalOf(a), port: 7000, to });
    say({ source: global, port: babelPort, to });
  }
  onHost(a, 'ip', 'addr', 'add', `${linkLocalOf(b)}/64`, 'dev', 'lan0', 'nodad');
  say({ source: linkLocalOf(b), port: babelPort, to: babelGroup });
  const expected = { port: 2, source: 2, own: 1 };
  await until('all are counted', patience, async () => {
    const counted = JSON.stringify(await weft.dropped());
    return counted === JSON.stringify(expected) || new Missing(counted);
  });
  t.deepEqual(await weft.table(), before);
  // What it answers, it says within 200 ms (RFC 8966 §3.7.2), and a greeting names whom it heard; tcpdump is late.
  const heard = await wire.first(b, clock() + 200, 'Hello', /^hello/);
  const answers = wire
    .of(b)
    .filter(({ at }) => at > since && at <= heard)
    .flatMap(({ destination, tlvs }) =>
      destination === babelGroup ? tlvs.filter((line) => /^ihu fe80/.test(line)) : tlvs,
    );
  t.deepEqual(answers, []);
  // The same words from where they may come.
  say({ source: linkLocalOf(a), port: babelPort, to: babelGroup });
  await routerHas(weft, patience, [`${announced} via 1`]);
  t.deepEqual(await weft.dropped(), expected);
});
