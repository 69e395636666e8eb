import { plainUrl } from './ssdp.js';
import { contentsOf, textOf } from './xml.js';

/** A service of a gateway that maps ports. */
export interface ConnectionService {
  readonly type: string;
  readonly controlUrl: URL;
}

export interface DeviceDescription {
  /** Clipped, printable. */
  readonly name: string;
  /** In the order to try them; empty when the device maps no ports. */
  readonly services: readonly ConnectionService[];
  /** True when a control URL pointed to another host and was left out. */
  readonly elsewhere: boolean;
}

/** Best first. WANPPPConnection is what routers that dial in (PPPoE) offer, often beside a dead WANIPConnection. */
const serviceTypes = ['WANIPConnection:2', 'WANIPConnection:1', 'WANPPPConnection:1'].map(
  (name) => `urn:schemas-upnp-org:service:${name}`,
);
const mostServices = 8;

/**
 * Reads a device description (UPnP Device Architecture 1.1 §2.3) that came from `location`. Control URLs, relative or not,
 * must be on the host it came from: a description is no licence to send us anywhere else.
 */
export function parseDeviceDescription(xml: string, location: URL): DeviceDescription | undefined {
  if (contentsOf(xml, 'root', 1).length === 0) return undefined;
  const base = plainUrl(textOf(xml, 'URLBase') ?? '', location) ?? location;
  let elsewhere = base.hostname !== location.hostname;
  const services: ConnectionService[] = [];
  for (const block of contentsOf(xml, 'service')) {
    const type = textOf(block, 'serviceType') ?? '';
    const controlUrl = plainUrl(textOf(block, 'controlURL') ?? '', base);
    if (!serviceTypes.includes(type) || !controlUrl || services.length >= mostServices) continue;
    if (controlUrl.hostname === location.hostname) services.push({ type, controlUrl });
    else elsewhere = true;
  }
  services.sort((a, b) => serviceTypes.indexOf(a.type) - serviceTypes.indexOf(b.type));
  return { name: printable(textOf(xml, 'friendlyName') ?? ''), services, elsewhere };
}

/** A router's own words, made fit to be shown: one line, no control characters, at most 64 characters. */
export function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e\u00a0-\u024f]+/g, ' ')
    .trim()
    .slice(0, 64);
}
