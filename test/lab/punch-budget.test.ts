import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { mostPackets, punchBudget } from '../../lab/scenarios/punch-budget.js';

test('28: homes that cannot meet send each other no more than the budget, counted at their routers', async (t) => {
  const { sent } = await punchBudget(new Narrator(t.log), 3, 10);
  for (const packets of sent) {
    t.true(packets > 0, 'they have tried');
    t.true(packets <= mostPackets, `${packets} packets`);
  }
});
