/**
 * An independent reading of Babel packets, written from RFC 8966 alone, for the invariants to look at what really went
 * over a link. It expects well-formed packets and throws on others: our own speakers send nothing else.
 */
export interface SeenUpdate {
  readonly kind: 'update';
  /** Address family and prefix as hex and length, "2:fd00…/64". Retraction of everything: "*". */
  readonly prefix: string;
  readonly routerId: string;
  readonly seqno: number;
  readonly metric: number;
  /** It brings the origin's signature. */
  readonly signed?: true;
}

export interface SeenSeqnoRequest {
  readonly kind: 'seqnoRequest';
  readonly prefix: string;
  readonly routerId: string;
  readonly seqno: number;
  readonly hopCount: number;
}

export interface SeenRouteRequest {
  readonly kind: 'routeRequest';
  readonly prefix: string;
}

export interface SeenHello {
  readonly kind: 'hello';
  readonly seqno: number;
}

export interface SeenOther {
  readonly kind: 'ihu' | 'ackRequest' | 'ack' | 'other';
  readonly type: number;
}

export type Seen = SeenUpdate | SeenSeqnoRequest | SeenRouteRequest | SeenHello | SeenOther;

export const infinity = 0xffff;

export function readPacket(bytes: Uint8Array): Seen[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view[0] !== 42 || view[1] !== 2) throw new Error('not a Babel packet');
  const end = 4 + view.readUInt16BE(2);
  const seen: Seen[] = [];
  let routerId = '';
  const defaults = new Map<number, Buffer>();
  for (let at = 4; at < end; ) {
    const type = view[at]!;
    if (type === 0) {
      at++;
      continue;
    }
    const body = view.subarray(at + 2, at + 2 + view[at + 1]!);
    at += 2 + body.length;
    if (type === 6) routerId = body.toString('hex', 2, 10);
    else if (type === 8) {
      const update = readUpdate(body, defaults);
      if (body[1]! & 0x40) routerId = update.bytes.toString('hex', 8, 16);
      const metric = body.readUInt16BE(8);
      const signed = update.signed ? { signed: true as const } : {};
      seen.push({ kind: 'update', prefix: update.prefix, routerId, seqno: body.readUInt16BE(6), metric, ...signed });
    } else if (type === 9) {
      seen.push({ kind: 'routeRequest', prefix: prefixText(body[0]!, body[1]!, body.subarray(2)) });
    } else if (type === 10) {
      seen.push({
        kind: 'seqnoRequest',
        prefix: prefixText(body[0]!, body[1]!, body.subarray(14)),
        seqno: body.readUInt16BE(2),
        hopCount: body[4]!,
        routerId: body.toString('hex', 6, 14),
      });
    } else if (type === 4) seen.push({ kind: 'hello', seqno: body.readUInt16BE(2) });
    else if (type !== 7 && type !== 1) seen.push({ kind: otherKinds[type] ?? 'other', type });
  }
  return seen;
}

const otherKinds: Readonly<Record<number, SeenOther['kind']>> = { 2: 'ackRequest', 3: 'ack', 5: 'ihu' };

function readUpdate(body: Buffer, defaults: Map<number, Buffer>): { prefix: string; bytes: Buffer; signed: boolean } {
  const [encoding, flags, length, omitted] = [body[0]!, body[1]!, body[2]!, body[3]!];
  const bytes = Buffer.alloc(16);
  const carried = Math.ceil(length / 8) - omitted;
  defaults.get(encoding)?.copy(bytes, 0, 0, omitted);
  body.copy(bytes, omitted, 10, 10 + carried);
  if (flags & 0x80) defaults.set(encoding, bytes);
  return { prefix: prefixText(encoding, length, bytes), bytes, signed: hasSubTlv(body, 10 + carried, originSignature) };
}

const originSignature = 112;

function hasSubTlv(body: Buffer, from: number, wanted: number): boolean {
  for (let at = from; at < body.length; at += body[at] === 0 ? 1 : 2 + body[at + 1]!) {
    if (body[at] === wanted) return true;
  }
  return false;
}

function prefixText(encoding: number, length: number, bytes: Buffer): string {
  return encoding === 0 ? '*' : `${encoding}:${bytes.toString('hex', 0, Math.ceil(length / 8))}/${length}`;
}

/** `a` is newer than `b` modulo 2^16 (RFC 8966 §3.2.1). */
export function isNewer(a: number, b: number): boolean {
  const ahead = (a - b) & 0xffff;
  return ahead > 0 && ahead < 0x8000;
}
