import { readFileSync } from 'node:fs';
import test from 'ava';
import { environment, nodeFlags } from '../../daemon/small-memory.js';

const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);

test('weftd is started small by its first line', (t) => {
  const [first] = readFileSync('bin/weftd.ts', 'utf8').split('\n');
  t.is(first, ['#!/usr/bin/env -S', ...settings, 'node', ...nodeFlags].join(' '));
});

test('npm start starts it the same way', (t) => {
  const script = readFileSync('scripts/start.sh', 'utf8');
  for (const part of [...settings, ...nodeFlags]) t.true(script.includes(part), part);
});
