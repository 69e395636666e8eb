import { concatBytes } from '../../../src/bytes.js';
import { cookieReplyKey, mac1Of, openCookieReply, sealCookieReply } from '../../../src/cookie-reply.js';
import { AgreementKey } from '../../../src/crypto.js';
import { appendMacs } from '../../../src/datagram-mac.js';
import { NoiseInitiator } from '../../../src/noise.js';
import { seededRandom } from '../../../src/random.js';
import { Guard } from '../../../src/tunnel/guard.js';
import { IncomingHandshake, OutgoingHandshake, prologueOf } from '../../../src/tunnel/handshake.js';
import { decodeLinkMessage, encodeLinkMessage } from '../../../src/tunnel/link-message.js';
import { HostileMember, innerPacket, isHarmless, member, us } from '../hostile-member.js';
import { promise, type Target } from '../target.js';

const random = seededRandom(77);
const ours = new AgreementKey(random.bytes(32));
const theirs = new AgreementKey(random.bytes(32));
const prologue = prologueOf(new Uint8Array(32).fill(7));
const hello = {
  aesFaster: true,
  lanes: 2,
  incarnation: 5n,
  counter: 1,
  observed: { address: '192.0.2.1', port: 16696 },
  chain: new Uint8Array(400).fill(9),
};

function initiation(): Uint8Array {
  const ephemeral = AgreementKey.ephemeral(random);
  return new OutgoingHandshake({ prologue, key: theirs }, ephemeral, ours.publicKey, 16, hello).datagram()!;
}

const handshake: Target = {
  name: 'handshake',
  files: ['tunnel/guard.js', 'tunnel/handshake.js', 'src/noise.js', 'tunnel/source-buckets.js', 'tunnel/quick-hmac.js'],
  seeds: [
    initiation(),
    appendMacs(ours.publicKey, concatBytes(Uint8Array.of(2, 0, 0, 0), random.bytes(90))),
    appendMacs(ours.publicKey, concatBytes(Uint8Array.of(4, 0, 0, 0), random.bytes(200))),
    concatBytes(Uint8Array.of(7), random.bytes(16)),
    Uint8Array.of(8),
  ],
  make: (chance) => {
    const guard = new Guard({ publicKey: ours.publicKey, cookieSecret: chance.bytes(32), random: chance });
    const asked = new OutgoingHandshake(
      { prologue, key: ours },
      AgreementKey.ephemeral(chance),
      theirs.publicKey,
      16,
      hello,
    );
    asked.datagram();
    let now = 0;
    return (input) => {
      const source = { address: chance.bytes(16), port: chance.below(65_536) };
      const verdict = guard.admit(input, source, ++now);
      if (typeof verdict !== 'string') promise(verdict.length <= input.length, 'an answer is no larger than what came');
      // Behind the guard nothing may trust that it stood there; with good macs mutations get further.
      const bodyless = input.subarray(0, Math.max(0, input.length - 32));
      const read = IncomingHandshake.read({ prologue, key: ours }, appendMacs(ours.publicKey, bodyless));
      if (read) promise(read.hello.lanes >= 1 && read.hello.lanes <= 8, 'lanes are 1 to 8');
      promise(asked.readResponse(input) === undefined, 'nobody without the key answers for it');
    };
  },
};

/** What a member may put into a handshake: the sealed part is its to choose. */
const sealedHello: Target = {
  name: 'hello',
  files: ['tunnel/handshake.js'],
  seeds: [
    new Uint8Array(1068),
    concatBytes(Uint8Array.of(1, 8, 2, 0), new Uint8Array(1064).fill(0xff)),
    new Uint8Array(0),
  ],
  make: (chance) => (input) => {
    const noise = new NoiseInitiator('IK', prologue, theirs, AgreementKey.ephemeral(chance), ours.publicKey);
    const plain = new Uint8Array(1068);
    plain.set(input.subarray(0, 1068));
    const message = noise.writeInitiation(plain)!;
    const datagram = appendMacs(ours.publicKey, concatBytes(Uint8Array.of(1, 0, 0, 0), message));
    const read = IncomingHandshake.read({ prologue, key: ours }, datagram);
    if (!read) return;
    promise(read.hello.lanes >= 1 && read.hello.lanes <= 8, 'lanes are 1 to 8');
    promise(read.hello.chain.length <= 1068 - 38, 'a chain is within the message');
    read.respond(AgreementKey.ephemeral(chance), 32, hello);
  },
};

const asked = initiation();
const cookie: Target = {
  name: 'cookie reply',
  files: ['src/cookie-reply.js'],
  seeds: [sealCookieReply(cookieReplyKey(ours.publicKey), mac1Of(asked), random.bytes(16), random.bytes(12))],
  make: () => {
    const genuine = cookie.seeds[0]!;
    return (input) => {
      const opened = openCookieReply(ours.publicKey, mac1Of(asked), input);
      promise(!opened || Buffer.compare(input, genuine) === 0, 'only the genuine reply opens');
    };
  },
};

