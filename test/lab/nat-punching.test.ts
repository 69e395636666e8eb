import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { takeover } from '../../lab/scenarios/takeover.js';

test('a relay carries the first datagram, and the direct tunnel takes over without losing one', async (t) => {
  const { before, sent, missing } = await takeover(new Narrator(t.log));
  t.is(before, 'relayed');
  t.true(sent > 100, `${sent} datagrams: before, during and after the change`);
  t.deepEqual(missing, []);
});
