import type { Endpoint } from '../addr/endpoint.js';
import { formatIp, parseIp } from '../addr/ip.js';
import { concatBytes, utf8 } from '../bytes.js';
import { appendMacs, datagramMacsLength } from '../datagram-mac.js';
import {
  type DhKey,
  NoiseInitiator,
  NoiseResponder,
  noiseInitiationOverhead,
  noiseResponseOverhead,
} from '../noise.js';
import { FrameType } from './frame.js';
import { maxHandshakeLength } from './guard.js';

/**
 * The two messages of the handshake, Noise_IK_25519_ChaChaPoly_SHA256 with prologue "weft 1" ‖ network id (32 octets).
 *
 * Initiation, always 1200 octets             Response, 126 octets and the chain: never larger
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+-----------------------------------------------+
 * | type 01 or 02 |                     zero                      |
 * +---------------+-----------------------------------------------+
 * |                         sender index                          |
 * +---------------------------------------------------------------+
 * |             receiver index (in the response only)             |
 * +---------------------------------------------------------------+
 * |                Noise message, the hello inside                |
 * +---------------------------------------------------------------+
 * |                   mac1 16 ‖ mac2 16 (§3)                      |
 * +---------------------------------------------------------------+
 *
 * The hello, sealed in each of them:
 * +---------------+---------------+-------------------------------+
 * |    flags      |     lanes     |         chain length          |
 * +---------------+---------------+-------------------------------+
 * |                          incarnation                          |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                            counter                            |
 * +-------------------------------+-------------------------------+
 * |         observed port         |                               |
 * +-------------------------------+     observed address 16       +
 * |                                                               |
 * +---------------------------------------------------------------+
 * |          certificate chain ‖ zero octets (initiation)         |
 * +---------------------------------------------------------------+
 *
 * Flags: 0x01 AES-256-GCM is the faster cipher here; others sent zero and ignored, as is what follows the chain.
 * Observed: where the sender of the hello sees the other side; all zero when it cannot say. IPv4 as ::ffff:a.b.c.d.
 */
export interface Hello {
  readonly aesFaster: boolean;
  /** Parallel sessions the sender hears: receiver indices sender index + 0 … lanes - 1; 1 to 8. */
  readonly lanes: number;
  /** Chosen by chance at process start. */
  readonly incarnation: bigint;
  /** Of an initiation: greater than in all before it of this incarnation. Of a response: zero. */
  readonly counter: number;
  readonly observed: Endpoint | undefined;
  readonly chain: Uint8Array;
}

/** Receiver indices come in blocks of this many, aligned, so that lanes of two sessions never collide. */
export const maxLanes = 8;

const helloHead = 34;
const initiationHead = 8;
const responseHead = 12;
const initiationHello = maxHandshakeLength - initiationHead - noiseInitiationOverhead - datagramMacsLength;

/** The longest certificate chain that a handshake carries. */
export const maxChainLength = initiationHello - helloHead;

/** "weft 1" ‖ network id. */
export function prologueOf(networkId: Uint8Array): Uint8Array {
  return concatBytes(utf8('weft 1'), networkId);
}

function encodeHello(hello: Hello, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[0] = hello.aesFaster ? 1 : 0;
  bytes[1] = hello.lanes;
  view.setUint16(2, hello.chain.length);
  view.setBigUint64(4, hello.incarnation);
  view.setUint32(12, hello.counter);
  const address = hello.observed && parseIp(hello.observed.address);
  if (hello.observed && address) {
    view.setUint16(16, hello.observed.port);
    bytes.set(address, 18);
  }
  bytes.set(hello.chain, helloHead);
  return bytes;
}

function decodeHello(bytes: Uint8Array): Hello | undefined {
  if (bytes.length < helloHead) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chainEnd = helloHead + view.getUint16(2);
  const lanes = bytes[1]!;
  if (chainEnd > bytes.length || lanes < 1 || lanes > maxLanes) return undefined;
  const port = view.getUint16(16);
  return {
    aesFaster: (bytes[0]! & 1) !== 0,
    lanes,
    incarnation: view.getBigUint64(4),
    counter: view.getUint32(12),
    observed: port === 0 ? undefined : { address: formatIp(bytes.subarray(18, 34)), port },
    chain: bytes.slice(helloHead, chainEnd),
  };
}

function head(type: number, ...indices: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * indices.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = type;
  indices.forEach((index, i) => {
    view.setUint32(4 + 4 * i, index);
  });
  return bytes;
}

