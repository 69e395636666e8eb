import { isUsableEndpoint } from '../../../src/addr/endpoint.js';
import { decodeMap } from '../../../src/addr/fields.js';
import { signStatement } from '../../../src/addr/statement.js';
import { equalBytes } from '../../../src/bytes.js';
import { encodeCbor } from '../../../src/cbor.js';
import { decodeNeighbours } from '../../../src/control/neighbours.js';
import { decodeRelayedMonths, encodeRelayedMonths } from '../../../src/control/relay-quota.js';
import { MeshError } from '../../../src/errors.js';
import { decodeDialBack, decodeDialBackBody, encodeDialBack, encodeDialBackBody } from '../../../src/mesh/dial-back.js';
import { importIdentity } from '../../../src/mesh/identity-copy.js';
import { decodeJoinBody, decodeJoinDatagram, decodeJoinPlaintext } from '../../../src/mesh/join-datagram.js';
import { beaconKey, beaconLength, decodeBeacon, encodeBeacon } from '../../../src/mesh/lan-beacon-datagram.js';
import type { MeshEvent } from '../../../src/mesh/mesh.js';
import { Mesh } from '../../../src/mesh/mesh.js';
import { meshMessage } from '../../../src/mesh/messages.js';
import { NetworkKey } from '../../../src/mesh/network-key.js';
import { decodePunch, encodePunch, mostPunchEndpoints } from '../../../src/mesh/punching-message.js';
import { sealWithPassphrase } from '../../../src/passphrase.js';
import { seededRandom } from '../../../src/random.js';
import { storedOn, World } from '../../mesh/world.js';
import { promise, type Target } from '../target.js';

/** Everything an issuer heard while three nodes joined and met. */
function heardByAnIssuer() {
  const world = new World(1);
  const issuer = world.found();
  const heard: Extract<MeshEvent, { bytes: Uint8Array }>[] = [];
  const handle = issuer.mesh!.handle.bind(issuer.mesh!);
  issuer.mesh!.handle = (event, now) => {
    if ('bytes' in event) heard.push(event);
    return handle(event, now);
  };
  for (const name of ['a', 'b']) world.member(issuer, name);
  world.run(5000);
  issuer.mesh!.handle = handle;
  return { world, issuer, heard };
}

const messages = heardByAnIssuer();

const meshMessages: Target = {
  name: 'mesh messages',
  files: [
    'mesh/mesh.js',
    'mesh/messages.js',
    'mesh/gossip.js',
    'mesh/directory.js',
    'mesh/digest.js',
    'mesh/join-relay.js',
  ],
  seeds: messages.heard.filter(({ kind }) => kind === 'meshReceived').map(({ bytes }) => bytes),
  make: () => {
    const { world, issuer } = heardByAnIssuer();
    const { revocationCount, issuerCount } = issuer.mesh!.membership;
    return (input) => {
      world.now += 50;
      const effects = issuer.mesh!.handle({ kind: 'meshReceived', from: 2, neighbour: true, bytes: input }, world.now);
      for (const effect of effects) {
        if (effect.kind === 'sendMesh') promise(effect.bytes.length <= 1200, 'a message fits a control frame');
      }
      const { membership, directory } = issuer.mesh!;
      promise(
        membership.revocationCount === revocationCount && membership.issuerCount === issuerCount,
        'nobody is put out',
      );
      promise(directory.size === 3, 'nobody is let in');
    };
  },
};

