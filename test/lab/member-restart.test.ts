import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { host } from '../../lab/description.js';
import { median } from '../../lab/median.js';
import { allPairsPing, network } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { second } from '../../src/time.js';

/* How soon a member is what it was, with all of its state and with nothing but its keys. */
const { serial } = test;
const world = await World.build({ anna: host(), ben: host(), carl: host(), dora: host(), copy: host() });
test.after.always(() => world.remove());
const names = ['anna', 'ben', 'carl', 'dora'];
const nodes = names.map((name) => world.node(name));
const [anna, ben, carl, dora] = nodes as [WeftNode, WeftNode, WeftNode, WeftNode];
const config = '[port-mapping]\nenabled = false\n';
test.before(() => network(world, names, config));

serial(
  'killed and started again, a node has its address back within 2 s, and its apps saw loss and no error',
  async (t) => {
    await allPairsPing(nodes, 10 * second);
    // The two planes that rehearse packets (force.no-warm-up).
    t.regex(await anna.host.namespace.must(['ss', '-Hun', 'src', '127.0.0.1']), /127\.0\.0\.1:\d+/);
    const { address } = await ben.app('talk');
    const talk = await Talk.begin(ben, address, anna, await anna.address());
    await talk.hasSent(talk.sent + 20);
    const before = await ben.address();
    const annas = await anna.address();
    const took: number[] = [];
    for (let round = 0; round < 3; round++) {
      await ben.kill('SIGKILL');
      const start = await ben.start();
      const back = await until(
        'ben pings anna',
        () => ben.pings(annas),
        (answers) => answers,
        5 * second,
      );
      t.is(await ben.address(), before);
      t.log(`started in ${Math.round(start)} ms, in use ${Math.round(back.took)} ms later`);
      took.push(start + back.took);
    }
    const worst = Math.max(...took);
    t.log(`in use again: median ${Math.round(median(took))} ms, worst ${Math.round(worst)} ms`);
    t.true(worst < 2 * second, `the address was in use again after ${took.map(Math.round).join(', ')} ms`);
    await talk.hasSent(talk.sent + 20);
    t.deepEqual(await talk.end(), []);
  },
);

serial(
  'state wiped but certificate and keys kept: the routes are accepted by all within a second of being announced',
  async (t) => {
    const prefix = (await ben.status()).node!.prefix;
    const rowsOf = async (node: WeftNode) =>
      (await node.routes()).filter((row) => row.prefix === prefix && row.selected);
    const before = (await rowsOf(anna))[0]!.routerId;
    await until(
      'ben has its tunnels again',
      () => ben.peers(),
      (peers) => peers.filter(({ tunnel }) => tunnel).length === 3,
      10 * second,
      () => ben.tail(),
    );
    await ben.kill('SIGTERM');
    for (const node of [anna, carl, dora]) {
      // Who does not hear the goodbye keeps an idle tunnel for five seconds more, and everything with it.
      await until(
        `${node.name} has heard that ben stopped`,
        async () => (await node.peer('ben'))?.tunnel ?? null,
        (tunnel) => tunnel === null,
        second / 2,
        () => node.tail(),
      );
    }
    for (const blob of ['routing', 'directory', 'seeds', 'apps'])
      rmSync(join(ben.state, `${blob}.state`), { force: true });
    // Nothing is left that would lead it to the others: they find it.
    await ben.start();
    const up = await Promise.all(
      [anna, carl, dora].map(async (node) => {
        await until(
          `${node.name} has a tunnel to ben`,
          async () => (await node.peer('ben'))?.tunnel ?? null,
          (tunnel) => tunnel !== null,
          15 * second,
        );
        const { took } = await until(
          `${node.name} accepts what ben announces`,
          () => rowsOf(node),
          // A route that is left from before would bear the old router-id.
          (rows) => rows.length === 1 && rows[0]!.routerId !== before,
          5 * second,
          () => node.tail(),
        );
        return took;
      }),
    );
    t.true(Math.max(...up) < second, `accepted after ${up} ms`);
  },
);

