import type { CheckState, DoctorCheck } from '../api.js';

/** Names one check, once, and makes its lines. A command is what the remedy is to be done with, as it can be typed by root. */
export function checkOf(code: string, check: string) {
  const line =
    (state: CheckState) =>
    (evidence: string, remedy: string, command = ''): DoctorCheck => ({
      code,
      check,
      state,
      evidence,
      remedy,
      command,
    });
  return {
    ok: (evidence: string): DoctorCheck => line('ok')(evidence, ''),
    warning: line('warning'),
    error: line('error'),
    unknown: line('unknown'),
  };
}

/** "1 tunnel", "3 tunnels". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
