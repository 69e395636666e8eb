import test from 'ava';
import { MeshMessages, meshMessage } from '../../src/mesh/messages.js';
import {
  guests,
  maxTunnels,
  ownNear,
  ownRandom,
  sparseLimits,
  Topology,
  type TopologyEffect,
  type TopologyLimits,
} from '../../src/mesh/topology.js';
import { type Random, seededRandom } from '../../src/random.js';
import { type Millis, minute, second } from '../../src/time.js';

interface Peer {
  readonly number: number;
  readonly topology: Topology;
  readonly messages: MeshMessages;
  readonly at: readonly [number, number];
  readonly neighbours: Set<number>;
  /** Packets of each tunnel, and how many there were when the node last looked at them. */
  readonly carried: Map<number, number>;
  readonly seen: Map<number, number>;
}

/** Seconds between two looks of a node at what its tunnels carried. */
const lookPause = 10;

/** Nodes on a plane whose round trips are their distances plus a last mile; every dial succeeds, unless `refuse`. */
class Plane {
  readonly peers: Peer[] = [];
  readonly random: Random;
  refuse: (from: number, to: number) => boolean = () => false;
  used: (a: number, b: number) => boolean = () => false;
  readonly hungUp: [number, number][] = [];
  /** Those that carried something and were to carry more. */
  readonly cut: [number, number][] = [];
  readonly dialled: [number, number][] = [];
  now = 0;
  most = 0;

  constructor(seed: number, count: number, limits?: TopologyLimits) {
    this.random = seededRandom(seed);
    for (let number = 0; number < count; number++) {
      const messages = new MeshMessages();
      const carried = new Map<number, number>();
      const topology = new Topology(this.random, messages, undefined, limits, (node) => carried.get(node) ?? 0);
      const at = [this.random.unit() * 100, this.random.unit() * 100] as const;
      this.peers.push({ number, topology, messages, at, neighbours: new Set(), carried, seen: new Map() });
    }
    for (const peer of this.peers) for (const other of this.peers) if (peer !== other) this.#know(peer, other);
  }

  #know(peer: Peer, other: Peer): void {
    peer.topology.handle({ kind: 'nodeKnown', node: other.number }, this.now);
  }

  rtt(a: number, b: number): number {
    const [one, other] = [this.peers[a]!.at, this.peers[b]!.at];
    return 5 + Math.hypot(one[0] - other[0], one[1] - other[1]);
  }

  run(seconds: number): void {
    for (const end = this.now + seconds * 1000; this.now < end; this.now += 1000) {
      for (const peer of this.peers) {
        for (const node of peer.neighbours) {
          if (this.used(peer.number, node)) peer.carried.set(node, (peer.carried.get(node) ?? 0) + 1);
        }
        if ((this.now / 1000 + peer.number) % lookPause === 0) this.#look(peer);
        if (peer.topology.deadline() <= this.now) this.perform(peer, peer.topology.tick(this.now));
        this.most = Math.max(this.most, peer.neighbours.size);
      }
    }
  }

  #look(peer: Peer): void {
    for (const [node, carried] of peer.carried) {
      if (carried > (peer.seen.get(node) ?? 0)) peer.topology.handle({ kind: 'tunnelUsed', node }, this.now);
      peer.seen.set(node, carried);
    }
  }

  perform(peer: Peer, effects: readonly TopologyEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'dial') this.#dial(peer, this.peers[effect.node]!);
      if (effect.kind === 'hangUp') this.#hangUp(peer, this.peers[effect.node]!);
      if (effect.kind === 'sendMesh') {
        const sender = { node: peer.number, neighbour: true };
        this.peers[effect.to]!.messages.handle(effect.bytes, sender, this.now);
      }
    }
  }

  #dial(peer: Peer, other: Peer): void {
    this.dialled.push([peer.number, other.number]);
    if (!other.topology.admits(peer.number, this.now) || this.refuse(peer.number, other.number)) {
      peer.topology.handle({ kind: 'dialFailed', node: other.number }, this.now);
      return;
    }
    this.meet(peer, other);
  }

  /** A tunnel between these; the first has dialled. */
  meet(peer: Peer, other: Peer): void {
    for (const [one, two] of [
      [peer, other],
      [other, peer],
    ] as const) {
      one.neighbours.add(two.number);
      // Its link is another one, whose counters begin anew.
      one.carried.delete(two.number);
      one.seen.delete(two.number);
    }
    for (const [one, two] of [
      [peer, other],
      [other, peer],
    ] as const) {
      if (!one.neighbours.has(two.number)) break; // the other one has closed it at once
      const own = one === peer;
      this.perform(one, one.topology.handle({ kind: 'tunnelUp', node: two.number, own }, this.now));
      if (!one.neighbours.has(two.number)) break;
      const rtt = this.rtt(one.number, two.number);
      one.topology.handle({ kind: 'measured', node: two.number, rtt }, this.now);
    }
  }

  #hangUp(peer: Peer, other: Peer): void {
    this.hungUp.push([peer.number, other.number]);
    const hasCarried = peer.carried.has(other.number);
    if (hasCarried && this.used(peer.number, other.number)) this.cut.push([peer.number, other.number]);
    peer.neighbours.delete(other.number);
    other.neighbours.delete(peer.number);
    other.topology.handle({ kind: 'tunnelDown', node: peer.number }, this.now);
  }

  get meanDegree(): number {
    return this.peers.reduce((sum, peer) => sum + peer.neighbours.size, 0) / this.peers.length;
  }

  /** Mean hops over all pairs from some nodes; Infinity when one cannot be reached. */
  meanHops(): number {
    let sum = 0;
    let pairs = 0;
    for (const source of this.peers.slice(0, 30)) {
      const hops = new Map([[source.number, 0]]);
      for (const node of hops.keys()) {
        for (const next of this.peers[node]!.neighbours) {
          if (!hops.has(next)) hops.set(next, hops.get(node)! + 1);
        }
      }
      if (hops.size < this.peers.length) return Number.POSITIVE_INFINITY;
      for (const count of hops.values()) sum += count;
      pairs += hops.size - 1;
    }
    return sum / pairs;
  }
}