serial(
  'weft0 set down is an error with its cure until it is up again; deleted, weftd ends and the next makes it anew',
  async (t) => {
    const there = await anna.address();
    const ip = (...words: string[]) => carl.host.namespace.must(['ip', 'link', ...words]);
    const faults = async () => (await carl.status()).health.filter(({ code }) => code === 'device-down');
    const carries = () =>
      until(
        'carl pings anna',
        () => carl.pings(there),
        (answers) => answers,
        5 * second,
        () => carl.tail(),
      );
    await carries();
    await ip('set', 'weft0', 'down');
    const { value } = await until('it is told', faults, ({ length }) => length > 0, 2 * second);
    t.like(value[0], { severity: 'error', fix: 'ip link set weft0 up' });
    t.like(
      (await carl.api.doctor()).find(({ code }) => code === 'tun'),
      { state: 'error', command: 'ip link set weft0 up' },
    );
    // What else changes meanwhile does not undo what the operator did.
    await carl.app('talk');
    t.notRegex(await ip('show', 'weft0'), /[<,]UP[,>]/);
    await ip('set', 'weft0', 'up');
    await carries();
    await until('it is well', faults, ({ length }) => length === 0, 2 * second);
    // So short that a look afterwards sees no change: the kernel dropped the routes all the same.
    await carl.host.namespace.must(['sh', '-c', 'ip link set weft0 down; ip link set weft0 up']);
    await carries();

    const heard: string[] = [];
    const enough = new AbortController();
    const listening = anna.api
      .events(
        {},
        ({ kind, node, message }) => {
          if (kind === 'tunnel-down' && node === 'carl') heard.push(message);
        },
        enough.signal,
      )
      .catch((error: Error) => error.message);
    await ip('del', 'weft0');
    await until(
      'the daemon has ended',
      () => carl.pid,
      (pid) => pid === undefined,
      3 * second,
      () => carl.tail(),
    );
    t.regex(carl.tail(), /weft0 was deleted; start weftd again/);
    const told = () => heard.length;
    await until('anna has heard of it', told, (times) => times > 0, 3 * second);
    t.regex(heard[0]!, /the other side closed it/, 'its neighbours are told');
    enough.abort();
    await listening;
    await carl.start();
    await carries();
  },
);

