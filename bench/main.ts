import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { Narrator } from '../lab/narrator.js';
import { requireLab } from '../lab/requirements.js';
import { table } from '../lab/table.js';
import { checkedOut } from '../scripts/checked-out.js';
import { minute, second } from '../src/time.js';
import { readOrder } from './arguments.js';
import type { Contender } from './contender.js';
import { bare } from './contenders/bare.js';
import { nebula } from './contenders/nebula.js';
import { tinc } from './contenders/tinc.js';
import { weft } from './contenders/weft.js';
import { wireguardGo12, wireguardGo13 } from './contenders/wireguard.js';
import { yggdrasil } from './contenders/yggdrasil.js';
import { isFailed, verdictCells } from './floors.js';
import { gaps } from './gaps.js';
import { Left } from './left.js';
import { partLine, readParts } from './part.js';
import { number } from './plot.js';
import { RunRecord } from './record.js';
import { directRound, figures, Row, relayRound } from './round.js';
import { readVerified } from './verified.js';

const all: readonly Contender[] = [bare, weft, wireguardGo13, wireguardGo12, yggdrasil, nebula, tinc];

/** weft's parts alone: what seals, opens, cuts, glues, looks up and shakes hands. */
const parts = 'parts';
const keys = [...figures.map(({ key }) => key), parts];

const usage = `npm run bench -- [options]
  --rounds N          rounds, alternating between the contenders (default 5)
  --seconds N         of each throughput run (default 2)
  --only NAME,NAME    contenders, by how their names begin: ${all.map(({ name }) => name).join(', ')}
  --figures KEY,KEY   figures: ${keys.join(', ')}
  --no-relays         only two hosts
  --out FOLDER        where results go (default bench/results)`;

const order = readOrder(
  process.argv.slice(2),
  all.map(({ name }) => name),
  keys,
  join('bench', 'results'),
);
if (order === 'help') {
  console.log(usage);
  process.exit(0);
}
if ('wrong' in order) {
  console.error(`${order.wrong}\n\n${usage}`);
  process.exit(1);
}
requireLab(['iperf3', 'wireguard-go', 'wireguard-tools', 'nebula', 'yggdrasil', 'tinc']);

const { rounds, seconds, names, figures: chosen } = order;
const tell = new Narrator();
const absent: string[] = [];
const contenders = all
  .filter((contender) => !names || names.some((word) => contender.name.startsWith(word)))
  .flatMap((contender) => {
    const version = contender.version();
    if (version === undefined) {
      tell.bad(`${contender.name} is not to be had here`);
      absent.push(contender.name);
    }
    return version === undefined ? [] : [{ contender, version }];
  });

const processor = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
const machine = `${cpus().length} × ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node.js ${process.versions.node} (OpenSSL ${process.versions.openssl}), ${/^iperf \S+/.exec(execFileSync('iperf3', ['--version'], { encoding: 'utf8' }))?.[0]}`;
const date = new Date().toISOString().slice(0, 19).replace('T', ' ');
const commit = checkedOut();
const record = new RunRecord(
  { machine, date, commit, rounds, seconds, absent },
  contenders.map(({ contender, version }) => ({ name: contender.name, version })),
  readVerified(readFileSync(join('docs', 'verified.md'), 'utf8')),
);
const file = record.fileIn(order.out);
let isOver = false;
process.once('exit', () => {
  if (isOver) return;
  const kept = existsSync(`${file}.json`)
    ? `what was measured is in ${file}.json and ${file}.svg`
    : 'nothing was measured';
  tell.bad(`ended too early; ${kept}`);
});

const left = new Left(35 * second);
const relays = [1, 2].filter((count) => order.relays && (!chosen || chosen.has(`relay${count}`)));
const stages: readonly { readonly what: string; readonly relays: number; readonly among: typeof contenders }[] = [
  { what: 'two hosts', relays: 0, among: contenders },
  ...relays.map((count) => ({
    what: `${count} in the middle`,
    relays: count,
    among: contenders.filter(({ contender }) => contender.relays),
  })),
];
const programs = chosen && !chosen.has(parts) ? [] : ['micro.js', 'handshake.js'];
for (const { what, among } of stages)
  for (const { contender } of among) left.plan(`${what}: ${contender.name}`, rounds);
