import test from 'ava';
import { batchOctets, HeaderKey } from '../../../src/tunnel/plane/header-key.js';

test('what the table of a key is made from is zeroed when it is made', (t) => {
  const made: Int32Array[] = [];
  const blocks = {
    input: new DataView(new ArrayBuffer(batchOctets)),
    output: new Int32Array(batchOctets / 4),
    encrypt(count: number) {
      this.output.fill(0x1234_5678, 0, 4 * count);
    },
  };
  // Every array that is made of words meanwhile, the products among them.
  const { Int32Array: Words } = globalThis;
  globalThis.Int32Array = new Proxy(Words, {
    construct: (target, given) => {
      const words = Reflect.construct(target, given) as Int32Array;
      if (words.length === 4) made.push(words);
      return words;
    },
  });
  try {
    new HeaderKey(new DataView(new ArrayBuffer(64)), blocks);
  } finally {
    globalThis.Int32Array = Words;
  }
  t.true(blocks.output.every((word) => word === 0));
  t.is(made.length, 11);
  const left = made.filter((words) => words.some((word) => word !== 0));
  t.is(left.length, 2, 'the additional data and the lengths, which all know');
});
