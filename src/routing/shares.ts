import type { NodeNumber } from '../addr/node-number.js';
import type { Destination } from './destination.js';

/** For which destinations a node answers, and of how many. Who gives it some bounds their number. */
export class Shares {
  readonly #nodes = new Map<Destination, NodeNumber>();
  readonly #counts = new Map<NodeNumber, number>();

  /** One that another answers for already stays with that one. */
  add(destination: Destination, node: NodeNumber): void {
    if (this.#nodes.has(destination)) return;
    this.#nodes.set(destination, node);
    this.#counts.set(node, this.of(node) + 1);
  }

  delete(destination: Destination): void {
    const node = this.#nodes.get(destination);
    if (node === undefined) return;
    this.#nodes.delete(destination);
    const others = this.of(node) - 1;
    if (others > 0) this.#counts.set(node, others);
    else this.#counts.delete(node);
  }

  has(destination: Destination): boolean {
    return this.#nodes.has(destination);
  }

  /** How many this node answers for. */
  of(node: NodeNumber): number {
    return this.#counts.get(node) ?? 0;
  }
}
