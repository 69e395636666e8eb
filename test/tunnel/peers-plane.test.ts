import test from 'ava';
import type { Endpoint } from '../../src/addr/endpoint.js';
import { minute, second } from '../../src/time.js';
import { FrameType, relayHeaderLength, tagLength, transportHeaderLength } from '../../src/tunnel/frame.js';
import { SendCounters } from './plane/send-counters.js';
import { Net } from './plane-world.js';

/** Two nodes with a tunnel between them. */
function tunnel() {
  const net = new Net();
  const [alice, bob] = [net.node(1), net.node(2)];
  net.run(1);
  alice.dial(bob);
  net.run(second);
  return { net, alice, bob };
}

/**
 * Two nodes with a tunnel to a relay each, and routes by it; and a tunnel between them that is not routed over, if they
 * dial each other.
 */
function behindRelay({ dialEachOther = false } = {}) {
  const net = new Net();
  const [alice, bob, relay] = [net.node(1), net.node(2), net.node(3)];
  net.run(1);
  if (dialEachOther) alice.dial(bob);
  alice.dial(relay);
  bob.dial(relay);
  net.run(second);
  alice.route(bob, relay);
  bob.route(alice, relay);
  relay.route(alice, alice);
  relay.route(bob, bob);
  return { net, alice, bob, relay };
}

test('a dial, packets both ways, and new keys under traffic without loss', (t) => {
  const net = new Net();
  const [alice, bob] = [net.node(1), net.node(2)];
  net.run(1);
  alice.dial(bob);
  net.run(100);
  t.is(alice.standing(bob), 'tunnel');
  t.is(bob.standing(alice), 'tunnel');
  alice.route(bob, bob);
  bob.route(alice, alice);
  let sent = 0;
  net.run(2.5 * minute, 50, () => {
    alice.send(bob, sent & 255);
    bob.send(alice, sent & 255);
    sent++;
  });
  net.run(second);
  t.true(sent > 2900);
  t.is(bob.received.length, sent);
  t.is(alice.received.length, sent);
  t.deepEqual(
    bob.received,
    Array.from({ length: sent }, (_, i) => i & 255),
  );
  t.is(alice.count('tunnelDown') + bob.count('tunnelDown'), 0);
});

test('the tunnel is cut: the same keys go on through a relay, and come back to it, one link all the time', (t) => {
  const { net, alice, bob } = behindRelay({ dialEachOther: true });
  net.cut.add('1-2');
  const { link } = alice.peers.reach(2)!;
  let sent = 0;
  const traffic = () => {
    alice.send(bob, sent & 255);
    bob.send(alice, sent & 255);
    sent++;
  };
  net.run(4 * second, 20, traffic);
  t.is(alice.standing(bob), 'session');
  t.is(bob.standing(alice), 'session');
  net.cut.clear();
  bob.dial(alice);
  net.run(second, 20, traffic);
  t.is(alice.standing(bob), 'tunnel');
  t.is(bob.standing(alice), 'tunnel');
  alice.route(bob, bob);
  bob.route(alice, alice);
  net.run(second, 20, traffic);
  net.run(second);
  t.is(alice.peers.reach(2)!.link, link);
  t.is(bob.received.length, sent);
  t.is(alice.received.length, sent);
});

test('a packet for a node behind a relay finds its keys by itself', (t) => {
  const { net, alice, bob, relay } = behindRelay();
  alice.send(bob, 42);
  net.run(190);
  t.deepEqual(bob.received, [42]);
  bob.send(alice, 43);
  net.run(100);
  t.deepEqual(alice.received, [43]);
  t.is(alice.standing(bob), 'session');
  t.is(relay.count('sessionUp'), 0);
});

test('a node that starts again is back in under a second, and packets pass', (t) => {
  const { net, alice, bob } = tunnel();
  const anew = net.again(bob);
  net.run(1);
  anew.dial(alice);
  net.run(second);
  t.is(alice.standing(bob), 'tunnel');
  t.is(anew.standing(alice), 'tunnel');
  t.is(alice.count('tunnelUp'), 2);
  t.is(alice.count('cloned'), 0);
  alice.route(bob, bob);
  anew.route(alice, alice);
  alice.send(bob, 1);
  anew.send(alice, 2);
  net.run(50);
  t.deepEqual([anew.received, alice.received], [[1], [2]]);
});

test('a cloned key is found out and takes nothing from the first', (t) => {
  const { net, alice, bob } = tunnel();
  alice.route(bob, bob);
  bob.route(alice, alice);
  const clone = net.again(bob, 66);
  net.run(1);
  clone.dial(alice);
  let sent = 0;
  net.run(3 * second, 20, () => {
    alice.send(bob, sent++ & 255);
  });
  net.run(50);
  t.deepEqual(
    alice.told.filter(({ kind }) => kind === 'cloned'),
    [{ kind: 'cloned', node: 2, endpoints: [bob.endpoint, clone.endpoint] }],
  );
  t.deepEqual(
    bob.told.filter(({ kind }) => kind === 'copied'),
    [{ kind: 'copied', by: 1, endpoint: clone.endpoint }],
  );
  t.is(bob.received.length, sent);
  t.is(clone.received.length, 0);
  t.is(clone.standing(alice), 'none');
  t.is(alice.count('tunnelDown'), 0);
});

/** What a listener on the path is given: each datagram, and where it goes. */
function overheard(net: Net): { readonly to: Endpoint; readonly bytes: Uint8Array }[] {
  const datagrams: { to: Endpoint; bytes: Uint8Array }[] = [];
  const carry = net.carry.bind(net);
  net.carry = (from, to, bytes) => {
    datagrams.push({ to, bytes: bytes.slice() });
    carry(from, to, bytes);
  };
  return datagrams;
}

