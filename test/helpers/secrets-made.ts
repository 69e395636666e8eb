import crypto, { createHmac, type Hmac } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { toHex } from '../../src/bytes.js';
import { EvpDigest } from '../../src/digest.js';
import { EvpX25519 } from '../../src/x25519.js';

/**
 * What is made while a piece of code runs that is, or may be, a secret: each buffer of a key's length outside the heap, and
 * what node:crypto hands out (HMACs, Diffie-Hellman results). By FFI they come in a buffer of ours. A copy of those octets on
 * the heap is noted as a leak.
 */
export class SecretsMade {
  /** Buffers of our own. */
  readonly buffers: ArrayBuffer[] = [];
  /** Buffers of node:crypto's. */
  readonly handedOut: Uint8Array[] = [];
  /** What was in them, in hex, with each 32 octets that a Diffie-Hellman or an HMAC gave. */
  readonly values = new Set<string>();
  /** Values of which the heap has, or had, a copy. */
  readonly leaks: string[] = [];
  readonly #copies: Uint8Array[] = [];

  /** Only what is made inside `act`; it must not wait for anything. */
  during<Result>(act: () => Result): Result {
    const { ArrayBuffer: Plain, Uint8Array: Octets } = globalThis;
    const hmac = Object.getPrototypeOf(createHmac('sha256', '')) as Hmac;
    const digest: () => Buffer<ArrayBuffer> = hmac.digest;
    const { diffieHellman } = crypto;
    const { values } = this;
    const note = (made: Buffer): Buffer => {
      this.handedOut.push(made);
      this.values.add(toHex(made));
      return made;
    };
    hmac.digest = function (this: Hmac) {
      return note(digest.call(this));
    } as typeof hmac.digest;
    const { hmac: evpHmac } = EvpDigest.prototype;
    EvpDigest.prototype.hmac = function (this: EvpDigest, ...given) {
      const made = evpHmac.apply(this, given);
      values.add(toHex(made));
      return made;
    };
    const { agree } = EvpX25519.prototype;
    EvpX25519.prototype.agree = function (this: EvpX25519, ...given) {
      const made = agree.apply(this, given);
      if (made) values.add(toHex(made));
      return made;
    };
    crypto.diffieHellman = ((keys) => note(diffieHellman(keys))) as typeof diffieHellman;
    syncBuiltinESMExports();
    globalThis.ArrayBuffer = new Proxy(Plain, {
      construct: (target, given) => {
        const made = Reflect.construct(target, given) as ArrayBuffer;
        if (made.byteLength === 32) this.buffers.push(made);
        return made;
      },
    });
    globalThis.Uint8Array = new Proxy(Octets, {
      construct: (target, given) => {
        const made = Reflect.construct(target, given) as Uint8Array<ArrayBuffer>;
        const isCopy = ArrayBuffer.isView(given[0]);
        if (isCopy && this.values.has(toHex(made))) this.leaks.push(toHex(made));
        if (isCopy || typeof given[0] === 'number') this.#copies.push(made);
        return made;
      },
    });
    try {
      return act();
    } finally {
      globalThis.ArrayBuffer = Plain;
      globalThis.Uint8Array = Octets;
      hmac.digest = digest as typeof hmac.digest;
      crypto.diffieHellman = diffieHellman;
      syncBuiltinESMExports();
    }
  }

  /** Values that heap arrays made meanwhile still hold, alone or among other octets. */
  onHeap(): string[] {
    const held = this.#copies.map(toHex);
    return [...this.values].filter((value) => held.some((octets) => octets.includes(value)));
  }

  /** Buffers that are not zero, in hex. */
  left(): string[] {
    const all = [...this.handedOut, ...this.buffers.map((buffer) => new Uint8Array(buffer))];
    return all.filter((octets) => octets.some((octet) => octet !== 0)).map(toHex);
  }
}