test('up to 16 nodes everybody has a tunnel to everybody', (t) => {
  const plane = new Plane(1, 16);
  plane.run(5);
  for (const peer of plane.peers) t.is(peer.neighbours.size, 15);
  plane.run(600);
  t.is(plane.hungUp.length, 0);
  t.is(plane.dialled.length, 120);
});

test('with every tunnel it wants, a node of a small network is not woken until something happens', (t) => {
  const random = seededRandom(3);
  const topology = new Topology(random, new MeshMessages());
  for (let node = 1; node <= 10; node++) topology.handle({ kind: 'nodeKnown', node }, 0);
  t.is(topology.tick(0).length, 10);
  t.is(topology.deadline(), 1000, 'dials are under way');
  for (let node = 1; node <= 10; node++) topology.handle({ kind: 'tunnelUp', node, own: true }, 100);
  t.deepEqual(topology.tick(100), []);
  t.is(topology.deadline(), Number.POSITIVE_INFINITY);
  topology.handle({ kind: 'tunnelDown', node: 4 }, 60_000);
  t.deepEqual(topology.tick(60_000), [{ kind: 'dial', node: 4 }]);
  topology.handle({ kind: 'dialFailed', node: 4 }, 61_000);
  t.deepEqual(topology.tick(61_000), []);
  const again = topology.deadline();
  t.true(again > 64_000 && again <= 68_000, 'whom it cannot reach it asks again after the pause');
  t.deepEqual(topology.tick(again), [{ kind: 'dial', node: 4 }]);
});

test('beyond that ten tunnels of one’s own, a mean degree of twenty, and never more than the cap', (t) => {
  const plane = new Plane(2, 200);
  plane.run(90);
  t.true(plane.most <= maxTunnels, `${plane.most}`);
  t.true(plane.meanDegree > 2 * (ownNear + ownRandom) - 2, `${plane.meanDegree}`);
  t.true(plane.meanDegree < 2 * (ownNear + ownRandom) + 2.5, `${plane.meanDegree}`);
});

