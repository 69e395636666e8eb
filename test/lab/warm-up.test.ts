import { createSocket } from 'node:dgram';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import test from 'ava';
import { median } from '../../lab/median.js';
import { addressOf } from '../../src/ffi.js';
import type { Millis } from '../../src/time.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import { DataPlane } from '../../src/tunnel/plane/data-plane.js';
import { BootClock } from '../../src/tunnel/plane/linux-clock.js';
import { EvpAead } from '../../src/tunnel/plane/linux-evp.js';
import { Rehearsal } from '../../src/tunnel/plane/linux-rehearsal.js';
import { WarmUp } from '../../src/tunnel/plane/linux-warm-up.js';
import { Moment } from '../../src/tunnel/plane/moment.js';
import { PacketShape } from '../../src/tunnel/plane/packet.js';
import { Transmitter } from '../../src/tunnel/plane/transmitter.js';

setFlagsFromString('--allow-natives-syntax');
const optimizationStatus = new Function('f', 'return %GetOptimizationStatus(f)') as (f: unknown) => number;
/** kOptimized of V8's OptimizationStatus. */
const isOptimized = (f: unknown) => (optimizationStatus(f) & (1 << 4)) !== 0;
/** The rest is part of these by then, or small enough to stay as it is. */
const path = [DataPlane.prototype.work, Transmitter.prototype.send, PacketShape.prototype.read];
const offloading = {
  tun: { fd: -1, virtioHeader: true, tcpSegmentation: true, udpSegmentation: true },
  udp: { fd: -1, handshakes: undefined, family: 4, mark: 0, segmentation: true, receiveOffload: true },
} as const;
const clock = new BootClock();
const longest: Millis = 60_000;

test.serial('code that never met a packet is compiled after the warm-up, in slices of a millisecond', async (t) => {
  const arena = new Arena(addressOf);
  const aead = EvpAead.tryOpen(arena)!;
  for (const f of path) t.false(isOptimized(f));
  const now = new Moment();
  clock.tell(now);
  const warmUp = new WarmUp(Rehearsal.open(offloading, arena, aead, 'aes-256-gcm', now)!, now);
  t.teardown(() => warmUp.close());
  const slices: Millis[] = [];
  for (clock.tell(now); warmUp.wait(now, longest) < longest; clock.tell(now)) {
    const began = now.millis;
    warmUp.run(clock, now);
    slices.push(clock.now() - began);
    // As the worker sleeps between them: compiled code is taken over then.
    await sleep(2);
  }
  for (const f of path) t.true(isOptimized(f));
  const usual = median(slices);
  t.true(usual < 2, `a slice took ${usual} ms`);
});

const plain = {
  tun: { fd: -1, virtioHeader: false, tcpSegmentation: false, udpSegmentation: false },
  udp: { fd: -1, handshakes: undefined, family: 6, mark: 0, segmentation: false, receiveOffload: false },
} as const;

function rehearsal(at: Millis): Rehearsal {
  const arena = new Arena(addressOf);
  return Rehearsal.open(plain, arena, EvpAead.tryOpen(arena)!, 'chacha20-poly1305', Moment.at(at))!;
}

test.serial('whoever sends has the right of way, and an end closes everything', (t) => {
  const warmUp = new WarmUp(rehearsal(1000), Moment.at(1000));
  t.true(warmUp.wait(Moment.at(1000), longest) > 0);
  warmUp.worked(Moment.at(2000), false);
  t.true(warmUp.wait(Moment.at(2000), longest) > 0);
  t.is(warmUp.wait(Moment.at(2500), longest), 0);
  warmUp.close();
  t.is(warmUp.wait(Moment.at(2500), longest), longest);
  warmUp.worked(Moment.at(3000), false);
  t.is(warmUp.wait(Moment.at(4000), longest), longest);
});

test.serial('once it has learnt, it beats while lone packets come, and only then', async (t) => {
  const now = new Moment();
  clock.tell(now);
  const warmUp = new WarmUp(rehearsal(now.millis), now);
  t.teardown(() => warmUp.close());
  warmUp.worked(now, true);
  const begun = now.millis;
  for (; warmUp.wait(now, longest) < longest; now.millis = Math.max(now.millis, begun) + 30) warmUp.run(clock, now);
  for (let i = 0; i < 5; i++) {
    now.millis += 10;
    warmUp.worked(now, false);
  }
  t.is(warmUp.wait(now, longest), longest, 'a stream needs no beats');
  warmUp.worked(now, true);
  t.is(warmUp.wait(now, longest), longest, 'nor does one packet');
  now.millis += 10;
  warmUp.worked(now, true);
  t.is(warmUp.wait(now, longest), 5);
  warmUp.run(clock, now);
  t.true(warmUp.wait(Moment.at(now.millis + 300), longest) % longest === 0, 'it ends by itself, or is due');
});

