import type { Patch } from './mutant-build.js';
import type { Invariant } from './violation.js';

/** A mistake made on purpose that the simulator must notice. */
export interface Mutant extends Patch {
  /** The scenario that is there for it, and the invariants of which it breaks one there. */
  readonly scenario: string;
  readonly by: readonly Invariant[];
  /** What whole members make of it. */
  readonly members: MembersNotice | Unseen;
}

/** The scenario of control-scenarios.ts that ends with one of these broken, with one of `memberSeeds`. */
export interface MembersNotice {
  readonly scenario: string;
  readonly by: readonly Invariant[];
}

/** Why no scenario of members notices it; the speakers' `scenario` does. */
export interface Unseen {
  readonly unseen: string;
}

export const memberSeeds: readonly number[] = [1, 2];

const restarts = 'members: who restarts, with or without its disk, is reachable at once';
const ring = "members: a ring of 8 settles on Dijkstra's ways";
const asked = 'members: who has no feasible way left has one when the seqno it asked for comes';
const changes = 'members: lossy wires become worse and better, one restarts at once, one dies';

/**
 * Classic mistakes of Babel implementations, each as a patch of our source. W1 to W21: mistakes others are known to
 * have made (docs/decisions/simulator-watches-from-outside.md).
 */
export const mutants: readonly Mutant[] = [
  {
    name: 'W12: an equal metric is feasible',
    file: 'destination.ts',
    search: '(seqno === source.seqno && refmetric < source.metric)',
    replace: '(seqno === source.seqno && refmetric <= source.metric)',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'W12: routes are selected without a look at feasibility',
    file: 'selection.ts',
    search:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), refmetric)) {\n      this.hasUnfeasible = true;',
    replace: '    if (false as boolean) {\n      this.hasUnfeasible = true;',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'W12: feasibility compares the metric with the cost of the link instead of the announced one',
    file: 'selection.ts',
    search:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), refmetric)) {\n      this.hasUnfeasible = true;',
    replace:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), metric)) {\n      this.hasUnfeasible = true;',
    scenario: 'a prefix with two originators is reached at the nearer one, and at the other when that one goes',
    by: ['h'],
    members: { scenario: ring, by: ['j'] },
  },
  {
    name: 'W5: seqnos are compared as plain numbers',
    file: 'seqno.ts',
    search: 'return ahead !== 0 && ahead < 0x8000;',
    replace: 'return ahead !== 0 && a > b;',
    scenario: 'a node that restarts with or without its disk is reachable at once',
    by: ['j'],
    members: { unseen: 'a member begins with seqno 1 and ends its epoch before they wrap' },
  },
  {
    name: 'W13: what was announced is not remembered',
    file: 'destination.ts',
    search: '    if (metric === infinity) return false;\n    const source',
    replace: '    if (metric >= 0) return false;\n    const source',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['d'],
    members: { scenario: restarts, by: ['d'] },
  },
  {
    name: 'W13: a smaller metric announced at the same seqno is not remembered',
    file: 'destination.ts',
    search: '(seqno === source.seqno && metric < source.metric);',
    replace: '(seqno === source.seqno && metric > source.metric);',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['c'],
    members: { scenario: restarts, by: ['d'] },
  },
  {
    name: 'W11: metrics add up to 65534 at most',
    file: 'metric.ts',
    search: 'return sum >= infinity ? infinity : sum;',
    replace: 'return metric === infinity || cost === infinity ? infinity : Math.min(sum, infinity - 1);',
    scenario: 'a way of infinite metric is no way',
    by: ['e'],
    members: {
      unseen:
        'it takes thirteen links at the 5,400 that is the most a tunnel costs, and these networks have no way so long',
    },
  },
  {
    name: 'W11: a link adds nothing to the metric',
    file: 'metric.ts',
    search: 'metric + Math.max(cost, 1)',
    replace: 'Math.max(metric, cost)',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['e'],
    members: { scenario: restarts, by: ['e'] },
  },
  {
    name: 'W21: nobody asks for a newer seqno when a route is lost',
    file: 'routes.ts',
    search: '!this.#hasGoodRoute(destination)) this.#starve(destination, now);',
    replace: '!this.#hasGoodRoute(destination)) void 0;',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['j'],
    members: { scenario: restarts, by: ['j'] },
  },
  {
    name: 'W21: of several originators only the one just lost is asked for a newer seqno',
    file: 'routes.ts',
    search: 'if (its !== routerOf(destination)) this.#askStarving(destination, its, neighbour, now);',
    replace: 'if (its === none) this.#askStarving(destination, its, neighbour, now);',
    scenario: 'a way that is left to another originator than the one lost is asked for there',
    by: ['j'],
    members: { unseen: 'no two members announce one prefix' },
  },
  {
    name: 'W19: requests for a seqno are not passed on',
    file: 'routes.ts',
    search: 'if (reader.hopCount < 2) return;',
    replace: 'if (reader.hopCount < 2 || reader.hopCount > 2) return;',
    scenario: 'a request for a new seqno is passed on to its originator',
    by: ['j'],
    members: { scenario: restarts, by: ['j'] },
  },
  {
    name: 'our own seqno stays as it is when it is asked for',
    file: 'routes.ts',
    search: 'if (numbering.increment(now)) this.renumbered(now);',
    replace: '',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['j'],
    members: { scenario: restarts, by: ['j'] },
  },
  {
    name: 'W17: a lost prefix is not held',
    file: 'routes.ts',
    search: 'destination.heldUntil = now + tuning.holdTime;',
    replace: 'destination.heldUntil = 0;',
    scenario: 'a lost prefix is held until the neighbours have acknowledged its retraction',
    by: ['g'],
    members: { unseen: 'a hold keeps packets from a shorter prefix, and members’ forwarding tables have none' },
  },
  {
    name: 'W17: a retraction is said once',
    file: 'routes.ts',
    search: 'Flag.announced | Flag.forced | Flag.awaiting',
    replace: 'Flag.announced | Flag.forced',
    scenario: 'a dead node is forgotten everywhere',
    by: ['i'],
    members: { scenario: changes, by: ['i'] },
  },
  {
    name: 'W9: a retraction needs a router-id',
    file: 'codec/packet-reader.ts',
    search:
      '    if (this.metric === infinity) return true; // a retraction needs none of what follows (RFC 8966 §4.6.9)\n',
    replace: '',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'W13: what was announced is remembered one update late',
    file: 'routes.ts',
    search:
      'if (destination.noteSent(router, seqno, metric, now, tuning.maxSources)) this.#recheckSpares(destination);',
    replace: `const late = this as unknown as { remember?: () => void };
      late.remember?.();
      late.remember = () => destination.noteSent(router, seqno, metric, now, tuning.maxSources);`,
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['d'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'a spare next hop stays when what was announced makes it unfeasible',
    file: 'routes.ts',
    search: 'now, tuning.maxSources)) this.#recheckSpares(destination);',
    replace: 'now, tuning.maxSources)) void 0;',
    scenario: "a ring of 12 settles on Dijkstra's ways",
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'a retraction is not heard',
    file: 'routes.ts',
    search: '      if (destination) this.#retract(destination, neighbour, now);\n      return;',
    replace: '      return;',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'the routes of a neighbour that is gone are kept',
    file: 'speaker.ts',
    search:
      '    neighbour.cost = infinity;\n    this.#routes.forgetRoutesOf(neighbour, now);\n    this.#tables.columns[neighbour.column] = undefined;',
    replace: '    this.#tables.columns[neighbour.column] = undefined;',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['b'],
    members: { scenario: restarts, by: ['b'] },
  },
  {
    name: 'W5: a source begins with seqno 0',
    file: 'destination.ts',
    search: 'this.sources = { router, seqno, metric, at:',
    replace: 'this.sources = { router, seqno: 0, metric, at:',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['j'],
    members: { scenario: restarts, by: ['d'] },
  },
  {
    name: 'W15: a selected route stays when it is not feasible any more',
    file: 'selection.ts',
    search: 'challenger === none || !this.isUsable(destination, current)',
    replace: 'challenger === none || this.metricOf(destination, current) === infinity',
    scenario: 'a loop between the routes of two originators dies of its own updates',
    by: ['b'],
    members: {
      unseen:
        'of one originator it looks as if the unfeasible update had been ignored, as RFC 8966 §3.5.3 allows, and no two members announce one prefix',
    },
  },
  {
    name: 'W16: a route that expired is never forgotten',
    file: 'routes.ts',
    search: '          this.#flush(destination, neighbour);\n          continue;',
    replace: '          continue;',
    scenario:
      'a prefix that is gone is forgotten everywhere, told or not, within 3.5 Update intervals and the life of a source',
    by: ['i'],
    members: { unseen: 'a tunnel that falls silent ends, and its routes with it, long before they expire' },
  },
  {
    name: 'W19: a request is passed on to everybody',
    file: 'routes.ts',
    search: '    this.#sendSeqnoRequest(destination, router, reader.seqno, hops, via, now);',
    replace: `    for (const other of this.#tables.columns) {
      if (other && other !== neighbour) this.#sendSeqnoRequest(destination, router, reader.seqno, hops, other, now);
    }`,
    scenario: 'a dead node is forgotten everywhere',
    by: ['k'],
    members: { scenario: restarts, by: ['k'] },
  },
  {
    name: 'W19: a request goes back to who asked',
    file: 'routes.ts',
    search: 'candidates.find((column) => column >= 0 && column !== asker.column);',
    replace: 'candidates.find((column) => column >= 0 && column === asker.column) ?? asker.column;',
    scenario: 'a request for a new seqno is passed on to its originator',
    by: ['k'],
    members: { scenario: restarts, by: ['k'] },
  },
  {
    name: 'the second best way is taken',
    file: 'selection.ts',
    search: 'const challenger = this.best[0];',
    replace: 'const challenger = this.best[1] === none ? this.best[0] : this.best[1];',
    scenario: "a ring of 12 settles on Dijkstra's ways",
    by: ['h'],
    members: { scenario: restarts, by: ['h'] },
  },
  {
    name: 'what is urgent waits for a second',
    file: 'routes.ts',
    search: 'return now + this.#tables.tuning.urgentDelay * (1 + this.#tables.random.unit());',
    replace: 'return now + 1000 * (1 + this.#tables.random.unit());',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['l'],
    members: { scenario: restarts, by: ['l'] },
  },
  {
    name: 'another router-id is no news',
    file: 'routes.ts',
    search: 'else if (newRouter) this.#announceUrgently(destination, this.#soon(now));',
    replace: '',
    scenario: '14 nodes weather 4 minutes of storm',
    by: ['l'],
    members: { scenario: changes, by: ['l'] },
  },
  {
    name: 'a retraction that was lost is forgotten when the route comes back and goes again',
    file: 'routes.ts',
    search:
      '      if (matrix.has(destination.row, column, Flag.awaiting)) matrix.raise(destination.row, column, Flag.announced);\n      matrix.lower(destination.row, column, saidOfVersion);',
    replace: '      matrix.lower(destination.row, column, saidOfVersion);',
    scenario: 'a retraction that was lost is said again, whatever came between',
    by: ['i'],
    members: {
      unseen:
        'it takes a route that comes back by the neighbour that missed its retraction, and goes again, before that has been said once more: half a second',
    },
  },
  {
    name: 'the whole table goes out with every change',
    file: 'routes.ts',
    search: 'for (const { outlet } of this.#tables.interfaces.values()) this.#tell(destination, outlet, at);',
    replace: "for (const { outlet } of this.#tables.interfaces.values()) outlet.dump('asked', at);",
    scenario: 'a flapping link costs a bounded number of octets',
    by: ['m'],
    members: { unseen: 'no scenario of members counts octets: it is the speaker that says them, alike in both' },
  },
  {
    name: 'a waiting neighbour is not told when the seqno it asked for comes',
    file: 'routes.ts',
    search:
      '      if (neighbour) this.#tell(destination, neighbour.outlet, this.#soon(now));\n    }\n    if (wasSelected',
    replace: '    }\n    if (wasSelected',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['j'],
    members: { scenario: asked, by: ['j'] },
  },
  {
    name: 'a way better than those in use is noted and not acted on',
    file: 'side-updates.ts',
    search: 'return last !== unknown && metric >= last &&',
    replace: 'return last !== unknown && metric >= 0 &&',
    scenario: 'two halves part, live on, and heal',
    by: ['h'],
    members: {
      unseen:
        'it takes two spare ways that are feasible, and once wires have changed those of members are of an older seqno than the one in use',
    },
  },
  {
    name: 'W8: the next hop does not begin with the source of the packet',
    file: 'codec/packet-reader.ts',
    search: '    this.#hasNextHop6 = true;\n    this.#hasNextHop4 = false;\n    return true;',
    replace: '    this.#hasNextHop6 = this.#hasNextHop4 = false;\n    return true;',
    scenario: 'a route that is not feasible is asked for and taken',
    by: ['h', 'j'],
    members: { scenario: restarts, by: ['j'] },
  },
  {
    name: 'W19: a request goes on by any route, feasible or not',
    file: 'routes.ts',
    search: 'if (feasible !== undefined) return columns[feasible];',
    replace: 'if (feasible === undefined) return undefined;',
    scenario: 'two halves part, live on, and heal',
    by: ['j'],
    members: {
      unseen:
        'a member that has only unfeasible ways asks for a newer seqno itself, as a rule for the one it was asked for',
    },
  },
];
