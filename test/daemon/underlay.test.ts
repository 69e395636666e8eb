import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { until } from '../../lab/until.js';

test('where ip fails again and again the reason is told once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-ip-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const ip = join(folder, 'ip');
  writeFileSync(ip, '#!/bin/sh\ncase "$*" in *monitor*) exit 1;; esac\necho no >&2; exit 1\n');
  chmodSync(ip, 0o755);
  const program = fileURLToPath(new URL('../lab/underlay-child.js', import.meta.url));
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const lines = () => said.split('\n').filter((line) => line !== '').length;
  await until('it is told', lines, (count) => count > 0, 20_000);
  const begun = performance.now();
  await until(
    'some time passes',
    () => performance.now() - begun,
    (passed) => passed > 2500,
    5000,
  );
  t.is(lines(), 1, said);
});
