import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { type Files, systemFiles } from '../../daemon/files.js';
import { State } from '../../daemon/state.js';
import { utf8 } from '../../src/bytes.js';
import { MeshError } from '../../src/errors.js';
import { MemoryDisk } from './memory-disk.js';

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-state-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'below', 'state');
}

function opened(t: ExecutionContext, folder: string, files?: Files): State {
  const state = State.open(folder, files);
  t.teardown(() => state.close());
  return state;
}

test('what was written is read back, by the next daemon too', (t) => {
  const folder = folderFor(t);
  const first = State.open(folder);
  t.is(first.read('identity'), undefined);
  first.write('identity', utf8('one'));
  first.write('identity', utf8('two'));
  first.write('directory', new Uint8Array());
  first.close();
  const second = opened(t, folder);
  t.deepEqual(second.read('identity'), utf8('two'));
  t.deepEqual(second.read('directory'), new Uint8Array());
  t.deepEqual(second.names(), ['directory', 'identity']);
  second.remove('identity');
  second.remove('identity');
  t.is(second.read('identity'), undefined);
});

test('folder and files are for their owner only', (t) => {
  const folder = folderFor(t);
  opened(t, folder).write('identity', utf8('secret'));
  t.is(statSync(folder).mode & 0o777, 0o700);
  t.is(statSync(join(folder, 'identity.state')).mode & 0o777, 0o600);
});

test('a second daemon on the same state is refused', (t) => {
  const folder = folderFor(t);
  const first = State.open(folder);
  const error = t.throws(() => State.open(folder), { instanceOf: MeshError });
  t.is(error.code, 'state-in-use');
  t.true(error.message.includes(folder));
  first.close();
  t.notThrows(() => State.open(folder).close());
});

test('a blob cut short at any length is refused by name with a cure, and kept', (t) => {
  const folder = folderFor(t);
  const state = opened(t, folder);
  state.write('routing', utf8('four'));
  const file = join(folder, 'routing.state');
  for (let length = statSync(file).size - 1; length >= 0; length--) {
    truncateSync(file, length);
    const error = t.throws(() => state.read('routing'), { instanceOf: MeshError });
    t.is(error.code, 'state-damaged');
    t.true(error.message.includes(file));
    t.true(error.cure.includes(`mv ${file}`));
    t.is(statSync(file).size, length);
  }
});

test('what makes a node a member, and what an issuer holds, have ways back of their own', (t) => {
  const folder = folderFor(t);
  const state = opened(t, folder);
  const cureOf = (name: string) => {
    state.write(name, utf8('four'));
    truncateSync(join(folder, `${name}.state`), 3);
    return t.throws(() => state.read(name), { instanceOf: MeshError }).cure;
  };
  for (const name of ['identity', 'membership']) {
    t.regex(cureOf(name), /put back a copy.*mv identity\.state membership\.state damaged.*"weft invite --as NAME"/);
  }
  t.regex(cureOf('network-key'), /put back a copy.*weft network-key import/);
  t.regex(cureOf('issuer'), /put back a copy.*tokens not used yet are void/);
});

test('a blob with any bit flipped is refused', (t) => {
  const folder = folderFor(t);
  const state = opened(t, folder);
  state.write('identity', utf8('four'));
  const file = join(folder, 'identity.state');
  const whole = readFileSync(file);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    writeFileSync(file, flipped);
    t.throws(() => state.read('identity'), { instanceOf: MeshError });
  }
});

const child = fileURLToPath(new URL('./state-child.js', import.meta.url));

/** Steps of State.open on an empty folder and of four writes, each of which the child is killed at. */
const steps = 4 * 3;

