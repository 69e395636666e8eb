import { spawn } from 'node:child_process';
import { MeshError } from '../../src/errors.js';

/** iproute2, the one way we speak to the kernel's tables: it reads as JSON and changes in batches. */

/** What `ip -json ARGUMENTS` prints; an empty list when it prints nothing. Throws MeshError when `ip` is missing or refuses. */
export async function ipJson<T>(...args: string[]): Promise<T[]> {
  const { status, output, complaint } = await run(['-json', ...args], '');
  if (status !== 0) throw refused(args.join(' '), complaint);
  return output.trim() === '' ? [] : (JSON.parse(output) as T[]).filter(isFilled);
}

/**
 * What each of these commands prints with -json and -details, from one process for all of them: starting one takes longer than what it then
 * does. `family` is -4, -6, or undefined, where routes are those of IPv4.
 */
export async function ipJsonBatch(family: '-4' | '-6' | undefined, commands: readonly string[]): Promise<unknown[][]> {
  const flags = ['-details', ...(family === undefined ? [] : [family])];
  const { status, output, complaint } = await run(['-json', ...flags, '-batch', '-'], `${commands.join('\n')}\n`);
  if (status !== 0) throw refused(commands[failedLine(complaint) - 1] ?? 'batch', complaint);
  const lines = output.split('\n').filter((line) => line !== '');
  if (lines.length === commands.length) return lines.map((line) => (JSON.parse(line) as unknown[]).filter(isFilled));
  // Some versions print nothing for an empty list: which of them is empty shows when asked one by one.
  const words = (command: string) => [...flags, ...command.split(' ')];
  return Promise.all(commands.map((command) => ipJson<unknown>(...words(command))));
}

/** A command, without its `ip`, and why the kernel did not carry it out. */
export interface Refusal {
  readonly command: string;
  readonly problem: MeshError;
}

/**
 * Runs the commands in order, also those behind a refused one; gives those that were refused. Throws MeshError when `ip` is
 * missing, or ended without saying which it did not carry out.
 */
export async function ipAttempt(family: '-4' | '-6', commands: readonly string[]): Promise<readonly Refusal[]> {
  if (commands.length === 0) return [];
  const { status, complaint } = await run([family, '-force', '-batch', '-'], `${commands.join('\n')}\n`);
  if (status === 0) return [];
  const found = refusals(commands, complaint);
  if (found.length === 0) throw refused('batch', complaint);
  return found;
}

/** The same; throws MeshError about the first that was refused. */
export async function ipBatch(family: '-4' | '-6', commands: readonly string[]): Promise<void> {
  const [first] = await ipAttempt(family, commands);
  if (first) throw first.problem;
}

export interface Link {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly gso_max_segs?: number;
  readonly linkinfo?: { readonly info_kind?: string };
  readonly addr_info?: readonly { readonly family: string; readonly scope: string }[];
}

/** All devices, with their addresses. Not from /sys, which shows the network namespace it was mounted in and not the one we are in. */
export function readLinks(): Promise<Link[]> {
  return ipJson<Link>('-details', 'address', 'show');
}

export function isTun(link: Link): boolean {
  return link.linkinfo?.info_kind === 'tun';
}

/** `ip -json` prints {} for things it filtered out. */
function isFilled(item: unknown): boolean {
  return typeof item === 'object' && item !== null && Object.keys(item).length > 0;
}

/** `ip` complains of a command, in one line or more, and then names its line. */
function refusals(commands: readonly string[], complaint: string): Refusal[] {
  return [...complaint.matchAll(/^([\s\S]*?)^Command failed -:(\d+)\n?/gm)].map(([, words, line]) => {
    const command = commands[Number(line) - 1] ?? 'batch';
    return { command, problem: refused(command, words!) };
  });
}

function failedLine(complaint: string): number {
  return Number(/^Command failed -:(\d+)/m.exec(complaint)?.[1] ?? 0);
}

function refused(what: string, complaint: string): MeshError {
  const reason = complaint.split('\n')[0]!.replace(/^RTNETLINK answers: |^Error: /, '');
  const router = / via (?:inet6 )?(\S+) /.exec(what)?.[1];
  const cure = /not permitted|denied/.test(complaint)
    ? 'run as root, or give it CAP_NET_ADMIN'
    : router
      ? `"ip route get ${router}" says where that router is for this machine: correct it, or leave its prefix out of "import" of [[babel.interface]]`
      : 'see "weft doctor"; if the kernel is right, report it please';
  return new MeshError('kernel-refused', `the kernel refused "ip ${what}": ${reason}`, cure);
}

function run(args: readonly string[], input: string): Promise<{ status: number; output: string; complaint: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('ip', args, { stdio: 'pipe' });
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      complaint += text;
    });
    // A child that failed early closes its input before we are done; its exit status tells.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', (cause) =>
      reject(new MeshError('no-iproute2', 'the command "ip" is missing', 'apt install iproute2', { cause })),
    );
    child.on('close', (status) => resolve({ status: status ?? 1, output, complaint }));
  });
}
