import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { canonicalPrefix, type TableRow } from './route.js';
import { type Place, parseComplaints, RouterProcess } from './router.js';
import { patience, until } from './until.js';
import type { Host } from './world.js';

export interface BabeldOptions {
  readonly devices: readonly string[];
  /** Configuration lines such as "redistribute local ip fd00:a::/32 allow". */
  readonly announce: readonly string[];
  /** Further configuration lines. */
  readonly extra?: readonly string[];
  readonly type?: 'wired' | 'tunnel';
  /** Of its first start; by chance without. */
  readonly seqno?: number;
}

/** babeld on a host, with Hello every second and Update every two. Tables are read from its local socket. */
export class Babeld {
  readonly host: Host;
  readonly #place: Place;
  readonly #options: BabeldOptions;
  #process: RouterProcess;

  constructor(place: Place, host: Host, options: BabeldOptions) {
    this.#place = place;
    this.host = host;
    this.#options = options;
    if (options.seqno !== undefined) writeFileSync(this.#path('state'), `${options.seqno}\n`);
    this.#process = this.#start();
  }

  #path(kind: string): string {
    return this.#place.file(`${this.host.name}.babeld.${kind}`);
  }

  #start(): RouterProcess {
    const { devices, announce, extra = [], type = 'wired' } = this.#options;
    writeFileSync(
      this.#path('conf'),
      [
        `local-path-readwrite ${this.#path('sock')}`,
        `state-file ${this.#path('state')}`,
        `pid-file ${this.#path('pid')}`,
        'skip-kernel-setup true',
        'smoothing-half-life 0', // else it may keep a longer way for a quarter of a minute
        `default type ${type} hello-interval 1 update-interval 2`,
        ...extra,
        ...devices.map((device) => `interface ${device}`),
        ...announce,
        'redistribute local deny',
        '',
      ].join('\n'),
    );
    rmSync(this.#path('pid'), { force: true });
    rmSync(this.#path('sock'), { force: true });
    return new RouterProcess(this.#place, this.host, 'babeld', '-c', this.#path('conf'));
  }

  async ready(): Promise<this> {
    await until(`babeld on ${this.host.name} listens`, patience, () => existsSync(this.#path('sock')));
    return this;
  }

  get complaints(): string[] {
    return parseComplaints(this.#process.log);
  }

  get log(): readonly string[] {
    return this.#process.log;
  }

  /** Ends it: TERM says goodbye and keeps the seqno, KILL does neither. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#process.end(signal);
  }

  /** Starts it again, with the state file it left (its seqno), without it, or with a seqno of long ago in it. */
  async startAgain(state: 'kept' | 'lost' | 'behind'): Promise<void> {
    if (state === 'lost') rmSync(this.#path('state'), { force: true });
    if (state === 'behind') {
      const seqno = readFileSync(this.#path('state'), 'utf8').trim();
      if (!/^\d+$/.test(seqno)) throw new Error(`no seqno in the state of babeld, but "${seqno}"`);
      writeFileSync(this.#path('state'), `${(Number(seqno) + 65_536 - 1000) % 65_536}\n`);
    }
    const complaints = this.complaints;
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    this.#process = this.#start();
    await this.ready();
  }

  /**
   * One request on the local socket; the lines before its "ok". babeld cuts short what it says to a reader that takes
   * nothing for a few tenths of a second, as on a busy machine: it is asked again.
   */
  async ask(request: string): Promise<string[]> {
    return until(`babeld answers "${request}" to its end`, patience, () => this.#askOnce(request));
  }

  /** Undefined when it was cut short. */
  #askOnce(request: string): Promise<string[] | undefined> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(this.#path('sock'));
      let text = '';
      let greeted = false;
      socket.setEncoding('utf8');
      socket.setTimeout(patience, () => socket.destroy(new Error(`babeld does not answer "${request}"`)));
      socket.on('error', reject);
      socket.on('close', () => resolve(undefined));
      socket.on('data', (chunk: string) => {
        text += chunk;
        const end = /(?:^|\n)(ok|bad|no[^\n]*)\n$/.exec(text);
        if (!end) return;
        if (!greeted) {
          greeted = true;
          text = '';
          socket.write(`${request}\n`);
          return;
        }
        socket.end();
        if (end[1] === 'ok') resolve(text.split('\n').slice(0, -2));
        else reject(new Error(`babeld says ${end[1]} to "${request}"`));
      });
    });
  }

  /** Its table: routes learned and prefixes of its own. */
  async table(): Promise<TableRow[]> {
    const rows: TableRow[] = [];
    for (const line of await this.ask('dump')) {
      const route =
        /^add route \S+ prefix (\S+) .*?installed (yes|no) .*?metric (\d+) refmetric (\d+) via (\S+) if (\S+)/.exec(
          line,
        );
      if (route) {
        rows.push({
          prefix: canonicalPrefix(route[1]!),
          via: route[5]!,
          device: route[6]!,
          metric: Number(route[3]),
          selected: route[2] === 'yes',
          feasible: true,
        });
      }
      const own = /^add xroute \S+ prefix (\S+) .*?metric (\d+)/.exec(line);
      if (own) {
        rows.push({
          prefix: canonicalPrefix(own[1]!),
          via: '',
          device: '',
          metric: Number(own[2]),
          selected: true,
          feasible: true,
        });
      }
    }
    return rows;
  }

  /** Neighbours by link-local address, with the cost it gives them. */
  async neighbours(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const line of await this.ask('dump')) {
      const match = /^add neighbour \S+ address (\S+) .*\bcost (\d+)/.exec(line);
      if (match) found.set(match[1]!, Number(match[2]));
    }
    return found;
  }

  async evidence(): Promise<string> {
    return (await this.ask('dump')).join('\n');
  }
}