function indexAt(datagram: Uint8Array, at: number): number {
  return new DataView(datagram.buffer, datagram.byteOffset, datagram.length).getUint32(at);
}

/** The receiver index a response is for, or undefined when it is too short. */
export function responseReceiver(datagram: Uint8Array): number | undefined {
  return datagram.length < responseHead ? undefined : indexAt(datagram, 8);
}

/** What one side needs to know of itself. */
export interface HandshakeIdentity {
  readonly prologue: Uint8Array;
  readonly key: DhKey;
}

/** One outgoing handshake: the same message may be sent again and again, and along several ways, until it is answered. */
export class OutgoingHandshake {
  readonly localIndex: number;
  readonly #noise: NoiseInitiator;
  readonly #remotePublicKey: Uint8Array;
  readonly #body: Uint8Array | undefined;

  constructor(
    self: HandshakeIdentity,
    ephemeral: DhKey,
    remotePublicKey: Uint8Array,
    localIndex: number,
    hello: Hello,
  ) {
    this.localIndex = localIndex;
    this.#remotePublicKey = remotePublicKey;
    this.#noise = new NoiseInitiator('IK', self.prologue, self.key, ephemeral, remotePublicKey);
    const message = this.#noise.writeInitiation(encodeHello(hello, initiationHello));
    this.#body = message && concatBytes(head(FrameType.initiation, localIndex), message);
  }

  /** The datagram, the caller's; undefined when the remote key is of small order. `cookie`: 16 octets, if it gave one. */
  datagram(cookie?: Uint8Array): Uint8Array | undefined {
    return this.#body && appendMacs(this.#remotePublicKey, this.#body, cookie);
  }

  /** What the response says, or undefined when it is not the answer to this; a forgery changes nothing. */
  readResponse(datagram: Uint8Array): { readonly hello: Hello; readonly remoteIndex: number } | undefined {
    if (datagram.length < responseHead + noiseResponseOverhead + datagramMacsLength) return undefined;
    const payload = this.#noise.readResponse(datagram.subarray(responseHead, datagram.length - datagramMacsLength));
    const hello = payload && decodeHello(payload);
    return hello && { hello, remoteIndex: indexAt(datagram, 4) };
  }

  /** After readResponse: writes the transport keys, 32 octets each, and forgets all secrets. */
  split(sendKey: Uint8Array, receiveKey: Uint8Array): void {
    this.#noise.split(sendKey, receiveKey);
    this.#noise.wipe();
  }

  wipe(): void {
    this.#noise.wipe();
  }
}

/** One handshake that came in. What it says is authentic but may be a replay. */
export class IncomingHandshake {
  readonly remotePublicKey: Uint8Array;
  readonly hello: Hello;
  readonly remoteIndex: number;
  readonly #noise: NoiseResponder;

  private constructor(noise: NoiseResponder, remotePublicKey: Uint8Array, hello: Hello, remoteIndex: number) {
    this.#noise = noise;
    this.remotePublicKey = remotePublicKey;
    this.hello = hello;
    this.remoteIndex = remoteIndex;
  }

  /** Undefined when it is not for us, not whole or not well-formed. The guard has checked length and mac1. */
  static read(self: HandshakeIdentity, datagram: Uint8Array): IncomingHandshake | undefined {
    if (datagram.length !== maxHandshakeLength) return undefined;
    const noise = new NoiseResponder('IK', self.prologue, self.key);
    const read = noise.readInitiation(datagram.subarray(initiationHead, datagram.length - datagramMacsLength));
    const hello = read && decodeHello(read.payload);
    if (!hello) {
      noise.wipe();
      return undefined;
    }
    return new IncomingHandshake(noise, read.remotePublicKey, hello, indexAt(datagram, 4));
  }

  /** The body of the response, without macs, the caller's; undefined when their ephemeral key is of small order. */
  respond(ephemeral: DhKey, localIndex: number, hello: Hello): Uint8Array | undefined {
    const message = this.#noise.writeResponse(encodeHello(hello, helloHead + hello.chain.length), ephemeral);
    return message && concatBytes(head(FrameType.response, localIndex, this.remoteIndex), message);
  }

  /** After respond: writes the transport keys, 32 octets each, and forgets all secrets. */
  split(sendKey: Uint8Array, receiveKey: Uint8Array): void {
    this.#noise.split(sendKey, receiveKey);
    this.#noise.wipe();
  }

  wipe(): void {
    this.#noise.wipe();
  }
}
