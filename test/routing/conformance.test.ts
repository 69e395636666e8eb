import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

/* docs/babel-conformance.md names tests; this one keeps it exact. Compiled files lie in dist/test/routing. */
const root = join(import.meta.dirname, '..', '..', '..');
const table = readFileSync(join(root, 'docs', 'babel-conformance.md'), 'utf8');

/** What the third column of every row under "shown by" says, in parts. */
function references(): string[] {
  const found: string[] = [];
  let shows = false;
  for (const line of table.split('\n')) {
    if (!line.startsWith('|')) shows = false;
    else if (line.includes('| shown by |')) shows = true;
    else if (shows && !line.startsWith('|---')) {
      found.push(
        ...line
          .split('|')
          .at(-2)!
          .split(';')
          .map((part) => part.trim()),
      );
    }
  }
  return found;
}

function titlesOf(file: string): string[] {
  const path = join(root, 'test', `${file.includes('/') ? file : `routing/${file}`}.test.ts`);
  if (!existsSync(path)) return [];
  const titles = readFileSync(path, 'utf8').matchAll(/^\s*(?:serial|test)\(\s*(['`])(.*?)\1,/gm);
  return [...titles].map((match) => match[2]!);
}

/** Undefined when the part names something that is there. */
function fault(part: string): string | undefined {
  const [, path, named] = /^`([^`]+)`(?:,? (.+))?$/.exec(part) ?? [];
  if (path !== undefined) {
    if (!existsSync(join(root, path))) return `${part}: no such file`;
    const name = named && /^W\d+$/.test(named) ? `name: '${named}: ` : (named ?? '');
    return readFileSync(join(root, path), 'utf8').includes(name) ? undefined : `${path} has no "${name}"`;
  }
  if (part === 'golden')
    return titlesOf('codec').some((title) => title.includes('golden')) ? undefined : 'no golden test';
  const hostile = /^hostile ([\d, to]+)$/.exec(part)?.[1];
  if (hostile) {
    const known = new Set(titlesOf('hostile').map((title) => Number.parseInt(title, 10)));
    const numbers = hostile.split(', ').flatMap((item) => {
      const [from, to = from] = item.split(' to ').map(Number);
      return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
    });
    const missing = numbers.filter((number) => !known.has(number));
    return missing.length === 0 ? undefined : `no hostile packet ${missing}`;
  }
  const [file = '', words = ''] = part.split(/: (.*)/s);
  return titlesOf(file).some((title) => title.includes(words)) ? undefined : `${file} has no test "${words}"`;
}

test('every test that the conformance table names is there', (t) => {
  const parts = references();
  t.true(parts.length > 60);
  t.deepEqual(
    parts.map(fault).filter((text) => text !== undefined),
    [],
  );
});
