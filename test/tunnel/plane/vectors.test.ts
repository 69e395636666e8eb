import { readFileSync } from 'node:fs';
import test from 'ava';
import { fromHex, toHex } from '../../../src/bytes.js';
import { addressOf } from '../../../src/ffi.js';
import { laneKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { Cipher } from '../../../src/tunnel/plane/contract.js';
import { EvpAead } from '../../../src/tunnel/plane/linux-evp.js';
import { writeHeader } from '../../../src/tunnel/plane/transmitter.js';

const vectors = JSON.parse(readFileSync('test/vectors/plane.json', 'utf8')) as {
  lanes: { sessionKey: string; lane: number; key: string }[];
  frames: {
    what: string;
    cipher: Cipher;
    key: string;
    type: number;
    flags: number;
    index: number;
    counter: number;
    plaintext: string;
    destination: number;
    source: number;
    frame: string;
  }[];
};

test('golden keys of lanes', (t) => {
  for (const { sessionKey, lane, key } of vectors.lanes) t.is(toHex(laneKey(fromHex(sessionKey)!, lane)), key);
});

test('golden frames, by either AEAD', (t) => {
  const arena = new Arena(addressOf);
  for (const vector of vectors.frames) {
    for (const aead of [new NodeAead(arena), EvpAead.tryOpen(arena)!]) {
      const text = fromHex(vector.plaintext)!;
      arena.bytes.set(text, arena.tunIn);
      writeHeader(arena.view, arena.udpIn, vector.type, vector.flags, vector.index | 0, vector.counter);
      aead
        .sealing(vector.cipher, fromHex(vector.key)!)
        .seal(arena.udpIn, vector.counter, arena.tunIn, text.length, vector.destination, vector.source);
      t.is(toHex(arena.bytes.subarray(arena.udpIn, arena.udpIn + 32 + text.length)), vector.frame, vector.what);
    }
  }
});

test('golden frames open to what was sealed, by either AEAD', (t) => {
  const arena = new Arena(addressOf);
  for (const vector of vectors.frames) {
    for (const aead of [new NodeAead(arena), EvpAead.tryOpen(arena)!]) {
      const key = aead.opening(vector.cipher, fromHex(vector.key)!);
      const length = vector.plaintext.length / 2;
      const open = (source: number) => {
        arena.bytes.set(fromHex(vector.frame)!, arena.udpIn);
        return key.open(arena.udpIn, length, vector.destination, source);
      };
      t.true(open(vector.source), vector.what);
      t.is(toHex(arena.bytes.subarray(arena.udpIn + 16, arena.udpIn + 16 + length)), vector.plaintext, vector.what);
      const { view, udpIn } = arena;
      const { type, flags, index, counter } = vector;
      t.deepEqual(
        [view.getUint8(udpIn), view.getUint8(udpIn + 1), view.getUint32(udpIn + 4), view.getUint32(udpIn + 12)],
        [type, flags, index, counter],
      );
      t.false(open(vector.source + 1), 'from another node it is not');
    }
  }
});
