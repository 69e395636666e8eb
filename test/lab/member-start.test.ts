import { spawn } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Invitation, Peer, Status } from '../../daemon/api.js';
import { host } from '../../lab/description.js';
import type { Host } from '../../lab/machines.js';
import { finished, type Output } from '../../lab/namespace.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { second } from '../../src/time.js';

const world = await World.build({ alone: host(), other: host(), quiet: host() });
test.after.always(() => world.remove());
const clone = join(world.folder, 'clone');

async function must(command: readonly string[], cwd: string): Promise<Output> {
  const output = await finished(spawn(command[0]!, command.slice(1), { cwd, stdio: ['ignore', 'pipe', 'pipe'] }));
  if (output.code !== 0) throw new Error(`${command.join(' ')}: ${output.stdout}${output.stderr}`);
  return output;
}

/**
 * `npm start` in the clone on a machine of its own, as its operator types it, with this standard input; ready when it
 * has said what to type next.
 */
async function npmStart(machine: Host, words: readonly string[] = [], input = '') {
  const folder = join(world.folder, machine.name);
  const env = { WEFT_STATE: join(folder, 'state'), WEFT_SOCKET: join(folder, 'sock'), WEFT_CONFIG: '' };
  const child = machine.namespace.spawn(['npm', 'start', '--silent', '--prefix', clone, ...words], {
    env,
    stdin: 'pipe',
  });
  child.stdin!.end(input);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  const { took } = await until(
    `npm start on ${machine.name}`,
    () => (child.exitCode === null ? said : `it ended: ${said}`),
    (text) => text.includes('Ctrl-C stops it') || text.startsWith('it ended'),
    60 * second,
    () => said,
  );
  if (child.exitCode !== null) throw new Error(said);
  const weft = async <T>(...args: readonly string[]) => {
    const output = await machine.namespace.run([
      process.execPath,
      join(clone, 'dist/bin/weft.js'),
      '--socket',
      env.WEFT_SOCKET,
      ...args,
    ]);
    return { code: output.code, json: JSON.parse(output.stdout) as T };
  };
  const stop = async () => {
    const ended = finished(child);
    // The terminal sends Ctrl-C to all of them: whatever runs on this machine.
    const { stdout } = await finished(
      spawn('ip', ['netns', 'pids', machine.namespace.name], { stdio: ['ignore', 'pipe', 'inherit'] }),
    );
    for (const pid of stdout.split('\n').filter((line) => line !== '')) process.kill(Number(pid), 'SIGINT');
    return ended;
  };
  return { said: () => said, took, weft, stop };
}

/** Every field that docs/OPERATIONS.md promises, with its type; null where nothing is known. */
function isAsPromised(t: ExecutionContext, status: Status): void {
  type Kind = 'string' | 'number';
  const text: Kind = 'string';
  const number: Kind = 'number';
  const promised: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
    '': { schema: number, version: text, uptimeSeconds: number, cipher: text, workers: number },
    node: { name: text, id: text, address: text, prefix: text, number },
    network: { id: text, prefix: text },
    tun: { name: text, mtu: number, offload: text },
    tunnels: { up: number, total: number, overTcp: number, overTls: number },
    routes: { selected: number, total: number },
  };
  for (const [part, fields] of Object.entries(promised)) {
    const object = (part === '' ? status : status[part as keyof Status]) as unknown as Record<string, unknown>;
    for (const [field, type] of Object.entries(fields)) t.is(typeof object[field], type, `${part}.${field}`);
  }
  t.true(['aes-256-gcm', 'chacha20-poly1305'].includes(status.cipher));
  t.is(status.tls, null);
  t.true(status.endpoints.length > 0);
  for (const endpoint of status.endpoints) {
    t.deepEqual(Object.keys(endpoint).sort(), ['address', 'askedAgainSeconds', 'port', 'proven', 'source']);
  }
  const mapping = ['state', 'protocol', 'gateway', 'externalAddress', 'externalPort', 'leaseSeconds', 'reason', 'tcp'];
  for (const field of mapping) t.true(field in status.portMapping, `portMapping.${field}`);
  for (const item of status.health) {
    t.deepEqual(Object.keys(item).sort(), ['code', 'fix', 'message', 'severity']);
  }
}

test.serial(
  'npm start in a fresh clone on a machine alone, and on a second machine with the line it prints',
  async (t) => {
    const { stdout } = await must(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], '.');
    for (const file of stdout.split('\0').filter((name) => name !== '' && name !== 'node_modules')) {
      mkdirSync(join(clone, dirname(file)), { recursive: true });
      cpSync(file, join(clone, file));
    }
    // The registry is not reachable from a machine of the lab: what npm start would install first is installed before it.
    const started = performance.now();
    // Who types a command too early is told nothing useful, but must not be left with a broken one for good.
    await must(['sh', '-c', 'npx --no weft --version || true'], clone);
    await must(['sh', 'scripts/prepare.sh'], clone);
    t.regex((await must(['npx', '--no', 'weft', '--version'], clone)).stdout, /^\d+\.\d+\.\d+\n$/);
    const installed = performance.now() - started;
    const alone = await npmStart(world.host('alone'));
    const { code, json: status } = await alone.weft<Status>('status', '--json');
    const took = performance.now() - started;
    t.log(`installed in ${Math.round(installed)} ms, running and asked after ${Math.round(took)} ms`);
    t.true(took < 120 * second);
    t.is(code, 0);
    isAsPromised(t, status);
    t.true(alone.said().includes(status.node!.address));
    t.true(alone.said().includes('npx weft status'));

    const line = /npm start -- join (\S+)/.exec(alone.said());
    const other = await npmStart(world.host('other'), ['--', 'join', line![1]!]);
    await until(
      'the two have a tunnel',
      async () => (await other.weft<Peer[]>('peers', '--json')).json,
      (peers) => peers.length === 1 && peers[0]!.state === 'direct',
      10 * second,
    );
    // What is read from standard input is in no list of processes and no log of npm's.
    const { token } = (await alone.weft<Invitation>('invite', '--json')).json;
    const quiet = await npmStart(world.host('quiet'), ['--', 'join', '-'], `${token}\n`);
    t.is((await quiet.weft<Status>('status', '--json')).json.network!.id, status.network!.id);
    await quiet.stop();
    // Again: nothing to install, nothing to build, the same node.
    await alone.stop();
    const again = await npmStart(world.host('alone'));
    t.log(`the second time in ${Math.round(again.took)} ms`);
    t.is((await again.weft<Status>('status', '--json')).json.node!.address, status.node!.address);
    t.true(again.took < 20 * second);
    await Promise.all([again.stop(), other.stop()]);
  },
);
