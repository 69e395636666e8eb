/**
 * Serves one made-up file over HTTP: node file-server.js ADDRESS PORT OCTETS. Prints its SHA-256 once it listens.
 * The octets repeat from run to run and never compress.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { seededRandom } from '../src/random.js';

const [address, port, octets] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4])];
const block = Buffer.from(seededRandom(1).bytes(1024 * 1024));

/** The file's block `i`: the same random octets, but each block numbered, so that a lost or doubled one is seen. */
function blockAt(i: number): Buffer {
  const copy = Buffer.from(block);
  copy.writeUInt32BE(i);
  return copy.subarray(0, Math.min(copy.length, octets - i * copy.length));
}

function* blocks() {
  for (let i = 0; i * block.length < octets; i++) yield blockAt(i);
}

const hash = createHash('sha256');
for (const each of blocks()) hash.update(each);
const checksum = hash.digest('hex');

const server = createServer(async (_request, response) => {
  response.writeHead(200, { 'content-length': octets, 'content-type': 'application/octet-stream' });
  for (const each of blocks()) {
    if (response.destroyed) return;
    if (!response.write(each)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end();
});
server.listen(port, address, () => console.log(checksum));
