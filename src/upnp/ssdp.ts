import { isIpv4Bytes, parseIp } from '../addr/ip.js';

/**
 * SSDP, by which UPnP devices are found (UPnP Device Architecture 1.1 §1): HTTP headers in UDP datagrams.
 */
export const ssdpGroup = '239.255.255.250';
export const ssdpPort = 1900;

/** Internet gateways of both generations; a device of generation 2 answers to 1 as well. */
export const gatewayTypes = [
  'urn:schemas-upnp-org:device:InternetGatewayDevice:2',
  'urn:schemas-upnp-org:device:InternetGatewayDevice:1',
] as const;

export interface SsdpMessage {
  readonly kind: 'answer' | 'alive' | 'byebye';
  /** What it says it is: ST of an answer, NT of an announcement. */
  readonly type: string;
  /** Where its description is to be had; undefined when absent or no plain http URL of an IPv4 address. */
  readonly location: URL | undefined;
  /** BOOTID.UPNP.ORG: changes when the device starts. */
  readonly life: string | undefined;
}

/** A multicast search without `unicastTo`, or a question to one host, which answers at once (§1.3.2). */
export function encodeSearch(type: string, unicastTo?: string): string {
  const host = unicastTo ?? ssdpGroup;
  const wait = unicastTo === undefined ? 'MX: 1\r\n' : '';
  return `M-SEARCH * HTTP/1.1\r\nHOST: ${host}:${ssdpPort}\r\nMAN: "ssdp:discover"\r\n${wait}ST: ${type}\r\n\r\n`;
}

/** The message in these octets, or undefined when it is none that we use. */
export function decodeSsdp(bytes: Uint8Array): SsdpMessage | undefined {
  if (bytes.length > 2048) return undefined;
  const [first = '', ...lines] = Buffer.from(bytes).toString('latin1').split(/\r?\n/, 64);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toUpperCase(), line.slice(colon + 1).trim());
  }
  const kind = kindOf(first, headers.get('NTS'));
  if (!kind) return undefined;
  return {
    kind,
    type: headers.get('ST') ?? headers.get('NT') ?? '',
    location: plainUrl(headers.get('LOCATION') ?? ''),
    life: headers.get('BOOTID.UPNP.ORG') ?? headers.get('01-NLS'),
  };
}

export function isGatewayType(type: string): boolean {
  return (gatewayTypes as readonly string[]).includes(type);
}

/** An http URL of an IPv4 address: names would have us ask a resolver on behalf of a stranger. */
export function plainUrl(text: string, base?: URL): URL | undefined {
  if (text.length > 1024 || !URL.canParse(text, base?.href)) return undefined;
  const url = new URL(text, base);
  const address = parseIp(url.hostname);
  return url.protocol === 'http:' && address && isIpv4Bytes(address) && url.username === '' ? url : undefined;
}

function kindOf(first: string, nts: string | undefined): SsdpMessage['kind'] | undefined {
  if (/^HTTP\/1\.[01] 200\b/i.test(first)) return 'answer';
  if (!/^NOTIFY \* HTTP\/1\.[01]/i.test(first)) return undefined;
  if (nts === 'ssdp:alive' || nts === 'ssdp:update') return 'alive';
  return nts === 'ssdp:byebye' ? 'byebye' : undefined;
}
