import { createSocket } from 'node:dgram';
import type { Millis } from '../time.js';
import type {
  CheckAnswer,
  CheckDepth,
  Gateway,
  GatewayDescription,
  Grant,
  MapAnswer,
  MappingRequest,
  Refusal,
  Transport,
} from './contract.js';
import { type ConnectionService, parseDeviceDescription, printable } from './device-description.js';
import { noAddress, worthOfExternalAddress } from './external-address.js';
import { exchange } from './gateways-http.js';
import type { DefaultGateway } from './gateways-routes.js';
import { isAnswerFor } from './gateways-ssdp.js';
import { type TableLine, UpnpService } from './gateways-upnp-service.js';
import { decodeSsdp, encodeSearch, ssdpPort } from './ssdp.js';

const pulseWait: Millis = 1500;

/** Reads the description at `location`, which must be on the gateway itself: the gateway, or words on why not. */
export async function openUpnpGateway(location: URL, gateway: DefaultGateway): Promise<UpnpGateway | string> {
  const said = `the router ${gateway.address} offers UPnP, but`;
  if (location.hostname !== gateway.address) return `${said} points to another machine (${location.hostname})`;
  const answer = await exchange({ url: location, localAddress: gateway.localAddress });
  if (answer.kind === 'unusable') return `${said} its description cannot be read: ${answer.detail}`;
  const description = answer.status === 200 ? parseDeviceDescription(answer.body, location) : undefined;
  if (!description) return `${said} its description makes no sense (HTTP status ${answer.status})`;
  if (description.services.length > 0) return new UpnpGateway(gateway, description.name, description.services);
  return description.elsewhere ? `${said} its control address is on another machine` : `${said} it cannot map ports`;
}

/** A router spoken to by UPnP IGD, generation 1 or 2: AddPortMapping is the same in both. */
export class UpnpGateway implements Gateway {
  readonly description: GatewayDescription;
  readonly #gateway: DefaultGateway;
  /** The one that is used first. */
  #services: readonly UpnpService[];
  /** Of which the router's table does not show what it has just accepted: there its silence means nothing. */
  readonly #hidden = new Set<Transport>();
  /** The ports outside that are forwarded to us, as far as this gateway has granted them. */
  readonly #granted: Readonly<Record<Transport, Set<number>>> = { udp: new Set(), tcp: new Set() };

  constructor(gateway: DefaultGateway, name: string, services: readonly ConnectionService[]) {
    this.#gateway = gateway;
    this.#services = services.map((service) => new UpnpService(service, gateway.localAddress));
    this.description = {
      id: `upnp ${gateway.address} ${gateway.localAddress}`,
      protocol: 'upnp',
      address: gateway.address,
      name,
      localAddress: gateway.localAddress,
    };
  }

  async map(transport: Transport, request: MappingRequest): Promise<MapAnswer> {
    const { internalPort, externalPort, former } = request;
    const external = await this.#findExternalAddress();
    if (typeof external !== 'string') return { kind: 'refused', refusal: external };
    // Some routers accept a port that is another machine's and then forward it to neither: look before asking.
    const before = await this.#service.lineAt(transport, externalPort);
    if (before && before !== 'unknown' && !this.#mayTake(transport, before, internalPort)) {
      const isFormer = before.client === former?.localAddress && before.internalPort === internalPort;
      if (!isFormer || external !== former.externalAddress) {
        return { kind: 'refused', refusal: { code: 'conflict', detail: `held by ${before.client}` } };
      }
      await this.#service.remove(transport, externalPort);
    }
    const refusal = await this.#service.add(transport, request);
    if (refusal) return { kind: 'refused', refusal };
    const after = await this.#service.lineAt(transport, externalPort);
    if (after && after !== 'unknown' && !this.#service.isOurs(after, internalPort)) {
      const detail = `its table forwards port ${externalPort} to ${after.client}:${after.internalPort}`;
      return { kind: 'refused', refusal: { code: 'not-kept', detail } };
    }
    const isOld =
      before && before !== 'unknown' && after && after !== 'unknown' && isNotRenewed(before, after, request);
    const fresh = isOld ? await this.#findFresh(transport, internalPort) : undefined;
    const kept = await this.#kept(transport, request, fresh ?? after);
    this.#granted[transport].add(kept.externalPort);
    return { kind: 'granted', grant: { externalAddress: external, ...kept } };
  }

