import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { decodeMap } from '../src/addr/fields.js';
import { fromHex } from '../src/bytes.js';
import { dialBackTypes } from '../src/mesh/dial-back.js';
import { punchTypes } from '../src/mesh/punching-message.js';
import { ControlChannel, FrameFlag, FrameType, NoticeReason } from '../src/tunnel/frame.js';
import { decodeLinkMessage, type LinkMessage } from '../src/tunnel/link-message.js';
import { ProbeKind } from '../src/tunnel/plane/prober.js';

/** docs/PROTOCOL.md and test/vectors/ leave nothing out that the code can say. */

const folder = 'test/vectors';
const json = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'));
const [tunnel, joining, mesh] = ['tunnel.json', 'joining.json', 'mesh.json'].map(
  (file) => json(file) as Record<string, string>,
) as [Record<string, string>, Record<string, string>, Record<string, string>];
interface Exchange {
  readonly what: string;
  readonly flags: number;
  readonly plaintext: string;
  readonly rest: string;
  readonly datagram: string;
}
const { datagrams: exchange } = json('exchange.json') as { datagrams: readonly Exchange[] };
const { frames } = json('plane.json') as { frames: readonly { what: string; flags: number; frame: string }[] };
const said = (what: string) => exchange.find((vector) => vector.what === what)!;

const protocol = readFileSync('docs/PROTOCOL.md', 'utf8');
const parts = [...protocol.matchAll(/\]\((protocol\/[\w-]+\.md)\)/g)].map(([, path]) => path!);
const everything = [protocol, ...parts.map((path) => readFileSync(join('docs', path), 'utf8'))].join('\n');

test('each type of datagram or frame has a vector, and a row in the table of types', (t) => {
  const vectorOf: Record<keyof typeof FrameType, string> = {
    initiation: tunnel.initiation!,
    response: tunnel['response without macs']!,
    cookieReply: tunnel['cookie reply']!,
    joinInitiation: joining.initiation!,
    joinResponse: joining.response!,
    joinTransport: joining.request!,
    dialBack: mesh['dial-back, datagram']!,
    punch: mesh['punch, datagram']!,
    packet: frames[0]!.frame,
    control: said('control frame, a Babel packet without TLVs').datagram,
    relay: said('relayed frame, a packet in it').datagram,
    probe: said('probe, ping').datagram,
    notice: said('notice, no next hop').rest,
  };
  const rows = protocol.split('\n').filter((line) => line.startsWith('| 0x'));
  for (const [name, type] of Object.entries(FrameType) as [keyof typeof FrameType, number][]) {
    t.is(fromHex(vectorOf[name])![0], type, name);
    const text = `0x${type.toString(16).padStart(2, '0')}`;
    t.true(
      rows.some((row) => row.split('|')[1]!.includes(text)),
      text,
    );
  }
});

test('each kind of probe, each flag, each reason and each control channel has a vector', (t) => {
  const probes: Record<keyof typeof ProbeKind, number> = ProbeKind;
  for (const [name, kind] of Object.entries(probes)) {
    t.is(fromHex(said(`probe, ${name}`).plaintext)![0], kind, name);
    t.regex(everything, new RegExp(`\\| ${kind} \\| ${name}|\\| ${kind} ${name}`), name);
  }
  const flags = [...exchange, ...frames].reduce((all, vector) => all | vector.flags, 0);
  for (const [name, flag] of Object.entries(FrameFlag)) t.true((flags & flag) !== 0, name);
  const reasons = exchange.map(({ rest }) => fromHex(rest)!).filter(([type]) => type === FrameType.notice);
  for (const [name, reason] of Object.entries(NoticeReason))
    t.true(
      reasons.some(([, flags]) => flags === reason),
      name,
    );
  const channels: Record<keyof typeof ControlChannel, number | undefined> = {
    babel: fromHex(said('control frame, a Babel packet without TLVs').plaintext)![0],
    mesh: ControlChannel.mesh, // its vectors are the maps behind that octet, below
    tunnel: fromHex(tunnel.hello!)![0],
    handshake: ControlChannel.handshake, // its vectors are the datagrams behind that octet, above
  };
  t.deepEqual(channels, { ...ControlChannel });
});

test('each message between the ends of a link has a vector', (t) => {
  const kinds: Record<LinkMessage['kind'], true> = {
    ...{ hello: true, probe: true, echo: true, part: true, bye: true, second: true },
  };
  for (const kind of Object.keys(kinds)) {
    t.is(decodeLinkMessage(fromHex(tunnel[kind]!)!)?.kind, kind as LinkMessage['kind']);
    t.true(everything.includes(`{t: "${kind}"`), kind);
  }
});

test('each mesh message has a vector, and is described', (t) => {
  const registered = readdirSync('src/mesh')
    .map((file) => readFileSync(join('src/mesh', file), 'utf8'))
    .flatMap((text) => [...text.matchAll(/messages\.on\('(\w+)'|^ +(\w+): this\.#on\w+,$/gm)])
    .map(([, one, another]) => one ?? another!);
  t.true(registered.includes('renew') && registered.includes('sums'), 'they are found in the source');
  const types = new Set<string>([...registered, ...dialBackTypes, ...punchTypes]);
  const shown = new Set(Object.values(mesh).flatMap((hex) => decodeMap(fromHex(hex)!)?.t ?? []));
  for (const type of types) {
    t.true(shown.has(type), `a vector of ${type}`);
    t.regex(everything, new RegExp(`(\\{t: "|\\| |, )${type}\\b`), type);
  }
});

test('PROTOCOL.md names every file of vectors and every part of itself, and none that is not there', (t) => {
  const rows = protocol.split('\n').filter((line) => line.startsWith('| '));
  for (const file of readdirSync(folder))
    t.true(
      rows.some((row) => row.includes(file)),
      file,
    );
  for (const [, file] of protocol.matchAll(/`(?:test\/vectors\/)?([\w-]+\.json)`/g)) {
    t.true(readdirSync(folder).includes(file!), file);
  }
  t.deepEqual(
    [...new Set(parts)].sort(),
    readdirSync('docs/protocol')
      .map((file) => `protocol/${file}`)
      .sort(),
  );
});
