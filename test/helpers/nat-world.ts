import type { Endpoint } from '../../src/addr/endpoint.js';
import type { Random } from '../../src/random.js';
import type { Millis } from '../../src/time.js';
import type { NatModel } from './nat-model.js';

type Receiver = (from: Endpoint, payload: unknown) => void;

interface Host {
  readonly inner: Endpoint;
  readonly nat: NatModel | undefined;
  readonly receive: Receiver;
}

/** Hosts, some behind NATs, and an Internet between them, on a virtual clock. */
export class NatWorld {
  now: Millis = 0;
  readonly #delay: Millis;
  readonly #hosts: Host[] = [];
  readonly #nats = new Map<string, NatModel>();
  #queue: { readonly at: Millis; readonly run: () => void }[] = [];
  /** Every datagram sent to an address, also where nobody lives. */
  readonly sentTo = new Map<string, number>();

  /** One way, in milliseconds, with up to as much again by chance. */
  constructor(delay: Millis, random: Random) {
    this.#delay = delay;
    this.random = random;
  }

  readonly random: Random;

  attach(inner: Endpoint, nat: NatModel | undefined, receive: Receiver): void {
    this.#hosts.push({ inner, nat, receive });
    if (nat) this.#nats.set(nat.address, nat);
  }

  at(time: Millis, run: () => void): void {
    this.#queue.push({ at: time, run });
  }

  /** A datagram on its way, through the NATs of both sides. Hosts behind one NAT reach each other's inner endpoints. */
  send(from: Endpoint, to: Endpoint, payload: unknown): void {
    this.sentTo.set(to.address, (this.sentTo.get(to.address) ?? 0) + 1);
    const sender = this.#hosts.find(({ inner }) => inner.address === from.address);
    const neighbour = this.#hosts.find(({ inner, nat }) => nat === sender?.nat && inner.address === to.address);
    const seen = neighbour || !sender?.nat ? from : sender.nat.outward(from, to);
    this.at(this.now + this.#delay * (1 + this.random.unit()), () => this.#arrive(seen, to, payload));
  }

  /** Runs everything until then. */
  runUntil(end: Millis): void {
    for (;;) {
      this.#queue.sort((a, b) => a.at - b.at);
      const next = this.#queue[0];
      if (!next || next.at > end) break;
      this.#queue.shift();
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = end;
  }

  #arrive(from: Endpoint, to: Endpoint, payload: unknown): void {
    const nat = this.#nats.get(to.address);
    const target = nat ? nat.inward(from, to.port) : to;
    const host = this.#hosts.find(({ inner }) => inner.address === target?.address && inner.port === target.port);
    // An inner address means nothing outside of its own house.
    if (host && (nat || !host.nat || from.address === host.inner.address || !this.#nats.has(from.address))) {
      host.receive(from, payload);
    }
  }
}
