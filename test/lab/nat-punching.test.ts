import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { mostPackets, punchBudget } from '../../lab/scenarios/punch-budget.js';
import { takeover } from '../../lab/scenarios/takeover.js';

const { serial } = test;

serial('a relay carries the first datagram, and the direct tunnel takes over without losing one', async (t) => {
  const { before, sent, missing } = await takeover(new Narrator(t.log));
  t.is(before, 'relayed');
  t.true(sent > 500);
  t.deepEqual(missing, []);
});

serial('28: homes that cannot meet send each other no more than the budget, counted at their routers', async (t) => {
  const { sent } = await punchBudget(new Narrator(t.log), 3, 10);
  for (const packets of sent) {
    t.true(packets > 0, 'they have tried');
    t.true(packets <= mostPackets, `${packets} packets`);
  }
});
