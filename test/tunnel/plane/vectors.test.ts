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
    for (const aead of [new NodeAead(arena), EvpAead.tryOpen(arena)]) {
      const text = fromHex(vector.plaintext)!;
      arena.bytes.set(text, arena.tunIn);
      writeHeader(arena.view, arena.udpIn, vector.type, vector.flags, vector.index | 0, vector.counter);
      aead
        ?.sealing(vector.cipher, fromHex(vector.key)!)
        .seal(arena.udpIn, vector.counter, arena.tunIn, text.length, vector.destination, vector.source);
      t.is(toHex(arena.bytes.subarray(arena.udpIn, arena.udpIn + 32 + text.length)), vector.frame, vector.what);
    }
  }
});
