import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { byTurns, groupsOf } from '../../scripts/shared-workers.js';
import { filesOf, inOrder, mayRunAgain, mostAtOnce, stemOf, testParts } from '../../scripts/test-parts.js';

const sources = testParts.map((part) => ({ part, files: filesOf(part, 'test', '.test.ts') }));

const builtOf = (file: string) => `dist/${file.replace(/ts$/, 'js')}`;

test('every test file belongs to one part', (t) => {
  const all = sources.flatMap(({ files }) => files);
  t.true(all.length > 100);
  t.is(new Set(all).size, all.length);
  for (const { part, files } of sources) t.true(files.length > 0, part.name);
});

test('files that are named are there', (t) => {
  for (const { part, files } of sources) {
    const { timed = [], alone = [], long = [] } = part.real ?? {};
    const named = [...timed, ...alone, ...long, ...(part.unshared ?? [])];
    const stems = files.map(stemOf);
    for (const name of named) t.true(stems.includes(name), `${part.name}: ${name}`);
  }
});

test('those that take longest begin first, and none is lost', (t) => {
  const real = { timed: [], alone: [], long: ['wires', 'flow'] };
  const part = { name: 'lab', budget: 1, root: true, folders: [], real };
  const files = ['doctor', 'flow', 'wires', 'world'].map((stem) => `dist/test/lab/${stem}.test.js`);
  t.deepEqual(inOrder(part, files).map(stemOf), ['wires', 'flow', 'doctor', 'world']);
  for (const { part: each, files: all } of sources)
    t.deepEqual(inOrder(each, all).toSorted(), all.toSorted(), each.name);
});

test('of the files that share workers each is in one group, with others of its folder', (t) => {
  for (const { part, files } of sources) {
    const built = files.map(builtOf);
    const groups = groupsOf(part, built);
    const grouped = groups.flatMap(({ members }) => members);
    t.is(groups.length > 0, part.shared !== undefined, part.name);
    t.is(new Set(grouped).size, grouped.length);
    t.is(new Set(groups.map(({ file }) => file)).size, groups.length);
    for (const { members } of groups) t.is(new Set(members.map((file) => dirname(file))).size, 1);
    for (const file of built) {
      const isShared = part.shared?.some((name) => dirname(file) === `dist/test/${name}`) ?? false;
      t.is(grouped.includes(file), isShared && !part.unshared?.includes(stemOf(file)), file);
    }
  }
});

test('groups and what is in none begin by turns, and none is lost', (t) => {
  const part = { name: 'units', budget: 1, root: false, folders: [], unshared: ['waits'] };
  const groups = ['one', 'two'].map((file) => ({ file, members: [`${file}'s`] }));
  const turns = byTurns(part, groups, ["one's", 'a.test.js', "two's", 'b.test.js', 'c.test.js', 'waits.test.js']);
  t.deepEqual(turns, ['one', 'waits.test.js', 'two', 'a.test.js', 'b.test.js', 'c.test.js']);
});

// AVA fails a file of its own that declares no test, but among the members of a group it sees none.
test('each of the files that share workers declares a test', (t) => {
  for (const { part, files } of sources) {
    for (const file of groupsOf(part, files.map(builtOf)).flatMap(({ members }) => members)) {
      const source = file.replace(/^dist\//, '').replace(/js$/, 'ts');
      t.regex(readFileSync(source, 'utf8'), /^ *test(\.\w+)*\(/m, source);
    }
  }
});

/**
 * What must hold whatever else the machine does: who is admitted or out, what is secret, what travels whole, what is
 * left behind.
 */
const safety =
  /\btoken|secret|revoke|revocation|spoof|forge|checksum|malicious|stranger|without a trace|leaves no|left behind/i;

test('what guards a safety property has one try: no file that runs again speaks of any', (t) => {
  const again = sources.flatMap(({ part, files }) => files.filter((file) => mayRunAgain(part, file)));
  t.true(again.length > 0);
  for (const file of again) {
    const titles = readFileSync(file, 'utf8').matchAll(/\b(?:test|serial)(?:\.serial)?\(\s*[`'](.*?)[`'],/g);
    for (const [, title = ''] of titles) t.notRegex(title, safety, file);
  }
});

test('what judges time has at most one other beside it; the parts that ask no root have one try too', (t) => {
  for (const { part, files } of sources) {
    for (const file of files.filter((each) => mayRunAgain(part, each))) {
      t.true(part.root, file);
      t.true(mostAtOnce(part, file) < 3, file);
    }
  }
});
