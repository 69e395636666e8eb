import test from 'ava';
import type { HostReport } from '../../daemon/kernel/host.js';
import { HostKeeper } from '../../daemon/kernel/host-keeper.js';
import type { Refusal } from '../../daemon/kernel/ip.js';
import type { HostPlan } from '../../daemon/kernel/plan.js';
import { MeshError } from '../../src/errors.js';

const learningTime = 10_000;
const lookInterval = 60_000;

/** All that follows without a wait has happened. */
const settled = () => new Promise(setImmediate);

/** A keeper of a kernel that answers when it is told to; plans are counted instead of made. */
function kept() {
  const applied: number[] = [];
  const said: string[] = [];
  const waits: number[] = [];
  let plans = 0;
  let answer: (refused: readonly Refusal[], error?: Error) => void = () => {};
  let due: (() => void) | undefined;
  let learned: (() => void) | undefined;
  let nextLook: (() => void) | undefined;
  const keeping: boolean[] = [];
  const device = { isDown: false };
  const left = { isThere: false };
  const keeper = new HostKeeper(
    {
      apply: (plan, keepsLeft) =>
        new Promise<HostReport>((resolve, reject) => {
          keeping.push(keepsLeft === true);
          applied.push(plan as unknown as number);
          answer = (refused, error) =>
            error
              ? reject(error)
              : resolve({
                  ipv6Enabled: ['weft0'],
                  changes: 1,
                  deviceIsDown: device.isDown,
                  keptLeft: keepsLeft === true && left.isThere,
                  refused,
                });
        }),
    },
    () => ++plans as unknown as HostPlan,
    {
      ipv6Enabled: (name) => said.push(name),
      refused: (problem) => said.push(problem.code),
      deviceSet: (isDown) => said.push(isDown ? 'down' : 'up'),
    },
    (wait, work) => {
      if (wait === learningTime) {
        learned = work;
        return () => {
          learned = undefined;
        };
      }
      if (wait === lookInterval) {
        nextLook = work;
        return () => {
          nextLook = undefined;
        };
      }
      waits.push(wait);
      due = work;
      return () => {
        due = undefined;
      };
    },
  );
  /** The kernel is done with what it was asked, but for these commands. */
  const answered = async (...refused: readonly Refusal[]) => {
    answer(refused);
    await settled();
  };
  /** The kernel could not be asked. */
  const failed = async (error: Error) => {
    answer([], error);
    await settled();
  };
  const waited = async () => {
    due?.();
    await settled();
  };
  /** The time is over in which a daemon that started learns what there is. */
  const learning = {
    get isTimed(): boolean {
      return learned !== undefined;
    },
    over: async () => {
      learned?.();
      await settled();
    },
  };
  /** A minute is over in which nobody asked for anything. */
  const quietMinute = async () => {
    nextLook?.();
    await settled();
  };
  return { keeper, applied, said, waits, answered, failed, waited, device, keeping, left, learning, quietMinute };
}

const refusal = (what: string): Refusal => ({
  command: what,
  problem: new MeshError('kernel-refused', `refused ${what}`, 'look at it'),
});

test('what changes while the kernel is being changed is one more round, and who asked waits for that one', async (t) => {
  const { keeper, applied, answered } = kept();
  keeper.follow();
  await settled();
  let done = 0;
  for (let i = 0; i < 3; i++) void keeper.apply().then(() => done++);
  await settled();
  t.deepEqual([applied, done], [[1], 0]);
  await answered();
  t.deepEqual([applied, done], [[1, 2], 0]);
  await answered();
  t.deepEqual([applied, done], [[1, 2], 3]);
});

test('what was refused is tried again by itself, ever more seldom, is told once, and is in health until it is taken', async (t) => {
  const { keeper, applied, said, waits, answered, waited } = kept();
  const asked = keeper.apply();
  await settled();
  await answered(refusal('one'), refusal('more'));
  t.deepEqual(
    (await asked).map(({ command }) => command),
    ['one', 'more'],
  );
  t.deepEqual(keeper.health(), [
    { code: 'kernel-refused', severity: 'warning', message: 'refused one', fix: 'look at it' },
  ]);
  for (let i = 0; i < 6; i++) {
    await waited();
    await answered(refusal('two'));
  }
  t.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  const told = () => said.filter((what) => what !== 'weft0');
  t.deepEqual(told(), ['kernel-refused']);
  t.is(keeper.health()[0]!.message, 'refused two');
  await waited();
  await answered();
  t.deepEqual(keeper.health(), []);
  t.deepEqual(told(), ['kernel-refused']);
  await waited();
  t.is(applied.length, 8, 'and no more');
  keeper.follow();
  await settled();
  await answered(refusal('three'));
  t.deepEqual([waits.at(-1), said.at(-1)], [1000, 'kernel-refused'], 'anew');
});

