import { formatEndpoint } from '../../src/addr/endpoint.js';
import type { UnixSeconds } from '../../src/time.js';
import type { MappingDoubt } from '../../src/upnp/reasons.js';
import type { DoctorCheck, PortMappingInfo } from '../api.js';
import { checkOf, counted } from './check.js';
import type { DoctorFacts, MachineFacts, NodeFacts } from './facts.js';
import { isOutside, provenEndpoints } from './proven-endpoints.js';

/** What stands between this node and the others. Each decides by facts alone. */

export function checkUnderlay({ machine: { addresses, defaultRoutes }, node }: DoctorFacts): DoctorCheck {
  const check = checkOf('underlay', 'way to the Internet');
  const ipv4 = addresses.filter(({ address }) => !address.includes(':'));
  if (ipv4.length === 0 && addresses.length > 0) return checkIpv6Underlay(addresses, node);
  if (ipv4.length === 0) {
    return check.error('this machine has no IPv4 address', 'connect it to a network; "ip address" shows what it has');
  }
  const own = listed(ipv4);
  const [best] = defaultRoutes;
  if (!best)
    return check.warning(`${own}, but no default route`, 'without one only the LAN is reached: see "ip route"');
  const others = new Set(defaultRoutes.map(({ device }) => device)).size - 1;
  const also = others === 0 ? '' : `, and ${counted(others, 'other uplink')}`;
  return check.ok(`${own}, by ${best.gateway === undefined ? '' : `${best.gateway} on `}${best.device}${also}`);
}

/** A machine with IPv6 alone: members that have none are reached through others. */
function checkIpv6Underlay(addresses: MachineFacts['addresses'], { status, usesIpv6 }: NodeFacts): DoctorCheck {
  const check = checkOf('underlay', 'way to the Internet');
  const own = `${listed(addresses)}, and no IPv4 address`;
  if (!usesIpv6) {
    return check.error(`${own}: underlay.ipv6 is off`, 'set underlay.ipv6 = true, here and on members that have IPv6');
  }
  if (status.tunnels.up > 0) return check.ok(own);
  return check.unknown(
    `${own}; whether IPv6 leads to the Internet was not looked at`,
    '"ip -6 route show default" shows the way out; members need an IPv6 address and underlay.ipv6 = true too',
  );
}

function listed(addresses: MachineFacts['addresses']): string {
  return addresses.map(({ device, address }) => `${address} on ${device}`).join(', ');
}

export function checkUdpOut({ node: { status, peers } }: DoctorFacts): DoctorCheck {
  const check = checkOf('udp-out', 'UDP gets out');
  const { up, total } = status.tunnels;
  const tunnels = peers.flatMap(({ tunnel }) => tunnel ?? []);
  const streams = tunnels.filter(({ transport }) => transport !== 'udp');
  const remedy = 'a firewall here or at the router drops UDP: allow it outwards, to any address and port';
  const here = up - streams.length;
  const how = streams.every(({ transport }) => transport === 'tls') ? 'TLS' : 'TCP';
  const others = streams.length > 0 ? `, ${streams.length} of them over ${how}` : '';
  const getsOut = tunnels.some((tunnel) => tunnel.transport === 'udp' && isOutside(tunnel, status.endpoints));
  if (up > 0 && getsOut) return check.ok(`${counted(up, 'tunnel')} up${others}`);
  // Those that come to us over streams may have reasons of their own.
  if (streams.length > 0 && streams.every(({ openedBy }) => openedBy === 'peer')) {
    return check.unknown(
      `${counted(streams.length, 'tunnel')} up over ${how}, opened by the other ends, and none over UDP to the outside`,
      'a tunnel over UDP to any member outside would tell, and their networks may block it: look at "weft doctor" there',
    );
  }
  if (streams.length > 0) {
    const inside = here > 0 ? `, and ${here} inside this network` : '';
    return check.warning(
      `${counted(streams.length, 'tunnel')} up, but over ${how} only${inside}: no answer came over UDP from outside`,
      remedy,
    );
  }
  const lost = peers.filter(({ state }) => state === 'unreachable' || state === 'connecting').length;
  if (up > 0 && lost === 0) return check.ok(`${counted(up, 'tunnel')} up, inside this network`);
  if (up > 0) {
    return check.warning(
      `${counted(up, 'tunnel')} up, but inside this network only; ${counted(lost, 'other peer')} not reached`,
      `${remedy}; if the others are merely off, there is nothing to do`,
    );
  }
  if (total === 0 && peers.length === 0)
    return check.unknown('no other node to try it with', '"weft invite" makes a token for another machine');
  const cloned = status.health.find(({ code }) => code === 'own-key-cloned');
  if (cloned) return check.unknown(`no tunnel stays: ${cloned.message}`, cloned.fix);
  const last = peers.find(({ lastError }) => lastError !== null)?.lastError;
  return check.error(
    `none of ${counted(peers.length, 'peer')} answers${last ? `; last: ${last}` : ''}`,
    'a firewall here or at the router may drop UDP: allow it outwards, to any address and port; where that cannot be, a member with [tls] in its config (listen = "0.0.0.0:443") is reached as web pages are',
  );
}

