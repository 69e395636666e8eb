import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { RouterSpec } from './description.js';
import type { Gateway } from './gateway.js';
import type { Namespace } from './namespace.js';
import { rebooted } from './nat.js';
import type { Wire } from './wire.js';

/** A machine that runs programs: a public host, or a member of a home. */
export interface Host {
  readonly name: string;
  readonly namespace: Namespace;
  /** IPv4, the first is the one it sends from. */
  readonly addresses: readonly string[];
  readonly address: string;
  /** Its public IPv6 address, where it has one. */
  readonly ipv6: string | undefined;
  /** Its own line: to the Internet, or to its LAN; undefined for a host that stands only at lines. */
  readonly wire: Wire | undefined;
  /** The router it is behind. */
  readonly router: Router | undefined;
}

/** A router between a LAN (or a carrier's customers) and the outside. */
export class Router {
  readonly name: string;
  readonly namespace: Namespace;
  readonly spec: RouterSpec;
  /** Its line outwards. */
  readonly wire: Wire;
  /** Its miniupnpd, where it has one. */
  readonly gateway: Gateway | undefined;
  #address: string;
  #boots = 0;

  constructor(
    name: string,
    namespace: Namespace,
    spec: RouterSpec,
    address: string,
    wire: Wire,
    gateway: Gateway | undefined,
  ) {
    this.name = name;
    this.namespace = namespace;
    this.spec = spec;
    this.wire = wire;
    this.gateway = gateway;
    this.#address = address;
  }

  /** The outer address. */
  get address(): string {
    return this.#address;
  }

  /** How many UDP packets the members sent outwards since the start, forwarded or not, by "ADDRESS:PORT". */
  async udpSent(): Promise<ReadonlyMap<string, number>> {
    const text = await this.namespace.must(['nft', '-n', 'list', 'set', 'inet', 'router', 'sent']);
    const elements = text.matchAll(/([\d.]+) \. (\d+) counter packets (\d+)/g);
    return new Map([...elements].map(([, address, port, packets]) => [`${address}:${port}`, Number(packets)]));
  }

  /** Power off: the line is silent, mappings and connections are forgotten. */
  async switchOff(): Promise<void> {
    await this.wire.cut();
    await this.gateway?.stop();
    // The address first: a packet forwarded in between would be remembered with it.
    await this.namespace.must(['ip', 'addr', 'flush', 'dev', 'wan', 'scope', 'global']);
    await this.forget();
  }

  /** It forgets its mappings and connections, and goes on: whoever sends through it is given a mapping anew. */
  async forget(): Promise<void> {
    await this.namespace.nft(rebooted(++this.#boots));
  }

  /** Power on, with another outer address where one is given (of the same /24). */
  async switchOn(address = this.#address): Promise<void> {
    await this.lineUp(address);
    await this.gateway?.start();
  }

  /** Power on, while the line is still dead: it maps nothing, and says so. `lineUp` comes next. */
  async switchOnWithoutLine(): Promise<void> {
    await this.gateway?.start();
  }

  /** The line carries, and gives it this outer address. */
  async lineUp(address = this.#address): Promise<void> {
    const net = address.split('.').slice(0, 3).join('.');
    this.#address = address;
    await this.namespace.must(['ip', 'addr', 'add', `${address}/24`, 'dev', 'wan']);
    await this.namespace.must(['ip', 'route', 'replace', 'default', 'via', `${net}.1`]);
    await this.wire.heal();
    this.gateway?.addressChanged();
  }
}

/** A UDP socket of this process on another machine; port 0 is any, "::" speaks IPv6. Ready when this returns. */
export function udpOn(machine: { readonly namespace: Namespace }, port = 0, address = '0.0.0.0'): Socket {
  const type = isIPv6(address) ? 'udp6' : 'udp4';
  return machine.namespace.inside(() => {
    // With a lookup that answers at once, bind makes the kernel's socket before it returns, thus in this namespace.
    const socket = createSocket({
      type,
      lookup: (name, _options, callback) => callback(null, name, type === 'udp6' ? 6 : 4),
    });
    socket.bind(port, address);
    return socket;
  });
}

/** Gives a public host another address in its /24, as a provider or a phone does: the old one is gone at once. */
export async function renumber(host: Host, address: string): Promise<void> {
  const gateway = address.replace(/\d+$/, '1');
  const { namespace } = host;
  await namespace.must(['ip', '-4', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
  await namespace.must(['ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
  await namespace.must(['ip', 'route', 'replace', 'default', 'via', gateway]);
}
