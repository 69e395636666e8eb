import { secretCopy } from '../../secret-bytes.js';
import type { Millis } from '../../time.js';
import { second } from '../../time.js';
import { ReplayWindow } from '../replay-window.js';
import type { UnderlayAddress } from './adapters.js';
import { type Aead, type AeadKey, laneKey } from './aead.js';
import type { GrantedPrefix, LinkId, SessionInstall } from './contract.js';
import type { LinkShared } from './link-shared.js';
import type { Moment } from './moment.js';
import { type AddressWords, maskOf } from './packet.js';

/** A lane asks for new keys here, and stops there (PROTOCOL.md §2: far below what GCM's bound allows). */
const wornCounter = 2 ** 27;
export const lastCounter = 2 ** 28;
/** No frame is sent or accepted on a session older than this. */
export const sessionLifetime: Millis = 180 * second;

/**
 * What the workers share of a session, in 32-bit words:
 *
 *   0 state │ 1 workers that hold it │ 2 worn was said │ 3 unused │ send counters, one a remote lane
 *   │ highest counters heard, one a local lane │ replay windows, 4097 words a local lane
 *
 * Pages of a window that no counter has reached are never touched, so an idle session costs almost nothing.
 */
const sharedHeader = 4;

export const SessionState = { receiving: 0, sending: 1 } as const;

export function sessionSharedLength(install: SessionInstall): number {
  return 4 * (sharedHeader + install.remoteLanes + install.localLanes * (1 + ReplayWindow.words));
}

/** One other node, as one worker sees it. */
export class Link {
  readonly id: LinkId;
  readonly node: number;
  readonly shared: LinkShared;
  /** Where its frames go; undefined: over the overlay. */
  address: UnderlayAddress | undefined;
  /** Newest first; at most six. */
  readonly sessions: Session[] = [];
  /** Granted prefixes, as four words of address and four of mask each. */
  #sources = new Int32Array(0);

  constructor(id: LinkId, node: number, shared: LinkShared, address: UnderlayAddress | undefined) {
    this.id = id;
    this.node = node;
    this.shared = shared;
    this.address = address;
  }

  /**
   * To node number 0: a newcomer that is only being looked into. Only control and probe frames are taken from it: to
   * the source check number 0 is this node itself, and to relays a neighbour like any other.
   */
  get isToNobody(): boolean {
    return this.node === 0;
  }

  setSources(prefixes: readonly GrantedPrefix[]): void {
    this.#sources = Int32Array.from(
      prefixes.flatMap(({ prefix, length }) => {
        const view = new DataView(prefix.buffer, prefix.byteOffset, 16);
        const words = [0, 1, 2, 3];
        return [...words.map((i) => view.getInt32(4 * i)), ...words.map((i) => maskOf(length - 32 * i))];
      }),
    );
  }

  /** True for an address of a LAN that the node's certificate grants it. */
  mayCarry({ a, b, c, d }: AddressWords): boolean {
    const s = this.#sources;
    for (let i = 0; i < s.length; i += 8) {
      const differs = ((a ^ s[i]!) & s[i + 4]!) | ((b ^ s[i + 1]!) & s[i + 5]!);
      if ((differs | ((c ^ s[i + 2]!) & s[i + 6]!) | ((d ^ s[i + 3]!) & s[i + 7]!)) === 0) return true;
    }
    return false;
  }

  /** The session to send on now. */
  sending(now: Moment): Session | undefined {
    for (const session of this.sessions) if (session.isSendable(now)) return session;
    return undefined;
  }
}

/** One direction-pair of keys of a link, as one worker holds it. */
export class Session {
  readonly link: Link;
  readonly localIndex: number;
  readonly lanes: readonly ReceiveLane[];
  readonly installedAt: Millis;
  readonly #role: SessionInstall['role'];
  readonly #shared: Int32Array;
  readonly #sendLane: number;
  /** The receiver index of our lane at the other side. */
  readonly sendIndex: number;
  readonly sendKey: AeadKey;

