import type { IpBytes } from '../../src/addr/ip.js';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { Prefix } from '../../src/addr/prefix.js';
import { equalBytes, fromHex, toHex } from '../../src/bytes.js';
import { PacketReader } from '../../src/routing/codec/packet-reader.js';
import { dropReasons } from '../../src/routing/codec/tlv.js';
import { routerIdFrom } from '../../src/routing/router-id.js';

const neighbourAddress: IpBytes = parseIp('fe80::1')!;

/** Octets of a hex text with spaces. */
export function hex(text: string): Uint8Array {
  return fromHex(text.replace(/\s/g, ''))!;
}

/** A packet around this body. */
export function packet(body: string | Uint8Array): Uint8Array {
  const octets = typeof body === 'string' ? hex(body) : body;
  return Uint8Array.from([42, 2, octets.length >> 8, octets.length & 0xff, ...octets]);
}

/** Everything a reader sees in a packet, as text, one line a TLV. */
export function tlvsOf(bytes: Uint8Array, from = neighbourAddress, reader = new PacketReader()): string[] {
  if (!reader.open(bytes, from)) return ['refused'];
  const lines: string[] = [];
  for (let kind = reader.next(); kind !== 'end'; kind = reader.next()) lines.push(lineOf(reader, kind));
  return lines;
}

/** Why TLVs of this packet were dropped. */
export function dropsOf(bytes: Uint8Array): Record<string, number> {
  const reader = new PacketReader();
  tlvsOf(bytes, neighbourAddress, reader);
  return Object.fromEntries(
    dropReasons.map((reason, i) => [reason as string, reader.drops[i]!] as const).filter(([, count]) => count > 0),
  );
}

/** A `Prefix` clears what is beyond its length; the reader is to have done so before. */
function prefixOf({ prefix: octets, prefixLength }: PacketReader): string {
  const prefix = new Prefix(octets, prefixLength);
  return equalBytes(prefix.bytes, octets) ? String(prefix) : `${formatIp(octets)} beyond its length ${prefixLength}`;
}

function lineOf(reader: PacketReader, kind: string): string {
  const id = routerIdFrom(reader.routerIdHigh, reader.routerIdLow);
  const prefix = reader.wildcard ? '*' : prefixOf(reader);
  const stamp = reader.hasTimestamp ? ` stamp ${reader.timestamp}` : '';
  switch (kind) {
    case 'ackRequest':
      return `ackRequest ${reader.opaque} within ${reader.interval}`;
    case 'ack':
      return `ack ${reader.opaque}`;
    case 'hello':
      return `hello ${reader.unicastHello ? 'unicast ' : ''}${reader.seqno} every ${reader.interval}${stamp}`;
    case 'ihu':
      return `ihu ${reader.hasAddress ? formatIp(reader.address) : 'you'} rxcost ${reader.rxcost} every ${reader.interval}${stamp}${reader.hasTimestamp ? ` ${reader.timestamp2}` : ''}`;
    case 'update': {
      if (reader.metric === 0xffff) return `retract ${prefix}`;
      const egress = reader.egress >= 0 ? ` egress ${reader.egress}` : '';
      const signature = reader.signatureLength > 0 ? ` signed ${toHex(reader.signature())}` : '';
      return `update ${prefix} id ${id} seqno ${reader.seqno} metric ${reader.metric} every ${reader.interval} via ${formatIp(reader.nextHop)}${egress}${signature}`;
    }
    case 'routeRequest':
      return `routeRequest ${prefix}`;
    default:
      return `seqnoRequest ${prefix} id ${id} seqno ${reader.seqno} hops ${reader.hopCount}`;
  }
}
