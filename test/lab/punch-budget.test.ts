import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { mostPackets, punchBudget } from '../../lab/scenarios/punch-budget.js';

/** They make six pairs, so one of them at least has two exchanges to punch in. */
const homes = 4;
/** More than one exchange takes, which sends five to each endpoint, and less than two. */
const few = 7;

test('28: homes that cannot meet send each other no more than the budget, counted at their routers', async (t) => {
  // The usual budget is more than these homes use, so that the same homes with a small one show that it holds.
  const heldBack = (reasons: readonly string[]) => reasons.some((reason) => reason.includes('hole punches a minute'));
  const [usual, small] = await Promise.all([
    punchBudget(new Narrator(t.log), homes, 10, undefined, ({ punches }) => Math.max(...punches) > few),
    punchBudget(new Narrator(t.log), homes, 10, `[force]\npunches-per-minute = ${few}\n`, ({ reasons }) =>
      reasons.some(heldBack),
    ),
  ]);
  for (const packets of usual.sent) {
    t.true(packets > 0, 'they have tried');
    t.true(packets <= mostPackets, `${packets} packets`);
  }
  t.true(Math.max(...usual.punches) > few, 'without the bound there are more');
  t.true(Math.max(...small.punches) >= 5, 'a whole exchange is allowed');
  for (const punches of small.punches) t.true(punches <= few, `${punches} punches of ${few}`);
  t.true(small.reasons.some(heldBack), `says so: ${JSON.stringify(small.reasons)}`);
  t.false(usual.reasons.some(heldBack), JSON.stringify(usual.reasons));
});