  /** What of a request the router keeps; `shown`: what its table has at the port asked for. */
  async #kept(
    transport: Transport,
    { internalPort, externalPort, leaseSeconds }: MappingRequest,
    shown: TableLine | 'unknown' | undefined,
  ): Promise<Pick<Grant, 'externalPort' | 'leaseSeconds'>> {
    // Some routers forward another port than was asked, without a word: only the whole table tells.
    const found = shown ?? (await this.#findOurs(transport, internalPort, externalPort));
    const kept = found && found !== 'unknown' ? found : undefined;
    const port = kept?.externalPort ?? externalPort;
    const isShown =
      port === externalPort ? shown !== undefined : (await this.#service.lineAt(transport, port)) !== undefined;
    if (isShown) this.#hidden.delete(transport);
    else this.#hidden.add(transport);
    // A lease shown as 0 where a finite one was asked: routers that ignore the lease and keep the entry for good.
    return { externalPort: port, leaseSeconds: kept?.leaseSeconds ?? leaseSeconds };
  }

  /**
   * The line that was made when this port was asked for and is not shown: it may be hidden at that port, or be made at another,
   * which is none that was ours before, unless the router has one line for our port and leaves it where it is.
   */
  async #findOurs(transport: Transport, internalPort: number, asked: number): Promise<TableLine | undefined> {
    const ours = await this.#service.findOurs(transport, internalPort, asked);
    const granted = this.#granted[transport];
    return (
      ours.find(({ externalPort }) => externalPort === asked) ??
      ours.find(({ externalPort }) => !granted.has(externalPort)) ??
      ours[0]
    );
  }

  /** A line of our port at none that was ours before. */
  async #findFresh(transport: Transport, internalPort: number): Promise<TableLine | undefined> {
    const ours = await this.#service.findOurs(transport, internalPort);
    return ours.find(({ externalPort }) => !this.#granted[transport].has(externalPort));
  }

  async unmap(transport: Transport, internalPort: number, externalPort: number): Promise<void> {
    // Where asking was not answered, or never got that far, the port may be another machine's.
    const entry = await this.#service.lineAt(transport, externalPort);
    this.#granted[transport].delete(externalPort);
    if (entry && entry !== 'unknown' && !this.#service.isOurs(entry, internalPort)) return;
    await this.#service.remove(transport, externalPort);
  }

  async check(depth: CheckDepth, mapping: MappingRequest): Promise<CheckAnswer> {
    if (depth === 'pulse') return this.#pulse();
    const address = await this.#service.externalAddress();
    if (typeof address !== 'string') {
      if (address.code === 'not-connected') return { answered: true, externalAddress: noAddress };
      return { answered: address.code !== 'silent' };
    }
    const held = await this.#holds('udp', mapping);
    return { answered: true, externalAddress: address, ...(held === undefined ? {} : { held }) };
  }

  holdsTcp(mapping: MappingRequest): Promise<boolean | undefined> {
    return this.#holds('tcp', mapping);
  }

  async #holds(transport: Transport, { internalPort, externalPort }: MappingRequest): Promise<boolean | undefined> {
    const entry = this.#hidden.has(transport) ? 'unknown' : await this.#service.lineAt(transport, externalPort);
    return entry === 'unknown' ? undefined : entry !== undefined && this.#service.isOurs(entry, internalPort);
  }

  get #service(): UpnpService {
    return this.#services[0]!;
  }

  /** The external address, from the first service that has one; that service is used from then on. */
  async #findExternalAddress(): Promise<string | Refusal> {
    let refusal: Refusal | undefined;
    for (const service of this.#services) {
      const address = await service.externalAddress();
      if (typeof address !== 'string') refusal ??= address;
      else if (worthOfExternalAddress(address) === 'unusable') {
        refusal ??= { code: 'not-connected', detail: `it says its Internet address is "${printable(address)}"` };
      } else {
        this.#services = [service, ...this.#services.filter((other) => other !== service)];
        return address;
      }
    }
    return refusal!;
  }

  /**
   * What the machine itself has over UDP is an older one of ours. Over TCP another of its services may be forwarded there, as a
   * web server is at 443.
   */
  #mayTake(transport: Transport, entry: TableLine, internalPort: number): boolean {
    if (transport === 'tcp') return this.#service.isOurs(entry, internalPort);
    return entry.client === this.#gateway.localAddress;
  }

  /** One datagram to the router's SSDP port; its answer carries the boot number (UPnP Device Architecture 1.1 §1.3.2). */
  #pulse(): Promise<CheckAnswer> {
    return new Promise((resolve) => {
      const socket = createSocket('udp4');
      const end = (answer: CheckAnswer) => {
        clearTimeout(timer);
        resolve(answer);
        socket.close();
      };
      const timer = setTimeout(() => end({ answered: false }), pulseWait);
      socket.on('message', (bytes, from) => {
        const message = decodeSsdp(bytes);
        if (message?.kind !== 'answer' || !isAnswerFor(this.#gateway.address, from.address, message.location)) return;
        socket.removeAllListeners('message');
        // What is said from elsewhere must not make us begin anew again and again.
        const life = from.address === this.#gateway.address ? message.life : undefined;
        end(life === undefined ? { answered: true } : { answered: true, life: life.slice(0, 64) });
      });
      socket.on('error', () => {}); // unreachable for now: the timer says so
      socket.bind(0, this.#gateway.localAddress, () => {
        socket.send(encodeSearch('upnp:rootdevice', this.#gateway.address), ssdpPort, this.#gateway.address);
      });
    });
  }
}

/**
 * The router said yes and left the line as it was: its lease runs on. Some make another line each time they are asked, at a fresh
 * port, which nobody would find or take away.
 */
function isNotRenewed(before: TableLine, after: TableLine, { leaseSeconds }: MappingRequest): boolean {
  const [was, is] = [before.leaseSeconds ?? 0, after.leaseSeconds ?? 0];
  return was > 0 && is <= was && is < leaseSeconds;
}
