import type { Endpoint } from '../addr/endpoint.js';
import { formatIp, parseIp } from '../addr/ip.js';
import { concatBytes, utf8 } from '../bytes.js';
import type { AgreementKey } from '../crypto.js';
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
 * +---------------------------------------------------------------+
 * |                         sender index                          |
 * +-------------------------------+-------------------------------+
 * |         observed port         |                               |
 * +-------------------------------+     observed address 16       +
 * |                                                               |
 * +---------------------------------------------------------------+
 * |          certificate chain ‖ zero octets (initiation)         |
 * +---------------------------------------------------------------+
 *
 * Everything but the first octets is sealed, the sender's index too: a datagram changed on the way changes nothing.
 * Flags: 0x01 AES-256-GCM is the faster cipher here; others sent zero and ignored, as is what follows the chain.
 * Observed: where the sender of the hello sees the other side; all zero when it cannot say. IPv4 as ::ffff:a.b.c.d.
 */
export interface Hello {
  readonly aesFaster: boolean;
  /** Parallel sessions the sender hears: receiver indices sender index + 0 … lanes - 1; 1 to 8. */
  readonly lanes: number;
  /** Chosen by chance at process start. */
  readonly incarnation: bigint;
  /** Of an initiation: greater than in all begun before it by this incarnation. Of a response: zero. */
  readonly counter: number;
  readonly observed: Endpoint | undefined;
  readonly chain: Uint8Array;
}

/** Receiver indices come in blocks of this many, aligned, so that lanes of two sessions never collide. */
export const maxLanes = 8;

const helloHead = 38;
const initiationHead = 4;
const responseHead = 8;
const initiationHello = maxHandshakeLength - initiationHead - noiseInitiationOverhead - datagramMacsLength;

/** The longest certificate chain that a handshake carries. */
export const maxChainLength = initiationHello - helloHead;

/** "weft 1" ‖ network id. */
export function prologueOf(networkId: Uint8Array): Uint8Array {
  return concatBytes(utf8('weft 1'), networkId);
}

function encodeHello(hello: Hello, index: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[0] = hello.aesFaster ? 1 : 0;
  bytes[1] = hello.lanes;
  view.setUint16(2, hello.chain.length);
  view.setBigUint64(4, hello.incarnation);
  view.setUint32(12, hello.counter);
  view.setUint32(16, index);
  const address = hello.observed && parseIp(hello.observed.address);
  if (hello.observed && address) {
    view.setUint16(20, hello.observed.port);
    bytes.set(address, 22);
  }
  bytes.set(hello.chain, helloHead);
  return bytes;
}

function decodeHello(bytes: Uint8Array): { readonly hello: Hello; readonly index: number } | undefined {
  if (bytes.length < helloHead) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chainEnd = helloHead + view.getUint16(2);
  const lanes = bytes[1]!;
  if (chainEnd > bytes.length || lanes < 1 || lanes > maxLanes) return undefined;
  const port = view.getUint16(20);
  const hello = {
    aesFaster: (bytes[0]! & 1) !== 0,
    lanes,
    incarnation: view.getBigUint64(4),
    counter: view.getUint32(12),
    observed: port === 0 ? undefined : { address: formatIp(bytes.subarray(22, 38)), port },
    chain: bytes.slice(helloHead, chainEnd),
  };
  return { hello, index: view.getUint32(16) };
}

/** The receiver index a response is for, or undefined when it is too short. */
export function responseReceiver(datagram: Uint8Array): number | undefined {
  if (datagram.length < responseHead) return undefined;
  return new DataView(datagram.buffer, datagram.byteOffset, datagram.length).getUint32(4);
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
  readonly #ephemeral: AgreementKey;

  /** `ephemeral` is fresh; it is wiped with the rest. */
  constructor(
    self: HandshakeIdentity,
    ephemeral: AgreementKey,
    remotePublicKey: Uint8Array,
    localIndex: number,
    hello: Hello,
  ) {
    this.localIndex = localIndex;
    this.#remotePublicKey = remotePublicKey;
    this.#ephemeral = ephemeral;
    this.#noise = new NoiseInitiator('IK', self.prologue, self.key, ephemeral, remotePublicKey);
    const message = this.#noise.writeInitiation(encodeHello(hello, localIndex, initiationHello));
    this.#body = message && concatBytes(Uint8Array.of(FrameType.initiation, 0, 0, 0), message);
  }

  /** The datagram, the caller's; undefined when the remote key is of small order. `cookie`: 16 octets, if it gave one. */
  datagram(cookie?: Uint8Array): Uint8Array | undefined {
    return this.#body && appendMacs(this.#remotePublicKey, this.#body, cookie);
  }

  /** What the response says, or undefined when it is not the answer to this; a forgery changes nothing. */
  readResponse(datagram: Uint8Array): { readonly hello: Hello; readonly remoteIndex: number } | undefined {
    if (datagram.length < responseHead + noiseResponseOverhead + datagramMacsLength) return undefined;
    const payload = this.#noise.readResponse(datagram.subarray(responseHead, datagram.length - datagramMacsLength));
    const decoded = payload && decodeHello(payload);
    return decoded && { hello: decoded.hello, remoteIndex: decoded.index };
  }

  /** After readResponse: writes the transport keys, 32 octets each, and forgets all secrets. */
  split(sendKey: Uint8Array, receiveKey: Uint8Array): void {
    this.#noise.split(sendKey, receiveKey);
    this.wipe();
  }

  wipe(): void {
    this.#noise.wipe();
    this.#ephemeral.wipe();
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
    const decoded = read && decodeHello(read.payload);
    if (!decoded) {
      noise.wipe();
      return undefined;
    }
    return new IncomingHandshake(noise, read.remotePublicKey, decoded.hello, decoded.index);
  }

  /** The body of the response, without macs, the caller's; undefined when their ephemeral key is of small order. */
  respond(ephemeral: DhKey, localIndex: number, hello: Hello): Uint8Array | undefined {
    const message = this.#noise.writeResponse(
      encodeHello(hello, localIndex, helloHead + hello.chain.length),
      ephemeral,
    );
    if (!message) return undefined;
    const head = new Uint8Array(responseHead);
    head[0] = FrameType.response;
    new DataView(head.buffer).setUint32(4, this.remoteIndex);
    return concatBytes(head, message);
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
