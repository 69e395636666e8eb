import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';

/** Whoever follows a reference, in a comment or a document, finds what it names. */

const folders = ['.', 'bin', 'daemon', 'src', 'lab', 'bench', 'scripts', 'test', 'docs', 'packaging'];
const files = folders.flatMap((folder) =>
  readdirSync(folder, { recursive: folder !== '.', encoding: 'utf8' }).map((name) => join(folder, name)),
);
/** Escaped line ends stand before a name, not in it. */
const read = (file: string): string => readFileSync(file, 'utf8').replaceAll('\\n', ' ');
const documents = files.filter((file) => file.endsWith('.md'));
const sources = files.filter((file) => /\.(ts|sh|toml|service)$/.test(file));

/** "PROTOCOL.md" and the like live in docs/, measured reports in docs/reports/. */
function placeOf(name: string, from: string): string | undefined {
  return [name, join('docs', name), join('docs/reports', name), join(dirname(from), name)]
    .map(normalize)
    .find(existsSync);
}

const headingsOf = (file: string) => [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!.trim());

test('a document that a source or another document names is there', (t) => {
  const missing: string[] = [];
  for (const file of [...sources, ...documents]) {
    for (const [, name] of read(file).matchAll(/(?<![\w/.-])((?:[\w-]+\/)*[\w-]+\.md)\b/g)) {
      if (!placeOf(name!, file)) missing.push(`${file} names ${name}`);
    }
  }
  t.deepEqual(missing, []);
});

test('sections that are cited exist: PROTOCOL.md §n by its number, others by their heading', (t) => {
  const protocol = ['docs/PROTOCOL.md', 'docs/protocol/tunnel.md'].flatMap(headingsOf);
  for (const file of sources) {
    // A comment goes on in the next line behind its star.
    const text = read(file).replace(/\n\s*(?:\*|\/\/) ?/g, ' ');
    for (const [cited, section] of text.matchAll(/PROTOCOL\.md §(\d+)/g)) {
      t.true(
        protocol.some((heading) => heading.startsWith(`${section}. `)),
        `${file} cites ${cited}`,
      );
    }
    for (const [cited, name, heading] of text.matchAll(/(docs\/[\w/-]+\.md), ([A-Z][\w -]*\w)/g)) {
      t.true(
        read(name!)
          .split('\n')
          .some((line) => line.replace(/^[#*]+ ?/, '').startsWith(heading!)),
        `${file} cites ${cited}`,
      );
    }
  }
});

test('links between documents lead somewhere', (t) => {
  for (const file of documents) {
    for (const [, target] of read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(target!)) t.true(existsSync(join(dirname(file), target!)), `${file} links to ${target}`);
    }
  }
});

test('nothing is explained by a document that is not here', (t) => {
  for (const file of [...sources, ...documents]) {
    if (file !== 'test/documents.test.ts') t.notRegex(read(file), /\bDESIGN\b/, file);
  }
});