test('400 nodes: hops stay within 1.1 of a random graph’s while neighbours draw near', (t) => {
  const plane = new Plane(3, 400);
  const nearest = () => {
    const means = plane.peers.map((peer) => {
      const rtts = [...peer.neighbours].map((node) => plane.rtt(peer.number, node)).sort((a, b) => a - b);
      return rtts.slice(0, 5).reduce((sum, rtt) => sum + rtt, 0) / 5;
    });
    return means.reduce((sum, mean) => sum + mean, 0) / means.length;
  };
  plane.run(30);
  const before = nearest();
  plane.run(240);
  const after = nearest();
  t.log(`mean hops ${plane.meanHops().toFixed(2)}, five nearest ${before.toFixed(1)} ms, then ${after.toFixed(1)} ms`);
  t.true(plane.meanHops() <= 1.1 * 2.31, `${plane.meanHops()} hops`);
  t.true(after < 0.6 * before, `${before} ms, then ${after} ms`);
});

test('a tunnel that carries traffic is never hung up', (t) => {
  const plane = new Plane(4, 60);
  plane.used = (a, b) => (a + b) % 3 === 0;
  plane.run(600);
  t.true(plane.hungUp.length > 50);
  t.true(plane.hungUp.every(([a, b]) => (a + b) % 3 !== 0));
});

test('nor is one whose flow began a moment ago', (t) => {
  const plane = new Plane(14, 60);
  // Minutes after the network began, between any two at another moment, so between two looks too.
  plane.used = (a, b) => plane.now >= 1000 * ((a * b * 7) % 1800);
  plane.run(1800);
  t.true(plane.hungUp.length > 50, `${plane.hungUp.length}`);
  t.deepEqual(plane.cut, []);
});

test('nor is a guest that carries traffic, and nobody has more than the cap', (t) => {
  const limits = sparseLimits(2);
  const plane = new Plane(13, 80, limits);
  plane.used = (a, b) => (a + b) % 2 === 0;
  const comes = [1, 2, 3, 4, 5, 6].map((i) => 7 * i);
  plane.run(30);
  for (let round = 0; round < 20; round++) {
    // Somebody nobody has heard of comes to each of some nodes.
    for (const host of comes) {
      const [peer, other] = [plane.peers[host]!, plane.peers[(host + 11 * round + 40) % 80]!];
      if (peer !== other && !peer.neighbours.has(other.number) && peer.topology.admits(other.number, plane.now, true)) {
        plane.meet(other, peer);
      }
    }
    plane.run(10);
  }
  t.true(plane.most === limits.maxTunnels, `${plane.most}: guests came, and none above the cap`);
  t.true(plane.hungUp.length > 10, `${plane.hungUp.length}`);
  t.deepEqual(
    plane.hungUp.filter(([a, b]) => plane.used(a, b)),
    [],
  );
});

test('who cannot be reached is tried ever more seldom', (t) => {
  const plane = new Plane(5, 3);
  plane.refuse = (from, to) => from === 2 || to === 2;
  plane.run(3600);
  const tries = plane.dialled.filter(([from]) => from === 0).length;
  t.true(tries > 5 && tries < 25, `${tries} in an hour`);
});

test('a busy flow gets a tunnel of its own, and loses it when it is over', (t) => {
  const plane = new Plane(6, 60);
  plane.run(60);
  const [peer] = plane.peers as [Peer];
  const far = plane.peers.find((other) => other !== peer && !peer.neighbours.has(other.number))!;
  let busy = true;
  plane.used = (a, b) => busy && Math.min(a, b) === 0 && Math.max(a, b) === far.number;
  plane.perform(peer, peer.topology.handle({ kind: 'flowBusy', node: far.number }, plane.now));
  plane.run(900);
  t.true(peer.neighbours.has(far.number));
  busy = false;
  plane.run(900);
  t.true(plane.hungUp.some(([a, b]) => Math.min(a, b) === 0 && Math.max(a, b) === far.number));
});

test('a busy flow waits for no dial that may stay unanswered', (t) => {
  for (const seconds of [0, 2, 4, 14]) {
    const topology = new Topology(seededRandom(9), new MeshMessages(), undefined, sparseLimits(1));
    for (let node = 1; node <= 8; node++) topology.handle({ kind: 'nodeKnown', node }, 0);
    for (const node of [1, 2]) topology.handle({ kind: 'tunnelUp', node, own: false }, 0);
    let silent = 0;
    for (let now = 0; now <= seconds * second; now += second) silent += topology.tick(now).length;
    t.true(silent > 0, 'the third place waits for an answer');
    topology.handle({ kind: 'nodeKnown', node: 9 }, seconds * second);
    const dial = topology.handle({ kind: 'flowBusy', node: 9 }, seconds * second);
    t.deepEqual(dial, [{ kind: 'dial', node: 9 }], `after ${seconds} s`);
  }
});

