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
const clock = new BootClock();
const longest: Millis = 60_000;

test.serial('code that never met a packet is compiled after the warm-up, in slices of a millisecond', async (t) => {
  const arena = new Arena(addressOf);
  const aead = EvpAead.tryOpen(arena)!;
  const tun = { fd: -1, virtioHeader: true, tcpSegmentation: true, udpSegmentation: true };
  const udp = { fd: -1, handshakes: undefined, family: 4, mark: 0, segmentation: true, receiveOffload: true } as const;
  for (const f of path) t.false(isOptimized(f));
  const now = new Moment();
  clock.tell(now);
  const warmUp = WarmUp.open({ tun, udp }, arena, aead, 'aes-256-gcm', now)!;
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

test.serial('whoever sends has the right of way, and an end closes everything', (t) => {
  const arena = new Arena(addressOf);
  const aead = EvpAead.tryOpen(arena)!;
  const tun = { fd: -1, virtioHeader: false, tcpSegmentation: false, udpSegmentation: false };
  const udp = {
    fd: -1,
    handshakes: undefined,
    family: 6,
    mark: 0,
    segmentation: false,
    receiveOffload: false,
  } as const;
  const warmUp = WarmUp.open({ tun, udp }, arena, aead, 'chacha20-poly1305', Moment.at(1000))!;
  t.true(warmUp.wait(Moment.at(1000), longest) > 0);
  warmUp.yield(Moment.at(2000));
  t.true(warmUp.wait(Moment.at(2000), longest) > 0);
  t.is(warmUp.wait(Moment.at(2500), longest), 0);
  warmUp.close();
  t.is(warmUp.wait(Moment.at(2500), longest), longest);
  warmUp.yield(Moment.at(3000));
  t.is(warmUp.wait(Moment.at(4000), longest), longest);
});
