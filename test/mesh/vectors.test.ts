import { readFileSync } from 'node:fs';
import test from 'ava';
import { frameForStream, StreamCutter } from '../../daemon/tcp-frames.js';
import { decodeMap } from '../../src/addr/fields.js';
import { fromHex, toHex } from '../../src/bytes.js';
import { decodeDialBack, decodeDialBackBody, encodeDialBack, encodeDialBackBody } from '../../src/mesh/dial-back.js';
import { decodeJoinBody, encodeJoinBody, encodeJoinDatagram, JoinType } from '../../src/mesh/join-datagram.js';
import { beaconKey, decodeBeacon, encodeBeacon } from '../../src/mesh/lan-beacon-datagram.js';
import { meshMessage } from '../../src/mesh/messages.js';
import { decodePunch, encodePunch } from '../../src/mesh/punching-message.js';

/** Octets that count up from `from`: easy to find again in a dump. */
const octets = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff);

const endpoint = { address: '192.0.2.7', port: 16696 };
const exchange = octets(8, 0x10);
const join = { type: JoinType.initiation, issuer: 0x01_0203, exchange, part: octets(24, 0x40) };
const terms = {
  exchange,
  endpoints: [endpoint],
  side: {
    open: false,
    nat: { mapping: 'endpoint-independent' as const, filtering: 'address-and-port-dependent' as const },
  },
};
const key = beaconKey(octets(32, 0));

/** Every format of joining, mesh messages, reachability, the LAN beacon and TCP, made from the values above. */
const made: Readonly<Record<string, Uint8Array>> = {
  'joining, body': encodeJoinBody(join),
  'joining, datagram to the key 80 81 … 9f': encodeJoinDatagram(join, octets(32, 0x80)),
  'mesh message "near"': meshMessage('near', { n: [[7, 125]] }),
  'mesh message "askcert"': meshMessage('askcert', { n: 0x01_0203 }),
  'dial-back asked': encodeDialBack({ kind: 'ask', nonce: octets(8, 1), endpoint }),
  'dial-back arrived': encodeDialBack({ kind: 'arrived', nonce: octets(8, 1), proof: octets(8, 9) }),
  'dial-back proven': encodeDialBack({ kind: 'proven', nonce: octets(8, 1) }),
  'dial-back refused': encodeDialBack({ kind: 'refused', nonce: octets(8, 1), reason: 'busy' }),
  'dial-back datagram, behind its type': encodeDialBackBody(octets(8, 1), octets(8, 9)),
  'punch offered': encodePunch({ kind: 'offer', ...terms }),
  'punch answered': encodePunch({ kind: 'answer', ...terms }),
  'punch go': encodePunch({ kind: 'go', exchange }),
  'punch refused': encodePunch({ kind: 'no', exchange, reason: 'hopeless' }),
  'LAN beacon of node 66051, port 16696, network id 00 01 … 1f': encodeBeacon(
    key,
    { node: 0x01_0203, port: 16696 },
    octets(12, 0x20),
  ),
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
  t.deepEqual(decodeDialBack(map('dial-back asked')), { kind: 'ask', nonce: octets(8, 1), endpoint });
  t.deepEqual(decodeDialBackBody(octetsOf('dial-back datagram, behind its type')), {
    nonce: octets(8, 1),
    proof: octets(8, 9),
  });
  t.deepEqual(decodePunch(map('punch offered')), { kind: 'offer', ...terms });
  t.deepEqual(decodePunch(map('punch refused')), { kind: 'no', exchange, reason: 'hopeless' });
  const beacon = octetsOf('LAN beacon of node 66051, port 16696, network id 00 01 … 1f');
  t.deepEqual(decodeBeacon(key, beacon), { node: 0x01_0203, port: 16696 });
  const [datagram] = new StreamCutter().push(Buffer.from(octetsOf('datagram 01 02 03 on TCP')))!;
  t.deepEqual([...datagram!], [1, 2, 3]);
});
