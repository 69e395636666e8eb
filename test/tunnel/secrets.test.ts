import test from 'ava';
import { toHex } from '../../src/bytes.js';
import { cookieReplyKey } from '../../src/cookie-reply.js';
import { mac1Key } from '../../src/datagram-mac.js';
import { minute, second } from '../../src/time.js';
import { SecretsMade } from '../helpers/secrets-made.js';
import { Net, type Node } from './plane-world.js';
import { chainOf } from './world.js';

/** What handshakes leave behind in a network of two nodes that know each other. */
class Watch {
  readonly net = new Net();
  readonly alice: Node;
  readonly bob: Node;
  readonly made = new SecretsMade();
  readonly #sent: string[] = [];
  readonly #sessionKeys: SharedArrayBuffer[] = [];

  constructor() {
    const { net } = this;
    this.alice = net.node(1);
    this.bob = net.node(2);
    net.run(1);
    const carry = net.carry.bind(net);
    net.carry = (from, to, bytes) => {
      this.#sent.push(toHex(bytes));
      carry(from, to, bytes);
    };
    for (const { plane } of net.nodes) {
      const command = plane.command.bind(plane);
      plane.command = (given) => {
        if (given.kind === 'sendControl') this.#sent.push(toHex(given.bytes));
        if (given.kind === 'installSession') this.#sessionKeys.push(given.session.sendKey, given.session.receiveKey);
        command(given);
      };
    }
  }

  during(act: (watch: this) => void): void {
    this.made.during(() => act(this));
  }

  /** Keys for which sessions were installed so far. */
  get installed(): number {
    return this.#sessionKeys.length;
  }

  /** Secrets that are still there: what was sent, as macs are, and what all know, as their keys are, is none. */
  left(): string[] {
    const known = this.net.nodes.flatMap(({ key }) => [mac1Key, cookieReplyKey].map((of) => toHex(of(key.publicKey))));
    const keys = this.#sessionKeys.map((shared) => toHex(new Uint8Array(shared))).filter((key) => /[1-9a-f]/.test(key));
    const others = this.made.left().filter((value) => {
      return !known.includes(value) && !this.#sent.some((datagram) => datagram.includes(value.slice(0, 32)));
    });
    return [...keys, ...others];
  }
}

test('a tunnel that renewed its keys and was closed leaves no secret of its handshakes behind', (t) => {
  const watch = new Watch();
  watch.during(({ net, alice, bob }) => {
    alice.dial(bob);
    net.run(second);
    t.is(alice.standing(bob), 'tunnel');
    const held = watch.left().length;
    t.true(held >= 2 * 2 * 3, 'of each node two workers with the keys of three lanes');
    net.run(5 * minute);
    t.true(watch.installed >= 2 * 2 * 3, 'three sets of keys by now');
    alice.do({ kind: 'stop', reason: 'the daemon ends' });
    net.run(second);
  });
  t.deepEqual(watch.left(), []);
  t.deepEqual([watch.made.leaks, watch.made.onHeap()], [[], []]);
});

test('a dial that nobody answers leaves none, nor does one that is given up at a stop', (t) => {
  for (const isStopped of [false, true]) {
    const watch = new Watch();
    watch.net.cut.add('1-2');
    watch.during(({ net, alice, bob }) => {
      alice.dial(bob);
      net.run(5 * second);
      alice.dial(bob);
      net.run(second);
      t.true(watch.left().length > 0);
      if (isStopped) alice.do({ kind: 'stop', reason: 'the daemon ends' });
      else net.run(minute);
    });
    t.deepEqual(watch.left(), []);
  }
});

test('a second machine with a key that is looked into, found to be a clone and sent away leaves none', (t) => {
  const watch = new Watch();
  watch.during(({ net, alice, bob }) => {
    alice.dial(bob);
    net.run(second);
    const clone = net.again(bob, 66);
    net.run(1);
    clone.dial(alice);
    net.run(10 * second);
    t.is(alice.count('cloned'), 1);
    for (const node of [clone, alice]) node.do({ kind: 'stop', reason: 'the daemon ends' });
    net.run(minute);
  });
  t.deepEqual(watch.left(), []);
});

test('an initiation that is refused and an answer that is refused leave none', (t) => {
  const watch = new Watch();
  watch.during(({ net, alice, bob }) => {
    bob.do({ kind: 'credentialsChanged', chain: chainOf(3) });
    bob.dial(alice);
    net.run(minute);
    const asked = alice.count('refused');
    t.true(asked > 0);
    alice.dial(bob);
    net.run(minute);
    t.is(alice.count('refused'), asked + 1);
    t.is(alice.standing(bob), 'none');
  });
  t.deepEqual(watch.left(), []);
});

test('keys for a plane that has stopped, or stops before it takes them, are zeroed', async (t) => {
  const { net, alice, bob } = new Watch();
  const keys: SharedArrayBuffer[] = [];
  const command = alice.plane.command.bind(alice.plane);
  alice.plane.command = (given) => {
    command(given);
    if (given.kind !== 'installSession') return;
    keys.push(given.session.sendKey, given.session.receiveKey);
    void alice.plane.stop();
  };
  alice.dial(bob);
  net.run(second);
  bob.dial(alice);
  net.run(second);
  t.true(keys.length >= 4);
  t.deepEqual(new Set(keys.map((key) => toHex(new Uint8Array(key)))), new Set(['00'.repeat(32)]));
});
