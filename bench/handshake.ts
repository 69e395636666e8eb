import { type CertificateChain, encodeChain } from '../src/addr/certificate-chain.js';
import { NodeIdentity } from '../src/addr/identity.js';
import { issueIssuerCertificate } from '../src/addr/issuer-certificate.js';
import { Network } from '../src/addr/network.js';
import { issueNodeCertificate } from '../src/addr/node-certificate.js';
import { SecondMachine } from '../src/addr/second-machine.js';
import { certificateLifetime } from '../src/addr/validity.js';
import { AgreementKey, SigningKey, VerifyingKey } from '../src/crypto.js';
import { appendMacs, datagramMacsLength } from '../src/datagram-mac.js';
import { addressOf } from '../src/ffi.js';
import { Membership } from '../src/mesh/membership.js';
import { systemRandom } from '../src/random.js';
import { FrameType } from '../src/tunnel/frame.js';
import { Guard, maxHandshakeLength } from '../src/tunnel/guard.js';
import { IncomingHandshake, OutgoingHandshake, prologueOf } from '../src/tunnel/handshake.js';
import { Peers } from '../src/tunnel/peers.js';
import { NodeAead } from '../src/tunnel/plane/aead.js';
import { Arena } from '../src/tunnel/plane/arena.js';
import { InProcessPlane } from '../src/tunnel/plane/in-process.js';
import { EvpAead } from '../src/tunnel/plane/linux-evp.js';
import { type Part, tellPart } from './part.js';
import { summary } from './statistics.js';

/** What handshakes, and a flood of them, cost one core. `node dist/bench/handshake.js` prints a line a measurement. */
const random = systemRandom();

