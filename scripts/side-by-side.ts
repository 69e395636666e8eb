/**
 * Does all jobs, several at a time, and gives what came of each, in the order of `jobs`. `mostAtOnce` says of a job how
 * many may run while it does, itself among them. Those that bear most company come first, in their order; one that bears
 * less begins as soon as few enough run, so nobody waits for a whole group to end.
 */
export async function sideBySide<Job, Outcome>(
  jobs: readonly Job[],
  mostAtOnce: (job: Job) => number,
  perform: (job: Job) => Promise<Outcome>,
): Promise<Outcome[]> {
  const outcomes = new Map<Job, Outcome>();
  const waiting = jobs.toSorted((a, b) => mostAtOnce(b) - mostAtOnce(a));
  const running = new Map<Job, Promise<void>>();
  const mayBegin = (job: Job) => [job, ...running.keys()].every((each) => running.size < mostAtOnce(each));
  while (waiting.length > 0 || running.size > 0) {
    for (let next = waiting.findIndex(mayBegin); next >= 0; next = waiting.findIndex(mayBegin)) {
      const [job] = waiting.splice(next, 1) as [Job];
      const done = perform(job).then((outcome) => {
        outcomes.set(job, outcome);
        running.delete(job);
      });
      running.set(job, done);
    }
    await Promise.race(running.values());
  }
  return jobs.map((job) => outcomes.get(job) as Outcome);
}
