import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { takeover } from '../../lab/scenarios/takeover.js';

test('a relay carries the first datagram, and the direct tunnel takes over without losing one of either side', async (t) => {
  const { before, flows } = await takeover(new Narrator(t.log));
  t.deepEqual(before, ['relayed', 'relayed']);
  t.is(flows.length, 2, 'both ways at once');
  for (const { from, sent, missing } of flows) {
    t.true(sent > 100, `${sent} datagrams from ${from}: before, during and after the change`);
    t.deepEqual(missing, [], `from ${from}`);
  }
});
