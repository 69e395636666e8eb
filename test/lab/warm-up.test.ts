import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import test from 'ava';
import { median } from '../../lab/median.js';
import { addressOf } from '../../src/ffi.js';
import { type Millis, never } from '../../src/time.js';
import { Arena } from '../../src/tunnel/plane/arena.js';
import { DataPlane } from '../../src/tunnel/plane/data-plane.js';
import { EvpAead } from '../../src/tunnel/plane/linux-evp.js';
import { WarmUp } from '../../src/tunnel/plane/linux-warm-up.js';
import { PacketShape } from '../../src/tunnel/plane/packet.js';
import { Transmitter } from '../../src/tunnel/plane/transmitter.js';

setFlagsFromString('--allow-natives-syntax');
const optimizationStatus = new Function('f', 'return %GetOptimizationStatus(f)') as (f: unknown) => number;
/** kOptimized of V8's OptimizationStatus. */
const isOptimized = (f: unknown) => (optimizationStatus(f) & (1 << 4)) !== 0;
/** The rest is part of these by then, or small enough to stay as it is. */
const path = [DataPlane.prototype.work, Transmitter.prototype.send, PacketShape.prototype.read];
const clock = (): Millis => Number(process.hrtime.bigint()) / 1e6;

test.serial('code that never met a packet is compiled after the warm-up, in slices of a millisecond', async (t) => {
  const arena = new Arena(addressOf);
  const aead = EvpAead.tryOpen(arena)!;
  const tun = { fd: -1, virtioHeader: true, tcpSegmentation: true, udpSegmentation: true };
  const udp = { fd: -1, handshakes: undefined, family: 4, mark: 0, segmentation: true, receiveOffload: true } as const;
  for (const f of path) t.false(isOptimized(f));
  const warmUp = WarmUp.open({ tun, udp }, arena, aead, 'aes-256-gcm', clock())!;
  const slices: Millis[] = [];
  while (warmUp.deadline !== never) {
    const began = clock();
    warmUp.run(clock);
    slices.push(clock() - began);
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
  const warmUp = WarmUp.open({ tun, udp }, arena, aead, 'chacha20-poly1305', 1000)!;
  t.true(warmUp.deadline > 1000);
  warmUp.yield(2000);
  t.true(warmUp.deadline > 2000);
  warmUp.close();
  t.is(warmUp.deadline, never);
  warmUp.yield(3000);
  t.is(warmUp.deadline, never);
});
