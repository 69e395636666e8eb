import { readFileSync } from 'node:fs';
import test from 'ava';

interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly os?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { readonly packages: Record<string, Entry> };
const entries = Object.entries(lock.packages);

test('the lock file names no download addresses', (t) => {
  for (const [path, entry] of entries) t.is(entry.resolved, undefined, path);
});

test('the lock file holds the packages of every platform, so that npm ci works on each', (t) => {
  for (const [path, { optionalDependencies = {} }] of entries) {
    for (const name of Object.keys(optionalDependencies)) {
      const entry = lock.packages[`node_modules/${name}`];
      t.truthy(entry?.version, `${name}, wanted by ${path}`);
      t.truthy(entry?.os ?? !/darwin|win32|linux|android/.test(name), `${name} says for which system it is`);
    }
  }
});
