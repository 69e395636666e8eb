import test from 'ava';
import { Liveness, type LivenessNews } from '../../../src/tunnel/plane/liveness.js';

/** One tunnel on a virtual clock, looked at when it wants that, as the prober does: the other end answers after `rtt` unless it is dead. */
class Bench {
  now = 10_000;
  readonly liveness = new Liveness(this.now);
  readonly news: { readonly at: number; readonly what: LivenessNews }[] = [];
  probes = 0;
  rtt = 20;
  dead = false;
  /** Frames of our own traffic a second; the other side's traffic is heard as often while it lives. */
  traffic = 0;
  #heard = this.now;
  #lookAt = this.now;
  #sent = 0;
  readonly #answers: { readonly at: number; readonly sequence: number }[] = [];

  run(duration: number, step = 5): void {
    const end = this.now + duration;
    while (this.now < end) {
      this.now += step;
      if (this.traffic > 0 && this.now % (1000 / this.traffic) < step) {
        this.#sent++;
        if (!this.liveness.isBusy) this.#lookAt = this.now; // LinkShared says that it is used again
        if (!this.dead) this.#heard = this.now;
      }
      while (this.#answers[0] && this.#answers[0].at <= this.now) {
        const { sequence } = this.#answers.shift()!;
        if (this.dead) continue;
        this.#heard = this.now;
        this.liveness.answered(sequence, this.now);
        this.#lookAt = Math.min(this.#lookAt, this.liveness.deadline());
      }
      if (this.now < this.#lookAt) continue;
      const what = this.liveness.look(this.now, this.#heard, this.#sent);
      if (what) this.news.push({ at: this.now, what });
      if (this.liveness.wantsProbe(this.now)) {
        this.probes++;
        this.#answers.push({ at: this.now + this.rtt, sequence: this.liveness.probeSent(this.now) });
      }
      this.#lookAt = this.liveness.deadline();
    }
  }

  /** It leads another way from now on. */
  move(): void {
    this.liveness.pathChanged(this.now);
    this.#lookAt = this.now;
  }

  /** The machine sleeps: time passes and nobody looks. */
  sleep(duration: number): void {
    this.now += duration;
  }

  first(what: LivenessNews): number {
    return this.news.find((one) => one.what === what)?.at ?? Number.POSITIVE_INFINITY;
  }
}

test('an idle tunnel is asked now and then, and stays alive', (t) => {
  const bench = new Bench();
  bench.run(60_000);
  t.deepEqual(bench.news, []);
  t.true(bench.probes <= 65, `${bench.probes} probes a minute`);
  const slow = new Bench();
  slow.liveness.setPace('slow');
  slow.run(60_000);
  t.true(slow.probes <= 20, `${slow.probes} probes a minute`);
});

test('traffic is proof of life: probes go out only to measure', (t) => {
  const bench = new Bench();
  bench.traffic = 100;
  bench.run(20_000);
  t.deepEqual(bench.news, []);
  t.true(bench.probes >= 15 && bench.probes <= 30, `${bench.probes}`);
  t.is(Math.round(bench.liveness.rtt!), 20);
});

for (const rtt of [1, 20, 150]) {
  test(`death under traffic is suspected soon and certain after two seconds (round trip ${rtt} ms)`, (t) => {
    const bench = new Bench();
    bench.rtt = rtt;
    bench.traffic = 100;
    bench.run(5000);
    const death = bench.now;
    bench.dead = true;
    bench.run(4000);
    const suspected = bench.first('suspected') - death;
    t.true(suspected <= 500 + 2 * rtt, `suspected after ${suspected} ms`);
    const silent = bench.first('silent') - death;
    t.true(silent >= 1900 && silent <= 2500, `silent after ${silent} ms`);
    bench.dead = false;
    bench.run(2000);
    t.is(bench.news.at(-1)!.what, 'recovered');
  });
}

test('a sleep of our own accuses nobody', (t) => {
  const bench = new Bench();
  bench.traffic = 100;
  bench.run(3000);
  for (let i = 0; i < 5; i++) {
    bench.sleep(5000);
    bench.run(500);
  }
  t.deepEqual(bench.news, []);
});

test('a path that loses a tenth of all frames is not called dead, and its loss is seen', (t) => {
  const bench = new Bench();
  bench.traffic = 0;
  let lost = 0;
  for (let i = 0; i < 600; i++) {
    // Every tenth probe finds nobody.
    bench.dead = i % 10 === 9;
    if (bench.dead) lost++;
    bench.run(500);
  }
  t.true(lost > 0);
  t.false(bench.news.some(({ what }) => what === 'silent'));
  t.true(bench.liveness.loss > 0.02 && bench.liveness.loss < 0.5, `${bench.liveness.loss}`);
});

test('answers nobody asked for change nothing', (t) => {
  const bench = new Bench();
  bench.run(2000);
  const before = bench.liveness.rtt;
  for (const sequence of [0, 2 ** 32 - 1, 1_000_000]) bench.liveness.answered(sequence, bench.now + 9999);
  t.is(bench.liveness.rtt, before);
});

test('what was measured is of the path that was measured: the first sample of another one counts whole', (t) => {
  const bench = new Bench();
  bench.rtt = 200;
  bench.run(10_500);
  bench.rtt = 20;
  bench.move();
  t.is(Math.round(bench.liveness.rtt!), 200, 'nothing is known of it yet');
  bench.run(50);
  t.deepEqual([bench.liveness.rtt, bench.liveness.jitter, bench.liveness.loss], [20, 0, 0]);
});

test('what the first probe of a tunnel is held up by counts only until the next answer', (t) => {
  const bench = new Bench();
  bench.rtt = 14;
  bench.run(25);
  bench.run(520);
  bench.rtt = 1;
  bench.run(1500);
  t.deepEqual([bench.liveness.rtt, bench.liveness.jitter], [5, 0]);
});

test('a tunnel that is not in use is measured before it is asked rarely', (t) => {
  const bench = new Bench();
  bench.liveness.setPace('slow');
  bench.run(5000);
  t.true(bench.probes >= 8, `${bench.probes} probes in 5 s`);
  const known = bench.probes;
  bench.run(60_000);
  t.true(bench.probes - known <= 13, `${bench.probes - known} probes a minute`);
});

test('one answer that comes late is no news of a tunnel at rest, and one that is late for good is believed within seconds', (t) => {
  const bench = new Bench();
  bench.run(30_000);
  const before = bench.liveness.rtt!;
  const asked = () => bench.probes;
  const until = (what: () => boolean) => {
    const from = bench.now;
    while (!what() && bench.now < from + 60_000) bench.run(5);
    return bench.now - from;
  };
  const soFar = asked();
  bench.rtt = 120;
  until(() => asked() > soFar);
  bench.run(200);
  bench.rtt = 20;
  bench.run(30_000);
  t.is(bench.liveness.rtt, before);
  t.true(bench.liveness.jitter < 1);
  t.true(asked() - soFar <= 24, `${asked() - soFar} probes to look into it`);

  bench.rtt = 120;
  const known = asked();
  until(() => asked() > known);
  const took = until(() => bench.liveness.rtt! > 70);
  t.true(took < 6000, `100 ms more are believed after ${took} ms`);
  bench.rtt = 20;
  const better = asked();
  until(() => asked() > better);
  const back = until(() => bench.liveness.rtt! < 50);
  t.true(back < 8000, `100 ms less are believed after ${back} ms`);
});

test('another path that is dead from the start is told to be silent too', (t) => {
  const bench = new Bench();
  bench.run(2000);
  bench.dead = true;
  bench.run(5000);
  t.deepEqual(
    bench.news.map(({ what }) => what),
    ['suspected', 'silent'],
  );
  bench.news.length = 0;
  const changed = bench.now;
  bench.liveness.pathChanged(changed);
  bench.run(5000);
  t.deepEqual(
    bench.news.map(({ what }) => what),
    ['silent'],
  );
  t.true(bench.first('silent') - changed <= 2600, `silent after ${bench.first('silent') - changed} ms`);
  bench.news.length = 0;
  bench.dead = false;
  bench.move();
  bench.run(5000);
  t.deepEqual(
    bench.news.map(({ what }) => what),
    ['recovered'],
  );
});
