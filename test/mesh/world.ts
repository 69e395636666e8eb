import type { Endpoint } from '../../src/addr/endpoint.js';
import { NodeIdentity } from '../../src/addr/identity.js';
import { decodeInvitation } from '../../src/addr/invitation.js';
import type { NodeNumber } from '../../src/addr/node-number.js';
import type { MeshError } from '../../src/errors.js';
import { type InviteCommand, type Invited, invite } from '../../src/mesh/commands.js';
import type { MeshEffect, Outcome } from '../../src/mesh/effects.js';
import { foundNetwork } from '../../src/mesh/found.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { Mesh, type StoredMesh } from '../../src/mesh/mesh.js';
import { type Random, seededRandom } from '../../src/random.js';
import type { Millis, UnixSeconds } from '../../src/time.js';

/** A disk: blobs by name. What is not written before a crash is lost. */
export type Disk = Map<string, Uint8Array>;

export function storedOn(disk: Disk): StoredMesh {
  return {
    identity: disk.get('identity'),
    membership: disk.get('membership'),
    issuer: disk.get('issuer'),
    networkKey: disk.get('network-key'),
    directory: disk.get('directory'),
  };
}

/** A machine with a disk, an address, and perhaps a running member on it. */
export class Host {
  readonly disk: Disk = new Map();
  /** A test may have it move. */
  endpoint: Endpoint;
  mesh: Mesh | undefined;
  joiner: JoinInitiator | undefined;
  joinError: MeshError | undefined;
  joined = 0;
  readonly done: MeshEffect[] = [];
  /** Crashes before the effect that many steps from now; undefined: never. */
  crashIn: number | undefined;
  /** How far the clock of this machine is off. */
  skew: UnixSeconds = 0;

  constructor(index: number) {
    this.endpoint = { address: `11.0.${index >> 8}.${index & 255}`, port: 16696 };
  }
}

/** Hosts whose datagrams and control messages travel in an instant, one after the other; every crash and loss is chosen. */
export class World {
  readonly random: Random;
  readonly hosts: Host[] = [];
  now: Millis = 0;
  clock: UnixSeconds = 1_795_000_000;
  /** True: this message is lost. */
  lose: (from: Host, effect: MeshEffect) => boolean = () => false;
  readonly #queue: (() => void)[] = [];
  readonly #links = new Set<string>();
  messages = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  readonly wallClock = (): UnixSeconds => this.clock + this.now / 1000;

  clockOf(host: Host): () => UnixSeconds {
    return () => this.wallClock() + host.skew;
  }

  host(): Host {
    const host = new Host(this.hosts.length + 1);
    this.hosts.push(host);
    return host;
  }

  found(name = 'first', networkPrefix?: Parameters<typeof foundNetwork>[0]['prefix']): Host {
    const host = this.host();
    const founding = networkPrefix ? { name, prefix: networkPrefix } : { name };
    this.perform(host, foundNetwork(founding, this.random, this.wallClock).effects);
    this.start(host);
    return host;
  }

  /** Starts the member on this host from its disk. */
  start(host: Host): Mesh {
    const mesh = Mesh.restore(storedOn(host.disk), this.random, this.clockOf(host));
    if (!mesh) throw new Error('no membership on this disk');
    host.mesh = mesh;
    host.crashIn = undefined;
    this.perform(host, mesh.tick(this.now));
    const proven = { ...host.endpoint, source: 'configured', proven: true } as const;
    this.post(host, { kind: 'endpointsChanged', endpoints: [proven] });
    for (const other of this.neighbours(host)) this.#meet(host, other);
    this.settle();
    return mesh;
  }

  crash(host: Host): void {
    host.mesh = undefined;
    host.joiner = undefined;
    for (const other of this.neighbours(host)) {
      this.post(other, { kind: 'neighbourDown', node: this.numberOn(host) });
    }
  }