for (const program of programs) left.plan(`parts: ${program}`, 1);

/** Tells what was done, how long it took and how long all the rest will. */
async function timed(kind: string, told: string, work: () => Promise<void> | void): Promise<void> {
  const began = performance.now();
  let failure: unknown;
  try {
    await work();
  } catch (error) {
    failure = error;
  }
  left.done(kind, performance.now() - began);
  const rest = left.time < minute ? `${Math.round(left.time / second)} s` : `${Math.round(left.time / minute)} min`;
  if (failure === undefined) tell.step(`${told}; about ${rest} left`);
  else tell.bad(`${told}: ${failure instanceof Error ? failure.message : failure}`);
}

// Each contender in turn, in another order each round; one that fails is told and goes on next round.
for (const { what, relays: between, among } of stages) {
  if (among.length === 0) continue;
  const row = await Row.build(2 + between);
  for (let round = 0; round < rounds; round++) {
    const from = round % among.length;
    for (const { contender } of [...among.slice(from), ...among.slice(0, from)]) {
      const { name } = contender;
      const note = (key: string, value: number) => {
        if (chosen && !chosen.has(key)) return;
        record.note(name, key, round, value);
        record.save(order.out); // what was measured is kept whatever happens next
      };
      await timed(`${what}: ${name}`, `${what}, round ${round + 1} of ${rounds}: ${name}`, async () => {
        if (between > 0) note(`relay${between}`, await relayRound(row, contender, seconds));
        else
          await directRound(row, contender, {
            seconds,
            only: chosen?.has('cpu') ? new Set([...chosen, 'tcp1']) : chosen, // it is of that stream
            before: (key) => record.last(name, key),
            note,
            failed: (key, error) => tell.bad(`${name}, ${key}: ${error instanceof Error ? error.message : error}`),
          });
      });
    }
  }
  row.remove();
}

for (const program of programs) {
  await timed(`parts: ${program}`, `weft's parts alone: ${program}`, () => {
    const command = [join(import.meta.dirname, program), '--json'];
    record.parts.push(...readParts(execFileSync(process.execPath, command, { encoding: 'utf8' })));
  });
}

const columns = record.columns();
console.log(
  `\n${machine}; ${date} UTC, ${commit}; medians of ${rounds} rounds, or of as many as stand beside it (least–most)\n`,
);
console.log(
  table(
    ['', ...columns.map(({ name }) => name)],
    [
      ['version', ...columns.map(({ version }) => version)],
      ...figures
        .filter(({ key }) => columns.some((column) => column.figures[key]))
        .map((figure) => [
          `${figure.title}, ${figure.unit}`,
          ...columns.map(({ figures: own }) => {
            const value = own[figure.key];
            if (!value) return '';
            const of = value.rounds < rounds ? `, ${value.rounds} of ${rounds}` : '';
            return `${number(figure, value.median)} (${number(figure, value.least)}–${number(figure, value.most)}${of})`;
          }),
        ]),
    ],
  ),
);
if (absent.length > 0) console.log(`\nnot to be had here: ${absent.join(', ')}`);
if (record.parts.length > 0)
  console.log(`\nweft's parts alone, medians of five runs (least–most)\n\n${record.parts.map(partLine).join('\n')}`);
const verdicts = record.verdicts();
console.log('\nwhat weft is to reach\n');
console.log(table(['row', 'floor', 'goal', 'measured', 'worst to best', 'verdict'], verdictCells(verdicts)));
console.log('');
record.save(order.out);
isOver = true;
tell.step(`written to ${file}.json and ${file}.svg`);
const wasWhole = !names && !chosen && order.relays;
const missed = verdicts.filter(({ outcome }) => outcome === 'missed').length;
const unmeasured = verdicts.filter(({ outcome }) => outcome === 'not measured').length;
const relaying = new Set(contenders.flatMap(({ contender }) => (contender.relays ? [contender.name] : [])));
const lacking = wasWhole ? gaps(columns, relaying, rounds) : [];
for (const gap of lacking) tell.bad(`not measured: ${gap}`);
const failed = isFailed(verdicts, wasWhole) || lacking.length > 0;
tell[failed ? 'bad' : 'good'](`${missed} floors missed, ${unmeasured} not measured by this run`);
process.exit(failed ? 1 : 0);
