import type { IpBytes } from '../src/addr/ip.js';
import { parsePrefix } from '../src/addr/prefix.js';
import type { KernelRoute } from '../src/control/forwarding.js';
import type { SpeakerEvent } from '../src/routing/contract.js';
import { defaultMark } from '../src/tunnel/plane/linux.js';
import type { Config } from './config.js';
import { KernelRoutes, type LanRoute } from './lan/kernel-routes.js';
import { Lans } from './lan/lans.js';
import type { Log } from './log.js';

/** IP and UDP header of IPv6, taken off the MTU (RFC 8966 §4). */
const headers = 48;
const everything = [parsePrefix('::/0')!, parsePrefix('0.0.0.0/0')!];

/** The LANs of `[[babel.interface]]`: their sockets, their part of the kernel's routes, their names as interface numbers. */
export class LanBabel {
  readonly #interfaces: Config['babel']['interface'];
  readonly #first: number;
  readonly #lans: Lans | undefined;
  readonly #routes: KernelRoutes | undefined;
  #held = new Map<string, LanRoute>();

  constructor(
    interfaces: Config['babel']['interface'],
    firstInterface: number,
    log: Log,
    tell: (event: SpeakerEvent) => void,
  ) {
    this.#interfaces = interfaces;
    this.#first = firstInterface;
    if (interfaces.length === 0) return;
    const routes = new KernelRoutes({
      mark: defaultMark,
      failed: (cause) => log.warn('the kernel refused a route', { reason: cause.message }),
    });
    this.#routes = routes;
    void routes.start().catch((cause) => log.warn('the kernel refused a route', { reason: String(cause) }));
    this.#lans = new Lans(
      interfaces.map((lan) => lan.device!),
      {
        up: (device) => {
          const lan = interfaces.find((one) => one.device === device.name)!;
          void routes.view().then((view) => {
            tell({
              kind: 'lanUp',
              interface: this.#numberOf(device.name),
              ownAddress: device.linkLocal,
              mtu: device.mtu - headers,
              options: {
                imports: everything,
                exports: everything,
                connected: view.connected.map((network) => network.prefix),
                type: lan.type,
                helloInterval: lan.helloInterval,
                updateInterval: lan.updateInterval,
                ...(device.ipv4 ? { ownIpv4: device.ipv4 } : {}),
              },
            });
          });
        },
        down: (name) => tell({ kind: 'interfaceDown', interface: this.#numberOf(name) }),
        received: (name, packet) =>
          tell({
            kind: 'packetReceived',
            interface: this.#numberOf(name),
            from: packet.source,
            bytes: packet.bytes,
            receivedAt: packet.receivedAt / 1000,
          }),
        trouble: (name, error) => log.warn(error.message, { device: name, code: error.code, cure: error.cure }),
      },
    );
  }

  send(interfaceNumber: number, bytes: Uint8Array, to: IpBytes | 'multicast'): void {
    this.#lans?.send(this.#nameOf(interfaceNumber), bytes, to === 'multicast' ? undefined : to);
  }

  /** All routes the kernel is to hold; those that leave by a LAN are ours to see to. */
  setRoutes(routes: readonly KernelRoute[]): void {
    const wanted = new Map<string, LanRoute>();
    for (const route of routes) {
      if (route.via !== 'lan') continue;
      const way = { nextHop: route.gateway, device: this.#nameOf(route.interface) };
      wanted.set(route.prefix.key, { prefix: route.prefix, way });
    }
    const gone = [...this.#held.values()].filter((route) => !wanted.has(route.prefix.key)).map((route) => route.prefix);
    this.#routes?.apply([...wanted.values()], gone);
    this.#held = wanted;
  }

  async stop(): Promise<void> {
    this.#lans?.close();
    await this.#routes?.stop();
  }

  #numberOf(device: string): number {
    return this.#first + this.#interfaces.findIndex((lan) => lan.device === device);
  }

  #nameOf(interfaceNumber: number): string {
    return this.#interfaces[interfaceNumber - this.#first]?.device ?? '';
  }
}
