import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../lab/until.js';
import { reportRow } from '../../scripts/verify-row.js';
import { second } from '../../src/time.js';

/**
 * npm run verify, part demo: `npm run demo` to its end, and ended by Ctrl-C at several moments; what it leaves is
 * looked for.
 */

/** The demo in a process group of its own, as a terminal starts it. */
class Demo {
  readonly #child: ChildProcess;
  readonly #before = links();
  readonly ended: Promise<number | NodeJS.Signals | null>;
  said = '';

  constructor() {
    const flags = ['--enable-source-maps', 'dist/lab/demo.js'];
    const child = spawn(process.execPath, flags, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.said += chunk;
      });
    }
  }

  async says(words: RegExp): Promise<void> {
    const look = () => (this.#child.exitCode === null ? this.said : `ended: ${this.said}`);
    await until(`the demo says ${words}`, look, (text) => words.test(text) || text.startsWith('ended'), 90 * second);
    if (!words.test(this.said)) throw new Error(`it ended before it said ${words}: ${this.said}`);
  }

  /** Ctrl-C reaches every process of the group. */
  interrupt(): void {
    process.kill(-this.#child.pid!, 'SIGINT');
  }

  /** What is left a second after it has ended: those that were killed on the way out need a moment. */
  async left(): Promise<string[]> {
    for (let tries = 0; tries < 20 && this.#traces().length > 0; tries++) await sleep(second / 20);
    return this.#traces();
  }

  /** Namespaces, processes, links and files that were not there before, or that bear the demo's name. */
  #traces(): string[] {
    const mark = `weft-${this.#child.pid}-`;
    const processes = readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .filter((pid) => groupOf(pid) === this.#child.pid || commandOf(pid).includes(mark))
      .map((pid) => `process ${pid} ${commandOf(pid)}`);
    return [
      ...readdirSync('/run/netns').filter((name) => name.startsWith(mark)),
      ...readdirSync(tmpdir()).filter((name) => name.startsWith(mark)),
      ...links().filter((link) => !this.#before.includes(link)),
      ...processes,
    ];
  }
}

function links(): string[] {
  const { stdout } = spawnSync('ip', ['-j', 'link'], { encoding: 'utf8' });
  return (JSON.parse(stdout) as { readonly ifname: string }[]).map(({ ifname }) => `link ${ifname}`);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  } catch {
    return ''; // it ended
  }
}

/** The process group; undefined of one that has ended, whether or not somebody has asked for its exit code yet. */
function groupOf(pid: string): number | undefined {
  try {
    const [state, , group] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(group);
  } catch {
    return undefined;
  }
}

async function toItsEnd(): Promise<void> {
  const demo = new Demo();
  const code = await demo.ended;
  const pause = /longest pause ([\d.]+ m?s)/.exec(demo.said)?.[1];
  const isWhole = /the download ended whole/.test(demo.said);
  const left = await demo.left();
  if (code !== 0) console.log(demo.said);
  reportRow({
    what: 'npm run demo: the relay in use dies, the download ends whole, nothing is left',
    target: 'exit 0',
    measured: `exit ${code}, longest pause ${pause ?? 'unknown'}${left.length > 0 ? `, left: ${left.join(', ')}` : ''}`,
    ok: code === 0 && isWhole && left.length === 0,
  });
}

async function interrupted(when: string, words: RegExp): Promise<void> {
  const demo = new Demo();
  let code: unknown;
  try {
    await demo.says(words);
  } finally {
    demo.interrupt();
    code = await demo.ended;
  }
  const left = await demo.left();
  reportRow({
    what: `npm run demo, Ctrl-C ${when}: exit 130, no namespace, process, link or file left`,
    target: 'nothing left',
    measured: `exit ${code}, left: ${left.join(', ') || 'nothing'}`,
    ok: code === 130 && left.length === 0,
  });
}

await toItsEnd();
await interrupted('while the daemons start', /an Internet of four places stands/);
await interrupted('while machines join', /\$ weft join/);
await interrupted('during the download', /\$ curl /);
process.exit(0);
