import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Narrator } from '../lab/narrator.js';
import { requireLab } from '../lab/requirements.js';
import { table } from '../lab/table.js';
import type { Contender } from './contender.js';
import { bare } from './contenders/bare.js';
import { nebula } from './contenders/nebula.js';
import { tinc } from './contenders/tinc.js';
import { weft } from './contenders/weft.js';
import { wireguardGo12, wireguardGo13 } from './contenders/wireguard.js';
import { yggdrasil } from './contenders/yggdrasil.js';
import { type Column, number, plot } from './plot.js';
import { directRound, figures, Row, relayRound } from './round.js';
import { summary } from './statistics.js';

const all: readonly Contender[] = [bare, weft, wireguardGo13, wireguardGo12, yggdrasil, nebula, tinc];

const usage = `npm run bench -- [options]
  --rounds N          rounds, alternating between the contenders (default 5)
  --seconds N         of each throughput run (default 2)
  --only NAME,NAME    contenders: ${all.map(({ name }) => name.split(' ')[0]).join(', ')}
  --figures KEY,KEY   figures: ${figures.map(({ key }) => key).join(', ')}
  --no-relays         only two hosts
  --out FOLDER        where results go (default bench/results)`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string' },
    figures: { type: 'string' },
    'no-relays': { type: 'boolean', default: false },
    out: { type: 'string', default: join('bench', 'results') },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
requireLab(['iperf3', 'wireguard-go', 'wireguard-tools', 'nebula', 'yggdrasil', 'tinc']);

const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const chosen = values.figures === undefined ? undefined : new Set(values.figures.split(','));
const names = values.only?.split(',');
const tell = new Narrator();
const contenders = all
  .filter(({ name }) => !names || names.some((word) => name.startsWith(word) || name.includes(word)))
  .map((contender) => ({ contender, version: contender.version() }))
  .filter(({ contender, version }) => {
    if (version === undefined) tell.bad(`${contender.name} is not to be had here`);
    return version !== undefined;
  });

/** Every value of every round, by contender and figure. */
const seen = new Map(contenders.map(({ contender }) => [contender.name, new Map<string, number[]>()]));
const note = (name: string, key: string, value: number) => {
  const own = seen.get(name)!;
  own.set(key, [...(own.get(key) ?? []), value]);
};

const processor = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
const machine = `${cpus().length} × ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node.js ${process.versions.node}`;
const date = new Date().toISOString().slice(0, 10);

const file = join(values.out, date);

/** Lines about weft's parts alone, one core each: what seals, opens, cuts, glues, looks up and shakes hands. */
const parts: string[] = [];
function measureParts(): void {
  for (const program of ['micro.js', 'handshake.js']) {
    const said = execFileSync(process.execPath, [join(import.meta.dirname, program)], { encoding: 'utf8' });
    parts.push(...said.trimEnd().split('\n'));
    tell.step(`weft's parts alone: ${program}`);
  }
}

function columnsNow(): Column[] {
  return contenders.map(({ contender: { name }, version }) => ({
    name,
    version: version!,
    figures: Object.fromEntries([...seen.get(name)!].map(([key, list]) => [key, summary(list)])),
  }));
}

/** After every round, so that what was measured is kept whatever happens in the next. */
function save(): void {
  const columns = columnsNow();
  mkdirSync(values.out, { recursive: true });
  const all = { machine, date, rounds, seconds, figures, columns, parts };
  writeFileSync(`${file}.json`, `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(`${file}.svg`, plot(columns, `${date}, medians of ${rounds} rounds; ${machine}`));
}

/** Each contender in turn, in another order each round; one that fails is told and goes on next round. */
async function eachRound(what: string, run: (contender: Contender) => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const from = round % contenders.length;
    for (const { contender } of [...contenders.slice(from), ...contenders.slice(0, from)]) {
      try {
        await run(contender);
        tell.step(`${what}, round ${round + 1} of ${rounds}: ${contender.name}`);
      } catch (error) {
        tell.bad(`${contender.name}, ${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    save();
  }
}

const pair = await Row.build(2);
await eachRound('two hosts', async (contender) => {
  const own = seen.get(contender.name)!;
  await directRound(pair, contender, {
    seconds,
    only: chosen,
    before: (key) => own.get(key)?.at(-1),
    note: (key, value) => note(contender.name, key, value),
    failed: (key, error) => tell.bad(`${contender.name}, ${key}: ${error instanceof Error ? error.message : error}`),
  });
});
pair.remove();
for (const relays of values['no-relays'] ? [] : [1, 2]) {
  if (chosen && !chosen.has(`relay${relays}`)) continue;
  const row = await Row.build(2 + relays);
  await eachRound(`${relays} in the middle`, async (contender) => {
    if (contender.relays) note(contender.name, `relay${relays}`, await relayRound(row, contender, seconds));
  });
  row.remove();
}

if (!chosen) measureParts();

const columns = columnsNow();
console.log(`\n${machine}; ${date}; medians of ${rounds} rounds (least–most)\n`);
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
            return `${number(figure, value.median)} (${number(figure, value.least)}–${number(figure, value.most)})`;
          }),
        ]),
    ],
  ),
);
if (parts.length > 0) console.log(`\n${parts.join('\n')}`);
save();
tell.step(`written to ${file}.json and ${file}.svg`);
process.exit(0);
