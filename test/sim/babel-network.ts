import type { Prefix } from '../../src/addr/prefix.js';
import type { RouteChange, RouteChoice, SpeakerEffect, SpeakerEvent } from '../../src/routing/contract.js';
import type { Speaker } from '../../src/routing/speaker.js';
import { defaultTuning, type Tuning } from '../../src/routing/tuning.js';
import type { Millis } from '../../src/time.js';
import { BabelKind, hashAuthority, indexOf, prefixOf, prefixText, type SharedPrefix } from './babel-node.js';
import { Reading } from './checker.js';
import { Distances } from './distances.js';
import { explained } from './explain.js';
import { Invariants } from './invariants.js';
import { type Link, type LinkQuality, peerOf } from './link.js';
import { Network } from './network.js';
import { none, own, type Via } from './next-hops.js';
import { PacketScan } from './packet-scan.js';
import { Promises } from './promises.js';
import { SeqnoRequests } from './requests.js';
import { compareAtRest, type RestReport } from './rest.js';
import { type Recording, SequenceRecorder } from './sequence.js';
import { type CostEdge, defended } from './shortest.js';
import type { Edges } from './topology.js';
import type { Violation } from './violation.js';
import { drawWays, type Way } from './ways.js';

export interface BabelNetworkOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly edges?: Edges;
  readonly tuning?: Partial<Tuning>;
  readonly quality?: (a: number, b: number) => Partial<LinkQuality>;
  /** Announcing nodes; all by default. */
  readonly announces?: (index: number) => boolean;
  /** Prefixes with more than one originator, announced from the start. */
  readonly shared?: readonly SharedPrefix[];
  /**
   * The announcing nodes whose prefixes are watched, where there are too many nodes to watch all: then only by
   * Invariants, and nothing else of the packets is read. All prefixes, by all checkers, when undefined.
   */
  readonly watch?: readonly number[];
  /** Keeps the latest messages to draw a failure, of everything or what is given; everything by default. */
  readonly recorded?: boolean | Recording;
  /** No link is faster than this: nodes may take turns. See agenda.ts. */
  readonly lookahead?: Millis;
  /** Told what a node's forwarding is told. */
  readonly routed?: (node: number, changes: readonly RouteChange[]) => void;
}

/** A prefix and what the nodes do with packets for it. */
interface Target {
  readonly prefix: Prefix;
  readonly text: string;
  readonly isWatched: boolean;
  /** The nodes that drop them rather than follow a shorter prefix. */
  readonly held: Set<number>;
  /** Of an announcing node's: the next hop of every node; what `missing` counts. */
  vias: Int32Array | undefined;
}

const noSpares: readonly Via[] = [];

/** Exact shortest ways: no hysteresis, so that rest can be compared with Dijkstra to the last unit. */
export const noHysteresis: Partial<Tuning> = { switchMargin: 0, switchShare: 0, dwell: 0, leftFor: 0 };

/** A network of Babel speakers under the invariants. */
export class BabelNetwork {
  readonly network: Network<Speaker, SpeakerEvent, SpeakerEffect>;
  readonly invariants: Invariants;
  readonly promises = new Promises();
  readonly requests = new SeqnoRequests();
  readonly distances: Distances;
  readonly #seed: number;
  readonly #tuning: Tuning;
  readonly #recorder: SequenceRecorder | undefined;
  readonly #announcing: readonly number[];
  readonly #shared: readonly SharedPrefix[];
  /** The prefixes that are watched; all, when undefined. */
  readonly #only: ReadonlySet<string> | undefined;
  /** By the text of the prefix; the same by the prefix itself, of which the nodes share one. */
  readonly #targets = new Map<string, Target>();
  readonly #targetOf = new Map<Prefix, Target>();
  /** By target's index. */
  readonly #vias: (Int32Array | undefined)[] = [];
  readonly refusals: string[] = [];
  /** Pairs of node and announced prefix without a route. */
  missing = 0;

