import type { Endpoint } from '../../src/addr/endpoint.js';
import type { NodeNumber } from '../../src/addr/node-number.js';
import { SecondMachine } from '../../src/addr/second-machine.js';
import { toHex } from '../../src/bytes.js';
import { AgreementKey, SigningKey } from '../../src/crypto.js';
import { type Random, seededRandom } from '../../src/random.js';
import { type Millis, never, second } from '../../src/time.js';
import { ControlChannel } from '../../src/tunnel/frame.js';
import { Guard } from '../../src/tunnel/guard.js';
import { Peers, type TunnelEvent } from '../../src/tunnel/peers.js';
import type { Path } from '../../src/tunnel/plane/contract.js';
import type { TunnelEffect } from '../../src/tunnel/tunnel-effect.js';
import { endpointOf, type Parcel, PlaneStandIn, pathKey } from './plane-stand-in.js';

/** In the tests a certificate is a name, and its chain 500 octets that begin with the node number. */
export type Effect = TunnelEffect<string>;

const networkId = new Uint8Array(32).fill(7);

export function chainOf(node: NodeNumber): Uint8Array {
  const chain = new Uint8Array(500).fill(0x5a);
  new DataView(chain.buffer).setUint32(0, node);
  return chain;
}

/** With a signing key that all who have this key share, made only where it is wanted. */
export function secondMachineOf(
  { publicKey }: AgreementKey,
  incarnation: bigint,
): Pick<SecondMachine, 'prove' | 'isProven'> {
  const withKey = <Result>(act: (made: SecondMachine) => Result): Result => {
    const key = new SigningKey(publicKey);
    const result = act(new SecondMachine(networkId, key, incarnation));
    key.wipe();
    return result;
  };
  return {
    prove: (first) => withKey((made) => made.prove(first)),
    isProven: (bytes) => withKey((made) => made.isProven(bytes)),
  };
}

/** How datagrams fare between two nodes. */
export interface Wire {
  loss: number;
  duplication: number;
  delay: Millis;
  /** Up to this much more, each its own: reordering. */
  jitter: Millis;
  cut: boolean;
}

/** One machine: a key, an address, and now and then a running process. */
export class Machine {
  readonly world: World;
  readonly node: NodeNumber;
  readonly key: AgreementKey;
  readonly endpoint: Endpoint;
  peers!: Peers<string>;
  plane!: PlaneStandIn;
  /** What the process said other than plane commands, with its time. */
  readonly said: { readonly at: Millis; readonly effect: Effect }[] = [];
  isRunning = false;
  /** Of the process that runs, or ran last. */
  incarnation = 0n;
  aesFaster = true;
  lanes = 1;
  admits: (node: NodeNumber) => boolean = () => true;

  constructor(world: World, node: NodeNumber, key: AgreementKey, endpoint: Endpoint) {
    this.world = world;
    this.node = node;
    this.key = key;
    this.endpoint = endpoint;
  }

  /** A new process with an empty memory, as after kill -9 and start. */
  start(): this {
    const { random } = this.world;
    const guard = new Guard({ publicKey: this.key.publicKey, cookieSecret: random.bytes(32), random });
    const plane = new PlaneStandIn(
      guard,
      (to, parcel) => this.world.carry(this, to, parcel),
      (event, delay = 0) => {
        const born = this.plane;
        this.world.at(delay, () => this.plane === born && this.do({ kind: 'plane', event }));
      },
    );
    this.plane = plane;
    this.incarnation = BigInt(random.below(2 ** 32));
    this.isRunning = true;
    this.peers = new Peers<string>({
      node: this.node,
      networkId,
      key: this.key,
      chain: chainOf(this.node),
      incarnation: this.incarnation,
      lanes: this.lanes,
      aesFaster: this.aesFaster,
      random,
      secondMachine: secondMachineOf(this.key, this.incarnation),
      membership: this.world.membership,
      counters: (link) => plane.counters(link),
      admits: (node) => this.admits(node),
    });
    const beat = () => {
      if (this.plane !== plane || !this.isRunning) return;
      plane.beat(this.world.now);
      this.world.at(second / 2, beat);
    };
    beat();
    return this;
  }

  stop(): void {
    this.isRunning = false;
  }

  do(event: TunnelEvent): void {
    if (!this.isRunning) return;
    const effects = this.peers.handle(event, this.world.now);
    this.world.watch(this, event, effects);
    this.apply(effects);
  }

  dial(other: Machine, endpoints: readonly Endpoint[] | 'overlay' = [other.endpoint]): void {
    this.do({ kind: 'dial', node: other.node, publicKey: other.key.publicKey, endpoints });
  }

  apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'plane') this.plane.command(effect.command, this.world.now);
      else this.said.push({ at: this.world.now, effect });
    }
  }

  /** All effects of this kind, oldest first. */
  told<Kind extends Effect['kind']>(kind: Kind): Extract<Effect, { kind: Kind }>[] {
    return this.said.map(({ effect }) => effect).filter((effect) => effect.kind === kind) as never;
  }

  standing(other: Machine): 'none' | 'session' | 'tunnel' {
    return this.peers.reach(other.node)?.standing ?? 'none';
  }
}

/** A frame that carries a handshake of the session it is sealed in. */
export function isHandshakeInside(parcel: Parcel): boolean {
  return (
    parcel.kind === 'frame' && 'control' in parcel.content && parcel.content.control[0] === ControlChannel.handshake
  );
}

/** A few machines, the wires between them, and a clock that jumps from event to event. */
export class World {
  readonly random: Random;
  readonly machines: Machine[] = [];
  readonly revoked = new Set<string>();
  readonly wire: Wire = { loss: 0, duplication: 0, delay: 10, jitter: 0, cut: false };
  /** Whether frames and handshakes addressed to a node number find a way. */
  overlay = true;
  /** Whether handshakes inside sessions are understood: older peers know nothing of them. */
  inside = true;
  /** Sees what an event brings about at a machine, before it is done. */
  watch: (machine: Machine, event: TunnelEvent, effects: readonly Effect[]) => void = () => {};
  /** May look at, change or swallow each parcel. */
  tap: (from: Machine, to: Path, parcel: Parcel) => Parcel | undefined = (_from, _to, parcel) => parcel;
  now: Millis = 0;
  #order = 0;
  readonly #queue: { readonly at: Millis; readonly order: number; readonly run: () => void }[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  readonly membership = {
    identify: (chain: Uint8Array, publicKey: Uint8Array) => {
      if (chain.length < 4) return { refused: 'no certificate' };
      const node = new DataView(chain.buffer, chain.byteOffset, chain.length).getUint32(0);
      const holder = this.machines.find((machine) => toHex(machine.key.publicKey) === toHex(publicKey));
      if (holder?.node !== node) return { refused: 'the certificate is for another key' };
      if (this.revoked.has(toHex(publicKey))) return { refused: 'its key was revoked' };
      return { node, certificate: `node ${node}` };
    },
    publicKeyOf: (node: NodeNumber) => this.machines.find((machine) => machine.node === node)?.key.publicKey,
  };

  machine(node: NodeNumber): Machine {
    const machine = new Machine(this, node, new AgreementKey(this.random.bytes(32)), endpointOf(node));
    this.machines.push(machine);
    return machine;
  }

  /** Another machine with the same key. */
  cloneOf(machine: Machine, address: number): Machine {
    const clone = new Machine(this, machine.node, machine.key, endpointOf(address));
    this.machines.push(clone);
    return clone;
  }

  at(delay: Millis, run: () => void): void {
    const entry = { at: this.now + delay, order: this.#order++, run };
    let i = this.#queue.length;
    while (i > 0 && this.#queue[i - 1]!.at > entry.at) i--;
    this.#queue.splice(i, 0, entry);
  }

  carry(from: Machine, to: Path, parcel: Parcel): void {
    if (!this.inside && isHandshakeInside(parcel)) return;
    const seen = this.tap(from, to, parcel);
    if (!seen || this.wire.cut || (to.kind === 'overlay' && !this.overlay)) return;
    const copies = this.random.unit() < this.wire.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.random.unit() < this.wire.loss) continue;
      this.inject(from.endpoint, from.node, to, seen, this.wire.delay + this.random.unit() * this.wire.jitter);
    }
  }

  /** A parcel that arrives after `delay`, from whoever it claims to be from. */
  inject(source: Endpoint, sourceNode: NodeNumber, to: Path, parcel: Parcel, delay: Millis): void {
    this.at(delay, () => {
      const reached = this.machines.find((machine) =>
        to.kind === 'direct'
          ? pathKey({ kind: 'direct', endpoint: machine.endpoint }) === pathKey(to)
          : machine.node === to.node,
      );
      if (!reached?.isRunning) return;
      const from: Path =
        to.kind === 'direct' ? { kind: 'direct', endpoint: source } : { kind: 'overlay', node: sourceNode };
      reached.plane.receive(from, parcel, this.now);
    });
  }

  run(duration: Millis): void {
    const end = this.now + duration;
    for (;;) {
      const running = this.machines.filter((machine) => machine.isRunning);
      const due = running.reduce((soonest, machine) => Math.min(soonest, machine.peers.deadline()), never);
      const next = this.#queue[0]?.at ?? never;
      if (Math.min(due, next) > end) break;
      if (next <= due) {
        this.now = Math.max(this.now, next);
        this.#queue.shift()!.run();
      } else {
        this.now = Math.max(this.now, due);
        for (const machine of running) machine.apply(machine.peers.tick(this.now));
      }
    }
    this.now = end;
  }
}
