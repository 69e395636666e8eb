import type { IpBytes } from '../../src/addr/ip.js';
import { nodePrefix, tunnelLinkLocal } from '../../src/addr/node-number.js';
import type { Prefix } from '../../src/addr/prefix.js';
import { equalBytes } from '../../src/bytes.js';
import { defaultTuning } from '../../src/routing/tuning.js';
import { type Millis, second } from '../../src/time.js';
import { type Machine, World } from '../control/world.js';
import { prefixText } from './babel-node.js';
import { Reading } from './checker.js';
import { Distances } from './distances.js';
import { explained } from './explain.js';
import { type InvariantOptions, Invariants } from './invariants.js';
import type { LinkQuality } from './link.js';
import { none, own, type Via } from './next-hops.js';
import { Promises } from './promises.js';
import { SeqnoRequests } from './requests.js';
import { compareAtRest, type RestReport } from './rest.js';
import { SequenceRecorder } from './sequence.js';
import { type CostEdge, defended } from './shortest.js';
import type { Edges } from './topology.js';
import { drawWays, type Way } from './ways.js';

export interface ControlNetworkOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Who can speak to whom directly, once all have joined; everybody by default. */
  readonly edges?: Edges;
  readonly quality?: (a: number, b: number) => Partial<LinkQuality>;
  readonly invariants?: InvariantOptions;
  /** Told after each that joins, how many have. */
  readonly joined?: (count: number) => void;
}

/**
 * A network of whole members: the product's ControlPlane over its InProcessPlane, with certificates, handshakes, probes
 * and datagrams, under the invariants of the speaker alone. What a node chose is what it hands to its forwarding table. That has
 * no shorter prefix than a node's, and so nothing of a hold to show: of Promises it is only l that can fail here.
 */
export class ControlNetwork {
  readonly world: World;
  readonly machines: readonly Machine[];
  readonly invariants: Invariants;
  readonly requests = new SeqnoRequests();
  readonly promises = new Promises();
  readonly distances: Distances;
  readonly #seed: number;
  readonly #recorder = new SequenceRecorder();
  /** Of the machines' own, by index; and as packet-view.ts writes them. */
  readonly #prefixes: Prefix[] = [];
  readonly #texts: string[] = [];

  constructor({ seed, nodes, edges, quality, invariants, joined }: ControlNetworkOptions) {
    this.#seed = seed;
    this.invariants = new Invariants(invariants);
    this.world = new World(seed);
    const { machines } = this.world;
    this.distances = new Distances((node, prefix, now) => machines[node]!.control?.speaker.view(now, prefix) ?? []);
    this.#watch();
    this.machines = this.explained(() => this.world.network(nodes, joined));
    // Everybody has heard of everybody before wires are cut: who knows one node alone, and loses it, has nobody to ask.
    this.runTo(this.now + 2 * second);
    this.#everyPair((a, b) => {
      const joined = edges?.some(([x, y]) => (x === a.index && y === b.index) || (x === b.index && y === a.index));
      if (joined === false) this.world.separate(a, b);
      else if (quality) this.world.wire(a, b, quality(a.index, b.index));
    });
  }

  #everyPair(action: (a: Machine, b: Machine) => void): void {
    for (const a of this.machines) for (const b of this.machines) if (a.index < b.index) action(a, b);
  }

  #watch(): void {
    const { world, invariants, requests, promises, distances } = this;
    world.watch(new Reading([this.#recorder, promises, requests, distances, invariants]));
    world.watch({
      started: (index) => {
        const machine = world.machines[index]!;
        const { network, number } = machine.mesh.membership;
        this.#prefixes[index] = nodePrefix(network.prefix, number);
        this.#texts[index] = prefixText(this.#prefixes[index]);
        this.#chose(index, index, own);
      },
      patched: (index, { nodes }, peerBehind) => {
        for (const { node, hops } of nodes) {
          const target = world.byNumber.get(node);
          if (!target || target.index === index) continue;
          const [via = none, ...spares] = hops.map((link) => peerBehind(link) ?? none);
          this.#chose(index, target.index, via, spares);
        }
      },
    });
  }

  #chose(node: number, target: number, via: Via, spares: readonly Via[] = []): void {
    const [prefix, text] = [this.#prefixes[target]!, this.#texts[target]!];
    const rows = this.world.machines[node]!.control?.speaker.view(this.now, prefix) ?? [];
    const routerId = via === none ? undefined : rows.find((row) => row.selected)?.routerId;
    this.invariants.chosen(node, text, via, spares);
    this.requests.chosen(node, text, via);
    this.promises.chosen(node, text, via, via === none, routerId);
    this.distances.chosen(node, prefix, via, routerId, this.now);
  }

  get now(): Millis {
    return this.world.now;
  }

  via(node: number, target: number): Via {
    return this.invariants.via(node, this.#texts[target]!);
  }

  /** Pairs of running machines of which one has no route to the other. */
  get missing(): number {
    const alive = this.machines.filter((machine) => machine.control);
    let missing = 0;
    for (const a of alive) for (const b of alive) if (a !== b && this.via(a.index, b.index) === none) missing++;
    return missing;
  }

  runTo(time: Millis): void {
    this.explained(() => this.world.run(time - this.world.now));
  }

  /** Runs until the condition holds, looked at every `every`; false when it does not within the time. */
  runUntil(condition: () => boolean, within: Millis, every: Millis = 100): boolean {
    const limit = this.now + within;
    while (!condition()) {
      if (this.now >= limit) return false;
      this.runTo(Math.min(limit, this.now + every));
    }
    return true;
  }

  explained<T>(action: () => T): T {
    return explained(
      action,
      this.#seed,
      () => this.world.now,
      ({ prefix, nodes }) => {
        const target = prefix === undefined ? -1 : this.#texts.indexOf(prefix);
        const ways = target < 0 ? [] : [drawWays(nodes, (node) => this.#waysOf(node, target))];
        return [...ways, this.#recorder.draw(prefix, nodes)];
      },
    );
  }

  #waysOf(node: number, target: number): Way[] {
    const rows = this.machines[node]!.control?.speaker.view(this.now, this.#prefixes[target]!) ?? [];
    return rows.map((row) => ({ row, to: row.neighbour && this.#behind(row.neighbour)?.index }));
  }

  /** The machine whose address this is in a tunnel. */
  #behind(address: IpBytes): Machine | undefined {
    return [...this.world.byNumber].find(([number]) => equalBytes(tunnelLinkLocal(number), address))?.[1];
  }

  textOf(target: number): string | undefined {
    return this.#texts[target];
  }

  /** Links in use, with the costs the nodes give them. */
  costs(): CostEdge[][] {
    return this.machines.map(({ control }) => {
      const edges: CostEdge[] = [];
      for (const row of control?.speaker.neighbours() ?? []) {
        const to = this.world.byNumber.get(row.node ?? 0);
        if (to?.control && row.cost < 0xffff) edges.push({ to: to.index, cost: row.cost });
      }
      return edges;
    });
  }

  atRest(): RestReport {
    const alive = this.machines.filter((machine) => machine.control).map(({ index }) => index);
    const viaOf = (node: number, target: number) => (this.machines[node]!.control ? this.via(node, target) : none);
    return compareAtRest(this.costs(), alive, viaOf, { mostKept: defended(defaultTuning) });
  }
}
