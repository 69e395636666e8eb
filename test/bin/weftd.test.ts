import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const weftd = fileURLToPath(new URL('../../bin/weftd.js', import.meta.url));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [weftd, ...args]);
  return { status, out: stdout.toString(), complaint: stderr.toString() };
}

test('weftd says its version, which is the package’s, and its use', (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  t.deepEqual(run('--version'), { status: 0, out: `${version}\n`, complaint: '' });
  t.regex(run('--help').out, /^usage: weftd \[--config FILE\] \[--state DIR\] \[--socket PATH\]/);
});

test('a flag it does not know is one line and exit 1', (t) => {
  const { status, complaint } = run('--loud');
  t.is(status, 1);
  t.regex(complaint, /^weftd: [^\n]*--loud[^\n]*; see weftd --help\n$/);
});

test('a bad configuration is one line with its line number, exit 1, and no state is made', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-weftd-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'weft.toml');
  writeFileSync(config, '[tun]\nmtu = "big"\n');
  const state = join(folder, 'state');
  t.deepEqual(run('--config', config, '--state', state, '--socket', join(folder, 'sock')), {
    status: 1,
    out: '',
    complaint: `weftd: ${config} line 2: bad value for "tun.mtu"; it must be a whole number from 1280 to 1380\n`,
  });
  t.false(existsSync(state));
});
