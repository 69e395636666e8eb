import type { Millis } from '../src/time.js';
import type { Delays, Forwarder } from './forwarder.js';
import type { Namespace } from './namespace.js';

/** What a wire does to packets, the same in both directions unless said otherwise. */
export interface WireConditions {
  /** One-way. A wire that is ever to delay must have one of delay, jitter or reorder (0 will do) when it is built. */
  readonly delay?: Millis;
  /** Added to the delay, uniform between 0 and this. Order is kept. */
  readonly jitter?: Millis;
  /** The share of frames, 0 to 1, that is not delayed and so overtakes those before it. */
  readonly reorder?: number;
  /** The share of packets, 0 to 1, that is lost, each by itself. */
  readonly loss?: number;
  /** Mbit/s. */
  readonly rate?: number;
  /** How long a packet may queue for the rate. Default: 50 ms; a bloated home line has 500 and more. */
  readonly buffer?: Millis;
  /** The largest IP packet. Default: 1500. */
  readonly mtu?: number;
}

/** Seen from the machine that the wire is named after: outwards is towards the Internet. */
export type Direction = 'outwards' | 'inwards' | 'both';

/** One end of a wire: a device in a namespace. */
export interface WireEnd {
  readonly namespace: Namespace;
  readonly device: string;
}

/** Whether a wire needs the forwarder: the kernel has no netem here, so delays are ours. */
export function isDelayed(conditions: WireConditions): boolean {
  return conditions.delay !== undefined || conditions.jitter !== undefined || conditions.reorder !== undefined;
}

/**
 * A line between two machines.
 *
 * ```
 *   near (host, router) ── outwards ─►── far (the Internet, a carrier, a LAN)
 *                       ──◄─ inwards ──
 * ```
 * Loss and cuts are drops where a packet arrives, so that the sender notices nothing: no error, no carrier lost. Rates
 * are tbf queues where it leaves. Neighbour resolution (ARP) survives a cut, for the same reason.
 */
export class Wire {
  readonly near: WireEnd;
  readonly far: WireEnd;
  readonly #forwarder: Forwarder | undefined;
  readonly #outwards: State;
  readonly #inwards: State;

  /** `forwarder` carries this wire, or is undefined for a plain veth pair. */
  constructor(near: WireEnd, far: WireEnd, conditions: WireConditions, forwarder: Forwarder | undefined) {
    this.near = near;
    this.far = far;
    this.#forwarder = forwarder;
    this.#outwards = { conditions, cut: false };
    this.#inwards = { conditions, cut: false };
  }

  /** Changes some conditions; those not named stay. */
  async set(change: WireConditions, direction: Direction = 'both'): Promise<void> {
    for (const state of this.#states(direction)) {
      const conditions = { ...state.conditions, ...change };
      if (isDelayed(conditions) && !this.#forwarder) {
        throw new Error('this wire was built without the forwarder: describe it with a delay (0 will do)');
      }
      state.conditions = conditions;
    }
    await this.apply();
  }

  /** Drops every packet, silently. */
  async cut(direction: Direction = 'both'): Promise<void> {
    for (const state of this.#states(direction)) state.cut = true;
    await this.#applyDrops();
  }

  async heal(direction: Direction = 'both'): Promise<void> {
    for (const state of this.#states(direction)) state.cut = false;
    await this.#applyDrops();
  }

  /** Octets that left through this wire, by direction, since it was built. */
  async octets(): Promise<{ outwards: number; inwards: number }> {
    const { namespace, device } = this.near;
    const text = await namespace.must([
      'cat',
      `/sys/class/net/${device}/statistics/tx_bytes`,
      `/sys/class/net/${device}/statistics/rx_bytes`,
    ]);
    const [tx, rx] = text.trim().split('\n').map(Number);
    return { outwards: tx!, inwards: rx! };
  }

  /** Makes the kernel and the forwarder do what the conditions say. */
  async apply(): Promise<void> {
    this.#forwarder?.set(this, delaysOf(this.#outwards.conditions), delaysOf(this.#inwards.conditions));
    await Promise.all([
      this.#applyDrops(),
      applyDevice(this.near, this.#outwards.conditions),
      applyDevice(this.far, this.#inwards.conditions),
    ]);
  }

  async #applyDrops(): Promise<void> {
    await Promise.all([applyDrops(this.far, this.#outwards), applyDrops(this.near, this.#inwards)]);
  }

  #states(direction: Direction): State[] {
    if (direction === 'both') return [this.#outwards, this.#inwards];
    return [direction === 'outwards' ? this.#outwards : this.#inwards];
  }
}

interface State {
  conditions: WireConditions;
  cut: boolean;
}

function delaysOf({ delay = 0, jitter = 0, reorder = 0 }: WireConditions): Delays {
  return { delay, jitter, reorder };
}

async function applyDrops({ namespace, device }: WireEnd, { cut, conditions }: State): Promise<void> {
  const chain = `netdev wires in_${device.replaceAll('-', '_')}`;
  const loss = Math.round((conditions.loss ?? 0) * 1e6);
  const rules = [
    cut && `add rule ${chain} meta protocol != arp drop`,
    loss > 0 && `add rule ${chain} meta protocol != arp numgen random mod 1000000 < ${loss} drop`,
  ];
  await namespace.nft(
    [
      'add table netdev wires',
      `add chain ${chain} { type filter hook ingress device "${device}" priority 0; }`,
      `flush chain ${chain}`,
      ...rules.filter(Boolean),
      '',
    ].join('\n'),
  );
}

/** Queue and size of what leaves by a device. */
async function applyDevice({ namespace, device }: WireEnd, conditions: WireConditions): Promise<void> {
  const { rate, buffer = 50, mtu = 1500, loss } = conditions;
  // Packets that travel as one super-packet would be lost as one.
  const segments = loss ? 1 : 65535;
  await namespace.must(['ip', 'link', 'set', 'dev', device, 'mtu', String(mtu), 'gso_max_segs', String(segments)]);
  if (rate === undefined) {
    await namespace.run(['tc', 'qdisc', 'del', 'dev', device, 'root']); // fails where there is none, which is as good
    return;
  }
  const octetsPerMs = (rate * 1e6) / 8 / 1000;
  const burst = Math.max(2 * mtu, Math.round(octetsPerMs * 2));
  const limit = Math.max(burst, Math.round(octetsPerMs * buffer));
  await namespace.must(
    `tc qdisc replace dev ${device} root tbf rate ${Math.round(rate * 1000)}kbit burst ${burst} limit ${limit}`.split(
      ' ',
    ),
  );
}