/** Input: the fields of an endpoint record, which a member signs and spreads whatever they are. */
const signedRecords: Target = {
  name: 'signed records',
  files: [
    'addr/endpoint-record.js',
    'addr/node-certificate.js',
    'addr/fields.js',
    'mesh/gossip.js',
    'mesh/directory.js',
  ],
  seeds: [encodeCbor(messages.issuer.mesh!.directory.byNumber(2)!.fields)],
  make: () => {
    const { world, issuer } = heardByAnIssuer();
    const { network, identity } = world.hosts[1]!.mesh!.membership;
    const { directory } = issuer.mesh!;
    const others = () => [1, 3].map((number) => directory.byNumber(number)!.bytes);
    const before = others();
    let sequence = 100;
    return (input) => {
      const fields = decodeMap(input, input.length);
      if (!fields || input.length > 900) return;
      const seq = typeof fields.seq === 'number' ? ++sequence : (fields.seq ?? null);
      const d = signStatement('weft endpoint record', network.id, identity.signing, { ...fields, seq });
      world.now += 20_000;
      issuer.mesh!.handle(
        { kind: 'meshReceived', from: 2, neighbour: true, bytes: meshMessage('item', { k: 2, d }) },
        world.now,
      );
      promise(directory.size === 3, 'nobody is let in or put out');
      promise(
        others().every((bytes, i) => equalBytes(bytes, before[i]!)),
        'a member signs for itself alone',
      );
      promise((directory.byNumber(2)?.endpoints.length ?? 0) <= 64, 'a record holds few endpoints');
    };
  },
};

const joining: Target = {
  name: 'joining',
  files: ['mesh/join-datagram.js', 'mesh/join-responder.js'],
  seeds: messages.heard.filter(({ kind }) => kind === 'joinDatagram').map(({ bytes }) => bytes),
  make: () => {
    const { world, issuer } = heardByAnIssuer();
    const from = { address: '11.9.9.9', port: 1 };
    return (input) => {
      world.now += 30;
      decodeJoinBody(input);
      decodeJoinDatagram(input);
      decodeJoinPlaintext(input);
      for (const effect of issuer.mesh!.handle({ kind: 'joinDatagram', from, bytes: input }, world.now)) {
        if (effect.kind === 'sendDatagram') promise(effect.bytes.length <= input.length, 'no answer is larger');
      }
    };
  },
};

const nonce = new Uint8Array(8).fill(3);
const reachability: Target = {
  name: 'dial-back punch',
  files: ['mesh/dial-back.js', 'mesh/punching-message.js', 'addr/fields.js'],
  seeds: [
    encodeDialBack({ kind: 'ask', nonce, endpoint: { address: '192.0.2.1', port: 5 } }),
    encodeDialBack({ kind: 'arrived', nonce, proof: nonce }),
    encodeDialBack({ kind: 'refused', nonce, reason: 'busy' }),
    encodeDialBackBody(nonce, nonce),
    encodePunch({
      kind: 'offer',
      exchange: nonce,
      endpoints: [{ address: '192.0.2.1', port: 5 }],
      side: { open: ['ipv4'], nat: { mapping: 'endpoint-independent', filtering: undefined } },
    }),
    encodePunch({ kind: 'no', exchange: nonce, reason: 'busy' }),
  ],
  make: () => (input) => {
    decodeDialBackBody(input);
    const map = decodeMap(input);
    if (!map) return;
    decodeDialBack(map);
    const punch = decodePunch(map);
    if (punch && 'endpoints' in punch) {
      promise(punch.endpoints.length <= mostPunchEndpoints, 'few endpoints are punched at');
    }
  },
};

const beaconSecret = beaconKey(new Uint8Array(16).fill(7));

/** Input: a datagram from the LAN; and what somebody who knows the network's id puts into one. */
const beacon: Target = {
  name: 'beacons',
  files: ['mesh/lan-beacon-datagram.js'],
  seeds: [
    encodeBeacon(beaconSecret, { node: 2, port: 16696, asks: true }, new Uint8Array(12).fill(1)),
    encodeBeacon(beaconSecret, { node: 2 ** 24, port: 0, asks: false }, new Uint8Array(12).fill(2)),
    new Uint8Array(beaconLength),
  ],
  make: () => (input) => {
    const read = decodeBeacon(beaconSecret, input);
    if (!read) return;
    promise(equalBytes(input, beacon.seeds[0]!), 'nobody who does not know the network makes one');
    promise(read.node > 0 && read.node < 2 ** 24 && read.port > 0, 'a node and a port');
  },
};

