import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { monotonicMicros } from '../../daemon/lan/sockets.js';
import type { Millis } from '../../src/time.js';

/** Test peers and weft speak every second ... */
export const hello: Millis = 1000;
/** ... and have two Hello intervals to agree. */
const twoHellos: Millis = 2 * hello;
/** Tables are read every 40 ms, and a reading of all three takes up to 100 ms on a busy machine. */
const reading: Millis = 150;
/** Until routers that have just started know each other and have exchanged everything; no reading waits longer. */
export const meeting: Millis = 15_000;

/** The machine's monotonic clock, by which wires and readings are timed. */
export function clock(): Millis {
  return monotonicMicros() / 1000;
}

/** Every one of them settled within two Hello intervals of the moment the change passed the wire. */
export function inTime(t: ExecutionContext, what: string, heard: Millis, settled: readonly Millis[]): void {
  const took = Math.round(Math.max(...settled) - heard);
  t.log(`${what}: ${took} ms after it was heard`);
  t.true(took <= twoHellos + reading, `${what}: ${settled.map((at) => Math.round(at - heard))} ms`);
}

/**
 * When a restart was heard, a moment after it: by then the retraction with which a router begins has come, and no table
 * shows the run before any more.
 */
export async function restartHeard(heard: Promise<Millis>): Promise<Millis> {
  const at = await heard;
  await pause(at + 100 - clock());
  return at;
}
