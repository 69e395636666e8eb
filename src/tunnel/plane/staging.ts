import type { Millis } from '../../time.js';

const packetsPerNode = 64;
const mostNodes = 256;
const mostOctets = 4 * 1024 * 1024;
/** A handshake through relays takes a round trip and a half, on the other side of the world, and may be repeated once. */
const patience: Millis = 1000;
const askEvery: Millis = 1000;

interface Waiting {
  readonly packets: { readonly bytes: Uint8Array; readonly until: Millis }[];
  asked: Millis;
}

/** One worker's packets for nodes whose session is missing: 64 a node, a second each, 256 nodes and 4 MiB in all. */
export class Staging {
  readonly #nodes = new Map<number, Waiting>();
  #octets = 0;

  get isEmpty(): boolean {
    return this.#octets === 0;
  }

  nodes(): number[] {
    return [...this.#nodes.keys()];
  }

  /** Copies the packet. `full`: not kept. */
  add(node: number, packet: Uint8Array, now: Millis): 'kept' | 'full' {
    const waiting = this.#nodes.get(node);
    if (this.#octets + packet.length > mostOctets) return 'full';
    if (!waiting && this.#nodes.size >= mostNodes && !this.#forgetEmpty()) return 'full';
    if (waiting && waiting.packets.length >= packetsPerNode) return 'full';
    const kept = waiting ?? { packets: [], asked: Number.NEGATIVE_INFINITY };
    kept.packets.push({ bytes: new Uint8Array(packet), until: now + patience });
    this.#nodes.set(node, kept);
    this.#octets += packet.length;
    return 'kept';
  }

  /** Gives up the places of nodes that nothing waits for: those may be asked for again too soon. Whether there were any. */
  #forgetEmpty(): boolean {
    for (const [node, { packets }] of this.#nodes) if (packets.length === 0) this.#nodes.delete(node);
    return this.#nodes.size < mostNodes;
  }

  /** True at most once a second a node, while it has its place: ask the control plane for a session. */
  shouldAsk(node: number, now: Millis): boolean {
    const waiting = this.#nodes.get(node);
    if (!waiting || now - waiting.asked < askEvery) return false;
    waiting.asked = now;
    return true;
  }

  /** Takes out what waits for this node, oldest first. */
  take(node: number): Uint8Array[] {
    const packets = this.#nodes.get(node)?.packets.splice(0) ?? [];
    for (const { bytes } of packets) this.#octets -= bytes.length;
    return packets.map(({ bytes }) => bytes);
  }

  /**
   * Takes out what waited too long, oldest first. Forgets nodes that nothing waits for and that were asked for long ago.
   */
  expire(now: Millis): Uint8Array[] {
    const expired: Uint8Array[] = [];
    for (const [node, waiting] of this.#nodes) {
      while (waiting.packets[0] && waiting.packets[0].until <= now) {
        const { bytes } = waiting.packets.shift()!;
        this.#octets -= bytes.length;
        expired.push(bytes);
      }
      if (waiting.packets.length === 0 && now - waiting.asked >= askEvery) this.#nodes.delete(node);
    }
    return expired;
  }
}
