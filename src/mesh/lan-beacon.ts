import { type Endpoint, isUsableEndpoint, sameEndpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import { Bucket } from '../bucket.js';
import type { Machine } from '../machine.js';
import type { Random } from '../random.js';
import { type Millis, never, second } from '../time.js';
import { beaconKey, decodeBeacon, encodeBeacon } from './lan-beacon-datagram.js';

export type LanBeaconEvent =
  /** Our addresses are others, or we have just begun: tell the LAN at once. */
  | { readonly kind: 'addressesChanged' }
  /** A datagram came to the beacons' port. */
  | { readonly kind: 'beaconReceived'; readonly from: string; readonly bytes: Uint8Array };

export type LanBeaconEffect =
  /** To the group, on every LAN. */
  | { readonly kind: 'sendBeacon'; readonly bytes: Uint8Array }
  /** This node says it is there: a hint, for the handshake to prove. */
  | { readonly kind: 'foundOnLan'; readonly node: NodeNumber; readonly endpoint: Endpoint };

/** Where beacons go: a group of the organisation's own scope (RFC 2365), never beyond the LAN. */
export const beaconGroup = '239.192.166.96';
export const beaconPort = 16697;

/** Our tuning. */
const pause: Millis = 30 * second;
/**
 * A newcomer, and who says that it has just begun, is answered, so that it need not wait for our next one: by chance within this,
 * or all who hear it would speak in one instant, and not more often than this, whoever is heard.
 */
const answerPause: Millis = second;
/**
 * Each node is answered so often at once, for a start and two restarts, and then so often: a beacon resent by a stranger cannot be
 * told from a fresh one. One bucket is shared by all who come when the table is full, or who was put out of it would be new again
 * with each beacon, and on a LAN with more members than places every beacon would be answered by all.
 */
const answersAtOnce = 3;
const answersPerSecond = 1 / 25;
const forgottenAfter: Millis = 100 * second;
/** The same node at the same place is told again after so long: a dial may have failed. */
const toldAgainAfter: Millis = 25 * second;
/** Beyond these, what is heard is dropped: a LAN of a thousand members says 34 a second. */
const heardPerSecond = 50;
const maxHeard = 256;
const maxPlaces = 4;

interface Place {
  readonly endpoint: Endpoint;
  heardAt: Millis;
  toldAt: Millis;
}

interface Heard {
  readonly places: Place[];
  readonly answers: Bucket;
}

/** Finds members on the same LAN without any help from elsewhere, by saying and hearing beacons. */
export class LanBeacon implements Machine<LanBeaconEvent, LanBeaconEffect> {
  readonly #node: NodeNumber;
  readonly #port: number;
  readonly #key: Uint8Array;
  readonly #random: Random;
  readonly #heard = new Map<NodeNumber, Heard>();
  readonly #crowd = new Bucket(answersPerSecond, answersAtOnce);
  #nextSaid: Millis = never;
  #lastSaid = Number.NEGATIVE_INFINITY;
  #budget = heardPerSecond;
  #budgetFrom = Number.NEGATIVE_INFINITY;
  #dropped = 0;

  constructor(networkId: Uint8Array, node: NodeNumber, port: number, random: Random) {
    this.#key = beaconKey(networkId);
    this.#node = node;
    this.#port = port;
    this.#random = random;
  }

  handle(event: LanBeaconEvent, now: Millis): LanBeaconEffect[] {
    if (event.kind === 'addressesChanged') {
      this.#heard.clear(); // another LAN, perhaps
      return [this.#say(true, now)];
    }
    return this.#hear(event.from, event.bytes, now);
  }

  tick(now: Millis): LanBeaconEffect[] {
    if (now < this.#nextSaid) return [];
    this.#forget(now);
    return [this.#say(false, now)];
  }

  #say(asks: boolean, now: Millis): LanBeaconEffect {
    this.#lastSaid = now;
    this.#nextSaid = now + pause * (0.75 + 0.5 * this.#random.unit());
    const said = { node: this.#node, port: this.#port, asks };
    return { kind: 'sendBeacon', bytes: encodeBeacon(this.#key, said, this.#random.bytes(12)) };
  }

  deadline(): Millis {
    return this.#nextSaid;
  }

  /** Whether this node said lately that it is at this endpoint. */
  isHeardAt(node: NodeNumber, endpoint: Endpoint): boolean {
    return this.#heard.get(node)?.places.some((place) => sameEndpoint(place.endpoint, endpoint)) ?? false;
  }

  /** Datagrams that were no beacon of this network, or too many. */
  get dropped(): number {
    return this.#dropped;
  }

  #hear(from: string, bytes: Uint8Array, now: Millis): LanBeaconEffect[] {
    const beacon = this.#allows(now) ? decodeBeacon(this.#key, bytes) : undefined;
    const endpoint = beacon && { address: from, port: beacon.port };
    if (!endpoint || !isUsableEndpoint(endpoint)) {
      this.#dropped++;
      return [];
    }
    if (beacon.node === this.#node) return [];
    const known = this.#heard.get(beacon.node);
    const { places, answers } = known ?? this.#meet(beacon.node);
    if ((!known || beacon.asks) && answers.take(now)) {
      const at = Math.max(now + answerPause * this.#random.unit(), this.#lastSaid + answerPause);
      this.#nextSaid = Math.min(this.#nextSaid, at);
    }
    let place = places.find((one) => sameEndpoint(one.endpoint, endpoint));
    if (!place) {
      if (places.length >= maxPlaces) places.shift();
      place = { endpoint, heardAt: now, toldAt: Number.NEGATIVE_INFINITY };
      places.push(place);
    }
    place.heardAt = now;
    if (now < place.toldAt + toldAgainAfter) return [];
    place.toldAt = now;
    return [{ kind: 'foundOnLan', node: beacon.node, endpoint }];
  }

  #meet(node: NodeNumber): Heard {
    const isFull = this.#heard.size >= maxHeard;
    if (isFull) this.#heard.delete(this.#heard.keys().next().value!);
    const met = { places: [], answers: isFull ? this.#crowd : new Bucket(answersPerSecond, answersAtOnce) };
    this.#heard.set(node, met);
    return met;
  }

  #allows(now: Millis): boolean {
    if (now >= this.#budgetFrom + second) {
      this.#budgetFrom = now;
      this.#budget = heardPerSecond;
    }
    return this.#budget-- > 0;
  }

  #forget(now: Millis): void {
    for (const [node, { places, answers }] of this.#heard) {
      const kept = places.filter((place) => now < place.heardAt + forgottenAfter);
      if (kept.length > 0) this.#heard.set(node, { places: kept, answers });
      else this.#heard.delete(node);
    }
  }
}
