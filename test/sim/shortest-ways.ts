import type { Graph } from './graph.js';

/** Dijkstra's ways from one node at a time; its arrays are used again by the next `from`. */
export class ShortestWays {
  /** Of the ways from the last source; Infinity where there is none. */
  readonly length: Float64Array;
  /** The node before each on the way. */
  readonly before: Int32Array;
  readonly #graph: Graph;
  readonly #heap: Int32Array;
  /** 1 + the place in the heap, 0 where it never was. */
  readonly #place: Int32Array;
  readonly #along: Float64Array;
  #size = 0;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.length = new Float64Array(graph.nodes);
    this.before = new Int32Array(graph.nodes);
    this.#heap = new Int32Array(graph.nodes);
    this.#place = new Int32Array(graph.nodes);
    this.#along = new Float64Array(graph.nodes);
  }

  /** All ways from here; with `until`, only until that node is settled. Gives the nodes in order of their distance. */
  from(source: number, until = -1): void {
    const { start, to, length } = this.#graph;
    this.length.fill(Number.POSITIVE_INFINITY);
    this.before.fill(-1);
    this.#place.fill(0);
    this.#size = 0;
    this.length[source] = 0;
    this.#lift(source);
    while (this.#size > 0) {
      const node = this.#take();
      if (node === until) return;
      const reached = this.length[node]!;
      for (let i = start[node]!; i < start[node + 1]!; i++) {
        const whole = reached + length[i]!;
        const next = to[i]!;
        if (whole >= this.length[next]!) continue;
        this.length[next] = whole;
        this.before[next] = node;
        this.#lift(next);
      }
    }
  }

  /** The way to a node from the last source, both ends included. */
  wayTo(node: number): number[] {
    const way = [node];
    for (let at = this.before[node]!; at !== -1; at = this.before[at]!) way.unshift(at);
    return way;
  }

  /** Summed along the ways from the last source to all nodes, of `each` of their parts. */
  sumAlong(each: (a: number, b: number) => number): number {
    let sum = 0;
    this.#along.fill(-1);
    for (let node = 0; node < this.before.length; node++) sum += this.#alongTo(node, each);
    return sum;
  }

  #alongTo(node: number, each: (a: number, b: number) => number): number {
    const before = this.before[node]!;
    if (before === -1) return this.length[node]!;
    if (this.#along[node] === -1) this.#along[node] = this.#alongTo(before, each) + each(before, node);
    return this.#along[node]!;
  }

  #lift(node: number): void {
    const heap = this.#heap;
    let at = this.#place[node]! - 1;
    if (at < 0) at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.length[heap[parent]!]! <= this.length[node]!) break;
      heap[at] = heap[parent]!;
      this.#place[heap[at]!] = at + 1;
      at = parent;
    }
    heap[at] = node;
    this.#place[node] = at + 1;
  }

  #take(): number {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap[--this.#size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.length[heap[child + 1]!]! < this.length[heap[child]!]!) child++;
      if (this.length[last]! <= this.length[heap[child]!]!) break;
      heap[at] = heap[child]!;
      this.#place[heap[at]!] = at + 1;
      at = child;
    }
    heap[at] = last;
    this.#place[last] = at + 1;
    return first;
  }
}