test('the kernel is looked at a minute after it was last as planned, whether anybody asks or not', async (t) => {
  const { keeper, applied, answered, waited, quietMinute } = kept();
  keeper.follow();
  await settled();
  await quietMinute();
  t.deepEqual(applied, [1], 'not while it is being looked at');
  await answered();
  for (let looks = 2; looks < 5; looks++) {
    await quietMinute();
    t.is(applied.length, looks);
    await answered();
  }
  await quietMinute();
  await answered(refusal('one'));
  await quietMinute();
  t.is(applied.length, 5, 'what is refused has its own pace');
  await waited();
  keeper.stop();
  await answered();
  await quietMinute();
  t.is(applied.length, 6, 'and what is stopped looks no more');
});

test('a change that comes while the kernel refuses is not forgotten', async (t) => {
  const { keeper, applied, answered } = kept();
  keeper.follow();
  await settled();
  keeper.follow();
  await answered(refusal('one'));
  t.deepEqual(applied, [1, 2]);
  await answered();
  t.deepEqual(keeper.health(), []);
});

test('events bring the next try forward and do not make it rarer', async (t) => {
  const { keeper, waits, answered } = kept();
  for (let i = 0; i < 4; i++) {
    keeper.follow();
    await settled();
    await answered(refusal('one'));
  }
  t.deepEqual(waits, [1000, 1000, 1000, 1000]);
});

test('an error that is no refusal of the kernel is one all the same, and whoever waits is told', async (t) => {
  const { keeper, said, failed } = kept();
  const asked = keeper.apply();
  await settled();
  void t.throwsAsync(asked, { instanceOf: MeshError, message: /spawn EAGAIN/ });
  await failed(new Error('spawn EAGAIN'));
  t.deepEqual(said, ['kernel-refused']);
  t.regex(keeper.health()[0]!.message, /spawn EAGAIN/);
});

test('once stopped it begins nothing more', async (t) => {
  const { keeper, applied, answered, waited } = kept();
  keeper.follow();
  await settled();
  keeper.follow();
  keeper.stop();
  await answered(refusal('one'));
  await waited();
  t.deepEqual(applied, [1]);
});

test('a device that somebody set down is told once, and an error in health until it is up', async (t) => {
  const { keeper, said, answered, device } = kept();
  const round = async (isDown: boolean) => {
    device.isDown = isDown;
    keeper.follow();
    await settled();
    await answered();
  };
  for (const isDown of [false, true, true]) await round(isDown);
  t.like(keeper.health(), [{ code: 'device-down', severity: 'error' }]);
  await round(false);
  t.deepEqual(keeper.health(), []);
  t.deepEqual(
    said.filter((what) => what !== 'weft0'),
    ['down', 'up'],
  );
});

test('while something is refused a device that is set down, and up again, is seen as well', async (t) => {
  const { keeper, said, answered, device } = kept();
  const round = async (isDown: boolean) => {
    device.isDown = isDown;
    keeper.follow();
    await settled();
    await answered(refusal('a route'));
    return keeper.health().map(({ code }) => code);
  };
  t.deepEqual(await round(false), ['kernel-refused']);
  t.deepEqual(await round(true), ['kernel-refused', 'device-down']);
  t.deepEqual(await round(false), ['kernel-refused']);
  t.deepEqual(said, ['weft0', 'kernel-refused', 'weft0', 'down', 'weft0', 'up']);
});

test('what an earlier daemon left is kept for 10 s from the first round, whatever is refused, then goes by itself', async (t) => {
  const { keeper, answered, waited, keeping, left, learning } = kept();
  left.isThere = true;
  t.false(learning.isTimed);
  keeper.follow();
  await settled();
  await answered(refusal('one'));
  await waited();
  await answered();
  t.deepEqual([keeping, keeper.isLearning, learning.isTimed], [[true, true], true, true]);
  await learning.over();
  await answered();
  keeper.follow();
  await settled();
  await answered();
  t.deepEqual([keeping, keeper.isLearning], [[true, true, false, false], false]);
});

test('a keeper that is stopped while it learns does not wait for the end of it', async (t) => {
  const { keeper, answered, applied, left, learning } = kept();
  left.isThere = true;
  keeper.follow();
  await settled();
  await answered();
  keeper.stop();
  t.false(learning.isTimed);
  await learning.over();
  t.deepEqual(applied, [1]);
});

test('where nothing was left, or all of it is learned, the kernel is not looked at for it again', async (t) => {
  for (const rounds of [[false], [true, true, false]]) {
    const { keeper, answered, failed, applied, keeping, left, learning } = kept();
    keeper.follow();
    await settled();
    await failed(new MeshError('no-device', 'it is gone', 'restart'));
    t.true(keeper.isLearning, 'it was not seen what is left');
    for (const isLeft of rounds) {
      t.true(learning.isTimed);
      left.isThere = isLeft;
      keeper.follow();
      await settled();
      await answered();
    }
    t.deepEqual([keeper.isLearning, learning.isTimed], [false, false]);
    const before = applied.length;
    await learning.over();
    t.is(applied.length, before);
    left.isThere = true;
    keeper.follow();
    await settled();
    t.false(keeping.at(-1), 'what comes to be there later is not of before');
  }
});
