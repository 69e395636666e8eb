import type { IpBytes } from '../../src/addr/ip.js';
import { type NodeNumber, nodePrefix, tunnelLinkLocal } from '../../src/addr/node-number.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { equalBytes, toHex } from '../../src/bytes.js';
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
  readonly #links: Link[] = [];
  /** In tunnels, by node. */
  readonly #addresses: IpBytes[] = [];

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
    this.#links[link.index] = link;
    return [{ kind: 'tunnelUp', interface: link.index, neighbour: numberOf(peerOf(link, index)), mtu: 1200 }];
  }

  linkDown(_index: number, link: Link): SpeakerEvent[] {
    return [{ kind: 'interfaceDown', interface: link.index }];
  }

  received(index: number, link: Link, bytes: Uint8Array, now: Millis): SpeakerEvent[] {
    const peer = peerOf(link, index);
    this.#addresses[peer] ??= tunnelLinkLocal(numberOf(peer));
    const from = this.#addresses[peer];
    return [{ kind: 'packetReceived', interface: link.index, from, bytes, receivedAt: now }];
  }

  measured(_index: number, link: Link): SpeakerEvent[] {
    const { delay, jitter, loss } = link.quality;
    return [{ kind: 'measured', interface: link.index, rtt: 2 * delay + jitter, jitter, loss }];
  }

  perform(effect: SpeakerEffect, hands: Hands): void {
    switch (effect.kind) {
      case 'sendPacket':
        hands.send(this.#links[effect.interface]!, effect.bytes);
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
  const prefixes = new Map<number, Prefix[]>();
  const runs = new Map<number, Uint8Array[]>();
  return {
    prefix: (bytes, length) =>
      shared(
        prefixes,
        mixed(length, bytes).first,
        (prefix) => prefix.length === length && equalBytes(prefix.bytes, bytes),
        () => new Prefix(bytes, length),
      ),
    octets: (bytes) =>
      shared(
        runs,
        mixed(0, bytes).first,
        (run) => equalBytes(run, bytes),
        () => new Uint8Array(bytes),
      ),
  };
}

/** The value that is this one, among those of the same hash; made when it is the first. */
function shared<T>(values: Map<number, T[]>, hash: number, isIt: (value: T) => boolean, make: () => T): T {
  const alike = values.get(hash);
  const known = alike?.find(isIt);
  if (known) return known;
  const made = make();
  if (alike) alike.push(made);
  else values.set(hash, [made]);
  return made;
}

/** A keyed hash, in two words. */
function mixed(key: number, octets: Uint8Array): { readonly first: number; readonly second: number } {
  let first = Math.imul(key, 0x9e3779b1) | 0;
  let second = ~first;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i]!;
    first = Math.imul(first ^ octet, 0x01000193);
    second = Math.imul(second + octet, 0x85ebca6b) ^ (first >>> 13);
  }
  return { first, second };
}

/** Stands for signatures in large runs: a hash keyed with the node's number. Forgeable, but nobody here forges. */
export function hashAuthority(index: number): OriginAuthority {
  return {
    sign: (octets) => {
      const { first, second } = mixed(numberOf(index), octets);
      const signature = new DataView(new ArrayBuffer(8));
      signature.setInt32(0, first, true);
      signature.setInt32(4, second, true);
      return new Uint8Array(signature.buffer);
    },
    verify: (node, octets, signature) => {
      const { first, second } = mixed(node, octets);
      const isRight = signature.length === 8 && wordAt(signature, 0) === first && wordAt(signature, 4) === second;
      return isRight ? 'valid' : 'invalid';
    },
    grants: () => true,
  };
}

/** The least octet first. */
function wordAt(octets: Uint8Array, at: number): number {
  return octets[at]! | (octets[at + 1]! << 8) | (octets[at + 2]! << 16) | (octets[at + 3]! << 24);
}
