import { appendFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { EvpDigest } from '../../src/digest.js';
import { EvpX25519 } from '../../src/x25519.js';

/**
 * Loaded into a daemon before its own code (`node --import`): writes what its handshakes agree on and every key derived
 * from it, in hex, to the file WEFT_TEST_KEYS names. These never are on a disk, so this is how a test learns what must
 * not be said. WEFT_TEST_LEAK has it say one of them on standard error, as a careless log line would. On SIGUSR2 the
 * daemon ends by an exception that nobody catches.
 */
const crypto = createRequire(import.meta.url)('node:crypto') as typeof import('node:crypto');
const { WEFT_TEST_KEYS: file, WEFT_TEST_LEAK: leak } = process.env;
let leaked = false;

function note(octets: Uint8Array): void {
  const hex = Buffer.from(octets).toString('hex');
  if (file) appendFileSync(file, `${hex}\n`);
  if (leak && !leaked) process.stderr.write(`{"level":"debug","msg":"a careless line","reason":"${hex}"}\n`);
  leaked = true;
}

const { hmac } = EvpDigest.prototype;
EvpDigest.prototype.hmac = function (...given) {
  const mac = hmac.apply(this, given);
  note(mac);
  return mac;
};
const { agree } = EvpX25519.prototype;
EvpX25519.prototype.agree = function (...given) {
  const shared = agree.apply(this, given);
  if (shared) note(shared);
  return shared;
};

// Where the node binary does not export those.
const { diffieHellman, createHmac } = crypto;
Object.assign(crypto, {
  diffieHellman: (options: Parameters<typeof diffieHellman>[0]) => {
    const shared = diffieHellman(options);
    note(shared);
    return shared;
  },
  createHmac: (...given: Parameters<typeof createHmac>) => {
    const mac = createHmac(...given);
    const digest = mac.digest.bind(mac) as () => Buffer;
    return Object.assign(mac, {
      digest: () => {
        const octets = digest();
        note(octets);
        return octets;
      },
    });
  },
});
syncBuiltinESMExports();

process.on('SIGUSR2', () => {
  throw new Error('on purpose');
});
