import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import { parseIp } from '../../src/addr/ip.js';
import { type NodeNumber, tunnelLinkLocal } from '../../src/addr/node-number.js';
import { toHex } from '../../src/bytes.js';
import { type Millis, second } from '../../src/time.js';
import type { Guard } from '../../src/tunnel/guard.js';
import type {
  Carriage,
  LinkId,
  Path,
  PlaneCommand,
  PlaneEvent,
  SessionInstall,
} from '../../src/tunnel/plane/contract.js';

/** What travels between stand-ins: a handshake-class datagram, or a transport frame whose seal is the key beside it. */
export type Parcel =
  | { readonly kind: 'datagram'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'frame';
      readonly index: number;
      readonly counter: number;
      readonly key: string;
      readonly content: { readonly control: Uint8Array } | { readonly packet: number } | { readonly probe: true };
    };

interface StandInSession {
  readonly install: SessionInstall;
  readonly sendKey: string;
  readonly receiveKey: string;
  isSending: boolean;
  counter: number;
  readonly opened: Set<number>;
  readonly since: Millis;
  /** From then on every worker holds it; before, the one that hears does not. */
  readonly heldFrom: Millis;
}

interface StandInLink {
  readonly node: NodeNumber;
  carriage: Carriage;
  sessions: StandInSession[];
  heardAt: Millis;
  sent: number;
  saidSilent: boolean;
}

/** The data plane as `Peers` sees it, without threads, packets or ciphers. */
export class PlaneStandIn {
  readonly links = new Map<LinkId, StandInLink>();
  readonly installs: SessionInstall[] = [];
  /** Numbers of packets that came in, in order. */
  readonly packets: number[] = [];
  /** How long its slowest worker takes until it looks at what it was told. */
  installDelay: Millis = 0;
  readonly #guard: Guard;
  readonly #send: (to: Path, parcel: Parcel) => void;
  readonly #say: (event: PlaneEvent, delay?: Millis) => void;
  #now: Millis = 0;

  constructor(
    guard: Guard,
    send: (to: Path, parcel: Parcel) => void,
    say: (event: PlaneEvent, delay?: Millis) => void,
  ) {
    this.#guard = guard;
    this.#send = send;
    this.#say = say;
  }

  command(command: PlaneCommand, now: Millis): void {
    this.#now = now;
    switch (command.kind) {
      case 'openLink': {
        if (this.links.has(command.link)) throw new Error(`link ${command.link} is open`);
        const { node, carriage } = command;
        this.links.set(command.link, { node, carriage, sessions: [], heardAt: now, sent: 0, saidSilent: false });
        break;
      }
      case 'closeLink':
        if (!this.links.delete(command.link)) throw new Error(`link ${command.link} is not open`);
        this.#say({ kind: 'closed', link: command.link });
        break;
      case 'setCarriage':
        this.#link(command.link).carriage = command.carriage;
        this.#link(command.link).heardAt = now;
        this.#link(command.link).saidSilent = false;
        break;
      case 'installSession':
        this.#install(command.session);
        break;
      case 'dropSession': {
        const link = this.#link(command.link);
        const rest = link.sessions.filter((session) => session.install.localIndex !== command.localIndex);
        if (rest.length === link.sessions.length) throw new Error('no such session');
        link.sessions = rest;
        break;
      }
      case 'sendControl':
        this.#seal(this.#link(command.link), { control: command.bytes }, command.to);
        break;
      case 'sendDatagram':
        this.#send(command.to, { kind: 'datagram', bytes: command.bytes });
        break;
      default:
        throw new Error(`not expected: ${command.kind}`);
    }
  }

  /** Seals a packet for this node; false when there is nothing to seal it with. */
  sendPacket(node: NodeNumber, packet: number, now: Millis): boolean {
    this.#now = now;
    const link = [...this.links.values()].find((other) => other.node === node);
    return link !== undefined && this.#seal(link, { packet });
  }

