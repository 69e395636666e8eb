import type { Millis } from '../time.js';
import type { Cipher, SessionInstall } from './plane/contract.js';

/**
 * Transport keys on their way to the plane: outside the JavaScript heap. Once they are under way the plane zeroes them: a
 * worker that has not taken them yet must find them whole, whatever became of the session meanwhile.
 */
export class SessionKeys {
  readonly send = new SharedArrayBuffer(32);
  readonly receive = new SharedArrayBuffer(32);

  /** `split`: writes both keys. */
  constructor(split: (sendKey: Uint8Array, receiveKey: Uint8Array) => void) {
    split(new Uint8Array(this.send), new Uint8Array(this.receive));
  }

  /** Of keys that the plane is never told. */
  wipe(): void {
    new Uint8Array(this.send).fill(0);
    new Uint8Array(this.receive).fill(0);
  }
}

/** One set of keys of a link, as the control plane remembers it. */
export interface Session {
  readonly localIndex: number;
  readonly keys: SessionKeys;
  readonly role: SessionInstall['role'];
  /** Of the other side. */
  readonly incarnation: bigint;
  readonly cipher: Cipher;
  readonly remoteIndex: number;
  readonly remoteLanes: number;
  readonly bornAt: Millis;
  /** True from the start for the initiator; for the responder when the first frame has opened. */
  isConfirmed: boolean;
  /** Whether the node of the lower number began it: it wins where two handshakes cross. */
  readonly isByLower: boolean;
}
