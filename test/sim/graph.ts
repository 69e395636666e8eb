import type { Random } from '../../src/random.js';
import type { Millis } from '../../src/time.js';

/** An undirected graph with lengths, packed: the neighbours of node i are `to[start[i]]` up to `to[start[i + 1]]`. */
export class Graph {
  readonly nodes: number;
  readonly start: Int32Array;
  readonly to: Int32Array;
  readonly length: Float64Array;

  constructor(neighbours: readonly Iterable<number>[], rtt: (a: number, b: number) => Millis) {
    this.nodes = neighbours.length;
    this.start = new Int32Array(this.nodes + 1);
    const to: number[] = [];
    neighbours.forEach((list, node) => {
      to.push(...list);
      this.start[node + 1] = to.length;
    });
    this.to = Int32Array.from(to);
    this.length = new Float64Array(to.length);
    for (let node = 0; node < this.nodes; node++) {
      for (let i = this.start[node]!; i < this.start[node + 1]!; i++) this.length[i] = rtt(node, this.to[i]!);
    }
  }

  degree(node: number): number {
    return this.start[node + 1]! - this.start[node]!;
  }

  get meanDegree(): number {
    return this.to.length / this.nodes;
  }

  /** Mean hops over all pairs from the first `sources` nodes; Infinity when a pair has no way. */
  meanHops(sources = this.nodes): number {
    const queue = new Int32Array(this.nodes);
    const hops = new Int32Array(this.nodes);
    let sum = 0;
    for (let source = 0; source < sources; source++) {
      hops.fill(-1);
      hops[source] = 0;
      queue[0] = source;
      let end = 1;
      for (let at = 0; at < end; at++) {
        const node = queue[at]!;
        for (let i = this.start[node]!; i < this.start[node + 1]!; i++) {
          const next = this.to[i]!;
          if (hops[next] !== -1) continue;
          hops[next] = hops[node]! + 1;
          sum += hops[next]!;
          queue[end++] = next;
        }
      }
      if (end < this.nodes) return Number.POSITIVE_INFINITY;
    }
    return sum / (sources * (this.nodes - 1));
  }

  /** The chance that two survivors cannot talk when a random half of the nodes is dead, from so many samples. */
  cutOff(samples: number, random: Random): number {
    const order = Int32Array.from({ length: this.nodes }, (_, i) => i);
    const alive = new Uint8Array(this.nodes);
    const queue = new Int32Array(this.nodes);
    const survivors = this.nodes - (this.nodes >> 1);
    let cut = 0;
    for (let sample = 0; sample < samples; sample++) {
      alive.fill(0);
      for (let i = 0; i < survivors; i++) {
        const j = i + random.below(this.nodes - i);
        [order[i], order[j]] = [order[j]!, order[i]!];
        alive[order[i]!] = 1;
      }
      for (let i = 0; i < survivors; i++) {
        const size = alive[order[i]!] ? this.#swallow(order[i]!, alive, queue) : 0;
        cut += size * (survivors - size);
      }
    }
    return cut / (samples * survivors * (survivors - 1));
  }

  /** The size of the part that `from` is in; marks it as counted. */
  #swallow(from: number, alive: Uint8Array, queue: Int32Array): number {
    alive[from] = 0;
    queue[0] = from;
    let end = 1;
    for (let at = 0; at < end; at++) {
      const node = queue[at]!;
      for (let i = this.start[node]!; i < this.start[node + 1]!; i++) {
        const next = this.to[i]!;
        if (!alive[next]) continue;
        alive[next] = 0;
        queue[end++] = next;
      }
    }
    return end;
  }
}