test('what a neighbour says may be anything', (t) => {
  const plane = new Plane(7, 40);
  plane.run(30);
  const [peer] = plane.peers as [Peer];
  const [neighbour] = [...peer.neighbours];
  for (const n of [null, 5, 'x', [1], [[1]], [['a', 'b']], [[1, -5]], [[2 ** 40, 1]], [[3, 2 ** 40]]]) {
    const message = meshMessage('near', { n });
    t.notThrows(() => peer.messages.handle(message, { node: neighbour!, neighbour: true }, plane.now));
    t.notThrows(() => plane.run(60));
  }
});

/** Without those for guests. */
const places = maxTunnels - guests;

/** A node whose places are all taken by tunnels others dialled, as many seconds ago as their numbers; nobody is free to dial. */
function full(carried?: (node: number) => number): Topology {
  const topology = new Topology(seededRandom(8), new MeshMessages(), undefined, undefined, carried);
  for (let node = 1; node <= places; node++) {
    topology.handle({ kind: 'nodeKnown', node }, 0);
    topology.handle({ kind: 'tunnelUp', node, own: false }, 1000 * (places - node));
  }
  topology.handle({ kind: 'nodeKnown', node: 1000 }, 0);
  return topology;
}
const hasEnough = 'it has as many tunnels as it keeps';

test('whose places are all taken admits only whom it has, and who comes all the same is sent away when it has heard who else there is', (t) => {
  const topology = full();
  t.false(topology.admits(1000, 7 * minute));
  t.true(topology.admits(1, 7 * minute));
  const hangUps = (effects: readonly TopologyEffect[]) => effects.filter(({ kind }) => kind === 'hangUp');
  t.deepEqual(hangUps(topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, minute)), []);
  t.deepEqual(hangUps(topology.tick(minute + 2000)), []);
  t.false(topology.admits(1001, minute + 2000));
  t.deepEqual(hangUps(topology.tick(minute + 3000)), [{ kind: 'hangUp', node: 1000, reason: hasEnough }]);
  t.false(topology.admits(1000, 7 * minute));
});

function hungUp(effects: readonly TopologyEffect[]): number[] {
  return effects.flatMap((effect) => (effect.kind === 'hangUp' ? [effect.node] : []));
}

test('of whom nobody has heard comes as a guest when all places are taken, a few at a time', (t) => {
  const topology = full();
  t.false(topology.admits(1000, minute), 'it is known, and so it knows others');
  for (const node of [1000, 1001, 1002]) {
    t.true(topology.admits(node, minute, true));
    topology.handle({ kind: 'tunnelUp', node, own: false }, minute);
  }
  t.false(topology.admits(1003, minute, true));
  const gone = [1, 2, 3, 4, 5, 6].flatMap((i) => hungUp(topology.tick(minute + i * 1000)));
  t.deepEqual(gone.sort(), [1000, 1001, 1002], 'introduced, and sent on');
});

/** Of its places all but one are taken; two dials went out at 0. */
function withOnePlace(): { topology: Topology; dialled: readonly number[] } {
  const topology = new Topology(seededRandom(11), new MeshMessages());
  for (let node = 1; node <= 40; node++) topology.handle({ kind: 'nodeKnown', node }, 0);
  const dialled = topology.tick(0).flatMap((effect) => (effect.kind === 'dial' ? [effect.node] : []));
  for (let node = 101; node < 100 + places; node++) topology.handle({ kind: 'tunnelUp', node, own: false }, 1000);
  return { topology, dialled };
}

test('a place is kept for a dial of ours while its answer may come any moment', (t) => {
  const { topology, dialled } = withOnePlace();
  t.is(dialled.length, 2);
  t.false(topology.admits(1000, 2000));
  for (const node of dialled) topology.handle({ kind: 'tunnelUp', node, own: true }, 2000);
  t.deepEqual(
    [1, 2, 3, 4].flatMap((i) => hungUp(topology.tick(2000 + i * 1000))),
    [dialled[1]],
    'the one of them that was one too many',
  );
});