/** Five runs of about half a second; tells the processor time of one, so that other work on the machine counts little. */
function measure(what: string, once: (i: number) => void, key?: Part['key']): void {
  for (let i = 0; i < 1000; i++) once(i);
  const heap = process.memoryUsage().heapUsed;
  const runs: number[] = [];
  let done = 0;
  for (let run = 0; run < 5; run++) {
    const [before, first] = [process.cpuUsage(), done];
    let micros = 0;
    while (micros < 5e5) {
      for (let i = 0; i < 100; i++) once(done++);
      const { user, system } = process.cpuUsage(before);
      micros = user + system;
    }
    runs.push((1000 * micros) / (done - first));
  }
  const grown = Math.round((process.memoryUsage().heapUsed - heap) / done);
  const { median: nanos, least, most } = summary(runs);
  tellPart({ ...(key ? { key } : {}), what, nanos, least, most, heap: grown });
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

const tunnelsAtOnce = 100;

// Handshakes answered, with all that one core does for it but the system calls: a new member each time, under one issuer.
{
  const network = newNetwork();
  const { me, chain } = network;
  const prologue = prologueOf(network.id);
  const hello = (shown: Uint8Array) => ({
    ...{ aesFaster: true, lanes: 1, incarnation: 1n, counter: 1, observed: undefined },
    chain: shown,
  });
  const members = Array.from({ length: 1000 }, (_, i) => {
    const { identity, chain: shown } = network.admit(i + 2);
    const ephemeral = AgreementKey.ephemeral(random);
    const self = { prologue, key: identity.agreement };
    const bytes = new OutgoingHandshake(self, ephemeral, me.agreement.publicKey, 8, hello(encodeChain(shown)));
    return { bytes: bytes.datagram()!, from: { address: `10.0.${i >> 8}.${i & 255}`, port: 16696 } };
  });
  const begin = () => {
    const membership = network.membership(); // which knows nobody yet
    const arena = new Arena(addressOf);
    const guard = new Guard({ publicKey: me.agreement.publicKey, cookieSecret: random.bytes(32), random });
    const plane = new InProcessPlane({
      ...{ random, workers: 1, toKernel: () => {}, guard: () => guard },
      memory: { arena, aead: EvpAead.tryOpen(arena) ?? new NodeAead(arena) },
      toUnderlay: ([type]) => {
        if (type === FrameType.response) answered++;
      },
    });
    const prefix = { networkPrefix: network.prefix.bytes, networkPrefixLength: network.prefix.length };
    const relay = { relay: 'yes', relayLimitBitsPerSecond: 0 } as const;
    plane.command({ kind: 'configure', node: 1, ...prefix, ...relay, publicKey: me.agreement.publicKey });
    const peers = new Peers({
      ...{ node: 1, networkId: network.id, key: me.agreement, chain: encodeChain(chain), incarnation: 1n },
      ...{ lanes: 1, aesFaster: true, random, counters: (link: number) => plane.counters(link) },
      secondMachine: new SecondMachine(network.id, me.signing, 1n),
      membership: {
        identify(octets, publicKey) {
          const shown = membership.readChain(octets);
          const verdict = shown && membership.verify(shown, publicKey);
          return verdict?.ok
            ? { node: verdict.node.number, certificate: verdict.node }
            : { refused: verdict?.fault ?? 'malformed' };
        },
        publicKeyOf: () => undefined,
      },
    });
    plane.onEvent((event, now) => {
      for (const effect of peers.handle({ kind: 'plane', event }, now))
        if (effect.kind === 'plane') plane.command(effect.command);
    });
    return plane;
  };
  let plane = begin();
  let answered = 0;
  let asked = 0;
  let now = 0;
  const answer = (i: number) => {
    if (i % tunnelsAtOnce === 0) plane = begin();
    const { bytes, from } = members[i % members.length]!;
    asked++;
    now += 20; // below the rate at which the guard asks for cookies
    plane.fromUnderlay(bytes, from);
    plane.run(now);
  };
  measure('an initiation answered: guard, certificates, tunnel, keys', answer, 'handshake');
  if (answered < asked) throw new Error(`${asked - answered} of ${asked} initiations were not answered`);
  const self = { prologue, key: me.agreement };
  const broken = new Uint8Array(members[0]!.bytes);
  broken[1000]! ^= 1;
  measure('peers: an initiation that does not open, refused', () => IncomingHandshake.read(self, broken));
  const key = new AgreementKey(random.bytes(32));
  measure('peers: an initiation written', () => {
    const ephemeral = AgreementKey.ephemeral(random);
    new OutgoingHandshake(
      { prologue, key },
      ephemeral,
      me.agreement.publicKey,
      8,
      hello(encodeChain(chain)),
    ).datagram();
  });
}

/** A network with one issuer, whose node this is too, and members as many as are admitted. */
function newNetwork() {
  const issued = Math.floor(Date.now() / 1000) - 1000;
  const networkKey = SigningKey.make(random);
  const network = new Network(VerifyingKey.from(networkKey.publicKey)!);
  const me = NodeIdentity.make(random);
  const issuer = issueIssuerCertificate(network, networkKey, {
    ...{ index: 0, key: me.signing.publicKey, dh: me.agreement.publicKey, number: 1, issued },
  });
  const certify = (identity: NodeIdentity, number: number): CertificateChain => {
    const about = { key: identity.signing.publicKey, dh: identity.agreement.publicKey, number, name: `n${number}` };
    const terms = { lan: [], issued, expires: issued + certificateLifetime, issuer: 0 };
    return { issuer, node: issueNodeCertificate(network.id, me.signing, { ...about, ...terms }) };
  };
  const chain = certify(me, 1);
  return {
    ...{ id: network.id, prefix: network.prefix, me, chain },
    membership: () => new Membership(me, network, chain, () => issued + 1000),
    admit(number: number) {
      // Not `make`, which compares two implementations: that takes ten times as long.
      const identity = new NodeIdentity(new SigningKey(random.bytes(32)), new AgreementKey(random.bytes(32)));
      return { identity, chain: certify(identity, number) };
    },
  };
}
