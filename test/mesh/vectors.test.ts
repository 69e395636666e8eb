import { readFileSync } from 'node:fs';
import test from 'ava';
import { frameForStream, StreamCutter } from '../../daemon/tcp-frames.js';
import { encodeChain } from '../../src/addr/certificate-chain.js';
import { decodeMap } from '../../src/addr/fields.js';
import { nodeKey } from '../../src/addr/public-key.js';
import { concatBytes, fromHex, toHex } from '../../src/bytes.js';
import { decodeDialBack, decodeDialBackBody, encodeDialBack, encodeDialBackBody } from '../../src/mesh/dial-back.js';
import { Digest, itemOf } from '../../src/mesh/digest.js';
import {
  decodeJoinBody,
  decodeJoinDatagram,
  encodeJoinBody,
  encodeJoinDatagram,
  JoinType,
} from '../../src/mesh/join-datagram.js';
import { beaconKey, decodeBeacon, encodeBeacon } from '../../src/mesh/lan-beacon-datagram.js';
import { meshMessage } from '../../src/mesh/messages.js';
import { decodePunch, encodePunch } from '../../src/mesh/punching-message.js';
import { FrameType } from '../../src/tunnel/frame.js';
import { knownNetwork, knownRecord } from '../addr/vectors.js';
import { World } from './world.js';

/** Octets that count up from `from`: easy to find again in a dump. */
const octets = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff);

const endpoint = { address: '192.0.2.7', port: 16696 };
const exchange = octets(8, 0x10);
const join = { type: JoinType.initiation, issuer: 0x01_0203, exchange, part: octets(24, 0x40) };
const terms = {
  exchange,
  endpoints: [endpoint],
  side: {
    open: [],
    nat: { mapping: 'endpoint-independent' as const, filtering: 'address-and-port-dependent' as const },
  },
};
const key = beaconKey(octets(32, 0));

/** The set of records of a node that knows one: as `sum`, `sums`, `have`, `want` and `item` tell it. */
const { node: certificate, issuer } = knownNetwork();
const record = knownRecord();
const item = itemOf(record.bytes, new TextEncoder().encode(nodeKey(record.node.key)));
const records = new Digest();
records.add(item);
const nothing = new Digest();
const chain = encodeChain({ issuer, node: certificate });

/** Every format of joining, mesh messages, reachability, the LAN beacon and TCP, made from the values above. */
const made: Readonly<Record<string, Uint8Array>> = {
  'joining, body': encodeJoinBody(join),
  'joining, datagram to the key 80 81 … 9f': encodeJoinDatagram(join, octets(32, 0x80)),
  'mesh message "near"': meshMessage('near', { n: [[7, 125]] }),
  'mesh message "sum" of no issuers, no revocations, one record': meshMessage('sum', {
    s: [nothing.total(), nothing.total(), records.total()],
    c: 1_795_000_000,
  }),
  'mesh message "sums" of one record': meshMessage('sums', { k: 2, s: records.sums() }),
  'mesh message "have"': meshMessage('have', { k: 2, b: item.bucket, h: item.hash }),
  'mesh message "want"': meshMessage('want', { k: 2, b: item.bucket, h: item.hash }),
  'mesh message "item"': meshMessage('item', { k: 2, d: record.bytes }),
  'mesh message "cert"': meshMessage('cert', { c: chain }),
  'mesh message "renew"': meshMessage('renew', { c: certificate.bytes }),
  'mesh message "renewed"': meshMessage('renewed', { c: chain }),
  'mesh message "join"': meshMessage('join', { b: encodeJoinBody(join) }),
  'mesh message "joinback"': meshMessage('joinback', { x: exchange, d: encodeJoinDatagram(join, octets(32, 0x80)) }),
  'mesh message "askcert"': meshMessage('askcert', { n: 0x01_0203 }),
  'dial-back asked': encodeDialBack({ kind: 'ask', nonce: octets(8, 1), endpoint }),
  'dial-back arrived': encodeDialBack({ kind: 'arrived', nonce: octets(8, 1), proof: octets(8, 9) }),
  'dial-back proven': encodeDialBack({ kind: 'proven', nonce: octets(8, 1) }),
  'dial-back refused': encodeDialBack({ kind: 'refused', nonce: octets(8, 1), reason: 'busy' }),
  'dial-back, datagram': concatBytes(Uint8Array.of(FrameType.dialBack), encodeDialBackBody(octets(8, 1), octets(8, 9))),
  'punch offered': encodePunch({ kind: 'offer', ...terms }),
  'punch answered': encodePunch({ kind: 'answer', ...terms }),
  'punch go': encodePunch({ kind: 'go', exchange }),
  'punch, datagram': concatBytes(Uint8Array.of(FrameType.punch), exchange),
  'punch refused': encodePunch({ kind: 'no', exchange, reason: 'hopeless' }),
  'LAN beacon of node 66051, port 16696, network id 00 01 … 1f': encodeBeacon(
    key,
    { node: 0x01_0203, port: 16696, asks: false },
    octets(12, 0x20),
  ),
  'LAN beacon of the same, asking': encodeBeacon(key, { node: 0x01_0203, port: 16696, asks: true }, octets(12, 0x20)),
  'datagram 01 02 03 on TCP': frameForStream(octets(3, 1))!,
};

