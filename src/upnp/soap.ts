import type { Refusal, RefusalCode } from './contract.js';
import { printable } from './device-description.js';
import { escapeXml, textOf } from './xml.js';

/** Calls of a UPnP service (UPnP Device Architecture 1.1 §3): XML in the body of an HTTP POST, and the errors that come back. */

/** The body of a call; arguments in the order the service's specification has them, for routers that insist. */
export function encodeCall(serviceType: string, action: string, args: readonly (readonly [string, string])[]): string {
  const inner = args.map(([name, value]) => `<${name}>${escapeXml(value)}</${name}>`).join('');
  return (
    '<?xml version="1.0"?>\r\n' +
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">' +
    `<s:Body><u:${action} xmlns:u="${serviceType}">${inner}</u:${action}></s:Body></s:Envelope>\r\n`
  );
}

/** The UPnP error number in a fault, or undefined. */
export function errorNumberOf(xml: string): number | undefined {
  const text = textOf(xml, 'errorCode');
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}

/** UPnP WANIPConnection:2 §2.5 (and :1 §2.4), with what each means to us. */
const meanings: Readonly<Record<number, RefusalCode>> = {
  606: 'not-authorised',
  718: 'conflict',
  724: 'same-port-only',
  725: 'permanent-only',
  728: 'no-resources',
  729: 'conflict',
};
export const noSuchEntry = 714;
/** To GetExternalIPAddress, miniupnpd's answer where the outer address is missing, or one that is not of the Internet. */
export const actionFailed = 501;

/** What a fault means, with the router's number and words. */
export function refusalOfFault(xml: string, httpStatus: number): Refusal {
  const number = errorNumberOf(xml);
  if (number === undefined) return { code: 'failed', detail: `HTTP status ${httpStatus}` };
  const words = printable(textOf(xml, 'errorDescription') ?? '');
  return { code: meanings[number] ?? 'failed', detail: `error ${number}${words === '' ? '' : ` ${words}`}` };
}
