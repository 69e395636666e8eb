import test from 'ava';
import { type Random, seededRandom } from '../../src/random.js';
import { HostileMember, innerPacket, isHarmless, member, us } from './hostile-member.js';

const factor = Number(process.env.WEFT_FUZZ ?? 1);

function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 1 + random.below(3); i > 0 && out.length > 0; i--) {
    const at = random.below(Math.min(out.length, random.below(2) ? 64 : out.length));
    out[at] = random.below(4) === 0 ? [0, 1, 0x7f, 0x80, 0xff][random.below(5)]! : random.below(256);
  }
  return random.below(4) === 0 ? out.subarray(0, random.below(out.length + 1)) : out;
}

test('datagrams of every length and type from strangers harm nothing', (t) => {
  const random = seededRandom(21);
  const target = new HostileMember(random);
  let executions = 0;
  for (let length = 0; length <= 65_000; length += length < 200 ? 1 : 97) {
    for (const type of [0x00, 0x01, 0x07, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0xff]) {
      const bytes = new Uint8Array(length);
      if (length > 0) bytes[0] = type;
      if (length > 8) bytes[7] = 16 + random.below(3);
      target.receive(bytes);
      executions++;
    }
  }
  t.is(target.tun.written.length, 0);
  t.false(target.events.some((event) => event.kind === 'control' || event.kind === 'confirmed'));
  t.log(`${executions} executions`);
});

test('frames of a hostile member never make our kernel see a header of its choosing', (t) => {
  const random = seededRandom(22);
  const target = new HostileMember(random);
  const rounds = 30_000 * factor;
  let delivered = 0;
  for (let i = 0; i < rounds; i++) {
    const type = [0x10, 0x10, 0x10, 0x11, 0x12, 0x13, random.below(256)][random.below(7)]!;
    const packet = innerPacket(random, 'in');
    const text = random.below(3) === 0 ? packet : mutate(random, packet);
    const flags = random.below(3) === 0 ? random.below(256) : random.below(2);
    const frame = target.seal(type, flags, text);
    target.receive(random.below(8) === 0 ? mutate(random, frame) : frame);
    for (const written of target.tun.written.splice(0)) {
      delivered++;
      if (!isHarmless(written)) {
        t.deepEqual(written, new Uint8Array(0), 'a harmful write');
        return;
      }
    }
  }
  t.true(delivered > rounds / 20, `${delivered}`);
  t.log(`${rounds} executions, ${delivered} packets delivered`);
});

test('relay headers of a hostile member lead nowhere they should not', (t) => {
  const random = seededRandom(23);
  const target = new HostileMember(random);
  const rounds = 10_000 * factor;
  for (let i = 0; i < rounds; i++) {
    const header = random.bytes(8);
    if (random.below(2)) header.set([0, 0, us, 0, 0, member, random.below(3)]);
    const inner = random.below(2) ? target.seal(0x10, 0, innerPacket(random, 'in')) : random.bytes(random.below(200));
    const outer = target.seal(0x12, random.below(2) ? 0 : random.below(8), header);
    const frame = new Uint8Array(outer.length + inner.length);
    frame.set(outer);
    frame.set(inner, outer.length);
    target.receive(random.below(4) === 0 ? mutate(random, frame) : frame);
  }
  // An inner frame sealed for a tunnel is none of an end-to-end session: its ends are not the ones authenticated.
  t.is(target.tun.written.length, 0);
  t.log(`${rounds} executions`);
});

test('whatever our own kernel hands over, nothing throws', (t) => {
  const random = seededRandom(24);
  const target = new HostileMember(random);
  target.receive(target.seal(0x13, 0, new Uint8Array(16)));
  const rounds = 30_000 * factor;
  for (let i = 0; i < rounds; i++) {
    const packet = innerPacket(random, 'out');
    const whole = new Uint8Array(10 + packet.length);
    whole.set(packet, 10);
    if (random.below(2)) {
      const view = new DataView(whole.buffer);
      whole[0] = random.below(3);
      whole[1] = [0, 1, 4, 5, 3, 0x84][random.below(6)]!;
      view.setUint16(2, random.below(200), true);
      view.setUint16(4, [0, 1, 100, 1308, 65_535][random.below(5)]!, true);
      view.setUint16(6, [0, 20, 40, 60, 65_535][random.below(5)]!, true);
      view.setUint16(8, [6, 16, 65_535][random.below(3)]!, true);
    }
    target.fromKernel(random.below(2) ? whole : mutate(random, whole));
  }
  t.log(`${rounds} executions`);
  t.pass();
});