  receive(from: Path, parcel: Parcel, now: Millis): void {
    this.#now = now;
    if (parcel.kind === 'frame') {
      this.#open(parcel, from);
      return;
    }
    const source =
      from.kind === 'direct'
        ? { address: parseIp(from.endpoint.address)!, port: from.endpoint.port }
        : { address: tunnelLinkLocal(from.node), port: 0 };
    const verdict = this.#guard.admit(parcel.bytes, source, now);
    if (verdict === 'pass') this.#say({ kind: 'datagram', from, bytes: new Uint8Array(parcel.bytes) });
    else if (typeof verdict !== 'string') this.#send(from, { kind: 'datagram', bytes: verdict });
  }

  /** Liveness of direct links: a probe each time, silence after 2 s. To be called every half second. */
  beat(now: Millis): void {
    this.#now = now;
    for (const [id, link] of this.links) {
      if (link.carriage.kind !== 'direct' || link.node === 0) continue;
      if (!this.#seal(link, { probe: true })) continue;
      if (now - link.heardAt < 2 * second || link.saidSilent) continue;
      link.saidSilent = true;
      this.#say({ kind: 'silent', link: id });
    }
  }

  counters(link: LinkId): { txFrames: number; lastHeard: Millis } {
    const known = this.links.get(link);
    return { txFrames: known?.sent ?? 0, lastHeard: known?.heardAt ?? 0 };
  }

  #link(id: LinkId): StandInLink {
    const link = this.links.get(id);
    if (!link) throw new Error(`link ${id} is not open`);
    return link;
  }

  #install(install: SessionInstall): void {
    const link = this.#link(install.link);
    this.installs.push(install);
    link.sessions.unshift({
      install,
      sendKey: toHex(new Uint8Array(new Uint8Array(install.sendKey))),
      receiveKey: toHex(new Uint8Array(new Uint8Array(install.receiveKey))),
      isSending: install.role === 'initiator',
      counter: 0,
      opened: new Set(),
      since: this.#now,
      heldFrom: this.#now + this.installDelay,
    });
    if (link.sessions.length > 6) throw new Error('more than six sessions on a link');
    new Uint8Array(install.sendKey).fill(0);
    new Uint8Array(install.receiveKey).fill(0);
    this.#say({ kind: 'installed', link: install.link, localIndex: install.localIndex }, this.installDelay);
  }

  #seal(link: StandInLink, content: Extract<Parcel, { kind: 'frame' }>['content'], elsewhere?: Endpoint): boolean {
    const session = link.sessions.find(({ isSending, heldFrom, since }) => {
      return isSending && this.#now >= heldFrom && this.#now - since < 180 * second;
    });
    if (!session) return false;
    link.sent++;
    const index = session.install.remoteIndex + (session.counter % session.install.remoteLanes);
    const carriage: Carriage = elsewhere ? { kind: 'direct', endpoint: elsewhere } : link.carriage;
    const to: Path = carriage.kind === 'direct' ? carriage : { kind: 'overlay', node: link.node };
    this.#send(to, { kind: 'frame', index, counter: session.counter++, key: session.sendKey, content });
    return true;
  }

  #open(frame: Extract<Parcel, { kind: 'frame' }>, from: Path): void {
    for (const [id, link] of this.links) {
      for (const session of link.sessions) {
        const { localIndex, localLanes, role } = session.install;
        if (frame.index < localIndex || frame.index >= localIndex + localLanes) continue;
        if (frame.key !== session.receiveKey || session.opened.has(frame.counter)) return;
        if (this.#now < session.heldFrom || this.#now - session.since >= 180 * second) return;
        session.opened.add(frame.counter);
        link.heardAt = this.#now;
        if (link.saidSilent) this.#say({ kind: 'recovered', link: id });
        link.saidSilent = false;
        if (role === 'responder' && !session.isSending) {
          session.isSending = true;
          this.#say({ kind: 'confirmed', link: id, localIndex, from });
        }
        if ('control' in frame.content) {
          this.#say({ kind: 'control', link: id, bytes: frame.content.control, receivedAt: this.#now });
        } else if ('packet' in frame.content) {
          this.packets.push(frame.content.packet);
        }
        return;
      }
    }
  }
}

export function endpointOf(node: NodeNumber): Endpoint {
  return { address: `192.0.2.${node}`, port: 16696 };
}

export function pathKey(path: Path): string {
  return path.kind === 'direct' ? formatEndpoint(path.endpoint) : `node ${path.node}`;
}
