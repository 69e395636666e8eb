import type { Announcement, Gateway, GatewayFinder, MappingProtocol } from './contract.js';
import { AnnouncementListener, natPmpAnnouncements, ssdpAnnouncements } from './gateways-announcements.js';
import { findNatPmpGateway } from './gateways-nat-pmp.js';
import { type DefaultGateway, readDefaultGateways } from './gateways-routes.js';
import { searchGateways } from './gateways-ssdp.js';
import { openUpnpGateway } from './gateways-upnp.js';

/** Sides of the machine that are searched: more uplinks than that are no home. */
const mostUplinks = 4;

/**
 * Finds the routers our packets leave through, and only them: whatever else on the network offers to map ports is named in
 * words and not used, as a mapping there would be of no use, and believing it would let any device choose our endpoint.
 */
export class RouterFinder implements GatewayFinder {
  readonly #protocols: readonly MappingProtocol[];
  readonly #defaultGateways: () => DefaultGateway[];
  readonly #announcements: readonly AnnouncementListener[];
  #listener: (announcement: Announcement) => void = () => {};
  #gateways: readonly DefaultGateway[] = [];

  /** `defaultGateways` is asked at each search; the kernel's routes unless the caller knows better. */
  constructor(protocols: readonly MappingProtocol[], defaultGateways = readDefaultGateways) {
    this.#protocols = protocols;
    this.#defaultGateways = defaultGateways;
    const heard = (announcement: Announcement) => {
      if (this.#gateways.some(({ address }) => address === announcement.address)) this.#listener(announcement);
    };
    // Both, whatever is spoken: a router that has started, or has another address, may say so by either.
    this.#announcements = [ssdpAnnouncements, natPmpAnnouncements].map((kind) => new AnnouncementListener(kind, heard));
  }

  async findGateways(found: (gateway: Gateway) => void): Promise<string | undefined> {
    this.#gateways = this.#defaultGateways().slice(0, mostUplinks);
    if (this.#gateways.length === 0) return undefined;
    const words = await Promise.all(this.#gateways.map((gateway) => this.#ask(gateway, found)));
    return words.flat().join('; ');
  }

  onAnnouncement(listener: (announcement: Announcement) => void): void {
    this.#listener = listener;
  }

  close(): void {
    for (const listener of this.#announcements) listener.close();
  }

  async #ask(gateway: DefaultGateway, found: (gateway: Gateway) => void): Promise<string[]> {
    for (const listener of this.#announcements) listener.listenOn(gateway.localAddress);
    const words: string[] = [];
    const tasks: Promise<void>[] = [];
    if (this.#protocols.includes('nat-pmp')) {
      tasks.push(findNatPmpGateway(gateway).then((router) => router && found(router)));
    }
    if (this.#protocols.includes('upnp')) tasks.push(this.#askUpnp(gateway, found, words));
    await Promise.all(tasks);
    return words;
  }

  async #askUpnp(gateway: DefaultGateway, found: (gateway: Gateway) => void, words: string[]): Promise<void> {
    const opened: Promise<void>[] = [];
    const strangers: string[] = [];
    let have = false;
    const open = async (location: URL) => {
      const router = await openUpnpGateway(location, gateway);
      if (typeof router === 'string') words.push(router);
      else if (!have) {
        have = true;
        found(router);
        search.stop();
      }
    };
    const search = searchGateways(gateway, {
      answered: (location) => opened.push(open(location)),
      strangerAnswered: (address) => strangers.push(address),
    });
    await search.done;
    await Promise.all(opened);
    if (have) words.length = 0;
    else
      for (const stranger of strangers)
        words.push(`${stranger} offers to map ports, but it is not the router ${gateway.address}`);
    if (!have && strangers.length > 0)
      words.push('where two routers share an address, UPnP must be offered at that one');
  }
}
