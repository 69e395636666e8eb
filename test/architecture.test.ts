import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';

/** What a room may import from, besides itself (docs/ARCHITECTURE.md: imports point down only). */
const below: Readonly<Record<string, readonly string[]>> = {
  bin: ['daemon', 'src/addr', 'src'],
  daemon: ['src/control', 'src/tunnel', 'src/routing', 'src/upnp', 'src/mesh', 'src/addr', 'src'],
  'src/control': ['src/tunnel', 'src/routing', 'src/upnp', 'src/mesh', 'src/addr', 'src'],
  'src/tunnel': ['src/addr', 'src'],
  'src/routing': ['src/addr', 'src'],
  'src/upnp': ['src/addr', 'src'],
  'src/mesh': ['src/addr', 'src'],
  'src/addr': ['src'],
  src: [],
};

/** Each npm package has one importing file in the product. */
const importers: Readonly<Record<string, string>> = {
  koffi: 'src/ffi.ts',
  'cbor-x/encode': 'src/cbor.ts',
  tweetnacl: 'src/crypto.ts',
  pino: 'daemon/log.ts',
  'smol-toml': 'daemon/config.ts',
  commander: 'bin/weft.ts',
};

/** Shells inside core rooms: threads and sockets, where clocks and chance may live. */
const shells = [/^src\/tunnel\/plane\/(linux|shell|worker)/, /^src\/upnp\/gateways/, /^src\/(random|crypto|ffi)\.ts$/];

const impure = [
  {
    what: 'a clock',
    pattern:
      /\bDate\.now\b|new Date\(\)|\bperformance\.|\bhrtime\b|\bset(Timeout|Interval|Immediate)\(|\bqueueMicrotask\(/,
  },
  { what: 'chance', pattern: /Math\.random\b|\brandom(Bytes|Fill|FillSync|Int|UUID)\(|\bgetRandomValues\(/ },
  { what: 'a socket or process', pattern: /\bprocess\.|\bfetch\(|\bnew (WebSocket|Worker|BroadcastChannel)\(/ },
  // Of Node only its ciphers and hashes, which are functions of what goes in.
  { what: 'a module of Node', pattern: /\b(from|import) 'node:(?!crypto')|\bimport\('node:|\brequire\(/ },
];

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function read(folder: string): Source[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file, 'utf8');
      const imports = [...text.matchAll(/(?:from|import\()\s*'([^']+)'|^import '([^']+)'/gm)].map(
        (match) => match[1] ?? match[2] ?? '',
      );
      return { file, text, imports };
    });
}

const sources = ['bin', 'daemon', 'src'].filter((folder) => existsSync(folder)).flatMap(read);

function roomOf(file: string): string {
  const room = Object.keys(below).filter((name) => file.startsWith(`${name}/`));
  return room.sort((a, b) => b.length - a.length)[0] ?? file;
}

function resolved(source: Source, specifier: string): string {
  return normalize(join(dirname(source.file), specifier)).replace(/\.js$/, '.ts');
}

test('imports point down only', (t) => {
  for (const source of sources) {
    const room = roomOf(source.file);
    for (const specifier of source.imports.filter((name) => name.startsWith('.'))) {
      const target = roomOf(resolved(source, specifier));
      t.true(target === room || below[room]!.includes(target), `${source.file} imports ${specifier}`);
    }
  }
});

test('no file imports itself through others', (t) => {
  const edges = new Map(
    sources.map((source) => [
      source.file,
      source.imports.filter((name) => name.startsWith('.')).map((name) => resolved(source, name)),
    ]),
  );
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) t.is(visit(file, [])?.join(' -> '), undefined);
});

test('each npm package has one importing file', (t) => {
  for (const source of sources) {
    for (const specifier of source.imports.filter((name) => !name.startsWith('.') && !name.startsWith('node:'))) {
      t.is(source.file, importers[specifier] ?? 'nowhere: list the package', `${source.file} imports ${specifier}`);
    }
  }
});

test('no clock, chance, socket, thread or file inside the cores', (t) => {
  const cores = sources.filter(({ file }) => file.startsWith('src/') && !shells.some((shell) => shell.test(file)));
  for (const { file, text } of cores) t.deepEqual(impuritiesOf(text), [], file);
});

test('what is impure is noticed, however it is written', (t) => {
  for (const line of [
    "import { setTimeout as sleep } from 'node:timers/promises';",
    "import { connect } from 'node:tls';",
    "const os = await import('node:os');",
    'const clock = Date.now;',
    'setImmediate(next);',
    'const id = crypto.randomUUID();',
    "import 'node:net';",
    'await fetch(url);',
    'process.exit(1);',
  ]) {
    t.not(impuritiesOf(line).length, 0, line);
  }
});

function impuritiesOf(text: string): string[] {
  // isIPv4 and isIPv6 are pure text predicates that happen to live beside the sockets.
  const code = text
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    .replace(/import \{ isIPv4, isIPv6 \} from 'node:net'/, '');
  return impure.filter(({ pattern }) => pattern.test(code)).map(({ what }) => what);
}
