import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { until } from '../../lab/until.js';
import { foreign } from '../../src/ffi.js';
import { secretCopy } from '../../src/secret-bytes.js';
import { second } from '../../src/time.js';
import { laneKey } from '../../src/tunnel/plane/aead.js';
import type { Cipher, PlaneEvent } from '../../src/tunnel/plane/contract.js';
import { type LinuxPlane, openLinuxPlane, type PlaneForce } from '../../src/tunnel/plane/linux.js';
import { PlaneThreads } from '../../src/tunnel/plane/linux-threads.js';
import { timesInMemory } from '../helpers/memory-search.js';

/*
 * What of a session's keys lies in the memory of the whole process, threads and all, freed memory included. The plane's
 * devices live in a namespace of this thread's own.
 */
const cloneNewnet = 0x4000_0000;
if (foreign('int unshare(int flags)')(cloneNewnet) !== 0) throw new Error('needs root');
const { serial } = test;

const lanes = 2;
const localIndex = 24;

/** A plane of two workers, and the keys of one session. */
class Station {
  readonly workers: Worker[] = [];
  readonly events: PlaneEvent[] = [];
  readonly #keys = [0, 1].map(() => {
    const shared = new SharedArrayBuffer(32);
    randomFillSync(new Uint8Array(shared));
    return shared;
  });
  readonly #sessionKeys = this.#keys.map((shared) => secretCopy(new Uint8Array(shared)));
  readonly #laneKeys = this.#sessionKeys.flatMap((key) => [laneKey(key, 0), laneKey(key, 1)]);
  #plane: LinuxPlane | undefined;

  constructor(t: ExecutionContext) {
    t.teardown(() => this.#plane?.stop());
  }

  get plane(): LinuxPlane {
    return this.#plane!;
  }

  /** `prepare`: is handed each thread before the plane has it. */
  async open(force: PlaneForce = {}, prepare: (worker: Worker) => void = () => {}): Promise<void> {
    const threads = new PlaneThreads();
    const take = (count: number) => {
      this.workers.push(...threads.take(count));
      this.workers.forEach(prepare);
      return this.workers;
    };
    this.#plane = await openLinuxPlane({ tunName: 'weft0', port: 0, workers: 2, force, threads: { take } });
    this.plane.onEvent((event) => this.events.push(event));
  }

  openLink(): void {
    const carriage = { kind: 'direct', endpoint: { address: '127.0.0.1', port: 9 } } as const;
    this.plane.command({ kind: 'openLink', link: 2, node: 2, carriage });
  }

  install(cipher: Cipher = 'aes-256-gcm'): void {
    const [sendKey, receiveKey] = this.#keys as [SharedArrayBuffer, SharedArrayBuffer];
    const indices = { localIndex, localLanes: lanes, remoteIndex: 48, remoteLanes: lanes };
    this.plane.command({
      kind: 'installSession',
      session: { link: 2, cipher, ...indices, sendKey, receiveKey, role: 'initiator' },
    });
  }

  async heard(kind: PlaneEvent['kind'], times = 1): Promise<void> {
    const count = () => this.events.filter((event) => event.kind === kind).length;
    await until(kind, () => count() >= times, Boolean, 10 * second);
  }

  /** Places in memory, beside our own: of the session's two keys together, and of its lanes'. */
  found(): { readonly session: number; readonly lanes: number } {
    const counts = timesInMemory([...this.#sessionKeys, ...this.#laneKeys]);
    const sum = (some: readonly number[]) => some.reduce((all, each) => all + each, 0);
    return { session: sum(counts.slice(0, 2)), lanes: sum(counts.slice(2)) };
  }
}

for (const { name, force, cipher, contexts } of [
  { name: 'AES by EVP', force: {}, cipher: 'aes-256-gcm', contexts: 2 },
  { name: 'ChaCha20 by EVP', force: {}, cipher: 'chacha20-poly1305', contexts: 1 },
  { name: 'node:crypto', force: { noEvp: true }, cipher: 'aes-256-gcm', contexts: 1 },
] as const) {
  serial(
    `a session's key is nowhere once all workers have it, and its lanes' keys end with it (${name})`,
    async (t) => {
      const station = new Station(t);
      await station.open(force);
      t.deepEqual(station.found(), { session: 2, lanes: 0 });
      station.openLink();
      station.install(cipher);
      await station.heard('installed');
      // Each worker seals on one lane and opens on two.
      t.deepEqual(station.found(), { session: 0, lanes: 2 * (1 + lanes) * contexts });
      station.plane.command({ kind: 'dropSession', link: 2, localIndex });
      await until(
        'the keys are gone',
        () => station.found().lanes,
        (left) => left === 0,
        10 * second,
      );
      t.deepEqual(station.found(), { session: 0, lanes: 0 });
      await station.plane.stop();
    },
  );
}

serial(
  'a stop leaves none, whatever was still to be taken, and keys that come after it are zeroed at once',
  async (t) => {
    const station = new Station(t);
    await station.open();
    station.openLink();
    station.install();
    await station.plane.stop();
    t.deepEqual(station.found(), { session: 0, lanes: 0 });
    const late = new Station(t);
    await late.open();
    const stopping = late.plane.stop();
    late.install();
    t.deepEqual(late.found(), { session: 0, lanes: 0 });
    await stopping;
  },
);

serial('keys that a dead worker has not taken lie untouched until the plane stops, and no longer', async (t) => {
  const station = new Station(t);
  await station.open();
  station.openLink();
  const [first, second] = station.workers as [Worker, Worker];
  const [dead] = await Promise.all([once(second, 'exit'), kill(station, second)]);
  t.is(dead[0], 1);
  station.install();
  await until(
    'the first has taken them',
    () => station.found().lanes,
    (lanes) => lanes > 0,
    10_000,
  );
  t.is(station.found().session, 2);
  t.is(station.events.filter(({ kind }) => kind === 'installed').length, 0);
  t.true(first.threadId > 0);
  await station.plane.stop();
  t.deepEqual(station.found(), { session: 0, lanes: 0 });
});

/** It ends as soon as it is back from waiting: an order wakes it. */
async function kill(station: Station, worker: Worker): Promise<void> {
  const ended = worker.terminate();
  station.plane.command({ kind: 'closeLink', link: 7 });
  await ended;
}

serial('a worker that fails takes its keys with it', async (t) => {
  const station = new Station(t);
  await station.open();
  station.openLink();
  station.install();
  await station.heard('installed');
  t.true(station.found().lanes > 0);
  station.openLink();
  await station.heard('failed', 2);
  await until(
    'the threads have ended',
    () => station.found().lanes,
    (left) => left === 0,
    10 * second,
  );
  await station.plane.stop();
  t.deepEqual(station.found(), { session: 0, lanes: 0 });
});

serial('a worker that fails before it is ready fails the plane, and leaves nothing open', async (t) => {
  const breaks = (worker: Worker) => {
    const post = worker.postMessage.bind(worker);
    worker.postMessage = (data: object, transfer: never) => post({ ...data, udp: undefined }, transfer);
  };
  const station = new Station(t);
  await t.throwsAsync(station.open({}, breaks), { message: /TypeError/ });
  await new Station(t).open();
});
