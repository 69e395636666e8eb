import { Network } from './network.js';

/** The node everything is sent from. */
export const start = 1;

/** 1, a way by each of 2, 3, ... both of whose links have this round trip, in milliseconds, and the node they lead to. */
export class Ways extends Network {
  readonly target: number;
  readonly vias: readonly number[];

  constructor(seed: number, rtts: readonly number[]) {
    super(seed);
    this.vias = rtts.map((_, i) => i + 2);
    this.target = rtts.length + 2;
    for (let i = start; i <= this.target; i++) this.node(i);
    for (const via of this.vias) {
      this.link(start, via, { delay: rtts[via - 2]! / 2 });
      this.link(via, this.target, { delay: rtts[via - 2]! / 2 });
    }
    this.run(20_000);
  }

  /** The way in use. */
  get used(): number {
    return this.nodes.get(start)!.next(this.target) as number;
  }
}

/** How often 1 changed its way since the start of the count. */
export function switches(world: Ways): () => number {
  let count = 0;
  let last = world.used;
  world.watch = () => {
    if (world.used !== last) count++;
    last = world.used;
  };
  return () => count;
}
