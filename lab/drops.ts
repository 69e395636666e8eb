/** Packets and datagrams that a daemon has dropped since its start, by reason. */
type Drops = Readonly<Record<string, number>>;

/** What several daemons together dropped between two looks, `before` and `after`, each in the same order; reasons that did not occur are left out. */
export function dropsBetween(before: readonly Drops[], after: readonly Drops[]): Drops {
  const sum = new Map<string, number>();
  for (const [i, drops] of after.entries()) {
    for (const [reason, count] of Object.entries(drops)) {
      const added = count - (before[i]?.[reason] ?? 0);
      if (added > 0) sum.set(reason, (sum.get(reason) ?? 0) + added);
    }
  }
  return Object.fromEntries(sum);
}
