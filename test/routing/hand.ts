import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { type Network, prefix } from './network.js';
import { tlvsOf } from './tlvs.js';

/** A hand-made router on a LAN, which says what it is told, and what was said on the LAN. */
export class Hand {
  readonly #world: Network;
  readonly #lan: number;
  readonly address: string;
  /** Both halves of the router-id it announces under. */
  routerId: readonly [number, number];
  #seqno = 1;

  constructor(world: Network, lan: number, address: string, routerId: readonly [number, number] = [9, 9]) {
    this.#world = world;
    this.#lan = lan;
    this.address = address;
    this.routerId = routerId;
  }

  say(write: (writer: PacketWriter) => void): void {
    const writer = new PacketWriter(1400);
    write(writer);
    this.#world.say(this.#lan, this.address, writer.finish());
  }

  /** A Hello, and that it hears whoever receives it at this cost. */
  greet(rxcost = 96, interval = 400): void {
    this.say((writer) => {
      writer.hello(this.#seqno, interval);
      writer.ihu(undefined, rxcost, 3 * interval);
    });
    this.#seqno = (this.#seqno + 1) & 0xffff;
  }

  /** A Hello alone. */
  hello(interval = 400): void {
    this.say((writer) => writer.hello(this.#seqno, interval));
    this.#seqno = (this.#seqno + 1) & 0xffff;
  }

  /** Greets from now on, as long as anything runs. */
  keepGreeting(): void {
    this.greet();
    this.#world.at(4000, () => this.keepGreeting());
  }

  announce(text: string, seqno: number, metric: number, interval = 6000): void {
    const { bytes, length } = prefix(text);
    const [routerIdHigh, routerIdLow] = this.routerId;
    const fields = { prefix: bytes, prefixLength: length, routerIdHigh, routerIdLow, seqno, metric, interval };
    this.say((writer) => writer.update(fields));
  }

  requestSeqno(text: string, seqno: number, hops = 64): void {
    const { bytes, length } = prefix(text);
    this.say((writer) => writer.seqnoRequest(bytes, length, seqno, hops, ...this.routerId));
  }
}

/** What the node said on the LAN since, one entry a TLV. */
export function saidSince(world: Network, lan: number, from: number) {
  return world
    .heardOn(lan)
    .filter(({ at }) => at >= from)
    .flatMap(({ at, to, bytes }) => tlvsOf(bytes).map((line) => ({ at, to, line })));
}
