import { AgreementKey, SigningKey, VerifyingKey } from '../src/crypto.js';
import { appendMacs, datagramMacsLength } from '../src/datagram-mac.js';
import { systemRandom } from '../src/random.js';
import { FrameType } from '../src/tunnel/frame.js';
import { Guard, maxHandshakeLength } from '../src/tunnel/guard.js';
import { IncomingHandshake, OutgoingHandshake, prologueOf } from '../src/tunnel/handshake.js';
import { Peers } from '../src/tunnel/peers.js';
import { type Part, tellPart } from './part.js';

/** What handshakes, and a flood of them, cost one core. `node dist/bench/handshake.js` prints a line a measurement. */
const random = systemRandom();

/** Runs for about a second and tells the processor time of one, so that other work on the machine counts little. */
function measure(what: string, once: (i: number) => void, key?: Part['key']): void {
  for (let i = 0; i < 1000; i++) once(i);
  const heap = process.memoryUsage().heapUsed;
  const before = process.cpuUsage();
  let rounds = 0;
  let micros = 0;
  while (micros < 1e6) {
    for (let i = 0; i < 100; i++) once(rounds++);
    const { user, system } = process.cpuUsage(before);
    micros = user + system;
  }
  const grown = Math.round((process.memoryUsage().heapUsed - heap) / rounds);
  tellPart({ ...(key ? { key } : {}), what, nanos: (1000 * micros) / rounds, heap: grown });
}

const ours = new AgreementKey(random.bytes(32));
const newGuard = () => new Guard({ publicKey: ours.publicKey, cookieSecret: random.bytes(32), random });

function initiation(cookie?: Uint8Array): Uint8Array {
  const body = random.bytes(maxHandshakeLength - datagramMacsLength);
  body[0] = FrameType.initiation;
  return appendMacs(ours.publicKey, body, cookie);
}

/** Sources that never repeat soon. */
const source = { address: new Uint8Array(16).fill(0xff, 10, 12), port: 16696 };
function spoofed(i: number) {
  source.address[13] = i >> 16;
  source.address[14] = i >> 8;
  source.address[15] = i;
  return source;
}

{
  const guard = newGuard();
  const forged = initiation();
  forged[500]! ^= 1;
  measure('guard: forged initiation of a stranger, dropped', (i) => guard.admit(forged, spoofed(i), i / 50));
}
{
  const guard = newGuard();
  const short = initiation().subarray(1);
  measure('guard: wrong length, dropped', (i) => guard.admit(short, spoofed(i), i / 50));
}
{
  const guard = newGuard();
  const known = initiation();
  measure('guard: forged by who knows our key, 50,000/s, spoofed', (i) => guard.admit(known, spoofed(i), i / 50));
}
{
  const guard = newGuard();
  const bogus = initiation(random.bytes(16));
  measure('guard: the same with made-up cookies', (i) => guard.admit(bogus, spoofed(i), i / 50));
}

// Handshakes answered: a new peer each time, its certificate (500 octets) under one signature of an issuer known before.
{
  const issuer = SigningKey.make(random);
  const verifying = VerifyingKey.from(issuer.publicKey)!;
  const certificate = random.bytes(436);
  const signature = issuer.sign(certificate);
  const chain = new Uint8Array([...certificate, ...signature]);
  const networkId = random.bytes(32);
  const hello = { aesFaster: true, lanes: 1, incarnation: 1n, counter: 1, observed: undefined, chain };
  const prologue = prologueOf(networkId);
  let node = 1;
  const newPeers = () =>
    new Peers({
      node: 1,
      networkId,
      key: ours,
      chain,
      incarnation: 1n,
      lanes: 1,
      aesFaster: true,
      random,
      membership: {
        identify: (shown) => {
          const good = verifying.verify(shown.subarray(0, 436), shown.subarray(436));
          return good ? { node: ++node, certificate: shown } : { refused: 'not signed by an issuer' };
        },
        publicKeyOf: () => undefined,
      },
      counters: () => ({ txFrames: 0, lastHeard: 0 }),
    });
  const initiations = Array.from({ length: 2000 }, () => {
    const key = new AgreementKey(random.bytes(32));
    const ephemeral = AgreementKey.ephemeral(random);
    return new OutgoingHandshake({ prologue, key }, ephemeral, ours.publicKey, 8, hello).datagram()!;
  });
  let peers = newPeers();
  const answer = (i: number) => {
    if (i % initiations.length === 0) peers = newPeers();
    const from = { kind: 'direct', endpoint: { address: '192.0.2.1', port: 1 } } as const;
    const bytes = initiations[i % initiations.length]!;
    peers.handle({ kind: 'plane', event: { kind: 'datagram', from, bytes } }, 0);
  };
  measure('peers: an initiation answered, session installed', answer, 'handshake');
  const self = { prologue, key: ours };
  const broken = new Uint8Array(initiations[0]!);
  broken[1000]! ^= 1;
  measure('peers: an initiation that does not open, refused', () => IncomingHandshake.read(self, broken));
  const key = new AgreementKey(random.bytes(32));
  measure('peers: an initiation written', () => {
    const ephemeral = AgreementKey.ephemeral(random);
    new OutgoingHandshake({ prologue, key }, ephemeral, ours.publicKey, 8, hello).datagram();
  });
}
