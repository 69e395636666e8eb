import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Millis, second } from '../../src/time.js';
import { setOption } from '../../src/tunnel/plane/linux-system.js';

/**
 * UDP as a program with segmentation offload of its own sends it (QUIC servers do): super-datagrams that the kernel leaves in one
 * piece until the device. Run inside a namespace:
 *
 *   node super-datagrams.js send ADDRESS PORT          prints how many datagrams that were
 *   node super-datagrams.js receive ADDRESS PORT       prints "ready", and when its input ends how many came, each once and whole
 *
 * The receiver answers when it has all of a super-datagram, and only then the next one leaves: the buffers on the way, its own
 * among them, hold few, and whoever empties them may have to wait for a processor.
 */
const levelUdp = 17;
const udpSegment = 103;
const segment = 1200;
const segmentsEach = 40;
const superDatagrams = 25;
/** The last one is cut short, as the end of every flow is. */
const lastLength = 700;
/** How long an answer is awaited. Without it the sender goes on: what was lost is counted where it did not come. */
const patience: Millis = 2 * second;

function numbered(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).map((_, i) => (number * 31 + i * 7) & 0xff);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

const total = superDatagrams * segmentsEach;
const lengthOf = (number: number) => (number === total - 1 ? lastLength : segment);

async function send(address: string, port: number): Promise<void> {
  const before = new Set(sockets());
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  const [mine] = sockets().filter((fd) => !before.has(fd));
  if (mine === undefined || !setOption(mine, levelUdp, udpSegment, segment)) throw new Error('no UDP_SEGMENT here');
  for (let first = 0; first < total; first += segmentsEach) {
    const pieces = Array.from({ length: segmentsEach }, (_, i) => numbered(first + i, lengthOf(first + i)));
    const answered = once(socket, 'message');
    await new Promise((resolve) => socket.send(pieces, port, address, resolve));
    await Promise.race([answered, sleep(patience, undefined, { ref: false })]);
  }
  socket.close();
  console.log(total);
}

function receive(address: string, port: number): void {
  const seen = new Set<number>();
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 22 });
  socket.on('message', (bytes, from) => {
    const number = bytes.length < 4 ? total : bytes.readUInt32BE(0);
    if (number < total && bytes.equals(numbered(number, lengthOf(number)))) seen.add(number);
    if (seen.size % segmentsEach === 0) socket.send('', from.port, from.address);
  });
  socket.bind(port, address, () => console.log('ready'));
  process.stdin.resume();
  process.stdin.once('end', () => {
    console.log(seen.size);
    socket.close();
  });
}

/** Descriptors of this process that are UDP or other sockets. */
function sockets(): number[] {
  const isSocket = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // the one the folder was read by
    }
  };
  return readdirSync('/proc/self/fd').filter(isSocket).map(Number);
}

const [, , role, address, port] = process.argv;
if (address && role === 'send') await send(address, Number(port));
else if (address && role === 'receive') receive(address, Number(port));
