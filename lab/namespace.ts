import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errno, type ForeignFunction, foreign } from '../src/ffi.js';

const folder = '/run/netns';
const cloneNewNet = 0x40000000;
let setns: ForeignFunction | undefined;

function enter(fd: number, what: string): void {
  setns ??= foreign('int setns(int fd, int type)');
  if (setns(fd, cloneNewNet) !== 0) throw new Error(`cannot enter ${what}: errno ${errno()}`);
}

/** npm puts node_modules/.bin first, and a package there brings an `nft` that is not nftables. */
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a command said, and how it ended. */
export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One network namespace: a machine of the virtual Internet. */
export class Namespace {
  /** As `ip netns` knows it. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * Does something synchronous with this thread inside the namespace. A socket belongs for ever to the namespace it was
   * made in, so one process can hold sockets on many machines.
   */
  inside<T>(action: () => T): T {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    const there = openSync(join(folder, this.name), 'r');
    try {
      enter(there, this.name);
      return action();
    } finally {
      enter(home, 'the namespace we came from');
      closeSync(there);
      closeSync(home);
    }
  }

  /** Starts a command inside. Its standard input is closed unless `stdin` asks for a pipe. */
  spawn(command: readonly string[], options: { readonly stdin?: 'pipe'; readonly env?: NodeJS.ProcessEnv } = {}) {
    return spawn('ip', ['netns', 'exec', this.name, ...command], {
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env, PATH: systemPath },
    }) as ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream };
  }

  /** Runs a command inside to its end; after `timeout` milliseconds it is killed and the code is null. */
  run(
    command: readonly string[],
    options: { readonly input?: string; readonly timeout?: number } = {},
  ): Promise<Output> {
    const child = this.spawn(command, options.input === undefined ? {} : { stdin: 'pipe' });
    return finished(child, options);
  }

  /** Runs a command that must succeed; gives its standard output. */
  async must(
    command: readonly string[],
    options: { readonly input?: string; readonly timeout?: number } = {},
  ): Promise<string> {
    const output = await this.run(command, options);
    if (output.code !== 0) {
      const how = output.code === null ? 'it was killed' : `exit ${output.code}`;
      throw new Error(`${this.name}: ${command.join(' ')}: ${how}: ${output.stderr || output.stdout}`);
    }
    return output.stdout;
  }

  /** Loads an nftables script. */
  async nft(script: string): Promise<void> {
    await this.must(['nft', '-f', '-'], { input: script });
  }
}

/** Waits for a child and gathers what it says. */
export function finished(
  child: ChildProcess,
  options: { readonly input?: string; readonly timeout?: number } = {},
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    // A child may end before it has read all: its exit code tells.
    child.stdin?.on('error', () => {});
    if (options.input !== undefined) child.stdin?.end(options.input);
    const timer = options.timeout && setTimeout(() => child.kill('SIGKILL'), options.timeout);
    child.once('error', reject);
    child.once('close', (code) => {
      if (timer) clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

/** When a process started, in clock ticks since boot: with its id, a name no later process can have. */
function startOf(pid: number): string | undefined {
  try {
    // The second field is the command in brackets and may hold blanks; the start is the 20th after it.
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
  } catch {
    return undefined; // no such process
  }
}

/**
 * A fresh prefix for the names of one world, with its folder made. It holds the owner's process id and start, so that
 * leftovers can be told.
 */
export function freshPrefix(): string {
  for (let i = 0; ; i++) {
    const prefix = `weft-${process.pid}-${startOf(process.pid)}-${i}-`;
    try {
      mkdirSync(folderOf(prefix), { mode: 0o700 });
      return prefix;
    } catch (error) {
      // Another world of this process, maybe of another thread.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** The folder for the files of the world with this prefix. */
export function folderOf(prefix: string): string {
  return join(tmpdir(), prefix.slice(0, -1));
}

function namespacesWith(test: (name: string) => boolean): string[] {
  try {
    return readdirSync(folder).filter(test);
  } catch {
    return []; // no namespace was ever made on this machine
  }
}

/**
 * Ends every process in the namespaces of a world, then removes the namespaces and its folder. Synchronous: it runs at
 * exit.
 */
export function removeWorld(prefix: string): void {
  const names = namespacesWith((name) => name.startsWith(prefix));
  const inodes = new Set(
    names.map((name) => {
      try {
        return `net:[${statSync(join(folder, name)).ino}]`;
      } catch {
        return ''; // half made
      }
    }),
  );
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      if (inodes.has(readlinkSync(`/proc/${entry}/ns/net`))) process.kill(Number(entry), 'SIGKILL');
    } catch {
      // it ended by itself
    }
  }
  if (names.length > 0) {
    spawnSync('ip', ['-force', '-batch', '-'], { input: names.map((name) => `netns delete ${name}\n`).join('') });
  }
  rmSync(folderOf(prefix), { recursive: true, force: true });
}

/** Removes the worlds of processes that are no more: a killed run cleans nothing up. */
export function removeLeftovers(): void {
  const form = /^(weft-(\d+)-(\d+)-\d+-)/;
  const prefixes = new Set<string>();
  const folders = readdirSync(tmpdir()).map((name) => `${name}-`);
  for (const name of [...namespacesWith(() => true), ...folders]) {
    const match = form.exec(name);
    if (match && startOf(Number(match[2])) !== match[3]) prefixes.add(match[1]!);
  }
  for (const prefix of prefixes) removeWorld(prefix);
}