  neighbours(host: Host): Host[] {
    return this.hosts.filter((other) => other !== host && this.#links.has(linkKey(host, other)));
  }

  link(a: Host, b: Host): void {
    this.#links.add(linkKey(a, b));
    if (a.mesh && b.mesh) this.#meet(a, b);
    this.settle();
  }

  unlink(a: Host, b: Host): void {
    this.#links.delete(linkKey(a, b));
    this.post(a, { kind: 'neighbourDown', node: this.numberOn(b) });
    this.post(b, { kind: 'neighbourDown', node: this.numberOn(a) });
  }

  /** A token of this issuer. */
  invite(issuer: Host, command: InviteCommand = {}): string {
    return this.invited(issuer, command).token;
  }

  /** The same, with all that the operator is told. */
  invited(issuer: Host, command: InviteCommand = {}): Invited {
    const isThere = (node: NodeNumber) => this.hosts.some(({ mesh }) => mesh?.membership.number === node);
    const outcome = invite(issuer.mesh!, command, isThere);
    this.perform(issuer, outcome.effects);
    return outcome.value;
  }

  /** Begins joining from a fresh host, or again from one that has an identity. */
  join(token: string, name = 'node', host = this.host()): Host {
    const stored = host.disk.get('identity');
    const identity = (stored && NodeIdentity.decode(stored)) ?? NodeIdentity.make(this.random);
    host.joinError = undefined;
    host.joiner = new JoinInitiator(decodeInvitation(token)!, identity, name, this.random, this.clockOf(host));
    return host;
  }

  /** Joins, starts and links in one go. */
  member(issuer: Host, name: string, via: Host = issuer): Host {
    const host = this.join(this.invite(issuer), name);
    this.run(1000);
    if (!host.joined) throw new Error(`not joined: ${host.joinError?.message}`);
    this.start(host);
    this.link(host, via);
    return host;
  }

  order<T>(host: Host, outcome: Outcome<T>): T {
    this.perform(host, outcome.effects);
    this.settle();
    return outcome.value;
  }

  post(host: Host, event: Parameters<Mesh['handle']>[0]): void {
    this.#queue.push(() => {
      if (host.mesh) this.perform(host, host.mesh.handle(event, this.now));
    });
  }

  /** Lets everything under way arrive. */
  settle(): void {
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) next();
  }

  /** Lets time pass, machines ticking when they asked to. */
  run(duration: Millis): void {
    const end = this.now + duration;
    for (;;) {
      this.settle();
      let next = end;
      for (const host of this.hosts) {
        next = Math.min(next, host.mesh?.deadline() ?? end, host.joiner?.deadline() ?? end);
      }
      this.now = Math.max(this.now, next);
      for (const host of this.hosts) {
        if (host.mesh && host.mesh.deadline() <= this.now) this.perform(host, host.mesh.tick(this.now));
        if (host.joiner && host.joiner.deadline() <= this.now) this.perform(host, host.joiner.tick(this.now));
      }
      this.settle();
      if (this.now >= end) return;
    }
  }

  /** Performs effects as a shell does: in order, each to its end; a crash leaves the rest undone. */
  perform(host: Host, effects: readonly MeshEffect[]): void {
    for (const effect of effects) {
      if (host.crashIn !== undefined && host.crashIn-- === 0) {
        host.crashIn = undefined;
        this.crash(host);
        return;
      }
      host.done.push(effect);
      this.#performOne(host, effect);
    }
  }

  #performOne(host: Host, effect: MeshEffect): void {
    switch (effect.kind) {
      case 'persist':
        host.disk.set(effect.name, effect.bytes);
        return;
      case 'forget':
        host.disk.delete(effect.name);
        return;
      case 'sendDatagram':
        this.messages++;
        if (!this.lose(host, effect)) this.#deliverDatagram(host, effect.to, effect.bytes);
        return;
      case 'sendMesh': {
        this.messages++;
        if (effect.bytes.length > 1200) throw new Error(`a control message of ${effect.bytes.length} octets`);
        const to = this.hosts.find((other) => other.mesh?.membership.number === effect.to);
        if (!to || this.lose(host, effect)) return;
        const neighbour = this.#links.has(linkKey(host, to));
        const from = host.mesh!.membership.number;
        this.post(to, { kind: 'meshReceived', from, neighbour, bytes: effect.bytes });
        return;
      }
      case 'joined':
        host.joined++;
        return;
      case 'joinFailed':
        host.joinError = effect.error;
        return;
    }
  }

  #deliverDatagram(from: Host, to: Endpoint, bytes: Uint8Array): void {
    const host = this.hosts.find((other) => other.endpoint.address === to.address && other.endpoint.port === to.port);
    if (!host) return;
    this.#queue.push(() => {
      const event = { from: from.endpoint, bytes };
      if (host.mesh) this.perform(host, host.mesh.handle({ kind: 'joinDatagram', ...event }, this.now));
      if (host.joiner) this.perform(host, host.joiner.handle({ kind: 'datagram', ...event }, this.now));
    });
  }

  numberOn(host: Host): NodeNumber {
    return (
      host.mesh?.membership.number ??
      Mesh.restore(storedOn(host.disk), this.random, this.clockOf(host))?.membership.number ??
      0
    );
  }

  /** A tunnel: each verifies the other's chain, as a handshake does. */
  #meet(a: Host, b: Host): void {
    if (!a.mesh || !b.mesh) return;
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { chain, identity } = other.mesh!.membership;
      if (!one.mesh!.verify(chain, identity.agreement.publicKey).ok) return;
    }
    this.post(a, { kind: 'neighbourUp', node: b.mesh.membership.number });
    this.post(b, { kind: 'neighbourUp', node: a.mesh.membership.number });
  }
}

function linkKey(a: Host, b: Host): string {
  return [a.endpoint.address, b.endpoint.address].sort().join(' ');
}
