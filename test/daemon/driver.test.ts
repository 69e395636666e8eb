import test from 'ava';
import { type Clock, Driver } from '../../daemon/driver.js';
import type { Machine } from '../../src/machine.js';
import { type Millis, never } from '../../src/time.js';

function virtualClock() {
  let now: Millis = 0;
  let due: Millis = never;
  let callback = () => {};
  const clock: Clock = {
    now: () => now,
    wakeAt(at, then) {
      due = at;
      callback = then;
    },
    cancel() {
      due = never;
    },
  };
  const advance = (to: Millis) => {
    while (due <= to) {
      now = Math.max(now, due);
      due = never;
      callback();
    }
    now = to;
  };
  return { clock, advance, stepBack: (to: Millis) => (now = to), due: () => due };
}

/** Echoes each event as two effects and ticks every 10 ms. */
class Metronome implements Machine<string, string> {
  #next: Millis = 10;
  handle(event: string, now: Millis): string[] {
    return [`${event}@${now}`, `${event}!`];
  }
  tick(now: Millis): string[] {
    this.#next = now + 10;
    return [`tick@${now}`];
  }
  deadline(): Millis {
    return this.#next;
  }
}

test('effects of one event end before the next event is taken', (t) => {
  const { clock } = virtualClock();
  const seen: string[] = [];
  const driver: Driver<string, string> = new Driver(
    new Metronome(),
    (effect) => {
      seen.push(effect);
      if (effect === 'a@0') driver.post('b');
    },
    clock,
  );
  driver.post('a');
  t.deepEqual(seen, ['a@0', 'a!', 'b@0', 'b!']);
});

test('the timer follows the deadline and time never runs backwards', (t) => {
  const { clock, advance, stepBack } = virtualClock();
  const seen: string[] = [];
  const driver: Driver<string, string> = new Driver(new Metronome(), (effect) => void seen.push(effect), clock);
  driver.wake();
  advance(25);
  t.deepEqual(seen, ['tick@10', 'tick@20']);
  stepBack(5);
  driver.post('late');
  t.is(seen[2], 'late@20');
});

test('nothing is performed after stop, not even the rest of a batch', (t) => {
  const { clock, advance, due } = virtualClock();
  const seen: string[] = [];
  const driver: Driver<string, string> = new Driver(
    new Metronome(),
    (effect) => {
      seen.push(effect);
      driver.stop();
    },
    clock,
  );
  driver.post('a');
  advance(100);
  t.deepEqual(seen, ['a@0']);
  t.is(due(), never);
});
