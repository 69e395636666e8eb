import test from 'ava';
import { seededRandom } from '../../src/random.js';
import { minute, never, second } from '../../src/time.js';
import type { Announcement } from '../../src/upnp/contract.js';
import { type Outcome, Patience } from '../../src/upnp/patience.js';

const there = (life?: string, address = '192.168.1.1'): Announcement => ({
  address,
  says: 'there',
  ...(life === undefined ? {} : { life }),
});
const started: Announcement = { address: '192.168.1.1', says: 'started' };

/** Whether the last of these, a half minute after those before, has a router of which the search came to this searched for at once. */
function isHeeded(outcome: Outcome, ...said: readonly Announcement[]): boolean {
  const patience = new Patience(seededRandom(1));
  patience.waitAfter(outcome, 0);
  const heeded = said.map((one, i) => patience.announced(one, (i + 1) * 30 * second));
  return heeded.at(-1) === said.length * 30 * second + second;
}

test('a router that refuses is asked again when it has started, not whenever it says that it is there', (t) => {
  for (const outcome of ['firm', 'passing'] as const) {
    t.false(isHeeded(outcome, there('7'), there('7')), 'the same boot number');
    t.false(isHeeded(outcome, there(), there()), 'without one, and never away for long');
    t.false(isHeeded(outcome, there('7'), there('7', '192.168.2.1'), there('7')), 'two routers');
    t.true(isHeeded(outcome, there('7')), 'heard for the first time');
    t.true(isHeeded(outcome, there('7'), there('8')), 'another boot number');
    t.true(isHeeded(outcome, there('7'), started), 'it says so');
    t.true(isHeeded(outcome, there(), started, there()), 'back after it said that it goes');
    t.true(isHeeded(outcome, there(), there('7', '192.168.2.1'), there()), 'not heard for a minute');
  }
});

test('a router that is away, or has no line, is searched for whenever it says anything', (t) => {
  for (const outcome of ['absent', 'unconnected'] as const) t.true(isHeeded(outcome, there('7'), there('7')));
});

test('of routers that announce themselves only so many are remembered', (t) => {
  const patience = new Patience(seededRandom(1));
  patience.waitAfter('firm', 0);
  const says = (i: number) => patience.announced(there('7', `192.168.1.${i}`), minute);
  for (let i = 1; i <= 100; i++) says(i);
  t.is(says(100), never);
  t.is(says(1), minute + second, 'forgotten, so new');
});
