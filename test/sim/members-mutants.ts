import { MutantBuild, MutantSources } from './mutant-build.js';
import { type Mutant, memberSeeds, mutants } from './mutants.js';

/** Those that members' scenarios are to notice. */
export const seenByMembers: readonly Mutant[] = mutants.filter(({ members }) => 'scenario' in members);

/**
 * Tries each on the scenario of members that is there for it. Gives what became of those that were not noticed as they should be,
 * a line each; an empty list is good.
 */
export async function unnoticedByMembers(progress: (text: string) => void): Promise<string[]> {
  const sources = new MutantSources(seenByMembers);
  const failures: string[] = [];
  let build: MutantBuild | undefined;
  try {
    await sources.compile();
    build = new MutantBuild(sources);
    failures.push(...(await unpatched(build)));
    for (const mutant of seenByMembers) {
      progress(mutant.name);
      const failure = await tried(build, mutant);
      if (failure) failures.push(`${mutant.name}: ${failure}`);
    }
  } finally {
    build?.remove();
    sources.remove();
  }
  return failures;
}

/** What those scenarios break with the same seeds and no patch. */
async function unpatched(build: MutantBuild): Promise<string[]> {
  const scenarios = new Set(seenByMembers.flatMap(({ members }) => ('scenario' in members ? [members.scenario] : [])));
  const outcomes = await build.trial([...scenarios], memberSeeds);
  return outcomes.flatMap(({ scenario, text }) =>
    text === undefined ? [] : [`without a patch, ${scenario}: ${text}`],
  );
}

async function tried(build: MutantBuild, mutant: Mutant): Promise<string | undefined> {
  const { members } = mutant;
  if ('unseen' in members) return undefined;
  try {
    const outcomes = await build.with(mutant, (patched) => patched.trial([members.scenario], memberSeeds));
    const { invariant, text = 'every invariant holds' } = outcomes.at(-1)!;
    return invariant !== undefined && members.by.includes(invariant) ? undefined : text;
  } catch (cause) {
    return (cause as Error).message;
  }
}