  constructor(
    install: SessionInstall,
    link: Link,
    shared: SharedArrayBuffer,
    aead: Aead,
    worker: number,
    workers: number,
    now: Moment,
  ) {
    this.link = link;
    this.localIndex = install.localIndex;
    this.installedAt = now.millis;
    this.#role = install.role;
    this.#shared = new Int32Array(shared);
    this.#sendLane = worker % install.remoteLanes;
    this.sendIndex = (install.remoteIndex + this.#sendLane) | 0;
    this.sendKey = withLaneKey(install.sendKey, this.#sendLane, (key) => aead.sealing(install.cipher, key));
    this.lanes = Array.from({ length: install.localLanes }, (_, lane) => {
      const highest = sharedHeader + install.remoteLanes + lane;
      const start = sharedHeader + install.remoteLanes + install.localLanes + lane * ReplayWindow.words;
      const key = withLaneKey(install.receiveKey, lane, (laneKey) => aead.opening(install.cipher, laneKey));
      const window = new ReplayWindow(this.#shared.subarray(start, start + ReplayWindow.words));
      return new ReceiveLane(this, (install.localIndex + lane) | 0, key, window, this.#shared, highest);
    });
    this.#isHeldByAll = Atomics.add(this.#shared, 1, 1) + 1 === workers;
    // Only once every worker could open an answer does the initiator send, and only then has the responder answered it
    // (src/tunnel/peer.ts, installed): no frame is lost by a rekey.
    if (this.#isHeldByAll && install.role === 'initiator') Atomics.store(this.#shared, 0, SessionState.sending);
  }

  readonly #isHeldByAll: boolean;

  /** True in the one worker that was the last to take the session. */
  get completedInstall(): boolean {
    return this.#isHeldByAll;
  }

  isSendable(now: Moment): boolean {
    return this.#shared[0] === SessionState.sending && now.millis - this.installedAt < sessionLifetime;
  }

  isExpired(now: Moment): boolean {
    return now.millis - this.installedAt >= sessionLifetime;
  }

  /** A frame opened. True for the first one of a session we answered, in one worker only: from now on we send on it. */
  confirm(): boolean {
    if (this.#shared[0] === SessionState.sending || this.#role === 'initiator') return false;
    return Atomics.compareExchange(this.#shared, 0, SessionState.receiving, SessionState.sending) === 0;
  }

  /** Reserves `count` counters of our lane; the first of them, or -1 when the lane is worn out. */
  take(count: number): number {
    const counter = Atomics.add(this.#shared, sharedHeader + this.#sendLane, count);
    if (counter >= 0 && counter + count <= lastCounter) return counter;
    Atomics.store(this.#shared, sharedHeader + this.#sendLane, lastCounter);
    return -1;
  }

  /** True once, in one worker, when our lane has reached the counter at which new keys are due. */
  saysWorn(counter: number): boolean {
    return counter >= wornCounter && Atomics.compareExchange(this.#shared, 2, 0, 1) === 0;
  }

  wipe(): void {
    this.sendKey.wipe();
    for (const lane of this.lanes) lane.key.wipe();
  }
}

/** One lane on which the other side sends. */
export class ReceiveLane {
  readonly session: Session;
  /** Its receiver index, as a signed word: small integers are never allocated. */
  readonly index: number;
  readonly key: AeadKey;
  readonly window: ReplayWindow;
  readonly #shared: Int32Array;
  readonly #highest: number;

  constructor(
    session: Session,
    index: number,
    key: AeadKey,
    window: ReplayWindow,
    shared: Int32Array,
    highest: number,
  ) {
    this.session = session;
    this.index = index;
    this.key = key;
    this.window = window;
    this.#shared = shared;
    this.#highest = highest;
  }

  /**
   * Notes an accepted counter; true when it is newer than all before it. Threads may race here: it only guides roaming.
   */
  isNewest(counter: number): boolean {
    // Stored plus one, so that zero means nothing was heard.
    if (counter < this.#shared[this.#highest]!) return false;
    this.#shared[this.#highest] = counter + 1;
    return true;
  }
}

function withLaneKey(sessionKey: SharedArrayBuffer, lane: number, use: (key: Uint8Array) => AeadKey): AeadKey {
  const copy = secretCopy(new Uint8Array(sessionKey)); // HKDF takes no shared memory
  const key = laneKey(copy, lane);
  const schedule = use(key);
  copy.fill(0);
  key.fill(0);
  return schedule;
}
