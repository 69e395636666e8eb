import test from 'ava';
import { MutantBuild, MutantSources, type Patch } from './mutant-build.js';
import { memberSeeds, mutants } from './mutants.js';
import { unitMutants } from './unit-mutants.js';

const seeds = [1, 2];
/** Counted from the start of all of them: each waits its turn. */
const patience = 1_800_000;

const sources = new MutantSources([...mutants, ...unitMutants]);
const compiled = sources.compile();
/** Two: there are two cores, and what a build runs is a process of its own. */
const builds = compiled.then(() => [new MutantBuild(sources), new MutantBuild(sources)]);
const free: MutantBuild[] = [];
const waiting: ((build: MutantBuild) => void)[] = [];
test.before(async () => free.push(...(await builds)));
test.after.always(async () => {
  sources.remove();
  for (const build of await builds) build.remove();
});

/** What is done with a patch and without is done in the same way: in the next build that is free. */
async function built<T>(patch: Patch | undefined, use: (build: MutantBuild) => Promise<T>): Promise<T> {
  const build = free.pop() ?? (await new Promise<MutantBuild>((resolve) => waiting.push(resolve)));
  try {
    return await build.with(patch, use);
  } finally {
    const next = waiting.shift();
    if (next) next(build);
    else free.push(build);
  }
}

test('without a patch every invariant holds, in each scenario that has to notice one', async (t) => {
  t.timeout(patience);
  const scenarios = [...new Set(mutants.map(({ scenario }) => scenario))];
  const outcomes = await built(undefined, (build) => build.trial(scenarios, seeds));
  t.deepEqual(
    outcomes,
    scenarios.flatMap((scenario) => seeds.map((seed) => ({ scenario, seed }))),
  );
});

for (const mutant of mutants) {
  const { name, scenario, by } = mutant;
  test(`noticed by ${by.join(' or ')}: ${name}`, async (t) => {
    t.timeout(patience);
    const outcomes = await built(mutant, (build) => build.trial([scenario], seeds));
    const { invariant, text = 'every invariant holds' } = outcomes.at(-1)!;
    t.true(invariant !== undefined && by.includes(invariant), text);
    t.log(text);
  });
}

/**
 * Whole members notice them too (npm run verify tries all): here the first that breaks each invariant. What they do without a patch,
 * is in control-scenarios.test.ts.
 */
const letters = new Set<string>();
for (const mutant of mutants) {
  const { name, members } = mutant;
  if ('unseen' in members || members.by.every((letter) => letters.has(letter))) continue;
  for (const letter of members.by) letters.add(letter);
  test(`noticed by members by ${members.by.join(' or ')}: ${name}`, async (t) => {
    t.timeout(patience);
    const outcomes = await built(mutant, (build) => build.trial([members.scenario], memberSeeds));
    const { invariant, text = 'every invariant holds' } = outcomes.at(-1)!;
    t.true(invariant !== undefined && members.by.includes(invariant), text);
    t.log(text);
  });
}

for (const file of new Set(unitMutants.map((mutant) => mutant.test))) {
  test(`without a patch they pass: what ${file} has to notice a mutant`, async (t) => {
    t.timeout(patience);
    const titles = [...new Set(unitMutants.filter((mutant) => mutant.test === file).map(({ title }) => title))];
    const ends = await built(undefined, (build) => build.tests(file, titles));
    t.deepEqual(
      ends,
      titles.map(() => 'passed'),
    );
  });
}

for (const mutant of unitMutants) {
  const { name, test: file, title } = mutant;
  test(`noticed by "${title}": ${name}`, async (t) => {
    t.timeout(patience);
    t.deepEqual(await built(mutant, (build) => build.tests(file, [title])), ['asserted']);
  });
}

test('each of the 21 mistakes that others are known to have made has a mutant', (t) => {
  const names = [...mutants, ...unitMutants].map(({ name }) => name);
  for (let number = 1; number <= 21; number++)
    t.true(
      names.some((name) => name.startsWith(`W${number}: `)),
      `W${number}`,
    );
});
