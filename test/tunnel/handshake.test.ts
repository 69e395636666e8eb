import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { SecondMachine } from '../../src/addr/second-machine.js';
import { fromHex, toHex, utf8 } from '../../src/bytes.js';
import { cookieReplyKey, mac1Of, openCookieReply, sealCookieReply } from '../../src/cookie-reply.js';
import { AgreementKey, SigningKey } from '../../src/crypto.js';
import { IncomingHandshake, maxChainLength, OutgoingHandshake, prologueOf } from '../../src/tunnel/handshake.js';
import { decodeLinkMessage, encodeLinkMessage, type LinkMessage } from '../../src/tunnel/link-message.js';

/** PROTOCOL.md §3: every key known, so that another implementation can follow octet by octet. */
const vectors = JSON.parse(readFileSync('test/vectors/tunnel.json', 'utf8')) as Record<string, string>;
const key = (octet: number) => new AgreementKey(new Uint8Array(32).fill(octet));
const networkId = new Uint8Array(32).fill(7);
const prologue = prologueOf(networkId);

function known() {
  const [alice, bob] = [key(1), key(2)];
  const outgoing = new OutgoingHandshake({ prologue, key: alice }, key(3), bob.publicKey, 0x01020300, {
    aesFaster: true,
    lanes: 2,
    incarnation: 0x1122334455667788n,
    counter: 9,
    observed: { address: '192.0.2.2', port: 16696 },
    chain: utf8('certificate chain of alice'),
  });
  const initiation = outgoing.datagram()!;
  const incoming = IncomingHandshake.read({ prologue, key: bob }, initiation)!;
  const body = incoming.respond(key(4), 0x0a0b0c00, {
    aesFaster: false,
    lanes: 1,
    incarnation: 0x99aabbccddeeff00n,
    counter: 0,
    observed: { address: '2001:db8::1', port: 4500 },
    chain: utf8('certificate chain of bob'),
  })!;
  return { alice, bob, outgoing, incoming, initiation, body };
}

const firstStart = 0x1122334455667788n;
const secondMachine = new SecondMachine(networkId, new SigningKey(new Uint8Array(32).fill(1)), 0x99aabbccddeeff00n);

const linkMessages: Record<string, LinkMessage> = {
  hello: { kind: 'hello', observed: { address: '192.0.2.2', port: 16696 } },
  'hello over the overlay': { kind: 'hello', observed: undefined },
  probe: { kind: 'probe', nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  echo: { kind: 'echo', nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  part: { kind: 'part', reason: 'too many tunnels' },
  bye: { kind: 'bye', reason: 'the daemon ends' },
  'bye to a second machine': { kind: 'bye', reason: 'another machine runs with this key', first: firstStart },
  second: { kind: 'second', proof: secondMachine.prove(firstStart)!, endpoint: undefined },
  'second with its place': {
    kind: 'second',
    proof: secondMachine.prove(firstStart)!,
    endpoint: { address: '192.0.2.66', port: 16696 },
  },
};

test('the vector of a proof is one for the start it names, and for none but that', (t) => {
  const proof = linkMessages.second!.kind === 'second' ? linkMessages.second!.proof : t.fail();
  const of = (incarnation: bigint, seed = 1) =>
    new SecondMachine(networkId, new SigningKey(new Uint8Array(32).fill(seed)), incarnation);
  t.true(of(firstStart).isProven(proof as Uint8Array));
  t.false(of(firstStart + 1n).isProven(proof as Uint8Array));
  t.false(of(firstStart, 2).isProven(proof as Uint8Array));
  t.is(of(firstStart).prove(firstStart), undefined);
});

test('golden vectors of every message', (t) => {
  const { outgoing, incoming, initiation, body, bob } = known();
  const response = new Uint8Array([...body, ...new Uint8Array(32)]);
  const cookie = new Uint8Array(16).fill(6);
  const nonce = new Uint8Array(12).fill(5);
  const made: Record<string, string> = {
    initiation: toHex(initiation),
    'initiation with cookie': toHex(outgoing.datagram(cookie)!.subarray(-16)),
    'response without macs': toHex(body),
    'cookie reply': toHex(sealCookieReply(cookieReplyKey(bob.publicKey), mac1Of(initiation), cookie, nonce)),
  };
  t.like(outgoing.readResponse(response), { remoteIndex: 0x0a0b0c00, hello: { counter: 0, lanes: 1 } });
  const keys = Array.from({ length: 4 }, () => new Uint8Array(32));
  outgoing.split(keys[0]!, keys[1]!);
  incoming.split(keys[2]!, keys[3]!);
  t.deepEqual([keys[3], keys[2]], [keys[0], keys[1]]);
  made['key of the initiator'] = toHex(keys[0]!);
  made['key of the responder'] = toHex(keys[1]!);
  for (const [name, message] of Object.entries(linkMessages)) made[name] = toHex(encodeLinkMessage(message));
  t.deepEqual(made, vectors);
});

test('what was said is what is read', (t) => {
  const { incoming, alice } = known();
  t.deepEqual(incoming.remotePublicKey, alice.publicKey);
  t.is(incoming.remoteIndex, 0x01020300);
  t.deepEqual(incoming.hello, {
    aesFaster: true,
    lanes: 2,
    incarnation: 0x1122334455667788n,
    counter: 9,
    observed: { address: '192.0.2.2', port: 16696 },
    chain: utf8('certificate chain of alice'),
  });
  const cookie = openCookieReply(
    key(2).publicKey,
    mac1Of(fromHex(vectors.initiation!)!),
    fromHex(vectors['cookie reply']!)!,
  );
  t.deepEqual(cookie, new Uint8Array(16).fill(6));
  for (const [name, message] of Object.entries(linkMessages))
    t.deepEqual(decodeLinkMessage(fromHex(vectors[name]!)!), message);
});

/** An initiation whose hello is these octets at its start. */
function withHello(change: (hello: { lanes: number; chain: Uint8Array }) => void): Uint8Array {
  const hello = {
    aesFaster: false,
    lanes: 1,
    incarnation: 1n,
    counter: 1,
    observed: undefined,
    chain: new Uint8Array(maxChainLength),
  };
  change(hello);
  return new OutgoingHandshake({ prologue, key: key(1) }, key(3), key(2).publicKey, 8, hello).datagram()!;
}

test('the longest chain fits; lanes outside 1 to 8 are refused', (t) => {
  const read = (datagram: Uint8Array) => IncomingHandshake.read({ prologue, key: key(2) }, datagram);
  t.is(read(withHello(() => {}))!.hello.chain.length, maxChainLength);
  for (const lanes of [0, 9, 255]) {
    const bad = withHello((hello) => {
      hello.lanes = lanes;
    });
    t.is(read(bad), undefined);
  }
  t.is(read(withHello(() => {}).subarray(1)), undefined);
  t.is(
    IncomingHandshake.read(
      { prologue: prologueOf(new Uint8Array(32)), key: key(2) },
      withHello(() => {}),
    ),
    undefined,
  );
});

test('octets by chance, and messages changed anywhere, never throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      decodeLinkMessage(Uint8Array.of(3, ...octets));
    }),
    { seed: 3, numRuns: 500 },
  );
  for (const message of Object.values(linkMessages)) {
    const bytes = encodeLinkMessage(message);
    for (let at = 1; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = new Uint8Array(bytes);
        changed[at]! ^= 1 << bit;
        const decoded = decodeLinkMessage(changed);
        if (decoded?.kind === 'hello' && decoded.observed) t.true(decoded.observed.port > 0);
      }
      t.is(decodeLinkMessage(bytes.subarray(0, at)), undefined);
    }
  }
});
