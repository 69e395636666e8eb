import { randomBytes } from 'node:crypto';
import { setPriority } from 'node:os';
import { fromHex } from '../src/bytes.js';
import { appendMacs, datagramMacsLength } from '../src/datagram-mac.js';
import { foreign } from '../src/ffi.js';
import { StructMemory, system } from '../src/tunnel/plane/linux-system.js';

/**
 * A process of the lab that floods one UDP port of another machine with forged initiations, by raw sockets, so that it
 * can claim any source. It takes precedence over what else runs here, as a flood from outside would: the machine that
 * suffers it has no say in how many datagrams are sent. Run inside a namespace:
 *
 *   node flooder.js '{"to":"11.0.1.2","port":16696,"from":"11.0.3.2","perSecond":50000,"seconds":5}'
 *
 * Prints how many it sent as JSON.
 */
export interface FloodOptions {
  readonly to: string;
  readonly port: number;
  /** The source; with `spoofed` its last two octets and the port are drawn anew for each datagram. */
  readonly from: string;
  readonly spoofed?: boolean;
  readonly perSecond: number;
  readonly seconds: number;
  /** The victim's X25519 public key in hex: every datagram then carries a good mac1. */
  readonly publicKey?: string;
}

const batch = 64;
const variants = 512;
const headers = 28;
const initiationLength = 1200;
const sendmmsg = foreign('int sendmmsg(int fd, uint64_t vector, uint32_t count, int flags)');
const rawSocket = { family: 2, type: 3, protocol: 255 } as const;

/** An IPv4 packet around an initiation that nobody can open. The kernel fills in the header's sum. */
function packet(options: FloodOptions): StructMemory {
  const memory = new StructMemory(headers + initiationLength);
  const { bytes, view } = memory;
  view.setUint16(0, 0x4500);
  view.setUint16(2, bytes.length);
  view.setUint16(6, 0x4000);
  view.setUint16(8, (64 << 8) | 17);
  bytes.set(octetsOf(options.from), 12);
  bytes.set(octetsOf(options.to), 16);
  view.setUint16(20, 40_000);
  view.setUint16(22, options.port);
  view.setUint16(24, bytes.length - 20);
  const body = new Uint8Array(randomBytes(initiationLength - datagramMacsLength));
  body.set([1, 0, 0, 0]);
  const key = options.publicKey === undefined ? undefined : fromHex(options.publicKey);
  bytes.set(key ? appendMacs(key, body) : body, headers);
  return memory;
}

function octetsOf(address: string): number[] {
  return address.split('.').map(Number);
}

function flood(options: FloodOptions): number {
  const fd = system.socket(rawSocket.family, rawSocket.type, rawSocket.protocol);
  if (fd < 0) throw new Error('no raw socket: it takes root');
  const packets = Array.from({ length: variants }, () => packet(options));
  const name = new StructMemory(16);
  name.view.setUint16(0, rawSocket.family, true);
  name.bytes.set(octetsOf(options.to), 4);
  const vectors = new StructMemory(16 * variants);
  const messages = new StructMemory(64 * variants);
  packets.forEach(({ address, bytes }, i) => {
    vectors.setPointer(16 * i, address);
    vectors.setInt(16 * i + 8, bytes.length);
    messages.setPointer(64 * i, name.address);
    messages.setInt(64 * i + 8, 16);
    messages.setPointer(64 * i + 16, vectors.address + 16 * i);
    messages.setInt(64 * i + 24, 1);
  });
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const started = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - started;
    if (elapsed > options.seconds * 1000) break;
    if (sent > (elapsed * options.perSecond) / 1000) {
      Atomics.wait(pause, 0, 0, 1);
      continue;
    }
    const first = sent % variants;
    if (options.spoofed) {
      for (let i = first; i < first + batch; i++) {
        const { view } = packets[i]!;
        view.setUint16(14, Math.floor(Math.random() * 65_536));
        view.setUint16(20, 1024 + Math.floor(Math.random() * 60_000));
      }
    }
    sendmmsg(fd, messages.address + 64 * first, batch, 0);
    sent += batch;
  }
  system.close(fd);
  return sent;
}

const argument = process.argv[2];
if (argument) setPriority(-20);
if (argument) console.log(JSON.stringify({ sent: flood(JSON.parse(argument) as FloodOptions) }));
