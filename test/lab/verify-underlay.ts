import { Narrator } from '../../lab/narrator.js';
import { mapping, outage, routersAway } from '../../lab/scenarios/mapping.js';
import { mostPackets, punchBudget } from '../../lab/scenarios/punch-budget.js';
import { takeover } from '../../lab/scenarios/takeover.js';
import { reportRow } from '../../scripts/verify-row.js';

/** For `npm run verify`: what a node does behind real routers, repeated, with the real daemons in the lab. */
const tell = new Narrator();
const times = 3;
const slowest = (values: readonly number[]) => `slowest of ${values.length}: ${Math.round(Math.max(...values))} ms`;
const row = (what: string, limit: number, values: readonly number[]) =>
  reportRow({ what, target: `< ${limit} ms`, measured: slowest(values), ok: Math.max(...values) < limit });

for (const protocol of ['igd2', 'nat-pmp'] as const) {
  const results = [];
  for (let i = 0; i < times; i++) results.push(await mapping(tell, [protocol]));
  row(
    `${protocol}: from the start of the daemon to mapped and proven`,
    3000,
    results.map(({ start }) => start),
  );
  const back = `${protocol}: router back with an empty table and another address, to mapped and proven`;
  row(
    back,
    10_000,
    results.map(({ reboot }) => reboot),
  );
  const left = results.map((result) => result.left).join(', ');
  reportRow({ what: `${protocol}: mappings left on exit`, target: '0', measured: left, ok: !/[1-9]/.test(left) });
}

const seconds = (time: number) => `${time / 1000} s`;
for (const [protocol, took] of await routersAway(tell, ['igd2', 'nat-pmp'])) {
  const away = `router away ${seconds(outage.power)}, its line back ${seconds(outage.line)} after it`;
  row(`${protocol}: ${away}: to mapped and proven at another address`, 10_000, [took]);
}

const takeovers = [];
for (let i = 0; i < times; i++) takeovers.push(await takeover(tell));
const flows = takeovers.flatMap((each) => each.flows);
const lost = flows.map(({ from, missing, sent }) => `${missing.length} of ${sent} from ${from}`).join(', ');
const noneLost = flows.every(({ missing }) => missing.length === 0);
const takesOver = 'datagrams lost while the direct tunnel takes over, both ways at once';
reportRow({ what: takesOver, target: '0', measured: lost, ok: noneLost });

const punched = await punchBudget(tell, 4, 60);
const { sent } = punched;
reportRow({
  what: `packets of a home to three it cannot meet, in ${punched.seconds} s, counted at its router`,
  target: `<= ${mostPackets}`,
  measured: sent.join(', '),
  ok: Math.max(...sent) <= mostPackets,
});
process.exit(0);