  constructor(options: BabelNetworkOptions) {
    this.#seed = options.seed;
    this.#tuning = { ...defaultTuning, ...options.tuning };
    const { shared = [], watch } = options;
    this.#shared = shared;
    const only = watch && new Set(watch.map((index) => prefixText(prefixOf(index))));
    this.#only = only;
    const sharedTexts = shared.map(({ prefix }) => prefixText(prefix));
    this.invariants = new Invariants({ shared: sharedTexts, ...(only ? { only } : {}) });
    this.distances = new Distances((node, prefix, now) => this.network.nodes[node]!.machine.view(now, prefix));
    const kind = new BabelKind({
      authority: hashAuthority,
      ...(options.tuning ? { tuning: options.tuning } : {}),
      ...(options.announces ? { announces: options.announces } : {}),
      shared,
      routesChanged: (node, changes) => {
        options.routed?.(node, changes);
        for (const { prefix, choices, own: isOwn, held } of changes) {
          const target = this.#targetOf.get(prefix) ?? this.#meet(prefix);
          const via = isOwn ? own : choices.length > 0 ? this.#nodeBehind(choices[0]!) : none;
          const spares = target.isWatched ? choices.slice(1).map((choice) => this.#nodeBehind(choice)) : noSpares;
          this.#chose(node, target, via, spares);
          if (!watch) {
            this.promises.chosen(node, target.text, via, held, choices[0]?.routerId);
            this.requests.chosen(node, target.text, via);
            this.distances.chosen(node, prefix, via, choices[0]?.routerId, this.network.now);
          }
          if (held) target.held.add(node);
          else if (target.held.size > 0) target.held.delete(node);
        }
      },
      reported: (node, effect) => this.refusals.push(`node ${node}: ${effect.code} ${effect.detail}`),
    });
    this.network = new Network(kind, options.seed, options.lookahead);
    const { recorded = true } = options;
    const recording = typeof recorded === 'boolean' ? undefined : recorded;
    this.#recorder = recorded === false ? undefined : new SequenceRecorder(recording);
    const recorder = this.#recorder ? [this.#recorder] : [];
    const indexes = Array.from({ length: options.nodes }, (_, index) => index);
    this.#announcing = indexes.filter((index) => options.announces?.(index) ?? true);
    if (!watch)
      this.network.observe(new Reading([...recorder, this.promises, this.requests, this.distances, this.invariants]));
    else {
      const isRead = (index: number) => watch.includes(index) || prefixText(prefixOf(index)) === recording?.prefix;
      const scan = new PacketScan(this.#announcing.filter(isRead).map(prefixOf));
      if (recording || watch.length > 0) {
        this.network.observe(new Reading([...recorder, this.invariants], (bytes) => scan.read(bytes)));
      }
    }
    this.network.observe({ started: (node) => this.#forget(node) });
    for (const index of this.#announcing) {
      this.#vias[index] = new Int32Array(options.nodes).fill(none);
      this.#target(prefixOf(index)).vias = this.#vias[index];
      this.missing += options.nodes;
    }
    for (const index of indexes) {
      this.network.addNode();
      if (options.announces?.(index) ?? true) this.#chose(index, this.#target(prefixOf(index)), own);
      this.#choseShared(index);
    }
    for (const [a, b] of options.edges ?? []) this.network.link(a, b, options.quality?.(a, b));
  }

  /** What the plane of one end finds of a link; nothing where there is no tunnel. */
  plane(link: Link, end: number, kind: 'suspected' | 'recovered' | 'moved'): void {
    if (link.up && this.network.nodes[end]!.alive) this.network.tell(end, { kind, interface: link.index });
  }

  get announcing(): readonly number[] {
    return this.#announcing;
  }

  #target(prefix: Prefix): Target {
    const text = prefixText(prefix);
    let target = this.#targets.get(text);
    if (!target) {
      target = { prefix, text, isWatched: this.#only?.has(text) ?? true, held: new Set(), vias: undefined };
      this.#targets.set(text, target);
    }
    return target;
  }

  #meet(prefix: Prefix): Target {
    const target = this.#target(prefix);
    this.#targetOf.set(prefix, target);
    return target;
  }

  #nodeBehind({ neighbourNode }: RouteChoice): number {
    return indexOf(neighbourNode!);
  }

  #chose(node: number, { text, isWatched, vias }: Target, via: Via, spares: readonly Via[] = []): void {
    if (isWatched) this.invariants.chosen(node, text, via, spares);
    if (!vias) return;
    this.missing += Number(via === none) - Number(vias[node] === none);
    vias[node] = via;
  }

  /** What it announces with others. */
  #choseShared(node: number): void {
    for (const { prefix, originators } of this.#shared) {
      if (originators.includes(node)) this.#chose(node, this.#target(prefix), own);
    }
  }