const file = 'test/vectors/mesh.json';

test('joining, mesh, reachability, beacon and TCP formats are as their vectors say', (t) => {
  const hex = Object.fromEntries(Object.entries(made).map(([name, bytes]) => [name, toHex(bytes)]));
  t.deepEqual(hex, JSON.parse(readFileSync(file, 'utf8')));
});

test('the vectors read back as the values they were made from', (t) => {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const octetsOf = (name: string) => fromHex(vectors[name]!)!;
  const map = (name: string) => decodeMap(octetsOf(name))!;
  t.deepEqual(decodeJoinBody(octetsOf('joining, body')), join);
  t.deepEqual(decodeJoinDatagram(octetsOf('joining, datagram to the key 80 81 … 9f')), join);
  const nonce = octets(8, 1);
  t.deepEqual(decodeDialBack(map('dial-back asked')), { kind: 'ask', nonce, endpoint });
  t.deepEqual(decodeDialBack(map('dial-back arrived')), { kind: 'arrived', nonce, proof: octets(8, 9) });
  t.deepEqual(decodeDialBack(map('dial-back proven')), { kind: 'proven', nonce });
  t.deepEqual(decodeDialBack(map('dial-back refused')), { kind: 'refused', nonce, reason: 'busy' });
  t.deepEqual(decodeDialBackBody(octetsOf('dial-back, datagram').subarray(1)), {
    nonce: octets(8, 1),
    proof: octets(8, 9),
  });
  t.deepEqual(decodePunch(map('punch offered')), { kind: 'offer', ...terms });
  t.deepEqual(decodePunch(map('punch answered')), { kind: 'answer', ...terms });
  t.deepEqual(decodePunch(map('punch go')), { kind: 'go', exchange });
  t.deepEqual(decodePunch(map('punch refused')), { kind: 'no', exchange, reason: 'hopeless' });
  const beacon = octetsOf('LAN beacon of node 66051, port 16696, network id 00 01 … 1f');
  t.deepEqual(decodeBeacon(key, beacon), { node: 0x01_0203, port: 16696, asks: false });
  const asking = octetsOf('LAN beacon of the same, asking');
  t.deepEqual(decodeBeacon(key, asking), { node: 0x01_0203, port: 16696, asks: true });
  const [datagram] = new StreamCutter().push(Buffer.from(octetsOf('datagram 01 02 03 on TCP')))!;
  t.deepEqual([...datagram!], [1, 2, 3]);
});

test('a member takes every mesh message of the vectors for what it is', (t) => {
  const world = new World(5);
  const host = world.found();
  const member = world.member(host, 'other', host);
  world.run(2000);
  const from = member.mesh!.membership.number;
  const received: Record<string, string[]> = {};
  for (const [name, hex] of Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>)) {
    const type = /^mesh message "(\w+)"/.exec(name)?.[1];
    if (type === undefined || type === 'near') continue; // of the topology, which this world has not
    const before = host.done.length;
    world.post(host, { kind: 'meshReceived', from, neighbour: true, bytes: fromHex(hex)! });
    world.settle();
    received[type] = host.done
      .slice(before)
      .flatMap((effect) =>
        effect.kind === 'sendMesh' && effect.to === from ? [String(decodeMap(effect.bytes)!.t)] : [],
      );
  }
  const drops = host.mesh!.drops();
  for (const reason of ['mesh-malformed', 'mesh-unknown-type', 'gossip-malformed'])
    t.is(drops.get(reason) ?? 0, 0, reason);
  t.deepEqual(received.sum, ['sums', 'sums'], 'of issuers and records, which differ');
  t.true(received.sums!.includes('have'));
  t.deepEqual(received.have, ['want'], 'the record it lacks');
  t.is(
    drops.get('gossip-not-signed-by-issuer') ?? drops.get('gossip-unknown-issuer'),
    1,
    'the record is of another network',
  );
});
