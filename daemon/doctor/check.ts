import type { CheckState, DoctorCheck } from '../api.js';

/** Names one check, once, and makes its lines. */
export function checkOf(code: string, check: string) {
  const line = (state: CheckState) => (evidence: string, remedy: string) => ({ code, check, state, evidence, remedy });
  return {
    ok: (evidence: string): DoctorCheck => line('ok')(evidence, ''),
    warning: line('warning'),
    error: line('error'),
    unknown: (evidence: string, remedy = ''): DoctorCheck => line('unknown')(evidence, remedy),
  };
}

/** "1 tunnel", "3 tunnels". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
