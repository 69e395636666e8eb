import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One part of `npm test`. */
export interface TestPart {
  readonly name: string;
  /** The seconds it may take on 2 cores. */
  readonly budget: number;
  readonly root: boolean;
  /** Folders under test/; the units are everything the other parts do not name. */
  readonly folders: readonly string[];
  /** Folders under test/ whose files share workers. */
  readonly shared?: readonly string[];
  /** Files of those that have a worker of their own all the same, without folder and ending. */
  readonly unshared?: readonly string[];
  /** Absent: files run on as many threads as there are cores. Real daemons on real wires run by other rules. */
  readonly real?: RealFiles;
}

/**
 * Files are named without folder and ending. Whatever is not named waits about half of the time: three at once keep two
 * cores busy. What judges time has one other beside it, and is run once more, alone, when it fails: a machine has other
 * things to do now and then. All else holds whatever the machine does, who gets in, what is kept secret and what is
 * left behind above all, and fails the first time it does not.
 */
export interface RealFiles {
  /** Judges how long something takes, or what is lost of a steady flow, which a machine that starves loses too. */
  readonly timed: readonly string[];
  /** Of milliseconds, or fills the machine: nothing else runs meanwhile. */
  readonly alone: readonly string[];
  /** Take longest, and so begin first: nothing waits for them at the end. */
  readonly long: readonly string[];
}

export const testParts: readonly TestPart[] = [
  {
    name: 'units',
    budget: 90,
    root: false,
    folders: [],
    // Those that take longest first.
    shared: ['control', 'mesh', 'routing', 'tunnel', 'tunnel/plane', 'upnp', 'daemon', 'addr', 'bench'],
    unshared: [
      // Sockets, processes and real time: who computes in their worker would keep them waiting. Those that wait longest first.
      ...['lying-gateways', 'tls-listener', 'ip-batch', 'run-daemon', 'underlay', 'human', 'announcement-listener'],
      ...['admin', 'join-streams', 'tcp-bridge'],
      // What is allocated depends on what else was compiled; one takes threads, one an array's constructor of all.
      ...['allocation', 'replay-window', 'header-key'],
    ],
  },
  { name: 'fuzz', budget: 30, root: false, folders: ['fuzz'] },
  { name: 'simulator', budget: 100, root: false, folders: ['sim'] },
  {
    name: 'interop',
    budget: 120,
    root: true,
    folders: ['interop'],
    real: { timed: ['lan', 'line'], alone: ['lan', 'line', 'miniupnpd'], long: [] },
  },
  {
    name: 'lab',
    budget: 180,
    root: true,
    folders: ['lab'],
    real: {
      timed: [
        'download',
        'few-tunnels',
        'flow',
        'member-restart',
        'nat-punching',
        'nat-short',
        'roaming',
        'routers',
        'wires',
      ],
      alone: ['flow', 'member-restart', 'wires'],
      long: [
        'plane',
        'bad-input',
        'plane-daemons',
        'udp-blocked',
        'member-start',
        'nat-mapping',
        'roaming',
        'nat-short',
      ],
    },
  },
];

/** "dist/test/lab/flow.test.js" is "flow". */
export function stemOf(file: string): string {
  return file.replace(/^.*\//, '').replace(/\.test\.[jt]s$/, '');
}

/** How many files may run at once with this one among them. */
export function mostAtOnce({ real }: TestPart, file: string): 1 | 2 | 3 {
  if (real?.alone.includes(stemOf(file))) return 1;
  return real?.timed.includes(stemOf(file)) ? 2 : 3;
}

export function mayRunAgain(part: TestPart, file: string): boolean {
  return part.real?.timed.includes(stemOf(file)) ?? false;
}

/** In the order in which they are to begin. */
export function inOrder({ real }: TestPart, files: readonly string[]): string[] {
  const long = real?.long ?? [];
  const first = long.flatMap((stem) => files.filter((file) => stemOf(file) === stem));
  return [...first, ...files.filter((file) => !first.includes(file))];
}

/** The test files of a part below `root`, with this ending, sorted. */
export function filesOf(part: TestPart, root = 'dist/test', ending = '.test.js'): string[] {
  const below = (folder: string): string[] =>
    existsSync(folder)
      ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
          const path = join(folder, entry.name);
          if (entry.isDirectory()) return below(path);
          return entry.name.endsWith(ending) ? [path] : [];
        })
      : [];
  if (part.folders.length > 0) return part.folders.flatMap((folder) => below(join(root, folder))).sort();
  const others = testParts.flatMap(({ folders }) => folders).map((folder) => join(root, folder, '/'));
  return below(root)
    .filter((file) => !others.some((folder) => file.startsWith(folder)))
    .sort();
}
