import test from 'ava';
import type { NodeNumber } from '../../src/addr/node-number.js';
import { ClockWatch } from '../../src/mesh/clock-watch.js';
import { meshHealth } from '../../src/mesh/commands.js';
import { World } from './world.js';

const now = 1_795_000_000;
const hour = 3600;

/** The clock of a machine whose neighbours' clocks are ahead of it by so much. */
function watch(ahead: readonly number[], clock = now): ClockWatch {
  const made = new ClockWatch(() => clock);
  ahead.forEach((seconds, i) => {
    made.heard((i + 1) as NodeNumber, clock + seconds);
  });
  return made;
}

const cases: readonly (readonly [string, readonly number[], number, 'warning' | 'error' | undefined, RegExp])[] = [
  ['alone, nothing speaks against it', [], now, undefined, /^/],
  ['two minutes apart are no fault', [120, -120, 119], now - 86_400, undefined, /^/],
  ['all neighbours an hour ahead: ours is behind', [hour, hour, hour - 5], now - 86_400, 'error', /3600 s behind what/],
  ['all neighbours an hour behind: ours is ahead', [-hour, -hour], now - 86_400, 'error', /3600 s ahead of what/],
  ['one neighbour of three is wrong', [hour, 0, 1], now - 86_400, undefined, /^/],
  ['two neighbours disagree: at most one of them is right', [hour, -hour], now - 86_400, undefined, /^/],
  ['the only neighbour differs: it may be either', [-hour], now - 86_400, 'warning', /only neighbour are 3600 s apart/],
  ['an issuer has signed later', [], now + hour, 'error', /signed something 3600 s later/],
  ['an issuer whose clock is ahead is outvoted', [0, 1], now + hour, undefined, /^/],
];

for (const [what, ahead, newestSigned, severity, message] of cases) {
  test(`a clock, ${what}`, (t) => {
    const fault = watch(ahead).fault(newestSigned);
    t.is(fault?.severity, severity, fault?.message);
    t.regex(fault?.message ?? '', message);
    if (fault) t.regex(fault.fix, /timedatectl/);
  });
}

test('a clock before the first release is wrong, whoever agrees', (t) => {
  const fault = watch([0, 0], 100).fault(0);
  t.is(fault?.severity, 'error');
  t.regex(fault!.message, /says 1970-01-01/);
});

test('a neighbour that went speaks no more', (t) => {
  const clock = watch([hour]);
  clock.forget(1 as NodeNumber);
  t.is(clock.fault(0), undefined);
});

test('members tell each other the time: a clock set wrong while they run is a line of status within two minutes', (t) => {
  const world = new World(5);
  const issuer = world.found();
  const [a, b] = [world.member(issuer, 'a'), world.member(issuer, 'b')];
  world.link(a, b);
  const lines = (host: typeof a) => meshHealth(host.mesh!).filter((line) => line.code === 'clock');
  world.run(60_000);
  t.deepEqual([issuer, a, b].flatMap(lines), []);
  for (const skew of [-hour, hour, 100 - world.wallClock()]) {
    b.skew = skew;
    world.run(120_000);
    t.deepEqual(
      lines(b).map((line) => line.severity),
      ['error'],
      `off by ${skew} s`,
    );
    t.deepEqual([issuer, a].flatMap(lines), [], 'the others are outvoted by nobody');
  }
  b.skew = 0;
  world.run(120_000);
  t.deepEqual(lines(b), []);
});

test('a time that is none is not heeded', (t) => {
  const world = new World(6);
  const issuer = world.found();
  const a = world.member(issuer, 'a');
  a.skew = 1e15;
  world.run(120_000);
  t.deepEqual(
    meshHealth(issuer.mesh!).filter((line) => line.code === 'clock'),
    [],
  );
});