/** A certificate is renewed weeks before its end; one that was not will not be. */
const expiresSoon: UnixSeconds = 14 * 24 * 3600;

export function checkTls({ machine: { now }, node: { status } }: DoctorFacts): DoctorCheck {
  const check = checkOf('tls', 'reached over TLS');
  const { tls } = status;
  if (!tls) return check.ok('not offered: tls.listen is not set');
  if (tls.state === 'failed')
    return check.error(tls.reason ?? 'not served yet', tls.fix ?? 'ask again in a few seconds');
  if (tls.reason !== null) return check.warning(`${tls.reason}; the certificate of before is shown`, tls.fix ?? '');
  const expires = Date.parse(tls.expires ?? '') / 1000;
  const renew = 'renew it and put it at tls.certificate: it is read again by itself within 30 s';
  const until = tls.expires?.slice(0, 10);
  if (expires <= now) {
    return check.warning(`the certificate expired on ${until}: members still come in, firewalls may stop them`, renew);
  }
  if (expires - now < expiresSoon) return check.warning(`the certificate expires on ${until}`, renew);
  if (tls.announced.length === 0) {
    return check.warning(
      `served at ${tls.listen}, but no address of this machine is one that members could be told`,
      'set tls.endpoint to the address and port at which it is reached from outside',
    );
  }
  const where = tls.announced.map((endpoint) => formatEndpoint(endpoint)).join(', ');
  return check.ok(`told to members: ${where}; whether it is reached there is not tried; certificate until ${until}`);
}

function remedyFor(doubt: MappingDoubt | undefined, { externalAddress, externalPort }: PortMappingInfo): string {
  const publicMember = 'one member with a public address is enough for the others to meet through it';
  switch (doubt) {
    case 'silent':
      return 'it is asked again by itself; restart the router if this lasts';
    case 'shared':
      return `ask the provider for a public IPv4 address; without one, ${publicMember}`;
    case 'hidden':
      return `put one of two routers in bridge mode; if the one in front is the provider's, ask for a public IPv4 address; without one, ${publicMember}`;
    case 'private':
      return `forward UDP port ${externalPort} on the router in front to ${externalAddress}, or put one of the two in bridge mode; if the one in front is the provider's, ask for a public IPv4 address; without one, ${publicMember}`;
    default:
      return `with several lines, let the default route be by the router that is asked ("ip route"); with one, ask the provider for a public IPv4 address; without one, ${publicMember}`;
  }
}

/** What it costs to have no TCP port is nothing where UDP works, so it is said and no more. */
function tcpText(tcp: PortMappingInfo['tcp']): string {
  if (tcp?.mapped) return ', over TCP too';
  return tcp?.reason ? `, not over TCP: ${tcp.reason}` : '';
}

export function checkPortMapping({ node, machine }: DoctorFacts): DoctorCheck {
  const { status, port, mappingDoubt } = node;
  const check = checkOf('port-mapping', 'router forwards our port');
  const { state, protocol, gateway, externalAddress, externalPort, leaseSeconds, reason, tcp } = status.portMapping;
  if (state === 'disabled') return check.ok('switched off by port-mapping.enabled');
  if (state === 'mapped' || state === 'renewing') {
    const lease = leaseSeconds === 0 ? 'permanent' : `lease ${leaseSeconds} s`;
    const held = `${externalAddress}:${externalPort} on ${gateway} over ${protocol === 'upnp' ? 'UPnP' : 'NAT-PMP'}, ${lease}${tcpText(tcp)}`;
    return reason === null
      ? check.ok(held)
      : check.warning(`${held}; ${reason}`, remedyFor(mappingDoubt, status.portMapping));
  }
  const evidence = reason ?? 'the router is still being asked';
  // Only over IPv4 is a router asked, and who has IPv4 alone does not get in where it is IPv6 that is proven.
  const router = machine.defaultRoutes.find(({ gateway }) => gateway !== undefined && !gateway.includes(':'))?.gateway;
  if (provenEndpoints(node).some(({ address }) => router === undefined || !address.includes(':')))
    return check.ok(`not mapped, and not needed: an endpoint is proven without it (${evidence})`);
  if (router === undefined) return check.unknown(evidence, '"ip route" shows the way out, if there is one');
  if (state === 'asked' || reason === null) return check.unknown(evidence, 'ask again in a few seconds');
  const byHand = `forward UDP port ${port} to this machine there by hand`;
  if (mappingDoubt === 'hidden') return check.warning(evidence, remedyFor(mappingDoubt, status.portMapping));
  if (state === 'refused') {
    return check.warning(
      evidence,
      `mend on that router what it refused for, and it is asked again by itself; or ${byHand}`,
    );
  }
  const page = `http://${router}/`;
  return check.warning(
    evidence,
    `switch on UPnP or NAT-PMP on the router's page (${page}), and it is found by itself; where it has neither, ${byHand}`,
  );
}

