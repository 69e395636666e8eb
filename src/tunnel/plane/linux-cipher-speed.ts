import { addressOf } from '../../ffi.js';
import { type Aead, NodeAead } from './aead.js';
import { Arena } from './arena.js';
import type { Cipher } from './contract.js';
import { EvpAead } from './linux-evp.js';
import { writeHeader } from './transmitter.js';

/**
 * A packet at a time, as the plane does it: ChaCha20 with wide vectors is the faster on one large buffer even where AES
 * has instructions of its own. Rounds are short and the best counts, since the machine may be busy.
 */
const packetLength = 1400;
const packets = 40;
const rounds = 15;

/**
 * True when AES-256-GCM is faster here than ChaCha20-Poly1305. Takes a few milliseconds; `noEvp` as the plane is
 * forced.
 */
export function isAesFaster(noEvp = false): boolean {
  const arena = new Arena(addressOf);
  const aead = (noEvp ? undefined : EvpAead.tryOpen(arena)) ?? new NodeAead(arena);
  let aes = Number.POSITIVE_INFINITY;
  let chacha = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    aes = Math.min(aes, timeOf(arena, aead, 'aes-256-gcm'));
    chacha = Math.min(chacha, timeOf(arena, aead, 'chacha20-poly1305'));
  }
  return aes < chacha;
}

function timeOf(arena: Arena, aead: Aead, cipher: Cipher): number {
  const key = aead.sealing(cipher, new Uint8Array(32));
  const started = performance.now();
  for (let counter = 0; counter < packets; counter++) {
    writeHeader(arena.view, arena.outbox, 0x10, 0, 0, counter);
    key.seal(arena.outbox, counter, arena.tunIn, packetLength, 0, 0);
  }
  const took = performance.now() - started;
  key.wipe();
  return took;
}
