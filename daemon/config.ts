import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parse, TomlError } from 'smol-toml';
import { nameFrom } from '../src/addr/name.js';
import { MeshError } from '../src/errors.js';
import { nearest } from '../src/near.js';
import { configKeys, isKey, isTableList, kebab, type Values } from './config-keys.js';

/** What the operator set, with every default filled in; durations in milliseconds. The only smol-toml import. */
export type Config = Values<typeof configKeys> & { readonly name: string };

/**
 * Reads the file; `optional`: no such file means the defaults. Throws MeshError naming file, line, key and cure on what
 * cannot be read, on an unknown key and on a bad value.
 */
export function readConfig(file: string, optional: boolean): Config {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (!(optional && (code === 'ENOENT' || code === 'ENOTDIR'))) {
      throw new MeshError('config-unreadable', `cannot read ${file} (${code})`, 'check its path and permissions', {
        cause: error,
      });
    }
  }
  return parseConfig(text, file);
}

/** The same from text; `file` is only named in errors. */
export function parseConfig(text: string, file: string): Config {
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new MeshError('config-syntax', `${file} line ${error.line}: ${what}`, 'mend that line; the file is TOML', {
      cause: error,
    });
  }
  const reader = new Reader(text, file);
  const config = reader.read(configKeys, table, []) as Values<typeof configKeys>;
  const { listen, certificate, key } = config.tls;
  if (listen && !certificate) reader.refuseMissing(['tls', 'certificate'], configKeys.tls.certificate.sample);
  if (listen && !key) reader.refuseMissing(['tls', 'key'], configKeys.tls.key.sample);
  return { ...config, name: config.name ?? nameFrom(hostname()) };
}

type Path = readonly (string | number)[];

class Reader {
  readonly #text: string;
  readonly #file: string;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  read(keys: object, table: Record<string, unknown>, path: Path): object {
    const known = new Map(Object.entries(keys).map(([name, node]) => [kebab(name), { name, node: node as object }]));
    for (const name of Object.keys(table))
      if (!known.has(name)) this.#refuseUnknown([...path, name], [...known.keys()]);
    const out: Record<string, unknown> = {};
    for (const [written, { name, node }] of known) out[name] = this.#readNode(node, table[written], [...path, written]);
    return out;
  }

  #readNode(node: object, value: unknown, path: Path): unknown {
    if (isKey(node)) {
      if (value === undefined) return node.preset;
      const read = node.read(value);
      if (read === undefined) this.#refuseValue(path, node.want);
      return read;
    }
    if (isTableList(node)) {
      if (value === undefined) return [];
      if (!Array.isArray(value)) return this.#refuseValue(path, `written as [[${path.join('.')}]]`);
      return value.map((item, i) => this.#readItem(node.each, item, [...path, i]));
    }
    if (value !== undefined && !isTable(value)) this.#refuseValue(path, `a table: [${path.join('.')}]`);
    return this.read(node, (value ?? {}) as Record<string, unknown>, path);
  }

  /** Keys of a list's tables that have no default must be there. */
  #readItem(keys: object, item: unknown, path: Path): object {
    if (!isTable(item)) this.#refuseValue(path, 'a table');
    const read = this.read(keys, item as Record<string, unknown>, path) as Record<string, unknown>;
    const missing = Object.entries(keys).find(([name, key]) => read[name] === undefined && !('optional' in key))?.[0];
    if (missing !== undefined) {
      throw new MeshError(
        'config-missing-key',
        `${this.#where(path)}[[${dotted(path)}]] lacks "${kebab(missing)}"`,
        `add ${kebab(missing)} = ${(keys as Record<string, { sample: string }>)[missing]!.sample}`,
      );
    }
    return read;
  }

  refuseMissing(path: Path, sample: string): never {
    const [table, name] = [path.slice(0, -1), String(path.at(-1))];
    throw new MeshError(
      'config-missing-key',
      `${this.#where(path)}[${dotted(table)}] lacks "${name}"`,
      `add ${name} = ${sample}`,
    );
  }

  #refuseUnknown(path: Path, known: readonly string[]): never {
    const name = String(path.at(-1));
    const near = known.find((other) => other.replaceAll('-', '') === name.replace(/[-_]/g, '').toLowerCase());
    const close = near ?? nearest(name, known);
    throw new MeshError(
      'config-unknown-key',
      `${this.#where(path)}unknown key "${dotted(path)}"`,
      close ? `did you mean "${close}"?` : `the keys here are ${known.join(', ')}; "weft config" explains them`,
    );
  }

  #refuseValue(path: Path, want: string): never {
    throw new MeshError(
      'config-bad-value',
      `${this.#where(path)}bad value for "${dotted(path)}"`,
      `it must be ${want}`,
    );
  }

  #where(path: Path): string {
    const line = lineOf(this.#text, path);
    return line === undefined ? `${this.#file}: ` : `${this.#file} line ${line}: `;
  }
}

function dotted(path: Path): string {
  return path.filter((part) => typeof part === 'string').join('.');
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/**
 * The line where `path` is written, 1 for the first; undefined when the scan finds none. smol-toml keeps no positions of
 * keys; this follows headers and keys, and may be fooled by text in multi-line strings, which the configuration has no use
 * for.
 */
export function lineOf(text: string, path: Path): number | undefined {
  const wanted = path.join('.');
  const counts = new Map<string, number>();
  let table = '';
  let best: { line: number; length: number } | undefined;
  for (const [i, raw] of text.split('\n').entries()) {
    const list = /^\s*\[\[([^\]]+)\]\]/.exec(raw);
    const header = list ?? /^\s*\[([^\]]+)\]/.exec(raw);
    const assigned = /^\s*([^=#[\]]+?)\s*=/.exec(raw);
    let here: string | undefined;
    if (header) {
      table = parts(header[1]!).join('.');
      if (list) {
        const count = counts.get(table) ?? 0;
        counts.set(table, count + 1);
        table = `${table}.${count}`;
      }
      here = table;
    } else if (assigned) here = [table, ...parts(assigned[1]!)].filter((part) => part !== '').join('.');
    // An inline table or a header above the key is the next best place to point at.
    const fits =
      here !== undefined && (wanted === here || wanted.startsWith(`${here}.`) || here.startsWith(`${wanted}.`));
    if (fits && (!best || Math.min(here!.length, wanted.length) > best.length)) {
      best = { line: i + 1, length: Math.min(here!.length, wanted.length) };
    }
  }
  return best?.line;
}

function parts(key: string): string[] {
  return key.split('.').map((part) => part.trim().replace(/^["']|["']$/g, ''));
}
