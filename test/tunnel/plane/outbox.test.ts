import test from 'ava';
import type { UdpPort } from '../../../src/tunnel/plane/adapters.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { Drops } from '../../../src/tunnel/plane/drops.js';
import { LinkShared } from '../../../src/tunnel/plane/link-shared.js';
import { Outbox } from '../../../src/tunnel/plane/outbox.js';

const frame = 1412;
const to = new Uint8Array(18);

/** An outbox, and how many frames each of its sends carried. */
function made() {
  const sends: number[] = [];
  const udp = {
    send: (_to: Uint8Array, _at: number, length: number, segment: number) => {
      sends.push(Math.ceil(length / segment));
      return 0;
    },
  } as Partial<UdpPort> as UdpPort;
  const outbox = new Outbox(new Arena(), udp, new Drops());
  const put = (count: number) => {
    for (let i = 0; i < count; i++) {
      outbox.begin(to, frame);
      outbox.commit(frame, shared, 1);
    }
  };
  return { outbox, sends, put };
}

const shared = new LinkShared(new SharedArrayBuffer(LinkShared.byteLength(1)), 0);

test('a super-packet goes in one send, and what waited before it in another', (t) => {
  const { outbox, sends, put } = made();
  put(30);
  outbox.expect(44, frame);
  put(44);
  outbox.flush();
  t.deepEqual(sends, [30, 44]);
});

test('a small super-packet shares the send of what waits', (t) => {
  const { outbox, sends, put } = made();
  for (const count of [5, 20, 15]) {
    outbox.expect(count, frame);
    put(count);
  }
  outbox.flush();
  t.deepEqual(sends, [40]);
});

test('what is longer than any send fills sends to the brim: 65,507 octets', (t) => {
  const { outbox, sends, put } = made();
  put(10);
  outbox.expect(60, frame);
  put(60);
  outbox.flush();
  t.deepEqual(sends, [46, 24]);
});
