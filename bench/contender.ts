import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../lab/machines.js';
import { until } from '../lab/until.js';
import type { World } from '../lab/world.js';

/** Hosts in a row, each joined to the next by a line of its own and to nobody else. */
export interface Chain {
  readonly world: World;
  readonly hosts: readonly Host[];
  /** A folder for this contender's files, empty. */
  readonly folder: string;
  /** The address of host `i` on its line to host `j`, a neighbour. */
  lineAddress(i: number, j: number): string;
}

/** A contender at work. */
export interface Running {
  /** Where each host of the chain is reached through it. */
  readonly addresses: readonly string[];
  /** Its daemons, whose processor time and memory count; none for the bare wire. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** Something that carries packets between hosts, with its own defaults. */
export interface Contender {
  readonly name: string;
  /** Version and where it comes from; undefined when it is not here. */
  version(): string | undefined;
  /** Whether it carries packets through a host in the middle by itself. */
  readonly relays: boolean;
  start(chain: Chain): Promise<Running>;
}

/** The processes of one contender. */
export class Daemons {
  readonly #children: ChildProcess[] = [];
  readonly #log: string[] = [];

  /** Starts one in the foreground on a host. */
  start(host: Host, command: readonly string[], env: NodeJS.ProcessEnv = {}): void {
    const child = host.namespace.spawn(command, { env });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#log.push(chunk.toString());
        if (this.#log.length > 200) this.#log.shift();
      });
    }
    this.#children.push(child);
  }

  get pids(): number[] {
    return this.#children.map(({ pid }) => pid!);
  }

  /** Waits until the first host pings the last one, there and back. */
  async untilPing(hosts: readonly Host[], address: string): Promise<void> {
    await until(
      `${address} answers`,
      async () => (await hosts[0]!.namespace.run(['ping', '-n', '-c1', '-W1', address])).code,
      (code) => code === 0,
      30_000,
      () => this.#log.slice(-30).join(''),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.splice(0).map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await ended;
      }),
    );
  }
}

/** A folder of one host inside a contender's folder. */
export function folderFor(chain: Chain, host: Host): string {
  const folder = join(chain.folder, host.name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}
