import type { NodeNumber } from '../addr/node-number.js';
import { earliestPlausible } from '../addr/validity.js';
import type { UnixSeconds } from '../time.js';

/** Clocks this far apart are called wrong; less is what a machine without time synchronisation gathers in months. */
const tolerance: UnixSeconds = 120;

/** What is wrong with the clock of this machine. Nothing in the network stands still for it; an operator should know. */
export interface ClockFault {
  /** warning: it may be the other's clock. */
  readonly severity: 'warning' | 'error';
  readonly message: string;
  readonly fix: string;
}

/**
 * Compares the clock of this machine with what the members say: neighbours tell each other the time whenever they compare
 * what they know, and issuers write it into what they sign. Nothing is decided by it, so a member that lies gains a line in
 * `weft status` at most, and that only where most neighbours lie alike. Holds one number a neighbour.
 */
export class ClockWatch {
  readonly #wallClock: () => UnixSeconds;
  /** How far the clock of each neighbour was ahead of ours when it spoke last. */
  readonly #ahead = new Map<NodeNumber, UnixSeconds>();

  constructor(wallClock: () => UnixSeconds) {
    this.#wallClock = wallClock;
  }

  /** The whole second to tell a neighbour. */
  said(): UnixSeconds {
    return Math.max(0, Math.floor(this.#wallClock()));
  }

  heard(node: NodeNumber, theirs: UnixSeconds): void {
    this.#ahead.set(node, theirs - this.#wallClock());
  }

  /** How many neighbours have said what time it is. */
  get compared(): number {
    return this.#ahead.size;
  }

  forget(node: NodeNumber): void {
    this.#ahead.delete(node);
  }

  /** `newestSigned`: the newest time that an issuer in good standing has signed. Undefined: nothing speaks against the clock. */
  fault(newestSigned: UnixSeconds): ClockFault | undefined {
    const now = this.#wallClock();
    const date = new Date(now * 1000).toISOString();
    if (now < earliestPlausible) return fault('error', `the clock of this machine says ${date}`);
    const ahead = middle([...this.#ahead.values()]);
    const apart = Math.round(Math.abs(ahead));
    const isFar = apart > tolerance;
    // Two that say the same are believed, whatever an issuer with a wrong clock has signed.
    if (this.#ahead.size > 1) {
      const way = ahead > 0 ? 'behind' : 'ahead of';
      return isFar ? fault('error', `${date} is ${apart} s ${way} what most neighbours say`) : undefined;
    }
    const later = newestSigned - now;
    if (later > tolerance)
      return fault('error', `${date}, but an issuer has signed something ${Math.round(later)} s later`);
    return isFar ? fault('warning', `${date} and the clock of the only neighbour are ${apart} s apart`) : undefined;
  }
}

function fault(severity: ClockFault['severity'], message: string): ClockFault {
  return { severity, message, fix: 'switch on time synchronisation: timedatectl set-ntp true' };
}

/** The median; of an even number the one of the middle pair that is nearer to 0, or 0 between them. None: 0. */
function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? 0, sorted[sorted.length >> 1] ?? 0];
  return Math.min(Math.max(0, low), high);
}