const elsewhere: Endpoint = { address: '198.51.100.9', port: 9 };

for (const [when, wait] of [
  ['before it arrives', 2],
  ['before its answer does', 7],
] as const) {
  test(`an initiation that is sent again from another address, ${when}, moves no tunnel there`, (t) => {
    const net = new Net();
    const [alice, bob] = [net.node(1), net.node(2)];
    const datagrams = overheard(net);
    net.run(1);
    alice.dial(bob);
    net.run(wait);
    const initiation = datagrams.find(({ bytes }) => bytes[0] === FrameType.initiation)!.bytes;
    bob.plane.fromUnderlay(initiation, elsewhere);
    net.run(second);
    t.deepEqual(
      bob.told.filter(({ kind }) => kind === 'tunnelUp').map((up) => 'endpoint' in up && up.endpoint),
      [alice.endpoint],
    );
    t.is(bob.count('tunnelMoved'), 0);
    const sent = datagrams.filter(({ to }) => to.address === elsewhere.address).map(({ bytes }) => bytes[0]);
    t.deepEqual(sent, [FrameType.response], 'it is answered there and no more');
  });
}

test('a relay that sends an initiation on in its own name gets no tunnel in place of the keys', (t) => {
  const { net, alice, bob, relay } = behindRelay();
  const datagrams = overheard(net);
  const inner = transportHeaderLength + relayHeaderLength + tagLength;
  alice.send(bob, 42);
  net.run(12);
  const relayed = datagrams.find(
    ({ bytes, to }) => to.address === relay.endpoint.address && bytes[inner] === FrameType.initiation,
  )!;
  bob.plane.fromUnderlay(relayed.bytes.subarray(inner), relay.endpoint);
  net.run(second);
  t.deepEqual(bob.received, [42]);
  t.is(bob.standing(alice), 'session');
});

test('end-to-end keys of a node that was restarted unseen are replaced while packets go one way', (t) => {
  const { net, alice, bob, relay } = behindRelay();
  let sent = 0;
  const traffic = () => alice.send(bob, sent++ & 255);
  net.run(20 * second, 100, traffic);
  net.run(50);
  t.is(bob.received.length, sent, 'one way, and no doubt stays');
  t.is(alice.count('sessionUp'), 1);

  const anew = net.again(bob);
  net.run(1);
  anew.dial(relay);
  net.run(second);
  relay.route(bob, anew);
  anew.route(alice, relay);
  const before = sent;
  net.run(5 * second, 100, traffic);
  net.run(100);
  t.true(sent - before - anew.received.length < 35, `${sent - before - anew.received.length} of 50 lost`);
  t.deepEqual(
    alice.told.filter(({ kind }) => kind === 'sessionDown'),
    [{ kind: 'sessionDown', link: alice.peers.reach(2)!.link, node: 2, reason: 'the node was restarted' }],
  );
});

test('a lane that has sent 2^27 frames gets new keys at once, and no packet is lost', (t) => {
  const counters = new SendCounters();
  const { net, alice, bob } = counters.during(tunnel);
  alice.route(bob, bob);
  const first = counters.sessions;
  counters.set(first[1]!, 2 ** 27 - 1); // the asker's, who installs when it is answered
  let sent = 0;
  counters.during(() =>
    net.run(2 * second, 20, () => {
      alice.send(bob, sent++ & 255);
    }),
  );
  net.run(50);
  const anew = counters.sessions.slice(first.length);
  t.is(anew.length, 2, 'one more session, at either end');
  t.true(
    anew.some((session) => counters.most(session) > 50),
    'and it is used',
  );
  t.is(bob.received.length, sent);
});

for (const number of [1, 2] as const) {
  test(`so it is where two handshakes crossed, whichever of them node ${number} sends on`, (t) => {
    const counters = new SendCounters();
    const net = new Net();
    const [alice, bob] = [net.node(1), net.node(2)];
    counters.during(() => {
      net.run(1);
      alice.dial(bob);
      bob.dial(alice);
      net.run(second);
    });
    alice.route(bob, bob);
    bob.route(alice, alice);
    const first = counters.sessions;
    t.is(first.length, 4, 'two sessions, at either end');
    const [from, to] = number === 1 ? [alice, bob] : [bob, alice];
    for (const session of first) counters.set(session, 1000);
    net.run(second, 20, () => from.send(to, 0));
    net.run(50);
    const used = first.filter((session) => counters.most(session) > 1030);
    t.is(used.length, 1);
    counters.set(used[0]!, 2 ** 27 - 1);
    let sent = to.received.length;
    counters.during(() =>
      net.run(2 * second, 20, () => {
        from.send(to, sent++ & 255);
      }),
    );
    net.run(50);
    const anew = counters.sessions.slice(first.length);
    t.is(anew.length, 2, 'one more session, at either end');
    t.true(anew.some((session) => counters.most(session) > 50));
    t.is(to.received.length, sent);
  });
}

test('a tunnel stands through renewals while every handshake datagram is lost, as in a flood, and loses no packet', (t) => {
  const { net, alice, bob } = tunnel();
  alice.route(bob, bob);
  bob.route(alice, alice);
  const carry = net.carry.bind(net);
  net.carry = (from, to, bytes) => {
    if (bytes[0]! >= FrameType.packet) carry(from, to, bytes);
  };
  let sent = 0;
  net.run(7 * minute, 200, () => {
    alice.send(bob, sent & 255);
    bob.send(alice, sent & 255);
    sent++;
  });
  net.run(second);
  t.is(bob.received.length, sent);
  t.is(alice.received.length, sent);
  t.is(alice.count('tunnelDown') + bob.count('tunnelDown'), 0);
});