/** A rehearsal of one shape, on a clock of its own that goes on by `took` a packet; warmed up, and in the middle of a conversation. */
function talking(took: Millis) {
  const now = Moment.at(1000);
  const state = { arrives: true, at: now.millis, plays: 0 };
  const play = () => {
    state.at += took;
    state.plays++;
    return state.arrives;
  };
  const warmUp = new WarmUp({ shapes: 1, play, close: () => {} }, now);
  const tell = (moment: Moment) => {
    moment.millis = state.at;
  };
  /** Runs what is due within so long, with a packet every 10 ms; how many were played. */
  const talk = (duration: Millis): number => {
    const before = state.plays;
    for (const end = state.at + duration; state.at < end; ) {
      const packetAt = state.at + 10;
      tell(now);
      warmUp.worked(now, true);
      for (let wait = warmUp.wait(now, 10); state.at + wait < packetAt; wait = warmUp.wait(now, 10)) {
        state.at += wait;
        tell(now);
        warmUp.run({ tell }, now);
      }
      state.at = Math.max(state.at, packetAt);
    }
    return state.plays - before;
  };
  for (tell(now); warmUp.wait(now, longest) < longest; tell(now)) {
    state.at += warmUp.wait(now, longest);
    tell(now);
    warmUp.run({ tell }, now);
  }
  return { state, talk };
}

test.serial('a beat that takes long comes seldom: a fiftieth of the time at most', (t) => {
  t.is(talking(0.05).talk(1000), 99);
  t.true(talking(0.5).talk(1000) <= 1000 / (51 * 0.5));
  t.true(talking(5).talk(1000) <= 1000 / (51 * 5) + 1);
});

test.serial('a loopback that dies later is left alone; a packet lost now and then is nothing', (t) => {
  const { state, talk } = talking(0.05);
  for (let i = 0; i < 100; i++) {
    state.arrives = false;
    talk(20);
    state.arrives = true;
    t.true(talk(30) > 0);
  }
  state.arrives = false;
  t.is(talk(2000), 51);
  t.is(talk(2000), 0);
});

/** The UDP ports of sockets of this process that are bound to 127.0.0.1, on a socket of either family. */
function ownLoopbackPorts(): number[] {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // that of the directory itself
    }
  });
  const inodes = new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
  return ['udp', 'udp6']
    .flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length > 9 && inodes.has(fields[9]) && fields[1]!.split(':')[0]!.endsWith('0100007F'))
    .map((fields) => Number.parseInt(fields[1]!.split(':')[1]!, 16));
}

test.serial('what other programs send to its ports is not heard', async (t) => {
  const before = new Set(ownLoopbackPorts());
  for (const [name, host] of Object.entries({ plain, offloading })) {
    const arena = new Arena(addressOf);
    const played = Rehearsal.open(host, arena, EvpAead.tryOpen(arena)!, 'aes-256-gcm', Moment.at(0))!;
    const ports = ownLoopbackPorts().filter((port) => !before.has(port));
    t.is(ports.length, 2);
    const stranger = createSocket('udp4');
    let arrived = 0;
    for (let i = 0; i < 10; i++) {
      for (const port of Array.from({ length: 300 }, () => ports).flat()) {
        await new Promise((sent) => stranger.send(new Uint8Array(1200).fill(1), port, '127.0.0.1', sent));
      }
      if (played.play(0, Moment.at(i))) arrived++;
    }
    stranger.close();
    played.close();
    t.is(arrived, 10, name);
  }
});

test.serial('closed twice, it closes nobody else’s descriptors', (t) => {
  const played = rehearsal(0);
  played.close();
  const others = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
  played.close();
  for (const fd of others) t.notThrows(() => closeSync(fd));
});

test.serial('packets arrive whenever they are rehearsed, with keys that are never too old', (t) => {
  const played = rehearsal(0);
  t.teardown(() => played.close());
  t.true(played.play(0, Moment.at(0)));
  for (const seconds of [0, 60, 119, 121, 200, 400, 3600, 3700]) {
    for (let shape = 0; shape < played.shapes; shape++) {
      t.true(played.play(shape, Moment.at(1000 * seconds)), `shape ${shape} after ${seconds} s`);
      t.true(played.play(shape, Moment.at(1000 * seconds)), `shape ${shape} back after ${seconds} s`);
    }
  }
});
