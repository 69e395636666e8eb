import { createCipheriv } from 'node:crypto';

/** Short enough that on a busy machine most rounds run undisturbed, long enough that setting up a cipher does not count. */
const size = 64 * 1024;
const rounds = 30;

/** True when AES-256-GCM is faster here than ChaCha20-Poly1305, as it is with AES instructions. Takes a few milliseconds. */
export function isAesFaster(): boolean {
  let aes = Number.POSITIVE_INFINITY;
  let chacha = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    aes = Math.min(aes, timeOf('aes-256-gcm'));
    chacha = Math.min(chacha, timeOf('chacha20-poly1305'));
  }
  return aes < chacha;
}

function timeOf(name: 'aes-256-gcm' | 'chacha20-poly1305'): number {
  const plaintext = Buffer.alloc(size);
  const cipher = createCipheriv(name as 'aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12), { authTagLength: 16 });
  const started = performance.now();
  cipher.update(plaintext);
  return performance.now() - started;
}