  #forget(node: number): void {
    this.#choseShared(node);
    const home = prefixText(prefixOf(node));
    for (const target of this.#targets.values()) {
      if (!target.vias) continue;
      if (target.vias[node] !== none) this.missing++;
      target.vias[node] = none;
      if (target.text === home) this.#chose(node, target, own);
    }
  }

  via(node: number, target: number): Via {
    return this.#vias[target]?.[node] ?? none;
  }

  /** Whether the node drops packets for the target rather than follow a shorter prefix. */
  isHeld(node: number, target: number): boolean {
    return this.#targets.get(prefixText(prefixOf(target)))?.held.has(node) ?? false;
  }

  /** The next hops of all nodes for the target's prefix; not to be written to. */
  viasTo(target: number): Int32Array {
    return this.#vias[target]!;
  }

  /** Runs to that time; a violation is thrown again with the seed and a drawing of what led to it. */
  runTo(time: Millis): void {
    this.explained(() => this.network.runTo(time));
  }

  runUntil(condition: () => boolean, limit: Millis, every: Millis = 100): boolean {
    return this.explained(() => this.network.runUntil(condition, limit, every));
  }

  explained<T>(action: () => T): T {
    return explained(
      action,
      this.#seed,
      () => this.network.now,
      (violation) => this.#draw(violation),
    );
  }

  #draw({ prefix: text, nodes }: Violation): string[] {
    const prefix = text === undefined ? undefined : this.#targets.get(text)?.prefix;
    const ways = prefix ? [drawWays(nodes, (node) => this.#waysOf(node, prefix))] : [];
    return this.#recorder ? [...ways, this.#recorder.draw(text, nodes)] : ways;
  }

  #waysOf(node: number, prefix: Prefix): Way[] {
    const { machine, alive, links } = this.network.nodes[node]!;
    if (!alive) return [];
    return machine.view(this.network.now, prefix).map((row) => {
      const link = links.find(({ index }) => index === row.interface);
      return { row, to: link && peerOf(link, node) };
    });
  }

  textOf(target: number): string | undefined {
    return this.#vias[target] && prefixText(prefixOf(target));
  }

  /** Live links with the costs the nodes give them. */
  costs(): CostEdge[][] {
    const edges: CostEdge[][] = this.network.nodes.map(() => []);
    for (const node of this.network.nodes) {
      if (!node.alive) continue;
      for (const row of node.machine.neighbours()) {
        const to = row.node === undefined ? undefined : indexOf(row.node);
        if (to === undefined || row.cost >= 0xffff || !this.network.nodes[to]!.alive) continue;
        edges[node.index]!.push({ to, cost: row.cost });
      }
    }
    return edges;
  }

  /** Of the shared prefixes, each to the nearest of its originators: to a node behind all of them, at a cost of 1. */
  sharedAtRest(): RestReport[] {
    const costs = this.costs();
    return this.#shared.map(({ prefix, originators }) => {
      const text = prefixText(prefix);
      const edges = [...costs.map((ways) => [...ways]), []];
      const behind = costs.length;
      for (const node of originators) if (this.network.nodes[node]!.alive) edges[node]!.push({ to: behind, cost: 1 });
      const viaOf = (node: number): Via => {
        if (node === behind) return own;
        const via = this.network.nodes[node]!.alive ? this.invariants.via(node, text) : none;
        return via === own ? behind : via;
      };
      return compareAtRest(edges, [behind], viaOf, {
        mostKept: defended(this.#tuning),
        metricOf: (node) => {
          const believed = this.#believed(node, text, viaOf(node), edges);
          return believed === undefined ? undefined : believed + 1;
        },
      });
    });
  }

  /** The metric in which a node believes: that of its next hop, with the cost of the link. */
  #believed(node: number, text: string, via: Via, edges: readonly (readonly CostEdge[])[]): number | undefined {
    const announced = this.invariants.metricHeard(node, text);
    return announced === undefined ? undefined : announced + edges[node]!.find(({ to }) => to === via)!.cost;
  }

  atRest(targets: readonly number[] = this.#announcing): RestReport {
    const costs = this.costs();
    const texts = new Map(targets.map((target) => [target, prefixText(prefixOf(target))] as const));
    return compareAtRest(
      costs,
      targets.filter((target) => this.network.nodes[target]!.alive),
      (node, target) => (this.network.nodes[node]!.alive ? this.via(node, target) : none),
      {
        mostKept: defended(this.#tuning),
        metricOf: (node, target) => this.#believed(node, texts.get(target)!, this.via(node, target), costs),
      },
    );
  }
}