const linkMessage: Target = {
  name: 'link messages',
  files: ['tunnel/link-message.js'],
  seeds: [
    encodeLinkMessage({ kind: 'hello', observed: { address: '192.0.2.1', port: 1 } }),
    encodeLinkMessage({ kind: 'probe', nonce: new Uint8Array(8) }),
    encodeLinkMessage({ kind: 'bye', reason: 'it is stopping', first: 5n }),
    // As long as a proof may be, and one octet longer: mutations seldom make one so long.
    ...[256, 257].map((length) =>
      encodeLinkMessage({
        kind: 'second',
        proof: random.bytes(length),
        endpoint: { address: '192.0.2.1', port: 1 },
      }),
    ),
  ],
  make: () => (input) => {
    const message = decodeLinkMessage(input);
    if (message?.kind === 'bye' || message?.kind === 'part') promise(message.reason.length <= 64, 'a reason is short');
    if (message?.kind === 'second') promise(message.proof.length <= 256, 'a proof is short');
  },
};

const planeFiles = [
  'plane/inbound.js',
  'plane/packet.js',
  'plane/glue.js',
  'plane/joins.js',
  'plane/prober.js',
  'plane/virtio.js',
  'tunnel/replay-window.js',
];

function harmless(subject: HostileMember): void {
  for (const written of subject.tun.written.splice(0)) {
    promise(isHarmless(written), 'our kernel sees only derived virtio headers');
  }
}

/** Marks the type of a frame that comes through a relay, from end to end. */
const relayed = 0x80;

/**
 * Input: type, flags, then the plaintext that a member seals; a relayed frame has the rest behind its 8 octets. Notices are
 * not sealed.
 */
const memberFrames: Target = {
  name: 'member frames',
  files: planeFiles,
  seeds: [
    ...([4, 6] as const).flatMap((version) =>
      [0, 1, 2, 4].map((flags) => concatBytes(Uint8Array.of(0x10, flags), innerPacket(random, 'in', version))),
    ),
    Uint8Array.of(0x11, 0, 1, 2, 3),
    concatBytes(Uint8Array.of(0x13, 0), new Uint8Array(16)),
    concatBytes(Uint8Array.of(0x12, 0, 0, 0, us, 0, 0, member, 5, 0), random.bytes(60)),
    concatBytes(Uint8Array.of(0x12, 0, 0, 0, 9, 0, 0, member, 5, 0), random.bytes(60)),
    ...([4, 6] as const).map((version) =>
      concatBytes(Uint8Array.of(relayed | 0x10, 1), innerPacket(random, 'in', version)),
    ),
    Uint8Array.of(relayed | 0x11, 0, 2, 0xa0),
    Uint8Array.of(relayed | 0x14, 1, ...new Array(14).fill(0)),
  ],
  make: (chance) => {
    const subject = new HostileMember(chance);
    return (input) => {
      const [type = 0, flags = 0] = input;
      const text = input.subarray(2, 62_000);
      if (type === (relayed | 0x14))
        subject.receive(subject.behindRelay(concatBytes(Uint8Array.of(0x14, flags), text)));
      else if (type & relayed) subject.receive(subject.relayed(type & ~relayed, flags, text.subarray(0, 1500)));
      else if (type === 0x12)
        subject.receive(concatBytes(subject.seal(type, flags, text.subarray(0, 8)), text.subarray(8)));
      else subject.receive(subject.seal(type, flags, text.length > 1500 ? text.subarray(0, 1500) : text));
      harmless(subject);
    };
  },
};

const strangerFrames: Target = {
  name: 'datagrams',
  files: planeFiles.slice(0, 1),
  seeds: [
    concatBytes(Uint8Array.of(0x10, 0, 0, 0, 0, 0, 0, 16), new Uint8Array(40)),
    concatBytes(Uint8Array.of(0x12, 0, 0, 0, 0, 0, 0, 16), new Uint8Array(60)),
    concatBytes(Uint8Array.of(0x13, 0, 0, 0, 0, 0, 0, 16), new Uint8Array(60)),
    asked,
  ],
  make: (chance) => {
    const subject = new HostileMember(chance);
    return (input) => {
      subject.receive(input.subarray(0, 65_507));
      promise(subject.tun.written.length === 0, 'nothing of a stranger reaches the kernel');
      promise(!subject.events.some(({ kind }) => kind === 'control' || kind === 'confirmed'), 'nor the control plane');
    };
  },
};

const kernelPackets: Target = {
  name: 'kernel packets',
  files: ['plane/outbound.js', 'plane/cut.js', 'plane/packet.js', 'plane/virtio.js', 'plane/icmp.js'],
  seeds: [0, 1, 2, 3].map((i) => {
    const whole = concatBytes(new Uint8Array(10), innerPacket(seededRandom(i), 'out', 6));
    if (i > 1) whole.set([1, i === 2 ? 4 : 5, 60, 0, 100, 0, 40, 0, i === 2 ? 16 : 6, 0]);
    return whole;
  }),
  make: (chance) => {
    const subject = new HostileMember(chance);
    subject.receive(subject.seal(0x13, 0, new Uint8Array(16)));
    return (input) => {
      subject.fromKernel(input.subarray(0, 65_535));
      harmless(subject);
    };
  },
};

export const tunnelTargets: readonly Target[] = [
  handshake,
  sealedHello,
  cookie,
  linkMessage,
  memberFrames,
  strangerFrames,
  kernelPackets,
];
