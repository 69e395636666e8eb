import test from 'ava';
import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import { type NodeNumber, nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { toHex } from '../../src/bytes.js';
import { AgreementKey } from '../../src/crypto.js';
import { type Random, seededRandom } from '../../src/random.js';
import { type Millis, minute, second } from '../../src/time.js';
import { Guard } from '../../src/tunnel/guard.js';
import { Peers, type TunnelEvent } from '../../src/tunnel/peers.js';
import { InProcessPlane } from '../../src/tunnel/plane/in-process.js';
import { buildPacket } from './plane/packets.js';
import { chainOf, type Effect } from './world.js';

/** The product's peers on the product's plane: real keys, real frames, a virtual clock. */
const network = parsePrefix('fd77:6566:7400::/40')!;

class Node {
  readonly number: NodeNumber;
  readonly key: AgreementKey;
  readonly endpoint: Endpoint;
  readonly plane: InProcessPlane;
  readonly peers: Peers<string>;
  readonly told: Effect[] = [];
  /** Fills of the packets that reached the kernel. */
  readonly received: number[] = [];
  readonly #net: Net;

  constructor(net: Net, number: NodeNumber, random: Random, key: AgreementKey, host: number) {
    this.#net = net;
    this.number = number;
    this.key = key;
    this.endpoint = { address: `192.0.2.${host}`, port: 16696 };
    const cookieSecret = random.bytes(32);
    this.plane = new InProcessPlane(
      {
        random,
        workers: 2,
        guard: (publicKey) => new Guard({ publicKey, cookieSecret, random }),
        toKernel: (packet) => this.received.push(packet.at(-1)!),
        toUnderlay: (bytes, to) => net.carry(this, to, new Uint8Array(bytes)),
      },
      net.now,
    );
    this.plane.command({
      kind: 'configure',
      node: number,
      networkPrefix: network.bytes,
      networkPrefixLength: network.length,
      relay: 'yes',
      relayLimitBitsPerSecond: 0,
      publicKey: this.key.publicKey,
    });
    this.peers = new Peers<string>({
      node: number,
      networkId: new Uint8Array(32).fill(7),
      key: this.key,
      chain: chainOf(number),
      incarnation: BigInt(random.below(2 ** 32)),
      lanes: 2,
      aesFaster: true,
      random,
      membership: {
        identify: (chain, publicKey) => {
          const holder = net.nodes.find((node) => toHex(node.key.publicKey) === toHex(publicKey))!;
          return toHex(chain) === toHex(chainOf(holder.number))
            ? { node: holder.number, certificate: `node ${holder.number}` }
            : { refused: 'the certificate is for another key' };
        },
        publicKeyOf: (node) => net.nodes.find((other) => other.number === node)?.key.publicKey,
      },
      counters: (link) => this.plane.counters(link),
    });
    this.plane.onEvent((event) => this.do({ kind: 'plane', event }));
  }

  do(event: TunnelEvent): void {
    this.apply(this.peers.handle(event, this.#net.now));
  }

  apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'plane') this.plane.command(effect.command);
      else this.told.push(effect);
    }
  }

  dial(other: Node): void {
    this.do({ kind: 'dial', node: other.number, publicKey: other.key.publicKey, endpoints: [other.endpoint] });
  }

  standing(other: Node): string {
    return this.peers.reach(other.number)?.standing ?? 'none';
  }

  /** Packets for `to` leave by the tunnel to `hop`. */
  route(to: Node, hop: Node): void {
    const hops = [this.peers.reach(hop.number)!.link];
    this.plane.command({ kind: 'patchRoutes', nodes: [{ node: to.number, hops }], prefixes: [], removedPrefixes: [] });
  }

  /** A UDP packet whose last octet is `fill`. */
  send(to: Node, fill: number): void {
    const [source, destination] = [nodeAddress(network, this.number), nodeAddress(network, to.number)];
    const payload = new Uint8Array(32).fill(fill);
    this.plane.fromKernel(buildPacket({ version: 6, protocol: 'udp', source, destination, payload }));
  }

  count(kind: Effect['kind']): number {
    return this.told.filter((effect) => effect.kind === kind).length;
  }
}