test('a guest that carries something by the end of its introduction stays, until it is idle', (t) => {
  let carried = 0;
  const topology = full((node) => (node === 1000 ? carried : 0));
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, minute);
  carried = 1;
  const gone = (from: number, to: number) => {
    const nodes: [number, number][] = [];
    for (let now = from; now < to; now += 1000)
      for (const node of hungUp(topology.tick(now))) nodes.push([now - minute, node]);
    return nodes;
  };
  for (let node = 1; node <= places; node++) topology.handle({ kind: 'tunnelUsed', node }, 4 * minute);
  t.deepEqual(gone(minute, 4 * minute), []);
  carried = 2;
  t.deepEqual(gone(4 * minute, 8 * minute), [], 'its last packet was four minutes ago');
  for (let node = 1; node <= places; node++) topology.handle({ kind: 'tunnelUsed', node }, 8 * minute);
  t.deepEqual(gone(8 * minute, 10 * minute), [[8 * minute, 1000]]);
});

test('for a guest in use the tunnel goes that was unused for longest, and then it is no guest', (t) => {
  let carried = 5; // through relays, before there was a tunnel
  const topology = full((node) => (node === 1000 ? carried : 0));
  const later = 7 * minute;
  for (let node = 1; node <= places; node++) if (node !== 7) topology.handle({ kind: 'tunnelUsed', node }, later);
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, later);
  carried = 6;
  const gone = Array.from({ length: 60 }, (_, i) => hungUp(topology.tick(later + i * 1000))).flat();
  t.deepEqual(gone, [7]);
  t.false(topology.admits(7, later + minute), 'its place is taken');
  topology.handle({ kind: 'tunnelUp', node: 1001, own: false }, later + minute);
  t.deepEqual(
    [1, 2, 3, 4].flatMap((i) => hungUp(topology.tick(later + minute + i * 1000))),
    [1001],
    'the next one is the guest',
  );
});

test('the late answer to a dial whose place another has taken is a guest’s', (t) => {
  const { topology, dialled } = withOnePlace();
  const [late] = dialled as [number];
  t.true(topology.admits(1000, 4000), 'it is overdue');
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, 4000);
  t.deepEqual(hungUp(topology.handle({ kind: 'tunnelUp', node: late, own: true }, 5000)), []);
  t.deepEqual(hungUp(topology.tick(7000)), []);
  t.deepEqual(hungUp(topology.tick(8000)), [late]);
  t.true(
    topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, 9000).length === 0,
    'a new session is no new tunnel',
  );
  t.deepEqual(hungUp(topology.tick(13_000)), []);
});

test('above the cap nothing stands for a moment, whoever dialled, and the places are held to it', (t) => {
  const { topology, dialled } = withOnePlace();
  for (let node = 201; node <= 201 + guests; node++) {
    t.deepEqual(hungUp(topology.handle({ kind: 'tunnelUp', node, own: false }, 5000)), []);
  }
  for (const [node, own] of [
    [dialled[0]!, true],
    [300, false],
  ] as const) {
    t.deepEqual(topology.handle({ kind: 'tunnelUp', node, own }, 5000), [{ kind: 'hangUp', node, reason: hasEnough }]);
    t.false(topology.admits(node, 5000, true));
  }
  t.deepEqual(hungUp(topology.handle({ kind: 'tunnelUp', node: 201, own: false }, 5000)), [], 'it stands');
});

test('a guest for whom a place became free is no guest when the next one comes', (t) => {
  const topology = full();
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, minute);
  topology.handle({ kind: 'tunnelDown', node: 1 }, minute + 1000);
  t.deepEqual(hungUp(topology.tick(minute + 2000)), []);
  topology.handle({ kind: 'tunnelUp', node: 1001, own: false }, 2 * minute);
  topology.handle({ kind: 'tunnelUsed', node: 1000 }, 2 * minute);
  t.deepEqual(hungUp(topology.tick(2 * minute + 1000)), []);
  t.deepEqual(hungUp(topology.tick(2 * minute + 3000)), [1001]);
});

