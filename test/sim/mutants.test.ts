import test from 'ava';
import { type Mutant, runMutant } from './mutant-build.js';

/** Classic mistakes of Babel implementations, each as a patch of our source. The scenarios must fail on every one. */
const mutants: readonly Mutant[] = [
  {
    name: 'an equal metric is feasible',
    file: 'destination.ts',
    search: '(seqno === source.seqno && refmetric < source.metric)',
    replace: '(seqno === source.seqno && refmetric <= source.metric)',
  },
  {
    name: 'routes are selected without a look at feasibility',
    file: 'selection.ts',
    search:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), refmetric)) {\n      this.hasUnfeasible = true;',
    replace: '    if (false as boolean) {\n      this.hasUnfeasible = true;',
  },
  {
    name: 'feasibility compares the metric with the cost of the link instead of the announced one',
    story: 'nearer one',
    file: 'selection.ts',
    search:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), refmetric)) {\n      this.hasUnfeasible = true;',
    replace:
      '    if (!destination.isFeasible(router, matrix.seqno(row, column), metric)) {\n      this.hasUnfeasible = true;',
  },
  {
    name: 'seqnos are compared as plain numbers',
    file: 'seqno.ts',
    search: 'return ahead !== 0 && ahead < 0x8000;',
    replace: 'return ahead !== 0 && a > b;',
  },
  {
    name: 'what was announced is not remembered',
    file: 'destination.ts',
    search: '    if (metric === infinity) return false;\n    const source',
    replace: '    if (metric >= 0) return false;\n    const source',
  },
  {
    name: 'a smaller metric announced at the same seqno is not remembered',
    file: 'destination.ts',
    search: '(seqno === source.seqno && metric < source.metric);',
    replace: '(seqno === source.seqno && metric > source.metric);',
  },
  {
    name: 'metrics add up to 65534 at most',
    story: 'infinite metric',
    file: 'metric.ts',
    search: 'return sum >= infinity ? infinity : sum;',
    replace: 'return metric === infinity || cost === infinity ? infinity : Math.min(sum, infinity - 1);',
  },
  {
    name: 'a link adds nothing to the metric',
    file: 'metric.ts',
    search: 'metric + Math.max(cost, 1)',
    replace: 'Math.max(metric, cost)',
  },
  {
    name: 'nobody asks for a newer seqno when a route is lost',
    file: 'routes.ts',
    search: '!this.#hasGoodRoute(destination)) this.#starve(destination, now);',
    replace: '!this.#hasGoodRoute(destination)) void 0;',
  },
  {
    name: 'requests for a seqno are not passed on',
    story: 'passed on to its originator',
    file: 'routes.ts',
    search: 'if (reader.hopCount < 2) return;',
    replace: 'if (reader.hopCount < 2 || reader.hopCount > 2) return;',
  },
  {
    name: 'our own seqno stays as it is when it is asked for',
    file: 'routes.ts',
    search: 'if (numbering.increment(now)) this.renumbered(now);',
    replace: '',
  },
  {
    name: 'a lost prefix is not held',
    story: 'held until',
    file: 'routes.ts',
    search: 'destination.heldUntil = now + tuning.holdTime;',
    replace: 'destination.heldUntil = 0;',
  },
  {
    name: 'a retraction is said once',
    story: 'forgotten everywhere',
    file: 'routes.ts',
    search: 'Flag.announced | Flag.forced | Flag.awaiting',
    replace: 'Flag.announced | Flag.forced',
  },
  {
    name: 'a retraction needs a router-id',
    file: 'codec/packet-reader.ts',
    search:
      '    if (this.metric === infinity) return true; // a retraction needs none of what follows (RFC 8966 §4.6.9)\n',
    replace: '',
  },
  {
    name: 'what was announced is remembered one update late',
    file: 'routes.ts',
    search:
      'if (destination.noteSent(router, seqno, metric, now, tuning.maxSources)) this.#recheckSpares(destination);',
    replace: `const late = this as unknown as { remember?: () => void };
      late.remember?.();
      late.remember = () => destination.noteSent(router, seqno, metric, now, tuning.maxSources);`,
  },
  {
    name: 'a spare next hop stays when what was announced makes it unfeasible',
    file: 'routes.ts',
    search: 'now, tuning.maxSources)) this.#recheckSpares(destination);',
    replace: 'now, tuning.maxSources)) void 0;',
  },
  {
    name: 'a retraction is not heard',
    file: 'routes.ts',
    search: '      if (destination) this.#retract(destination, neighbour, now);\n      return;',
    replace: '      return;',
  },
  {
    name: 'the routes of a neighbour that is gone are kept',
    file: 'speaker.ts',
    search:
      '    neighbour.cost = infinity;\n    this.#routes.forgetRoutesOf(neighbour, now);\n    this.#tables.columns[neighbour.column] = undefined;',
    replace: '    this.#tables.columns[neighbour.column] = undefined;',
  },
  {
    name: 'a source begins with seqno 0',
    file: 'destination.ts',
    search: 'this.sources = { router, seqno, metric, at:',
    replace: 'this.sources = { router, seqno: 0, metric, at:',
  },
  {
    name: 'a selected route stays when it is not feasible any more',
    story: 'dies of its own',
    file: 'selection.ts',
    search: 'challenger === none || !this.isUsable(destination, current)',
    replace: 'challenger === none || this.metricOf(destination, current) === infinity',
  },
  {
    name: 'a route that expired is never forgotten',
    story: 'told or not',
    file: 'routes.ts',
    search: '          this.#flush(destination, neighbour);\n          continue;',
    replace: '          continue;',
  },
  {
    name: 'a request is passed on to everybody',
    story: 'forgotten everywhere',
    file: 'routes.ts',
    search: '    this.#sendSeqnoRequest(destination, router, reader.seqno, hops, via, now);',
    replace: `    for (const other of this.#tables.columns) {
      if (other && other !== neighbour) this.#sendSeqnoRequest(destination, router, reader.seqno, hops, other, now);
    }`,
  },
  {
    name: 'a request goes back to who asked',
    story: 'passed on to its originator',
    file: 'routes.ts',
    search: 'candidates.find((column) => column >= 0 && column !== asker.column);',
    replace: 'candidates.find((column) => column >= 0 && column === asker.column) ?? asker.column;',
  },
  {
    name: 'the second best way is taken',
    story: 'a ring',
    file: 'selection.ts',
    search: 'const challenger = this.best[0];',
    replace: 'const challenger = this.best[1] === none ? this.best[0] : this.best[1];',
  },
  {
    name: 'what is urgent waits for a second',
    file: 'routes.ts',
    search: 'return now + this.#tables.tuning.urgentDelay * (1 + this.#tables.random.unit());',
    replace: 'return now + 1000 * (1 + this.#tables.random.unit());',
  },
  {
    name: 'another router-id is no news',
    story: 'weather',
    file: 'routes.ts',
    search: 'else if (newRouter) this.#announceUrgently(destination, this.#soon(now));',
    replace: '',
  },
  {
    name: 'a retraction that was lost is forgotten when the route comes back and goes again',
    story: 'said again',
    file: 'routes.ts',
    search:
      '      if (matrix.has(destination.row, column, Flag.awaiting)) matrix.raise(destination.row, column, Flag.announced);\n      matrix.lower(destination.row, column, saidOfVersion);',
    replace: '      matrix.lower(destination.row, column, saidOfVersion);',
  },
  {
    name: 'the whole table goes out with every change',
    story: 'flapping',
    file: 'routes.ts',
    search: 'for (const { outlet } of this.#tables.interfaces.values()) this.#tell(destination, outlet, at);',
    replace: "for (const { outlet } of this.#tables.interfaces.values()) outlet.dump('asked', at);",
  },
  {
    name: 'a waiting neighbour is not told when the seqno it asked for comes',
    file: 'routes.ts',
    search:
      '      if (neighbour) this.#tell(destination, neighbour.outlet, this.#soon(now));\n    }\n    if (wasSelected',
    replace: '    }\n    if (wasSelected',
  },
  {
    name: 'a way better than those in use is noted and not acted on',
    file: 'side-updates.ts',
    search: 'return last !== unknown && metric >= last &&',
    replace: 'return last !== unknown && metric >= 0 &&',
  },
];

/** Two at a time: there are two cores, and each mutant is a process of its own. */
const lanes = 2;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= lanes) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

for (const mutant of mutants) {
  test(`noticed: ${mutant.name}`, async (t) => {
    t.timeout(600_000); // counted from the start of all of them: each waits its turn
    const found = await inTurn(() => runMutant(mutant));
    t.truthy(found, 'the scenarios did not notice');
    t.log(found ?? '');
  });
}