class Net {
  now: Millis = 1000;
  readonly nodes: Node[] = [];
  /** Pairs that hear nothing of each other, as "1-2". */
  readonly cut = new Set<string>();
  readonly #random = seededRandom(9);
  readonly #flights: { readonly at: Millis; readonly from: Node; readonly to: Node; readonly bytes: Uint8Array }[] = [];

  node(number: NodeNumber): Node {
    const node = new Node(this, number, this.#random, new AgreementKey(this.#random.bytes(32)), number);
    this.nodes.push(node);
    return node;
  }

  /** The same node and key, started anew: in its place, or beside it on another host. */
  again(node: Node, host = node.number): Node {
    const fresh = new Node(this, node.number, this.#random, node.key, host);
    if (host === node.number) this.nodes.splice(this.nodes.indexOf(node), 1);
    this.nodes.push(fresh);
    return fresh;
  }

  carry(from: Node, endpoint: Endpoint, bytes: Uint8Array): void {
    const to = this.nodes.find((node) => formatEndpoint(node.endpoint) === formatEndpoint(endpoint));
    if (!to || this.cut.has([from.number, to.number].sort().join('-'))) return;
    this.#flights.push({ at: this.now + 5, from, to, bytes });
  }

  run(duration: Millis, each: Millis = duration, act: () => void = () => {}): void {
    const end = this.now + duration;
    let actAt = this.now;
    for (;;) {
      for (const node of this.nodes) {
        node.plane.run(this.now);
        if (this.now >= node.peers.deadline()) node.apply(node.peers.tick(this.now));
        node.plane.run(this.now);
      }
      const due = this.nodes.map((node) => Math.min(node.plane.deadline(), node.peers.deadline()));
      const next = Math.min(...due, ...this.#flights.map(({ at }) => at), actAt + each);
      if (next > end) break;
      this.now = Math.max(next, this.now + 0.5);
      if (this.now >= actAt + each) {
        actAt = this.now;
        act();
      }
      const arrived = this.#flights.filter(({ at }) => at <= this.now);
      for (const flight of arrived) {
        this.#flights.splice(this.#flights.indexOf(flight), 1);
        flight.to.plane.fromUnderlay(flight.bytes, flight.from.endpoint);
      }
    }
    this.now = end;
  }
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
  const net = new Net();
  const [alice, bob, relay] = [net.node(1), net.node(2), net.node(3)];
  net.run(1);
  alice.dial(bob);
  alice.dial(relay);
  bob.dial(relay);
  net.run(second);
  alice.route(bob, relay);
  bob.route(alice, relay);
  relay.route(alice, alice);
  relay.route(bob, bob);
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
  const net = new Net();
  const [alice, bob, relay] = [net.node(1), net.node(2), net.node(3)];
  net.run(1);
  alice.dial(relay);
  bob.dial(relay);
  net.run(second);
  alice.route(bob, relay);
  bob.route(alice, relay);
  relay.route(alice, alice);
  relay.route(bob, bob);
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
  const net = new Net();
  const [alice, bob] = [net.node(1), net.node(2)];
  net.run(1);
  alice.dial(bob);
  net.run(second);
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
  const net = new Net();
  const [alice, bob] = [net.node(1), net.node(2)];
  net.run(1);
  alice.dial(bob);
  net.run(second);
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
  t.is(bob.received.length, sent);
  t.is(clone.received.length, 0);
  t.is(clone.standing(alice), 'none');
  t.is(alice.count('tunnelDown'), 0);
});

test('end-to-end keys of a node that was restarted unseen are replaced while packets go one way', (t) => {
  const net = new Net();
  const [alice, bob, relay] = [net.node(1), net.node(2), net.node(3)];
  net.run(1);
  alice.dial(relay);
  bob.dial(relay);
  net.run(second);
  alice.route(bob, relay);
  relay.route(bob, bob);
  bob.route(alice, relay);
  relay.route(alice, alice);
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
