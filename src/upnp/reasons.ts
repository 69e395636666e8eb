import type { GatewayDescription, Grant, Refusal } from './contract.js';
import { worthOfExternalAddress } from './external-address.js';

/** What the operator reads: which router, what it said, what to click. One place, so that all of it sounds alike. */

function nameOf(gateway: GatewayDescription): string {
  return gateway.name === '' ? `the router ${gateway.address}` : `the router ${gateway.name} (${gateway.address})`;
}

function openPage(gateway: GatewayDescription): string {
  return `open http://${gateway.address}/ in a browser`;
}

const protocolNames = { upnp: 'UPnP', 'nat-pmp': 'NAT-PMP' } as const;

/** `observed`: where peers see us, if any does. */
export function reasonForRefusal(
  gateway: GatewayDescription,
  refusal: Refusal,
  port: number,
  observed: string | undefined,
  transport: 'UDP' | 'TCP' = 'UDP',
): string {
  const said = `${nameOf(gateway)} refused over ${protocolNames[gateway.protocol]} (${refusal.detail})`;
  const byHand = `forward ${transport} port ${port} to ${gateway.localAddress} there by hand`;
  switch (refusal.code) {
    case 'conflict':
      return `${said}: the port belongs to another machine; ${openPage(gateway)}, remove the old port forwarding, or ${byHand}`;
    case 'same-port-only':
      return `${said}: it forwards only equal ports, and ${transport} port ${port} is taken; ${openPage(gateway)} and remove the old port forwarding, or choose another port with listen`;
    case 'permanent-only':
      return `${said}: it takes neither a lease nor a permanent entry; ${openPage(gateway)} and ${byHand}`;
    case 'not-authorised':
      return `${said}: port mapping is switched off or not allowed for this machine; ${openPage(gateway)} and switch on UPnP or NAT-PMP, or ${byHand}`;
    case 'no-resources':
      return `${said}: its table is full; ${openPage(gateway)} and remove port forwardings no longer used`;
    case 'not-connected':
      if (observed !== undefined) {
        return `${said}: it has no address of its own on the Internet, but peers see us at ${observed}, so a line works: another NAT stands in front of it, a second router (double NAT) or the provider (CGNAT), and it maps nothing; put one of two routers in bridge mode, or ask the provider for a public IPv4 address. Tunnels are punched or relayed meanwhile`;
      }
      return `${said}: it has no address on the Internet side; check its line or the device in front of it`;
    case 'silent':
      return `${nameOf(gateway)} was found over ${protocolNames[gateway.protocol]}, but does not answer (${refusal.detail}); restart it if this lasts, or ${byHand}`;
    case 'malformed':
      return `${nameOf(gateway)} answered over ${protocolNames[gateway.protocol]} what makes no sense (${refusal.detail}); update its software, or ${byHand}`;
    case 'elsewhere':
      return `${nameOf(gateway)} wanted to send us to another machine (${refusal.detail}), which is not followed; ${openPage(gateway)} and ${byHand}`;
    case 'not-kept':
      return `${nameOf(gateway)} said yes, but ${refusal.detail}; ${openPage(gateway)} and ${byHand}`;
    case 'failed':
      return `${said}; ${openPage(gateway)} and ${byHand}`;
  }
}

/** `seen`: what is there and is of no use; undefined: there is no router to ask at all. */
export function reasonForAbsence(seen: string | undefined): string {
  if (seen === undefined) {
    return 'this machine has no IPv4 default gateway, so there is no router to ask; nodes of its own LAN are reached all the same';
  }
  const cure = 'switch on UPnP or NAT-PMP in your router, or forward the UDP port by hand';
  return seen === '' ? `no router here answers to UPnP or NAT-PMP; ${cure}` : `${seen}; ${cure}`;
}

export function reasonForSilence(gateway: GatewayDescription): string {
  return `${nameOf(gateway)} no longer answers; looking for it again`;
}

/**
 * Why a mapping that the router granted may be of no use: it is silent now; its Internet side has an address that the provider
 * shares among customers (CGNAT), or a private one (double NAT); or peers see us at another one. Or why one maps nothing: it has
 * no address there, but peers see us.
 */
export type MappingDoubt = 'silent' | 'shared' | 'private' | 'seen-elsewhere' | 'hidden';

/** Undefined when nothing is odd about what was granted. `observed`: where peers see us. */
export function doubtAbout(
  grant: Grant,
  observed: string | undefined,
): Exclude<MappingDoubt, 'silent' | 'hidden'> | undefined {
  const worth = worthOfExternalAddress(grant.externalAddress);
  if (worth === 'shared' || worth === 'private') return worth;
  return observed !== undefined && observed !== grant.externalAddress ? 'seen-elsewhere' : undefined;
}

export function reasonForWorth(
  gateway: GatewayDescription,
  grant: Grant,
  observed: string | undefined,
): string | undefined {
  const doubt = doubtAbout(grant, observed);
  const says = `${nameOf(gateway)} has the address ${grant.externalAddress} on its Internet side`;
  if (doubt === 'shared') {
    return `${says}, one that your provider shares among customers (CGNAT): no port mapping helps; ask the provider for a public IPv4 address. Tunnels are punched or relayed meanwhile`;
  }
  if (doubt === 'private') {
    return `${says}, a private one: a second router stands in front of it (double NAT); put one of the two in bridge mode, or forward the port on the outer one to ${grant.externalAddress}`;
  }
  if (doubt === 'seen-elsewhere') {
    return `${says}, but peers see ${observed}: another NAT stands in front, or packets leave by another line`;
  }
  return undefined;
}