const onceUp = 'ask again once a tunnel is up: "weft peers" shows them';

export function checkNat({ node: { nat } }: DoctorFacts): DoctorCheck {
  const check = checkOf('nat', 'address translation');
  if (nat.translated === undefined) return check.unknown('no peer has told yet where it sees this machine', onceUp);
  const filtering = nat.filtering === undefined ? '' : `, filtering ${nat.filtering}`;
  if (!nat.translated) return check.ok(`none: peers see an address of this machine${filtering}`);
  const ports = nat.portPreservation ? 'ports kept' : 'ports changed';
  if (nat.mapping === undefined)
    return check.unknown(
      `translated, ${ports}; more is known with a second peer`,
      'ask again when a second tunnel is up',
    );
  const evidence = `mapping ${nat.mapping}${filtering}, ${ports}`;
  if (nat.mapping === 'endpoint-independent') return check.ok(evidence);
  return check.warning(
    `${evidence} (symmetric)`,
    'tunnels to nodes behind strict NATs stay relayed: switch on UPnP or NAT-PMP in the router, or forward the port by hand',
  );
}

export function checkEndpoints({ node }: DoctorFacts): DoctorCheck {
  const { status, peers, port } = node;
  const check = checkOf('endpoints', 'reached from outside');
  const proven = provenEndpoints(node);
  if (proven.length > 0) return check.ok(`proven: ${proven.map(formatEndpoint).join(', ')}`);
  if (status.tunnels.up === 0) return check.unknown('no neighbour to dial us back', onceUp);
  if (!peers.some(({ tunnel }) => tunnel && isOutside(tunnel, status.endpoints))) {
    return check.unknown(
      'no neighbour outside this network to dial us back',
      'ask again once a member elsewhere is up',
    );
  }
  const tried = status.endpoints
    .filter((endpoint) => !endpoint.proven)
    .map((endpoint) => `${formatEndpoint(endpoint)} (${endpoint.source})`);
  const relayed = peers.filter(({ state }) => state === 'relayed').length;
  const inside = tried.length < status.endpoints.length ? ' but inside this network' : '';
  return check.warning(
    `none of ${tried.join(', ') || 'no endpoint'} was reached by a neighbour${inside}; ${counted(relayed, 'peer')} relayed`,
    `allow UDP port ${port} in the firewall of this machine and of the router; see the line on the router`,
  );
}

/** A frame with a full inner packet: 1380 octets, header and tag 32. */
const fullFrame = 1412;
const leastMtu = 1280;

export function checkMtu({ machine: { underlayMtu, defaultRoutes }, node: { peers } }: DoctorFacts): DoctorCheck {
  const check = checkOf('mtu', 'packet size');
  if (underlayMtu !== undefined && underlayMtu < leastMtu) {
    return check.error(
      `the device of the default route carries only ${underlayMtu} octets`,
      `raise it, and keep that in the configuration of the network; below ${leastMtu} nothing is promised`,
      `ip link set ${defaultRoutes[0]?.device ?? 'DEVICE'} mtu 1500`,
    );
  }
  const tunnels = peers.flatMap(({ name, tunnel }) => (tunnel ? [{ name, mtu: tunnel.mtu }] : []));
  const measured = tunnels.filter(({ mtu }) => mtu > 0);
  const narrow = measured.filter(({ mtu }) => mtu < fullFrame).sort((a, b) => a.mtu - b.mtu);
  const own = underlayMtu === undefined ? '' : `, own device ${underlayMtu}`;
  const [worst] = narrow;
  if (worst) {
    return check.warning(
      `the way to ${worst.name} carries ${worst.mtu} octets: full packets travel in two parts (${counted(narrow.length, 'tunnel')}${own})`,
      'all works, a little slower; a line with PPPoE or another VPN under it is a usual cause',
    );
  }
  if (tunnels.length === 0) return check.unknown(`no tunnel to measure it on${own}`, onceUp);
  if (measured.length < tunnels.length) {
    return check.unknown(
      `${counted(tunnels.length, 'tunnel')}, ${tunnels.length - measured.length} of them not measured yet${own}`,
      'ask again in a few seconds',
    );
  }
  return check.ok(`full packets pass unbroken${own}`);
}
