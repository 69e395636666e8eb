import { type NodeNumber, nodePrefix, tunnelLinkLocal } from '../../src/addr/node-number.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { toHex } from '../../src/bytes.js';
import type { Random } from '../../src/random.js';
import type {
  Interner,
  OriginAuthority,
  RouteChange,
  SpeakerEffect,
  SpeakerEvent,
  StoredSeqno,
} from '../../src/routing/contract.js';
import { Speaker } from '../../src/routing/speaker.js';
import type { Tuning } from '../../src/routing/tuning.js';
import type { Millis } from '../../src/time.js';
import { type Link, peerOf } from './link.js';
import type { Hands, NodeKind } from './network.js';

/** The simulated network's own prefix; node index i has number i + 1. */
export const networkPrefix = parsePrefix('fd57:6566:7400::/40')!;

export function numberOf(index: number): NodeNumber {
  return index + 1;
}

export function indexOf(number: NodeNumber): number {
  return number - 1;
}

export function prefixOf(index: number): Prefix {
  return nodePrefix(networkPrefix, numberOf(index));
}

/** As packet-view.ts writes prefixes. */
export function prefixText(prefix: Prefix): string {
  return `2:${toHex(prefix.bytes.subarray(0, Math.ceil(prefix.length / 8)))}/${prefix.length}`;
}

/** A prefix of no node, and the indexes of those that announce it whenever they run. */
export interface SharedPrefix {
  readonly prefix: Prefix;
  readonly originators: readonly number[];
}

export interface BabelKindOptions {
  readonly tuning?: Partial<Tuning>;
  /** Which nodes announce their own prefix; all by default. */
  readonly announces?: (index: number) => boolean;
  readonly shared?: readonly SharedPrefix[];
  readonly authority: (index: number) => OriginAuthority;
  readonly routesChanged: (index: number, changes: readonly RouteChange[], now: Millis) => void;
  readonly reported?: (index: number, effect: SpeakerEffect & { kind: 'reported' }) => void;
}

/** Nodes that are Babel speakers and nothing else; every link is a tunnel. */
export class BabelKind implements NodeKind<Speaker, SpeakerEvent, SpeakerEffect> {
  readonly #options: BabelKindOptions;
  readonly #interner = sharingInterner();
  readonly #links = new Map<number, Link>();

  constructor(options: BabelKindOptions) {
    this.#options = options;
  }

  create(index: number, random: Random, persisted: unknown, now: Millis, starts: number): Speaker {
    return new Speaker({
      network: networkPrefix,
      node: numberOf(index),
      now,
      // Seqnos soon wrap.
      stored: starts === 0 ? { epoch: 1, seqno: 0xfffc } : (persisted as StoredSeqno | undefined),
      freshEpoch: 2 + Math.floor(now),
      authority: this.#options.authority(index),
      random,
      interner: this.#interner,
      ...(this.#options.tuning ? { tuning: this.#options.tuning } : {}),
    });
  }

  started(index: number): SpeakerEvent[] {
    const { announces, shared = [] } = this.#options;
    const its = shared.filter(({ originators }) => originators.includes(index)).map(({ prefix }) => prefix);
    if (announces?.(index) ?? true) its.unshift(prefixOf(index));
    return its.map((prefix) => ({ kind: 'originate', prefix, metric: 0 }));
  }

  linkUp(index: number, link: Link): SpeakerEvent[] {
    this.#links.set(link.index, link);
    return [{ kind: 'tunnelUp', interface: link.index, neighbour: numberOf(peerOf(link, index)), mtu: 1200 }];
  }

  linkDown(_index: number, link: Link): SpeakerEvent[] {
    return [{ kind: 'interfaceDown', interface: link.index }];
  }

  received(index: number, link: Link, bytes: Uint8Array, now: Millis): SpeakerEvent[] {
    const from = tunnelLinkLocal(numberOf(peerOf(link, index)));
    return [{ kind: 'packetReceived', interface: link.index, from, bytes, receivedAt: now }];
  }

  measured(_index: number, link: Link): SpeakerEvent[] {
    const { delay, jitter, loss } = link.quality;
    return [{ kind: 'measured', interface: link.index, rtt: 2 * delay + jitter, jitter, loss }];
  }

  perform(effect: SpeakerEffect, hands: Hands): void {
    switch (effect.kind) {
      case 'sendPacket':
        hands.send(this.#links.get(effect.interface)!, effect.bytes);
        break;
      case 'routesChanged':
        this.#options.routesChanged(hands.node, effect.changes, hands.now);
        break;
      case 'persist':
        hands.persist(effect.state);
        break;
      case 'reported':
        this.#options.reported?.(hands.node, effect);
        break;
      case 'certificateWanted':
        break; // every certificate is held here
    }
  }
}

/** One copy of every prefix and every run of octets, whichever node holds it. */
function sharingInterner(): Interner {
  const prefixes = new Map<string, Prefix>();
  const runs = new Map<string, Uint8Array>();
  return {
    prefix(bytes, length) {
      const key = `${Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('latin1')}${length}`;
      let prefix = prefixes.get(key);
      if (!prefix) {
        prefix = new Prefix(bytes, length);
        prefixes.set(key, prefix);
      }
      return prefix;
    },
    octets(bytes) {
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
      let run = runs.get(key);
      if (!run) {
        run = new Uint8Array(bytes);
        runs.set(key, run);
      }
      return run;
    },
  };
}

/** Stands for signatures in large runs: a hash keyed with the node's number. Forgeable, but nobody here forges. */
export function hashAuthority(index: number): OriginAuthority {
  const sign = (node: NodeNumber, octets: Uint8Array): Uint8Array => {
    let a = Math.imul(node, 0x9e3779b1) | 0;
    let b = ~a;
    for (const octet of octets) {
      a = Math.imul(a ^ octet, 0x01000193);
      b = Math.imul(b + octet, 0x85ebca6b) ^ (a >>> 13);
    }
    return new Uint8Array(new Int32Array([a, b]).buffer);
  };
  return {
    sign: (octets) => sign(numberOf(index), octets),
    verify: (node, octets, signature) => {
      const expected = sign(node, octets);
      return signature.length === 8 && expected.every((octet, i) => octet === signature[i]) ? 'valid' : 'invalid';
    },
    grants: () => true,
  };
}
