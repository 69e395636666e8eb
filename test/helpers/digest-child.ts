import { EvpDigest } from '../../src/digest.js';
import { leftOfHashes, leftOfSchedule } from './left-of-hashes.js';

/** Prints what hashes by EVP leave in a process, for a parent that sets what OpenSSL is to see of the processor. */
const evp = EvpDigest.tryOpen()!;
const said = { hashes: leftOfHashes(evp), schedule: leftOfSchedule(evp) };
process.stdout.write(JSON.stringify(said));
