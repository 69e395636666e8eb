import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LanDrop } from '../../daemon/lan/sockets.js';
import type { TableRow } from './route.js';
import { RouterProcess } from './router.js';
import { patience, until } from './until.js';
import type { Host, World } from './world.js';

export interface WeftOptions {
  readonly devices: readonly string[];
  readonly originate: readonly string[];
  readonly type?: 'wired' | 'tunnel';
}

const program = join(dirname(fileURLToPath(import.meta.url)), 'speaker-node.js');

/** Our own speaker on a host, as a process of its own (speaker-node.ts). */
export class Weft {
  readonly host: Host;
  readonly #world: World;
  readonly #options: WeftOptions;
  #process: RouterProcess;
  #asked = 0;

  constructor(world: World, host: Host, options: WeftOptions) {
    this.#world = world;
    this.host = host;
    this.#options = options;
    this.#process = this.#start('kept');
  }

  #start(disk: 'kept' | 'lost'): RouterProcess {
    const state = this.#world.file(`${this.host.name}.weft.state${disk === 'lost' ? Date.now() : ''}`);
    const settings = JSON.stringify({ number: this.host.number, state, ...this.#options });
    return new RouterProcess(this.#world, this.host, process.execPath, '--enable-source-maps', program, settings);
  }

  async ready(): Promise<this> {
    const { length } = this.#options.devices;
    await until(`weft on ${this.host.name} is ready`, patience, () => {
      if (this.#process.exited) throw new Error(this.log.join('\n'));
      return this.log.filter((line) => line.startsWith('{"up"')).length >= length;
    });
    return this;
  }

  get log(): readonly string[] {
    return this.#process.log;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#process.end(signal);
  }

  async startAgain(disk: 'kept' | 'lost'): Promise<void> {
    this.#process = this.#start(disk);
    await this.ready();
  }

  async #ask(request: object): Promise<{ table?: TableRow[]; dropped?: Record<LanDrop, number> }> {
    const id = ++this.#asked;
    this.#process.write(`${JSON.stringify({ id, ...request })}\n`);
    const answer = await until(`weft on ${this.host.name} answers ${JSON.stringify(request)}`, patience, () => {
      if (this.#process.exited) throw new Error(this.log.join('\n'));
      return this.log.find((line) => line.startsWith(`{"id":${id}`));
    });
    return JSON.parse(answer) as { table?: TableRow[]; dropped?: Record<LanDrop, number> };
  }

  async table(): Promise<TableRow[]> {
    return (await this.#ask({ table: true })).table ?? [];
  }

  /** Datagrams its sockets dropped before parsing. */
  async dropped(): Promise<Record<LanDrop, number>> {
    return (await this.#ask({ dropped: true })).dropped!;
  }

  async originate(prefixes: readonly string[], metric = 0): Promise<void> {
    await this.#ask({ originate: prefixes, metric });
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    await this.#ask({ withdraw: prefixes });
  }

  async evidence(): Promise<string> {
    return JSON.stringify(await this.table());
  }
}
