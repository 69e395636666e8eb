import { type Endpoint, isUsableEndpoint, sameEndpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
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
 * A newcomer, and who says that it has just begun, is answered, so that it need not wait for our next one; not more often than
 * this, whoever is heard.
 */
const answerPause: Millis = second;
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

/** Finds members on the same LAN without any help from elsewhere, by saying and hearing beacons. */
export class LanBeacon implements Machine<LanBeaconEvent, LanBeaconEffect> {
  readonly #node: NodeNumber;
  readonly #port: number;
  readonly #key: Uint8Array;
  readonly #random: Random;
  readonly #heard = new Map<NodeNumber, Place[]>();
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
    return this.#heard.get(node)?.some((place) => sameEndpoint(place.endpoint, endpoint)) ?? false;
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
    const places = this.#heard.get(beacon.node) ?? [];
    if (places.length === 0) {
      if (this.#heard.size >= maxHeard) this.#heard.delete(this.#heard.keys().next().value!);
      this.#heard.set(beacon.node, places);
    }
    if (places.length === 0 || beacon.asks) {
      this.#nextSaid = Math.min(this.#nextSaid, Math.max(now, this.#lastSaid + answerPause));
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

  #allows(now: Millis): boolean {
    if (now >= this.#budgetFrom + second) {
      this.#budgetFrom = now;
      this.#budget = heardPerSecond;
    }
    return this.#budget-- > 0;
  }

  #forget(now: Millis): void {
    for (const [node, places] of this.#heard) {
      const kept = places.filter((place) => now < place.heardAt + forgottenAfter);
      if (kept.length > 0) this.#heard.set(node, kept);
      else this.#heard.delete(node);
    }
  }
}