const blobNames = ['membership', 'issuer', 'network-key', 'directory', 'identity'] as const;

/** Input: which blob of the disk it stands for, then the blob. What is only a memory is as if it were not there. */
const disk: Target = {
  name: 'disk',
  files: ['mesh/stored.js', 'mesh/membership.js', 'mesh/issuer.js', 'mesh/directory.js', 'mesh/network-key.js'],
  seeds: [
    ...blobNames.map((name, i) => Uint8Array.of(i, ...(messages.issuer.disk.get(name) ?? []))),
    encodeRelayedMonths([{ month: 24_000, octets: 12 }]),
    encodeCbor([[2, '192.0.2.1', 16696]]),
  ],
  make: (random) => (input) => {
    for (const { octets } of decodeRelayedMonths(input)) promise(octets >= 0, 'octets are counted upwards');
    for (const { endpoint } of decodeNeighbours(input)) promise(isUsableEndpoint(endpoint), 'somewhere to be dialled');
    const stored = new Map(messages.issuer.disk);
    stored.set(blobNames[(input[0] ?? 0) % blobNames.length]!, input.subarray(1));
    try {
      Mesh.restore(storedOn(stored), random, messages.world.wallClock);
    } catch (error) {
      promise(error instanceof MeshError && error.cure !== '', `an unreadable disk is an error with a cure: ${error}`);
    }
  },
};

const passphrase = 'twelve grey herons';
/** scrypt's cost lies here. Guesses are to be cheap: the least is as good for finding faults. */
const costAt = 5;
const cheapest = 1;

function copiedIdentity(): Uint8Array {
  const { disk, mesh } = messages.issuer;
  const identity = mesh!.membership.identity.encode();
  return encodeCbor({ v: 1, identity, membership: disk.get('membership')!, records: [] });
}

const networkSeed = (disk: ReadonlyMap<string, Uint8Array>) => decodeMap(disk.get('network-key')!)!.key as Uint8Array;

const sealedFile = 0;
const sealedContent = 1;

/** Input: 0 and a sealed file as somebody may hand it over, or 1 and what such a file holds, to be sealed rightly. */
const copies: Target = {
  name: 'copies under a passphrase',
  files: ['src/passphrase.js', 'mesh/identity-copy.js'],
  seeds: [copiedIdentity(), networkSeed(messages.issuer.disk)].flatMap((content) => {
    const sealed = sealWithPassphrase(seededRandom(1), passphrase, content, cheapest);
    return [Uint8Array.of(sealedFile, ...sealed), Uint8Array.of(sealedContent, ...content)];
  }),
  make: (random) => {
    const { network } = messages.issuer.mesh!.membership;
    const importers = [
      (sealed: Uint8Array) => importIdentity(sealed, passphrase, messages.world.wallClock),
      (sealed: Uint8Array) => NetworkKey.import(sealed, passphrase, network.publicKey),
    ];
    return (input) => {
      const rest = input.slice(1);
      const isFile = ((input[0] ?? 0) & 1) === sealedFile;
      if (isFile && rest.length > costAt && rest[costAt]! > 8 && rest[costAt]! < 18) rest[costAt] = cheapest;
      const sealed = isFile ? rest : sealWithPassphrase(random, passphrase, rest, cheapest);
      for (const open of importers) {
        try {
          open(sealed);
        } catch (error) {
          promise(error instanceof MeshError && error.cure !== '', `what does not open says what to do: ${error}`);
        }
      }
    };
  },
};

export const meshTargets: readonly Target[] = [
  meshMessages,
  signedRecords,
  joining,
  reachability,
  beacon,
  disk,
  copies,
];
