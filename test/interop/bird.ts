import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { canonicalPrefix, type TableRow } from './route.js';
import { type Place, parseComplaints, RouterProcess } from './router.js';
import { patience, until } from './until.js';
import type { Host } from './world.js';

export interface BirdOptions {
  readonly devices: readonly string[];
  /** Receive cost of its interfaces; 96 by default. */
  readonly rxcost?: number;
  /** Static prefixes it announces besides the addresses of its loopback. */
  readonly announce?: readonly string[];
}

/**
 * BIRD on a host, with Hello every second and Update every two. It announces the addresses of its loopback, under a fresh
 * router-id at every start: it keeps no seqno.
 */
export class Bird {
  readonly host: Host;
  readonly #place: Place;
  #options: BirdOptions;
  #process: RouterProcess;

  constructor(place: Place, host: Host, options: BirdOptions) {
    this.#place = place;
    this.host = host;
    this.#options = options;
    this.#process = this.#start();
  }

  #path(kind: string): string {
    return this.#place.file(`${this.host.name}.bird.${kind}`);
  }

  #writeConfig(): void {
    const { devices, rxcost = 96, announce = [] } = this.#options;
    const statics = (family: 'ipv4' | 'ipv6') =>
      announce
        .filter((prefix) => prefix.includes(':') === (family === 'ipv6'))
        .map((prefix) => `route ${prefix} blackhole;`)
        .join(' ');
    const interfaces = devices
      .map(
        (device) => `interface "${device}" { type wired; rxcost ${rxcost}; hello interval 1 s; update interval 2 s; };`,
      )
      .join('\n  ');
    const channel = 'import all; export where source ~ [RTS_DEVICE, RTS_STATIC, RTS_BABEL];';
    writeFileSync(
      this.#path('conf'),
      `log stderr all;
router id 10.255.0.${this.host.number};
protocol device {}
protocol direct { ipv4; ipv6; interface "lo"; }
protocol static static4 { ipv4; ${statics('ipv4')} }
protocol static static6 { ipv6; ${statics('ipv6')} }
protocol kernel { ipv4 { export where source = RTS_BABEL; }; }
protocol kernel { ipv6 { export where source = RTS_BABEL; }; }
protocol babel babel1 {
  randomize router id yes;
  ipv4 { ${channel} };
  ipv6 { ${channel} };
  ${interfaces}
}
`,
    );
  }

  #start(): RouterProcess {
    this.#writeConfig();
    return new RouterProcess(
      this.#place,
      this.host,
      'bird',
      '-f',
      '-c',
      this.#path('conf'),
      '-s',
      this.#path('ctl'),
      '-P',
      this.#path('pid'),
    );
  }

  async ready(): Promise<this> {
    await until(`BIRD on ${this.host.name} listens`, patience, () => existsSync(this.#path('ctl')) && this.#answers());
    return this;
  }

  #answers(): boolean {
    try {
      return this.ask('show', 'status').includes('Daemon is up and running');
    } catch {
      return false; // its socket is of the run before, or not listened on yet
    }
  }

  get complaints(): string[] {
    return parseComplaints(this.#process.log);
  }

  get log(): readonly string[] {
    return this.#process.log;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#process.end(signal);
  }

  async startAgain(): Promise<void> {
    const complaints = this.complaints;
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    this.#process = this.#start();
    await this.ready();
  }

  /** Changes options while it runs: its tables and seqno stay. */
  configure(change: Partial<BirdOptions>): void {
    this.#options = { ...this.#options, ...change };
    this.#writeConfig();
    this.ask('configure');
  }

  ask(...words: readonly string[]): string {
    return execFileSync('birdc', ['-s', this.#path('ctl'), ...words], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** Its table of learned routes, and the prefixes of its own. */
  table(): TableRow[] {
    const rows: TableRow[] = [];
    for (const line of this.ask('show', 'babel', 'routes').split('\n')) {
      const match = /^(\S+\/\d+)\s+(\S+)\s+(\S+)\s+(\d+)\s+([*+]?)\s+(\d+)\s+/.exec(line);
      if (!match) continue;
      rows.push({
        prefix: canonicalPrefix(match[1]!),
        via: match[2]!,
        device: match[3]!,
        metric: Number(match[4]),
        selected: match[5] === '*',
        feasible: match[5] !== '',
      });
    }
    for (const line of this.ask('show', 'route', 'where', 'source', '~', '[RTS_DEVICE, RTS_STATIC]').split('\n')) {
      const match = /^(\S+\/\d+)\s/.exec(line);
      if (!match) continue;
      rows.push({ prefix: canonicalPrefix(match[1]!), via: '', device: '', metric: 0, selected: true, feasible: true });
    }
    return rows;
  }

  evidence(): string {
    return this.ask('show', 'babel', 'neighbors') + this.ask('show', 'babel', 'routes');
  }
}
