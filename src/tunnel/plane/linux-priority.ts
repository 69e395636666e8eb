import { getPriority, setPriority } from 'node:os';

/** Our tuning (docs/decisions/133): a worker gets about nine times a program's share of a core that both want. */
const ahead = 10;
const highest = -20;

/**
 * Puts the calling thread before the programs whose packets it moves, as a kernel's own network code is. It counts from the
 * process's niceness, so whoever starts the daemon with another moves both. False where that is not permitted (CAP_SYS_NICE).
 */
export function goAhead(): boolean {
  try {
    // On Linux a niceness is a thread's, and 0 names the calling one: setpriority(2).
    setPriority(0, Math.max(highest, getPriority(0) - ahead));
    return true;
  } catch {
    return false;
  }
}
