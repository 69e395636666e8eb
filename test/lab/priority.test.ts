import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { host } from '../../lab/description.js';
import type { Namespace } from '../../lab/namespace.js';
import { World } from '../../lab/world.js';

const run = promisify(execFile);
const child = fileURLToPath(new URL('./priority-child.js', import.meta.url));

/** A command that starts another, which may not raise its priority. */
const without = ['setpriv', '--bounding-set', '-sys_nice', '--inh-caps', '-sys_nice'];

/** A process whose worker went ahead, started with this niceness by `wrap`: what it was told, and both threads' niceness. */
async function goesAhead(niceness: number, ...wrap: string[]) {
  const command = ['nice', '-n', String(niceness), ...wrap, process.execPath, child];
  const { stdout } = await run(command[0]!, command.slice(1));
  return JSON.parse(stdout) as { readonly done: boolean; readonly worker: number; readonly main: number };
}

test('a worker goes before programs, the rest of the daemon does not', async (t) => {
  t.deepEqual(await goesAhead(0), { done: true, worker: -10, main: 0 });
});

test("whoever starts the daemon with another niceness moves both, to the kernel's bound", async (t) => {
  t.deepEqual(await goesAhead(15), { done: true, worker: 5, main: 15 });
  t.deepEqual(await goesAhead(-15), { done: true, worker: -20, main: -15 });
});

test('where that is not permitted it is said, and all stays as it was', async (t) => {
  t.deepEqual(await goesAhead(0, ...without), { done: false, worker: 0, main: 0 });
});

/**
 * What this machine cannot do, by a TUN that weft has never seen: "fixed" is what nobody can switch on, as UDP segments before Linux
 * 6.2. All else came with Linux 5.0 at the latest, but for instructions the processor lacks.
 */
async function lacking(namespace: Namespace): Promise<string[]> {
  await namespace.must(['ip', 'tuntap', 'add', 'dev', 'other0', 'mode', 'tun']);
  const features = await namespace.must(['ethtool', '-k', 'other0']);
  const isFixed = (name: string) => features.includes(`${name}-segmentation: off [fixed]\n`);
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))![1]!.split(' ');
  return [
    ...(isFixed('tx-tcp6') ? ['no-tso'] : []),
    ...(isFixed('tx-udp') ? ['no-uso'] : []),
    ...(flags.includes('aes') ? [] : ['no-aes']),
  ];
}

test('a daemon lists what the machine lacks and nothing else, and no-priority where it may not', async (t) => {
  const world = await World.build({ a: host() });
  try {
    const node = world.node('a');
    await node.start();
    await node.init();
    const lacks = await lacking(node.host.namespace);
    t.deepEqual((await node.status()).fallbacks, lacks);
    await node.kill('SIGTERM');
    await node.start({ wrap: without });
    t.deepEqual((await node.status()).fallbacks.toSorted(), ['no-priority', ...lacks].toSorted());
    t.regex((await node.run('status')).stdout, /no-priority/);
  } finally {
    world.remove();
  }
});
