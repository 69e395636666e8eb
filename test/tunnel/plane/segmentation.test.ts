import test from 'ava';
import { minute } from '../../../src/time.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import { Errno } from '../../../src/tunnel/plane/linux-system.js';
import { LinuxUdp } from '../../../src/tunnel/plane/linux-udp.js';
import { Segmentation } from '../../../src/tunnel/plane/segmentation.js';
import { toUnderlay } from '../../../src/tunnel/plane/underlay-address.js';

const address = (last: number) => toUnderlay({ address: `192.0.2.${last}`, port: 1 })!;

test('a destination that our kernel cuts nothing for gets its parts one by one for a minute, and others whole bursts', (t) => {
  let now = 5000;
  const shared = new SharedArrayBuffer(Segmentation.byteLength);
  const segmentation = new Segmentation(true, () => now, shared);
  const asked = new Segmentation(true, () => now, shared);
  const answers: number[] = [];
  const calls = { sendmsg: () => answers.shift()!, errno: () => Errno.inputOutput };
  const udp = new LinuxUdp(-1, { family: 4, mark: 0 }, new Arena(), segmentation, calls);
  const [ppp, ethernet] = [address(1), address(2)];
  /** Two parts of 100 octets and one of 50; what the calls that this should take answer. */
  const sends = (to: Uint8Array, ...expected: number[]) => {
    answers.push(...expected);
    t.is(udp.send(to, 0, 250, 100), 0);
    t.deepEqual(answers, []);
  };
  sends(ppp, 250);
  t.false(asked.isRefused);
  sends(ppp, -1, 100, 100, 50);
  t.true(asked.isRefused, 'the main thread sees it');
  sends(ethernet, 250);
  sends(ppp, 100, 100, 50);
  sends(address(1), 250); // a tunnel that moved there
  now += minute - 1;
  sends(ppp, 100, 100, 50);
  now += 1;
  t.false(asked.isRefused);
  sends(ppp, -1, 100, 100, 50);
  t.true(asked.isRefused);
  now += minute;
  sends(ppp, 250);
  sends(ppp, 250);
  t.false(asked.isRefused);
});

test('where the sockets have no such option, no burst is tried', (t) => {
  const segmentation = new Segmentation(false, () => 0);
  t.false(segmentation.serves(address(1)));
});
