import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { adminClient } from '../../daemon/admin-client.js';
import { State } from '../../daemon/state.js';
import { MeshError } from '../../src/errors.js';
import { foreign } from '../../src/ffi.js';
import { second } from '../../src/time.js';
import { wellStatus } from './fake-node.js';

const daemon = fileURLToPath(new URL('./daemon-child.js', import.meta.url));

interface Daemon {
  readonly folder: string;
  readonly socket: string;
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Settles when a line of its log or complaint has these words. */
  says(words: string): Promise<string>;
  readonly ended: Promise<number | null>;
}

function daemonIn(t: ExecutionContext, stopping: string, folder = folderFor(t), env: NodeJS.ProcessEnv = {}): Daemon {
  const socket = join(folder, 'weft.sock');
  const child = spawn(process.execPath, [daemon, stopping], {
    env: {
      ...process.env,
      WEFT_SOCKET: socket,
      WEFT_STATE: join(folder, 'state'),
      XDG_CONFIG_HOME: folder,
      WEFT_CONFIG: '',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const hear = (line: string) => {
    lines.push(line);
    for (const wake of waiting) wake();
  };
  createInterface({ input: child.stderr }).on('line', hear);
  createInterface({ input: child.stdout }).on('line', hear);
  const ended = new Promise<number | null>((resolve) => child.on('close', (status) => resolve(status)));
  void ended.then(() => hear('(ended)'));
  const says = async (words: string) => {
    for (;;) {
      const line = lines.find((text) => text.includes(words));
      if (line !== undefined) return line;
      if (lines.at(-1) === '(ended)') throw new Error(`ended without saying ${words}: ${lines.join('\n')}`);
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  return { folder, socket, child, lines, says, ended };
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-daemon-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a daemon serves its socket and stops in order on SIGTERM', async (t) => {
  const { child, socket, says, ended, lines, folder } = daemonIn(t, 'well', undefined, {
    STOP_BEFORE: `${2 * second}`,
  });
  await says('member of a network');
  t.deepEqual(await adminClient(socket).status(), wellStatus);
  child.kill('SIGTERM');
  t.is(await ended, 0, 'in order, and within 2 s');
  t.true(lines.includes('node stopped'));
  t.false(existsSync(socket));
  t.notThrows(() => State.open(join(folder, 'state')).close());
});

test('a daemon without a network says what to type', async (t) => {
  const { says } = daemonIn(t, 'outside');
  t.regex(await says('this machine belongs to no network'), /weft init.*weft join TOKEN/);
});

test('a node that hangs while stopping is given up before the service manager uses force', async (t) => {
  const unit = readFileSync(new URL('../../../packaging/weft.service', import.meta.url), 'utf8');
  const patience = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]) * second;
  const { child, says, ended, lines } = daemonIn(t, 'hangs', undefined, { STOP_BEFORE: `${patience - second / 2}` });
  await says('member of a network');
  child.kill('SIGTERM');
  t.is(await ended, 3, lines.join('\n'));
  t.true(lines.includes('node stopped'));
});

test('a daemon on a machine that is not fit says so in one line and exits 1', async (t) => {
  const { ended, lines, folder } = daemonIn(t, 'unfit');
  t.is(await ended, 1);
  t.deepEqual(lines, ['weftd: no /dev/net/tun; modprobe tun', '(ended)']);
  t.notThrows(() => State.open(join(folder, 'state')).close());
});

test('what cannot begin once all is up says so in one line, and never that it is ready', async (t) => {
  const { ended, lines } = daemonIn(t, 'refuses');
  t.is(await ended, 1);
  t.deepEqual(lines, ['node stopped', 'weftd: the token is of yesterday; get another', '(ended)']);
});

test('a bad configuration is one line with its line number, and nothing is started', async (t) => {
  const folder = folderFor(t);
  const file = join(folder, 'my.toml');
  writeFileSync(file, 'nmae = "attic"\n');
  const { ended, lines } = daemonIn(t, 'well', folder, { WEFT_CONFIG: file });
  t.is(await ended, 1);
  t.deepEqual(lines, [`weftd: ${file} line 1: unknown key "nmae"; did you mean "name"?`, '(ended)']);
  t.false(existsSync(join(folder, 'state')));
});

test('a node that fails for good takes the daemon with it, to be restarted', async (t) => {
  const { ended, lines } = daemonIn(t, 'fails');
  t.is(await ended, 1);
  t.true(lines.some((line) => line.includes('a worker died')));
});

test('two daemons on one state: the second is refused, the first lives; after kill -9 the state is free', async (t) => {
  const first = daemonIn(t, 'well');
  await first.says('member of a network');
  const second = daemonIn(t, 'well', first.folder);
  t.is(await second.ended, 1);
  t.regex(second.lines[0]!, /another weftd or weft command is using/);
  t.deepEqual(await adminClient(first.socket).status(), wellStatus);
  first.child.kill('SIGKILL');
  await first.ended;
  const third = daemonIn(t, 'well', first.folder);
  await third.says('member of a network');
  t.deepEqual(await adminClient(third.socket).status(), wellStatus);
});

test('a client is told when the daemon stops in the middle of a view', async (t) => {
  const { child, socket, says } = daemonIn(t, 'well');
  await says('member of a network');
  const view = adminClient(socket).events({}, () => child.kill('SIGTERM'), new AbortController().signal);
  t.is((await t.throwsAsync(view, { instanceOf: MeshError }))?.code, 'daemon-gone');
});

const [afUnix, sockDgram, cloexec] = [1, 2, 0o2000000];

test('the service manager hears READY, WATCHDOG and STOPPING', async (t) => {
  const folder = folderFor(t);
  const name = join(folder, 'notify');
  const socket = foreign('int socket(int domain, int type, int protocol)')(afUnix, sockDgram | cloexec, 0);
  const address = Buffer.concat([Buffer.from([afUnix, 0]), Buffer.from(name)]);
  t.is(foreign('int bind(int fd, const uint8_t *to, uint32_t length)')(socket, address, address.length), 0);
  const receive = foreign('intptr_t recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)');
  const buffer = Buffer.alloc(100);
  const heard = () =>
    new Promise<string>((resolve, reject) =>
      receive.async(socket, buffer, buffer.length, 0, (error: unknown, length: number) =>
        error ? reject(error) : resolve(buffer.toString('utf8', 0, length)),
      ),
    );
  const daemonProcess = daemonIn(t, 'well', folder, { NOTIFY_SOCKET: name, WATCHDOG_USEC: '20000' });
  t.is(await heard(), 'READY=1');
  t.is(await heard(), 'WATCHDOG=1');
  daemonProcess.child.kill('SIGTERM');
  let last = await heard();
  while (last === 'WATCHDOG=1') last = await heard();
  t.is(last, 'STOPPING=1');
  t.is(await daemonProcess.ended, 0);
  foreign('int close(int fd)')(socket);
});