serial(
  'a copy of a member, started beside it: all are told which two machines, the copy too, and nobody else notices',
  async (t) => {
    const others = [anna, carl, dora];
    const copy = world.node('copy');
    await allPairsPing(nodes, 10 * second);
    const prefix = (await ben.status()).node!.prefix;
    /** Whose announcements of ben's prefix they believe: which way is best may change with the delays. */
    const waysToBen = () =>
      Promise.all(
        others.map(async (node) =>
          (await node.routes()).filter((row) => row.prefix === prefix && row.selected).map(({ routerId }) => routerId),
        ),
      );
    const [annas, bens] = [await anna.address(), await ben.address()];
    const before = await waysToBen();
    const logged = others.map((node) => node.log().length);
    const pings = ['ping', '-6', '-n', '-q', '-i', '0.02', '-c', '250', bens];
    const flow = anna.host.namespace.run(pings, { timeout: 15 * second });

    cpSync(ben.state, copy.state, { recursive: true });
    await copy.start({ config });
    const cloned = async (node: WeftNode) =>
      (await node.status()).health.filter(({ code }) => /^(cloned|own-key-.*)$/.test(code));
    const places = `${ben.host.address}:16696 and ${copy.host.address}:16696`;
    const cure = /on the copy, weft leave, then join with a token of its own/;
    for (const node of [...others, copy, ben]) {
      const { took, value } = await until(
        `${node.name} is told`,
        () => cloned(node),
        ({ length }) => length > 0,
        10 * second,
        () => node.tail(),
      );
      t.log(`${node.name} was told within ${Math.round(took)} ms`);
      if (others.includes(node)) {
        t.is(value.length, 1);
        const message = `ben: two machines run with its key: ${places}`;
        t.like(value[0], { code: 'cloned', severity: 'warning', message });
      }
      // The copy is told by each of the others, who are named.
      const saying = /^(anna|carl|dora): says that another machine runs with the key of this one/;
      for (const told of node === copy ? value : []) {
        t.like(told, { code: 'own-key-cloned', severity: 'error' });
        t.regex(told.message, saying);
      }
      // And so is the first: where the copy is, and that it was there before it.
      for (const told of node === ben ? value : []) {
        t.like(told, { code: 'own-key-copied', severity: 'warning' });
        const found = `another machine, at ${copy.host.address}:16696, runs with the key of this one, which was there first`;
        t.regex(told.message, new RegExp(`^(anna|carl|dora): says that ${found}$`));
      }
      for (const { fix } of value) t.regex(fix, cure);
      t.regex(node.log().join('\n'), /"kind":"(cloned|own-key-cloned|own-key-copied)"/);
    }
    const { code, stdout } = await copy.run('status');
    t.is(code, 1);
    t.regex(stdout, /another machine runs with the key of this one/);
    t.regex((await copy.run('doctor')).stdout, cure);

    const { stdout: summary } = await flow;
    t.regex(summary, /250 packets transmitted, 250 received/, 'not a packet between the others was lost');
    t.deepEqual(await waysToBen(), before);
    for (const [i, node] of others.entries()) {
      t.is((await node.peer('ben'))?.tunnel?.endpoint, `${ben.host.address}:16696`);
      t.notRegex(node.log().slice(logged[i]).join('\n'), /tunnel-(down|moved)/);
    }
    t.false(await copy.pings(annas));

    // The cure: what leaves is the copy, and what joins has a key and an address of its own.
    await copy.weft('leave');
    await copy.join(await anna.invite());
    t.not(await copy.address(), bens);
    await allPairsPing([...nodes, copy], 10 * second);
  },
);

type Child = ReturnType<WeftNode['host']['namespace']['spawn']>;

/**
 * A program that sends a datagram every 10 ms from one overlay address to another, and says what the kernel says to it.
 */
class Talk {
  readonly #child: Child;
  readonly #listener: Child;
  readonly #ended: Promise<unknown>;
  /** A line for each datagram: "sent", or the error. */
  readonly #lines: string[] = [];

  private constructor(listener: Child, child: Child) {
    this.#listener = listener;
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('close', resolve));
    createInterface({ input: child.stdout }).on('line', (line) => this.#lines.push(line));
  }

  /** Somebody listens at the far end, or its kernel would refuse the datagrams, which is an error indeed. */
  static async begin(node: WeftNode, from: string, far: WeftNode, to: string): Promise<Talk> {
    const listen = `require('node:dgram').createSocket('udp6').bind(4001, '${to}', () => console.log('listening'))`;
    const listener = far.host.namespace.spawn([process.execPath, '-e', listen]);
    await new Promise((resolve) => listener.stdout.once('data', resolve));
    const program = `
      const socket = require('node:dgram').createSocket('udp6');
      socket.on('error', (error) => console.log(error.code));
      socket.bind(4000, '${from}', () => socket.connect(4001, '${to}', () => {
        setInterval(() => socket.send('x', (error) => console.log(error ? error.code : 'sent')), 10);
      }));`;
    return new Talk(listener, node.host.namespace.spawn([process.execPath, '-e', program]));
  }

  get sent(): number {
    return this.#lines.filter((line) => line === 'sent').length;
  }

  async hasSent(count: number): Promise<void> {
    await until(
      `${count} datagrams are sent`,
      async () => this.sent,
      (sent) => sent >= count,
      5 * second,
    );
  }

  /** What the kernel answered other than that it took a datagram. */
  async end(): Promise<readonly string[]> {
    this.#child.kill('SIGTERM');
    this.#listener.kill('SIGTERM');
    await this.#ended;
    return this.#lines.filter((line) => line !== 'sent');
  }
}