test('nor is a tunnel of others’ choice closed for anybody whose flow began a moment ago', (t) => {
  let carried = 0;
  const topology = full((node) => (node === 7 ? carried : 0));
  const later = 7 * minute;
  for (let node = 1; node <= places; node++)
    if (node !== 7) topology.handle({ kind: 'tunnelUsed', node }, later - 1000);
  carried = 1;
  t.deepEqual(topology.handle({ kind: 'knocked', node: 1000 }, later), []);
  t.deepEqual(
    hungUp(topology.handle({ kind: 'knocked', node: 1000 }, later + 4 * minute)),
    [],
    'nor within five minutes',
  );
});

test('a tunnel in use stays in use when its node comes with a new session', (t) => {
  let carried = 0;
  const topology = full((node) => (node === 1000 ? carried : 0));
  const later = 7 * minute;
  for (let node = 1; node <= places; node++) topology.handle({ kind: 'tunnelUsed', node }, later);
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, later);
  carried = 3;
  t.deepEqual(hungUp(topology.tick(later + 4000)), []);
  carried = 0; // of another link
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, later + 5000);
  t.deepEqual(
    [1, 2, 3, 4].flatMap((i) => hungUp(topology.tick(later + 5000 + i * 1000))),
    [],
  );
});

test('what a tunnel carried long ago, or through relays before it stood, is no use of it now', (t) => {
  let carried = 5;
  const topology = full((node) => (node === 1000 || node === 7 ? carried : 0));
  const later = 7 * minute;
  const used = (now: number) => {
    for (let node = 1; node <= places; node++) topology.handle({ kind: 'tunnelUsed', node }, now);
  };
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, later);
  used(later);
  t.deepEqual(hungUp(topology.tick(later + 4000)), [1000]);
  carried = 6;
  used(later + minute);
  for (let node = 1; node <= places; node++) {
    if (node !== 7) topology.handle({ kind: 'tunnelUsed', node }, later + 5 * minute);
  }
  t.deepEqual(hungUp(topology.handle({ kind: 'knocked', node: 1000 }, later + 6 * minute)), [7]);
});

test('a newcomer who knocks gets the place of the tunnel unused for longest, one a minute, and never of one in use', (t) => {
  const topology = full();
  t.deepEqual(topology.handle({ kind: 'knocked', node: 1000 }, 4 * minute), [], 'all are too new to judge');
  const later = 7 * minute;
  for (let node = 1; node <= places; node++) {
    if (node !== 7 && node !== 9) topology.handle({ kind: 'tunnelUsed', node }, later - 1000);
  }
  const gone = topology.handle({ kind: 'knocked', node: 1000 }, later);
  t.deepEqual(gone, [{ kind: 'hangUp', node: 9, reason: hasEnough }]);
  t.true(topology.admits(1000, 7 * minute));
  topology.handle({ kind: 'tunnelUp', node: 1000, own: false }, later);
  t.deepEqual(topology.handle({ kind: 'knocked', node: 9 }, later + 30_000), [], 'not again within the minute');
  t.is(topology.handle({ kind: 'knocked', node: 9 }, later + minute).length, 1, 'node 7 is idle');
  topology.handle({ kind: 'tunnelUp', node: 9, own: false }, later + minute);
  t.deepEqual(topology.handle({ kind: 'knocked', node: 7 }, later + 2 * minute), [], 'the others are in use');
});

test('a flow that keeps relays busy gets its tunnel before the one unused for longest goes, and of those in use none does', (t) => {
  let carried = 0;
  const topology = full((node) => (node === 1000 ? carried : 0));
  const later = 7 * minute;
  const busy = { kind: 'flowBusy', node: 1000 } as const;
  for (let node = 1; node <= places; node++)
    if (node !== 9) topology.handle({ kind: 'tunnelUsed', node }, later - 1000);
  t.deepEqual(topology.handle(busy, later), [{ kind: 'dial', node: 1000 }]);
  t.deepEqual(topology.handle(busy, later), [], 'it is being dialled');
  t.deepEqual(hungUp(topology.tick(later + 2000)), []);
  topology.handle({ kind: 'tunnelUp', node: 1000, own: true }, later + 2500);
  carried = 10;
  t.deepEqual(hungUp([3000, 4000, 5000].flatMap((at) => topology.tick(later + at))), []);
  t.deepEqual(hungUp(topology.tick(later + 6000)), [9]);
  const used = full();
  for (let node = 1; node <= places; node++) used.handle({ kind: 'tunnelUsed', node }, later - 1000);
  t.deepEqual(used.handle(busy, later), []);
});

