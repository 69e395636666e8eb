import type { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import { median } from '../../lab/median.js';
import type { WireConditions } from '../../lab/wire.js';
import { World } from '../../lab/world.js';

interface Arrival {
  readonly number: number;
  readonly at: number;
}

/** Two public hosts, one behind a wire with these conditions, and a way to send numbered datagrams to it. */
async function behind(conditions: WireConditions, seed = 1) {
  const world = await World.build({ near: host(), far: host({ wire: conditions }) }, { seed });
  const sender = udpOn(world.host('near'), 5000);
  const receiver = udpOn(world.host('far'), 5000);
  const arrivals: Arrival[] = [];
  const errors: Error[] = [];
  const back: Arrival[] = [];
  const note = (list: Arrival[]) => (message: Buffer) =>
    list.push({ number: message.readUInt32BE(0), at: performance.now() });
  receiver.on('message', note(arrivals));
  sender.on('message', note(back));
  sender.on('error', (error) => errors.push(error));
  const fire = (socket: Socket, number: number, address: string, octets = 100) => {
    const message = Buffer.alloc(octets);
    message.writeUInt32BE(number);
    socket.send(message, 5000, address, (error) => {
      if (error) errors.push(error);
    });
    return performance.now();
  };
  const send = (number: number, octets?: number) => fire(sender, number, world.host('far').address, octets);
  const reply = (number: number) => fire(receiver, number, world.host('near').address);
  // The first datagram pays for neighbour resolution, which the wire delays too.
  for (let i = 0; arrivals.length === 0; i++) {
    if (i === 100) throw new Error('nothing ever arrives');
    send(0);
    await sleep(50);
  }
  await sleep(100);
  arrivals.length = 0;
  const stop = () => {
    sender.close();
    receiver.close();
    world.remove();
  };
  return { world, wire: world.wire('far'), send, reply, arrivals, back, errors, stop };
}

test.serial('a delayed wire delays by what it says, in order, within a millisecond', async (t) => {
  const line = await behind({ delay: 30, jitter: 10 });
  t.teardown(line.stop);
  const sent: number[] = [];
  for (let i = 0; i < 200; i++) {
    sent.push(line.send(i));
    await sleep(2);
  }
  await sleep(80);
  t.deepEqual(
    line.arrivals.map(({ number }) => number),
    sent.map((_, i) => i),
  );
  const delays = line.arrivals.map(({ number, at }) => at - sent[number]!);
  const usual = median(delays);
  const least = Math.min(...delays);
  t.true(least >= 30, `the fastest took ${least} ms`);
  // In order means that one late frame holds back the next, so the median lies above the middle of the jitter.
  t.true(usual >= 33 && usual <= 41, `the median took ${usual} ms`);
});

test.serial('delays can be changed while the wire lives', async (t) => {
  const line = await behind({ delay: 0 });
  t.teardown(line.stop);
  const before = line.send(1);
  await sleep(60);
  await line.wire.set({ delay: 50 }, 'outwards');
  await line.wire.set({ delay: 20 }, 'inwards');
  await sleep(50);
  const sent = line.send(2);
  const replied = line.reply(3);
  await sleep(150);
  t.true(line.arrivals[0]!.at - before < 10);
  const inwards = line.arrivals[1]!.at - sent;
  const outwards = line.back[0]!.at - replied;
  t.true(inwards >= 20 && inwards < 30, `inwards ${inwards} ms`);
  t.true(outwards >= 50 && outwards < 60, `outwards ${outwards} ms`);
});

test.serial('reordered frames overtake, the others keep their order', async (t) => {
  const line = await behind({ delay: 20, reorder: 0.1 });
  t.teardown(line.stop);
  for (let i = 1; i <= 300; i++) {
    line.send(i);
    await sleep(1);
  }
  await sleep(80);
  t.is(line.arrivals.length, 300);
  const numbers = line.arrivals.map(({ number }) => number);
  const overtaken = numbers.filter((number, i) => numbers.slice(0, i).some((earlier) => earlier > number));
  const overtaking = numbers.filter((number, i) => numbers.slice(i).some((later) => later < number));
  t.true(overtaking.length >= 10 && overtaking.length <= 60, `${overtaking.length} of 300 overtook`);
  t.deepEqual(
    overtaken,
    [...overtaken].sort((a, b) => a - b),
  );
});

test.serial('a lossy wire loses its share', async (t) => {
  const line = await behind({ loss: 0.1 });
  t.teardown(line.stop);
  for (let i = 1; i <= 3000; i++) {
    line.send(i);
    if (i % 50 === 0) await sleep(1);
  }
  await sleep(100);
  const lost = 3000 - line.arrivals.length;
  // 300 expected, standard deviation 16: five of them either way.
  t.true(lost > 218 && lost < 382, `${lost} of 3000 were lost`);
  t.deepEqual(line.errors, []);
});

test.serial('a narrow wire carries its rate, and queues what its buffer holds', async (t) => {
  const line = await behind({ rate: 20, buffer: 100 });
  t.teardown(line.stop);
  const started = performance.now();
  // 40 Mbit/s offered for half a second.
  for (let i = 1; performance.now() - started < 500; i++) {
    for (let j = 0; j < 5; j++) line.send(i * 5 + j, 1000);
    await sleep(Math.max(0, started + i - performance.now()));
  }
  await sleep(200);
  const seconds = (line.arrivals.at(-1)!.at - line.arrivals[0]!.at) / 1000;
  const rate = (line.arrivals.length * 1028 * 8) / 1e6 / seconds;
  t.true(rate > 17 && rate < 23, `${rate} Mbit/s passed`);
  t.true(seconds > 0.55 && seconds < 0.75, `the queue drained after ${seconds} s`);
});

test.serial('a cut is silent, has a direction, and heals', async (t) => {
  const line = await behind({});
  t.teardown(line.stop);
  await line.wire.cut('inwards');
  line.send(1);
  line.reply(2);
  await sleep(50);
  t.deepEqual(line.arrivals, []);
  t.is(line.back.length, 1);
  await line.wire.cut('outwards');
  line.reply(3);
  await sleep(50);
  t.is(line.back.length, 1);
  await line.wire.heal();
  line.send(4);
  line.reply(5);
  await sleep(50);
  t.deepEqual(
    line.arrivals.map(({ number }) => number),
    [4],
  );
  t.is(line.back.length, 2);
  t.deepEqual(line.errors, []);
});

test.serial('a smaller wire refuses what is too large for it', async (t) => {
  const line = await behind({});
  t.teardown(line.stop);
  await line.wire.set({ mtu: 1280 });
  const ping = (octets: number) =>
    line.world
      .host('near')
      .namespace.run(['ping', '-c1', '-W1', '-M', 'do', '-s', String(octets - 28), line.world.host('far').address]);
  t.is((await ping(1280)).code, 0);
  t.not((await ping(1281)).code, 0);
});