for (let step = 1; step <= steps; step++) {
  test(`killed at step ${step}, before it or midway: the last acknowledged blob or the one being written is there`, (t) => {
    // Of the three steps of a write (file, rename, folder) only the first can be half done.
    for (const midway of step % 3 === 1 ? ['before', 'half'] : ['before']) {
      const folder = folderFor(t);
      const { stdout, signal } = spawnSync(process.execPath, [child, folder, String(step), midway]);
      t.is(signal, 'SIGKILL');
      const acknowledged = stdout.toString().split('\n').filter(Boolean).length;
      const state = opened(t, folder);
      const blob = state.read('identity');
      const generation = blob?.[0] ?? 0;
      t.true(generation === acknowledged || generation === acknowledged + 1, `${generation} after ${acknowledged}`);
      t.true(blob === undefined || (blob.length === 10_000 && blob.every((octet) => octet === generation)));
      t.deepEqual(
        systemFiles.list(folder).filter((name) => name.endsWith('.new')),
        [],
      );
    }
  });
}

test('a power cut at any step leaves the acknowledged blob or the next, whatever the disk kept of the rest', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 16 }),
      fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      (step, kept) => {
        const disk = new MemoryDisk(step);
        let acknowledged = 0;
        try {
          const state = State.open('/state', disk);
          for (let generation = 1; generation < 5; generation++) {
            state.write('identity', new Uint8Array(100).fill(generation));
            acknowledged = generation;
          }
        } catch (error) {
          if (!disk.isOut) throw error;
        }
        const generation = State.open('/state', disk.afterPowerCut(kept)).read('identity')?.[0] ?? 0;
        return generation === acknowledged || generation === acknowledged + 1;
      },
    ),
    { seed: 1, numRuns: 2000 },
  );
  t.pass();
});

for (const [code, expected] of [
  ['ENOSPC', 'disk-full'],
  ['EDQUOT', 'disk-full'],
  ['EROFS', 'state-unusable'],
  ['EIO', 'state-unusable'],
] as const) {
  for (const step of ['write', 'rename', 'syncFolder'] as const) {
    test(`${code} at ${step} is told in words and loses nothing`, (t) => {
      const folder = folderFor(t);
      let failing = false;
      const work = systemFiles[step] as (...args: unknown[]) => void;
      const files: Files = {
        ...systemFiles,
        [step]: (...args: unknown[]) => {
          if (failing) throw Object.assign(new Error(code), { code });
          work(...args);
        },
      };
      const state = opened(t, folder, files);
      state.write('identity', utf8('old'));
      failing = true;
      const error = t.throws(() => state.write('identity', utf8('new')), { instanceOf: MeshError });
      t.is(error.code, expected);
      t.true(error.message.includes(code));
      failing = false;
      // After the rename the new blob is in place, though perhaps not yet durable; before it the old one is.
      t.deepEqual(state.read('identity'), utf8(step === 'syncFolder' ? 'new' : 'old'));
      t.deepEqual(
        systemFiles.list(folder).filter((name) => name.endsWith('.new')),
        [],
      );
      state.write('identity', utf8('new'));
      t.deepEqual(state.read('identity'), utf8('new'));
    });
  }
}

test('what is on the disk is not written again; what failed to get there, was removed or has changed is', (t) => {
  const written: number[] = [];
  let isFull = false;
  const files: Files = {
    ...systemFiles,
    write: (file, bytes) => {
      if (isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      written.push(bytes.length);
      systemFiles.write(file, bytes);
    },
  };
  const state = opened(t, folderFor(t), files);
  const writes = (text: string) => {
    const before = written.length;
    state.write('issuer', utf8(text));
    return written.length - before;
  };
  t.deepEqual([writes('one'), writes('one'), writes('other'), writes('one')], [1, 0, 1, 1]);
  isFull = true;
  t.throws(() => state.write('issuer', utf8('other')), { instanceOf: MeshError });
  isFull = false;
  t.deepEqual([writes('one'), writes('one')], [1, 0]);
  state.remove('issuer');
  t.is(writes('one'), 1);
});

test('a file in the way of the folder is told with a cure', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-state-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'file'), '');
  const error = t.throws(() => State.open(join(folder, 'file', 'state')), { instanceOf: MeshError });
  t.regex(error.cure, /--state/);
});

test('a name that leaves the folder is our bug, not a path', (t) => {
  const state = opened(t, folderFor(t));
  for (const name of ['../x', 'a/b', '', 'lock.new', '.']) t.throws(() => state.read(name), { message: /blob name/ });
});