test('nobody is hung up for a flow that would not be dialled, as guests hold places, nor for a node whose last dial failed', (t) => {
  const busy = { kind: 'flowBusy', node: 1000 } as const;
  const later = 7 * minute;
  const crowded = full();
  crowded.handle({ kind: 'tunnelUp', node: 1001, own: false }, later);
  t.deepEqual(crowded.handle(busy, later), []);
  const failed = full();
  t.deepEqual(failed.handle(busy, later), [{ kind: 'dial', node: 1000 }]);
  t.deepEqual(failed.handle({ kind: 'dialFailed', node: 1000 }, later), []);
  t.deepEqual(hungUp(failed.tick(later + 1000)), [], 'nobody went for a dial in vain');
  t.deepEqual(failed.handle(busy, later + 2 * minute), [], 'all places are taken');
  failed.handle({ kind: 'tunnelDown', node: 7 }, later + 2 * minute);
  t.deepEqual(
    failed.handle(busy, later + 2 * minute),
    [{ kind: 'dial', node: 1000 }],
    'where there is a place it is dialled',
  );
});

test('a dial that is not answered holds up no other: in a sparse network the next is dialled within seconds', (t) => {
  const topology = new Topology(seededRandom(9), new MeshMessages(), undefined, sparseLimits(1));
  for (const node of [1, 2, 3, 4]) topology.handle({ kind: 'nodeKnown', node }, 0);
  const dials: [number, number][] = [];
  for (let now = 0; now <= 9000; now += 1000) {
    for (const effect of topology.tick(now)) if (effect.kind === 'dial') dials.push([now, effect.node]);
  }
  t.deepEqual(
    dials.map(([at]) => at),
    [0, 1000, 2000, 3000],
  );
  t.is(new Set(dials.map(([, node]) => node)).size, 4, 'each another');
});

test('dials into nothing keep no newcomer out', (t) => {
  const topology = new Topology(seededRandom(10), new MeshMessages());
  for (let node = 1; node <= 500; node++) topology.handle({ kind: 'nodeKnown', node }, 0);
  for (let now = 0; now <= 14_000; now += 1000) {
    const dials = topology.tick(now).length;
    t.true(dials > 0 && dials <= maxTunnels / 2, `${dials} dials`);
    t.true(topology.admits(1000, now));
  }
});

/**
 * Seconds until a node that was restarted has dialled one that lives: of 400 only every twentieth, and as many it had tunnels with.
 * `knowsAt`: when somebody has told it of them.
 */
function findsLiving(seed: number, former: readonly number[], knowsAt: Millis = 0): number {
  const random = seededRandom(seed);
  const topology = new Topology(random, new MeshMessages());
  topology.handle({ kind: 'restarted', former }, 0);
  for (let now = 0; now <= 60_000; now += 1000) {
    if (now === knowsAt) for (let node = 1; node <= 400; node++) topology.handle({ kind: 'nodeKnown', node }, now);
    for (const effect of topology.tick(now)) if (effect.kind === 'dial' && effect.node % 20 === 0) return now / 1000;
  }
  return 60;
}

test('a restart among many dead: whom it had tunnels with come first, then half of all places at once', (t) => {
  const seeds = Array.from({ length: 200 }, (_, seed) => seed);
  const tunnels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 20];
  t.true(
    seeds.every((seed) => findsLiving(seed, tunnels) === 0),
    'one of ten lives: at once',
  );
  t.true(
    seeds.every((seed) => findsLiving(seed, tunnels, 7 * second) === 7),
    'without its directory: as soon as it is told of them',
  );
  const took = seeds.map((seed) => findsLiving(seed, [])).sort((a, b) => a - b);
  t.log(`without any that lives: median ${took[100]} s, 9 of 10 within ${took[180]} s, longest ${took[199]} s`);
  t.true(took[100]! <= 2 && took[180]! <= 4, 'one in twenty lives');
});

/** When a node is dialled from `start` to `end`, where each dial fails 15 s later. */
function dialsOf(topology: Topology, node: number, start: Millis, end: Millis): Millis[] {
  const dials: Millis[] = [];
  const running: { readonly node: number; readonly endsAt: Millis }[] = [];
  for (let now = start; now <= end; now += second) {
    while (running[0] && now >= running[0].endsAt) {
      topology.handle({ kind: 'dialFailed', node: running.shift()!.node }, now);
    }
    if (now < topology.deadline()) continue;
    for (const effect of topology.tick(now)) {
      if (effect.kind !== 'dial') continue;
      running.push({ node: effect.node, endsAt: now + 15 * second });
      if (effect.node === node) dials.push(now);
    }
  }
  return dials;
}

