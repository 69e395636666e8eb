/**
 * How weftd is to be started so that it stays small: V8's young generation at one megabyte (it allocates little), one helper
 * thread, and one malloc arena for a dozen threads that hardly allocate. Idle, it is about 12 MB less than without.
 * Flags of a running process come too late for the modules it loads; the first line of bin/weftd.ts and scripts/start.sh
 * say the same (test/bin/small-memory.test.ts).
 */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=1', '--v8-pool-size=1'];
export const environment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };
