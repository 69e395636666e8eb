import { host } from '../../lab/description.js';
import { joinRace } from '../../lab/scenarios/join-race.js';
import { World } from '../../lab/world.js';
import { reportRow } from '../../scripts/verify-row.js';

/** npm run verify, part admission: two machines and one token, a hundred times. */
const rounds = Number(process.argv[2] ?? 100);
const world = await World.build({ issuer: host(), left: host(), right: host() });
try {
  const [issuer, left, right] = [world.node('issuer'), world.node('left'), world.node('right')];
  const config = '[port-mapping]\nenabled = false\n';
  await Promise.all([issuer, left, right].map((node) => node.start({ config })));
  await issuer.init();
  let held = 0;
  let leftWon = 0;
  const failures: string[] = [];
  for (let round = 0; round < rounds; round++) {
    try {
      const { winner, told } = await joinRace(issuer, left, right);
      if (told.code !== 'token-used') throw new Error(`the loser was told ${told.code}`);
      held++;
      if (winner === left) leftWon++;
    } catch (error) {
      failures.push(`round ${round}: ${error instanceof Error ? error.message : error}`);
    }
    for (const node of [left, right]) if ((await node.status()).node) await node.api.leave({});
  }
  for (const failure of failures) console.log(failure);
  reportRow({
    what: 'two simultaneous joins with one token: exactly one succeeds',
    target: `${rounds} of ${rounds}`,
    measured: `${held} of ${rounds} (one side won ${leftWon})`,
    ok: held === rounds,
  });
} finally {
  world.remove();
}
process.exit(0);