/** The longest time without a dial. */
function longestPause(dials: readonly Millis[]): Millis {
  return Math.max(...dials.slice(1).map((at, i) => at - dials[i]!));
}

for (const booted of [0, 90 * 24 * 60 * minute]) {
  test(`a restart while the line is dead, ${booted / minute} min after the machine’s: whom it had tunnels with are dialled as if they had fallen`, (t) => {
    const topology = new Topology(seededRandom(1), new MeshMessages());
    for (const node of [2, 3, 4]) topology.handle({ kind: 'nodeKnown', node }, 0);
    topology.handle({ kind: 'restarted', former: [2, 3, 4] }, 0);
    const dials = dialsOf(topology, 2, booted + second, booted + 60 * minute);
    t.true(longestPause(dials) < 20 * second, `${longestPause(dials)} ms`);
  });
}

test('a restart without the directory: whom it had tunnels with are dialled as if they had fallen once a neighbour names them', (t) => {
  const topology = new Topology(seededRandom(1), new MeshMessages());
  topology.handle({ kind: 'restarted', former: [2, 3] }, 0);
  topology.tick(0);
  topology.handle({ kind: 'nodeKnown', node: 9 }, second);
  topology.handle({ kind: 'tunnelUp', node: 9, own: true }, second);
  topology.tick(second);
  const told = minute;
  for (const node of [2, 3]) topology.handle({ kind: 'nodeKnown', node }, told);
  const dials = dialsOf(topology, 2, told, told + 10 * minute);
  t.is(dials[0], told);
  t.true(longestPause(dials) < 45 * second, `${longestPause(dials)} ms`);
});

test('dials that failed while the tunnel stood delay none when it falls', (t) => {
  const topology = new Topology(seededRandom(1), new MeshMessages());
  for (const node of [2, 3]) {
    topology.handle({ kind: 'nodeKnown', node }, 0);
    topology.handle({ kind: 'tunnelUp', node, own: true }, 0);
  }
  const fell = 10 * minute;
  for (let now = 30 * second; now < fell; now += 30 * second) topology.handle({ kind: 'dialFailed', node: 2 }, now);
  topology.handle({ kind: 'tunnelDown', node: 2 }, fell);
  t.is(dialsOf(topology, 2, fell, fell + minute)[0], fell);
});

test('a dial that goes on beyond its time and then fails is waited for once', (t) => {
  const topology = new Topology(seededRandom(1), new MeshMessages());
  topology.handle({ kind: 'nodeKnown', node: 2 }, 0);
  t.deepEqual(topology.tick(0), [{ kind: 'dial', node: 2 }]);
  topology.tick(15 * second); // it was sent elsewhere under way
  topology.handle({ kind: 'dialFailed', node: 2 }, 20 * second);
  const again = dialsOf(topology, 2, 20 * second, minute)[0]!;
  t.true(again > 15 * second + 0.7 * 5 * second && again <= 15 * second + 1.3 * 5 * second + second, `${again}`);
});

test('who slept dials those whose tunnels fell, for what it had them for', (t) => {
  const topology = new Topology(seededRandom(12), new MeshMessages());
  for (let node = 1; node <= 100; node++) topology.handle({ kind: 'nodeKnown', node }, 0);
  for (const node of [3, 5, 8]) topology.handle({ kind: 'tunnelUp', node, own: true }, 0);
  topology.handle({ kind: 'tunnelDown', node: 8 }, minute);
  for (const node of [3, 5]) topology.handle({ kind: 'tunnelDown', node }, 9 * minute);
  topology.handle({ kind: 'dialFailed', node: 3 }, 9 * minute);
  topology.handle({ kind: 'wokeUp' }, 9 * minute);
  const dialled = topology.tick(9 * minute).map((effect) => (effect.kind === 'dial' ? effect.node : undefined));
  t.deepEqual(dialled.slice(0, 2), [3, 5]);
  t.false(dialled.includes(8), 'lost long before');
});
