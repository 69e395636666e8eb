import type { Endpoint } from '../addr/endpoint.js';
import type { NodeCertificate } from '../addr/node-certificate.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Millis } from '../time.js';
import type { Cipher, LinkId, PlaneCommand, PlaneEvent } from '../tunnel/plane/contract.js';

/** A direct tunnel that stands, as status shows it. */
export interface Tunnel {
  readonly link: LinkId;
  readonly node: NodeNumber;
  endpoint: Endpoint;
  readonly since: Millis;
  rtt: Millis;
  jitter: Millis;
  /** 0 to 1. */
  loss: number;
  mtu: number;
  pace: 'fast' | 'slow' | undefined;
}

const maxReasons = 64;

/** Which links lead where, and what is known of them. Filled by the control plane from what Peers and the plane tell. */
export class Tunnels {
  readonly #tunnels = new Map<LinkId, Tunnel>();
  readonly #sessions = new Map<LinkId, NodeNumber>();
  readonly #links = new Map<NodeNumber, LinkId>();
  readonly #certificates = new Map<NodeNumber, NodeCertificate>();
  readonly #ciphers = new Map<LinkId, Cipher>();
  readonly #errors = new Map<NodeNumber, string>();
  readonly #refused = new Map<string, number>();

  /** True for a direct tunnel. */
  has(link: LinkId): boolean {
    return this.#tunnels.has(link);
  }

  get(link: LinkId): Tunnel | undefined {
    return this.#tunnels.get(link);
  }

  links(): Iterable<LinkId> {
    return this.#tunnels.keys();
  }

  all(): Iterable<Tunnel> {
    return this.#tunnels.values();
  }

  /** End-to-end sessions through relays, and whom they lead to. */
  sessions(): Iterable<readonly [LinkId, NodeNumber]> {
    return this.#sessions.entries();
  }

  get count(): number {
    return this.#tunnels.size;
  }

  /** What the nodes with a tunnel or an end-to-end session showed to be let in. */
  certificates(): NodeCertificate[] {
    return [...this.#certificates.values()];
  }

  /** The node at the other end, of a tunnel or an end-to-end session. */
  nodeOf(link: LinkId): NodeNumber | undefined {
    return this.#tunnels.get(link)?.node ?? this.#sessions.get(link);
  }

  linkTo(node: NodeNumber): LinkId | undefined {
    return this.#links.get(node);
  }

  tunnelTo(node: NodeNumber): Tunnel | undefined {
    const link = this.#links.get(node);
    return link === undefined ? undefined : this.#tunnels.get(link);
  }

  cipherOf(link: LinkId): Cipher | undefined {
    return this.#ciphers.get(link);
  }

  /** Why the last try to reach it, or the last tunnel, ended. */
  errorOf(node: NodeNumber): string | undefined {
    return this.#errors.get(node);
  }

  /** Handshakes that bought nothing, by reason. */
  refusals(): ReadonlyMap<string, number> {
    return this.#refused;
  }

  up(link: LinkId, certificate: NodeCertificate, endpoint: Endpoint, now: Millis): void {
    const node = certificate.number;
    this.#sessions.delete(link);
    this.#links.set(node, link);
    this.#certificates.set(node, certificate);
    this.#errors.delete(node);
    this.#tunnels.set(link, { link, node, endpoint, since: now, rtt: 0, jitter: 0, loss: 0, mtu: 0, pace: undefined });
  }

  down(link: LinkId, reason: string): void {
    const tunnel = this.#tunnels.get(link);
    if (!tunnel) return;
    this.#tunnels.delete(link);
    this.#errors.set(tunnel.node, reason);
    this.#unlink(tunnel.node, link);
  }

  moved(link: LinkId, endpoint: Endpoint): void {
    const tunnel = this.#tunnels.get(link);
    if (tunnel) tunnel.endpoint = endpoint;
  }

  sessionUp(link: LinkId, certificate: NodeCertificate): void {
    this.#sessions.set(link, certificate.number);
    this.#links.set(certificate.number, link);
    this.#certificates.set(certificate.number, certificate);
  }

  sessionDown(link: LinkId): void {
    const node = this.#sessions.get(link);
    this.#sessions.delete(link);
    if (node !== undefined) this.#unlink(node, link);
  }

  failed(node: NodeNumber, reason: string): void {
    this.#errors.set(node, reason);
  }

  refused(reason: string): void {
    if (this.#refused.has(reason) || this.#refused.size < maxReasons) {
      this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    }
  }

  commanded(command: PlaneCommand): void {
    if (command.kind === 'installSession') this.#ciphers.set(command.session.link, command.session.cipher);
    if (command.kind === 'closeLink') this.#ciphers.delete(command.link);
  }

  measured(event: Extract<PlaneEvent, { kind: 'measured' }>): void {
    const tunnel = this.#tunnels.get(event.link);
    if (tunnel) Object.assign(tunnel, { rtt: event.rtt, jitter: event.jitter, loss: event.loss, mtu: event.mtu });
  }

  /** True when it is another pace than before. */
  setPace(link: LinkId, pace: 'fast' | 'slow'): boolean {
    const tunnel = this.#tunnels.get(link);
    if (!tunnel || tunnel.pace === pace) return false;
    tunnel.pace = pace;
    return true;
  }

  #unlink(node: NodeNumber, link: LinkId): void {
    if (this.#links.get(node) !== link) return;
    this.#links.delete(node);
    this.#certificates.delete(node);
  }
}
