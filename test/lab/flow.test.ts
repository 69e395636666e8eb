import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { home } from '../../lab/description.js';
import { Flow } from '../../lab/flow.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';

test.serial('a flow shows a cut as a gap of its length', async (t) => {
  const world = await World.build({ flat: home({ members: ['anna', 'ben'] }) });
  t.teardown(() => world.remove());
  const [anna, ben] = [world.host('anna'), world.host('ben')];
  await anna.namespace.must(['ip', 'addr', 'add', 'fd00::1/64', 'dev', 'eth0']);
  await ben.namespace.must(['ip', 'addr', 'add', 'fd00::2/64', 'dev', 'eth0']);
  const flow = new Flow(anna, ben, 'fd00::2');
  t.teardown(() => flow.stop());
  t.true(await flow.arrives(1000));
  flow.takeLongestGap();
  await sleep(300);
  const calm = flow.takeLongestGap();
  await anna.wire!.cut();
  await sleep(300);
  t.false(await flow.arrives(50));
  await anna.wire!.heal();
  t.true(await flow.arrives(1000));
  const gap = flow.takeLongestGap();
  t.true(calm < 100, `calm: ${calm} ms`);
  t.true(gap >= 340 && gap < 700, `cut for 350 ms: ${gap} ms`);
});

test('until gives what was seen last, and the tail of the log', async (t) => {
  let looks = 0;
  const { value } = await until(
    'three',
    () => ++looks,
    (seen) => seen === 3,
    1000,
  );
  t.is(value, 3);
  const error = await t.throwsAsync(
    until(
      'the moon',
      () => ({ phase: 'new' }),
      () => false,
      60,
      () => 'the end of the log',
    ),
  );
  t.regex(error.message, /not within 60 ms: the moon\nlast seen: \{\n "phase": "new"\n\}\nthe end of the log/);
  const failing = await t.throwsAsync(
    until(
      'a daemon',
      () => Promise.reject(new Error('nobody is here')),
      () => false,
      60,
    ),
  );
  t.regex(failing.message, /nobody is here/);
});
