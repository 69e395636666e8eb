import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { adminClient } from '../daemon/admin-client.js';
import type { AppRow, Invitation, Membership, NodeApi, Peer, RouteRow, Status } from '../daemon/api.js';
import { environment, nodeFlags } from '../daemon/small-memory.js';
import type { Millis } from '../src/time.js';
import type { Host } from './machines.js';
import type { Output } from './namespace.js';
import { until } from './until.js';
import { starvedFor } from './usage.js';

const bin = (file: string) => join(import.meta.dirname, '..', 'bin', file);

/** How much of a daemon's log is kept for the error that needs it. */
const logLines = 2000;

/** A configuration may name a table but once. */
function withoutWarmUp(config: string): string {
  const [before, after] = config.split('[force]\n');
  return `${before}[force]\nno-warm-up = true\n${after ?? ''}`;
}

/** A machine of the lab that runs weft: the daemon and its state folder, which outlives every kill. */
export class WeftNode {
  readonly host: Host;
  /** The running daemon as an object: cheaper to poll than the command line. */
  readonly api: NodeApi;
  readonly #folder: string;
  readonly #socket: string;
  readonly #isCold: boolean;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;
  #config: string | undefined;

  /** A cold one rehearses no packets. */
  constructor(host: Host, folder: string, isCold = false) {
    this.host = host;
    this.#isCold = isCold;
    this.#folder = join(folder, host.name);
    this.#socket = join(this.#folder, 'sock');
    this.api = adminClient(this.#socket);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  get name(): string {
    return this.host.name;
  }

  /** The daemon's process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The state folder. */
  get state(): string {
    return join(this.#folder, 'state');
  }

  /**
   * Starts the daemon and waits until it answers. `config` is TOML and stays for later starts; `env` is for this one, as is
   * `wrap`, a command that starts another.
   */
  async start(
    options: {
      readonly config?: string;
      readonly within?: Millis;
      readonly env?: NodeJS.ProcessEnv;
      readonly wrap?: readonly string[];
    } = {},
  ): Promise<Millis> {
    if (this.#child) throw new Error(`${this.name} runs already`);
    this.#config = options.config ?? this.#config;
    const flags = ['--state', this.state, '--socket', this.#socket];
    const config = this.#isCold ? withoutWarmUp(this.#config ?? '') : this.#config;
    if (config !== undefined) {
      const file = join(this.#folder, 'weft.toml');
      writeFileSync(file, config);
      flags.push('--config', file);
    }
    const command = [...(options.wrap ?? []), process.execPath, ...nodeFlags, bin('weftd.js'), ...flags];
    const child = this.host.namespace.spawn(command, { env: { ...process.env, ...environment, ...options.env } });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#log.push(line);
        if (this.#log.length > logLines) this.#log.shift();
      });
    }
    child.once('exit', (code, signal) => {
      this.#log.push(`-- the daemon ended: ${signal ?? code}`);
      if (this.#child === child) this.#child = undefined;
    });
    const { took } = await until(
      `${this.name}: the daemon answers`,
      async () => (this.#child ? Boolean(await this.api.status()) : 'ended'),
      (state) => state === true || state === 'ended',
      options.within ?? 15_000,
      () => this.tail(),
      // Of a machine on which twenty programs want the two cores, a start takes what it takes.
      () => starvedFor(child.pid!),
    );
    if (!this.#child) throw new Error(`${this.name}: the daemon ended at once\n${this.tail()}`);
    return took;
  }

  /** Ends the daemon with a signal and waits until it is gone. SIGKILL is a crash, SIGTERM an orderly stop. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** Kills and starts again; gives how long the start took. */
  async restart(signal: NodeJS.Signals = 'SIGKILL'): Promise<Millis> {
    await this.kill(signal);
    return this.start();
  }

  /** Runs the command line on the machine, as an operator would. */
  run(...words: readonly string[]): Promise<Output> {
    return this.#run(words, 60_000);
  }

  /** The same for a command that goes on until somebody ends it, after so long. */
  watch(duration: Millis, ...words: readonly string[]): Promise<Output> {
    return this.#run(words, duration);
  }

  #run(words: readonly string[], timeout: Millis): Promise<Output> {
    return this.host.namespace.run([process.execPath, bin('weft.js'), '--socket', this.#socket, ...words], { timeout });
  }

  /** Runs a command with --json; throws what it complains about. */
  async weft<T>(...words: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...words, '--json');
    if (code !== 0) throw new Error(`${this.name}: weft ${words[0]}: ${stderr || stdout || code}\n${this.tail()}`);
    return JSON.parse(stdout) as T;
  }

  /** Founds a network. This and the next two ask the daemon itself, which is quicker than a command line to itself. */
  async init(): Promise<Membership> {
    return this.api.init({ name: this.name });
  }

  /** A fresh token; with flags by the command line. */
  async invite(...flags: readonly string[]): Promise<string> {
    const { token } = await (flags.length === 0 ? this.api.invite({}) : this.weft<Invitation>('invite', ...flags));
    return token;
  }

  async join(token: string): Promise<Membership> {
    return this.api.join({ token, name: this.name });
  }

  app(name: string): Promise<AppRow> {
    return this.weft('app', 'add', name);
  }

  async status(): Promise<Status> {
    return this.api.status();
  }

  async peers(): Promise<readonly Peer[]> {
    return this.api.peers();
  }

  async peer(name: string): Promise<Peer | undefined> {
    return (await this.peers()).find((peer) => peer.name === name);
  }

  async routes(): Promise<readonly RouteRow[]> {
    return this.api.routes({});
  }

  /** The node's own overlay address. */
  async address(): Promise<string> {
    const { node } = await this.status();
    if (!node) throw new Error(`${this.name} is in no network`);
    return node.address;
  }

  /** Whether the kernel's ping reaches an overlay address from here within a second; what is lost is soon sent again. */
  async pings(address: string): Promise<boolean> {
    const { code } = await this.host.namespace.run(['ping', '-6', '-n', '-q', '-c1', '-i0.05', '-w1', address]);
    return code === 0;
  }

  log(): readonly string[] {
    return this.#log;
  }

  /** The end of the log, for an error. */
  tail(lines = 25): string {
    const state = existsSync(this.#socket) ? '' : ' (no socket)';
    return [`── log of ${this.name}${state}`, ...this.#log.slice(-lines)].join('\n');
  }
}
