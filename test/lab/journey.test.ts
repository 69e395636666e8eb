import test from 'ava';
import { Narrator } from '../../lab/narrator.js';
import { journey } from '../../lab/scenarios/journey.js';

test('found, join, ping, fetch through a relay, and survive kill -9 one by one', async (t) => {
  const { pingAfterJoin } = await journey(new Narrator(t.log), { megabytes: 100 });
  t.true(pingAfterJoin < 10_000);
});
