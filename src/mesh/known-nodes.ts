import type { NodeNumber } from '../addr/node-number.js';

/** A set of nodes from which one can be drawn at random. */
export class KnownNodes {
  readonly #nodes: NodeNumber[] = [];
  readonly #places = new Map<NodeNumber, number>();

  get size(): number {
    return this.#nodes.length;
  }

  has(node: NodeNumber): boolean {
    return this.#places.has(node);
  }

  /** `index` is below `size`; the order is any, and changes. */
  at(index: number): NodeNumber {
    return this.#nodes[index]!;
  }

  add(node: NodeNumber): void {
    if (!this.#places.has(node)) this.#places.set(node, this.#nodes.push(node) - 1);
  }

  remove(node: NodeNumber): void {
    const place = this.#places.get(node);
    if (place === undefined) return;
    const last = this.#nodes.pop()!;
    if (last !== node) {
      this.#nodes[place] = last;
      this.#places.set(last, place);
    }
    this.#places.delete(node);
  }
}
