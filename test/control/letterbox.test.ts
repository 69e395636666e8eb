import test from 'ava';
import { Letterbox } from '../../src/control/letterbox.js';

const letter = (octet: number) => new Uint8Array([octet]);

test('letters wait five seconds for a way to their receiver, and come out in order', (t) => {
  const box = new Letterbox();
  box.put(7, letter(1), 0);
  box.put(7, letter(2), 1000);
  box.put(8, letter(3), 2000);
  t.deepEqual(box.receivers(), [7, 8]);
  t.is(box.deadline(), 5000);
  box.expire(5000);
  t.deepEqual(box.take(7), [letter(2)]);
  t.deepEqual(box.receivers(), [8]);
  box.expire(7000);
  t.deepEqual(box.receivers(), []);
});

test('a receiver nobody can reach holds sixteen letters at most, and 256 receivers are remembered', (t) => {
  const box = new Letterbox();
  for (let i = 0; i < 100; i++) box.put(1, letter(i), 0);
  for (let node = 2; node < 1000; node++) box.put(node, letter(0), 0);
  t.is(box.take(1).length, 16);
  t.is(box.receivers().length, 255);
});
