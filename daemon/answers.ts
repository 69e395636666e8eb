import { type Endpoint, formatEndpoint } from '../src/addr/endpoint.js';
import { formatIp } from '../src/addr/ip.js';
import { type NodeNumber, nodeAddress, nodeNumberOf, nodePrefix } from '../src/addr/node-number.js';
import { nodeKey } from '../src/addr/public-key.js';
import type { ControlPlane } from '../src/control/control-plane.js';
import { isBridged, isOurBridge } from '../src/control/fallback.js';
import { firstLanInterface } from '../src/control/forwarding.js';
import { meshHealth } from '../src/mesh/commands.js';
import type { Mesh } from '../src/mesh/mesh.js';
import type { ReportCode, RouteRow as SpokenRoute } from '../src/routing/contract.js';
import {
  type HealthItem,
  type Membership,
  type NodeInfo,
  type Peer,
  type PortMappingInfo,
  type RouteRow,
  type Status,
  schema,
  type TlsInfo,
  type TunnelInfo,
  type Why,
} from './api.js';
import type { Member } from './member.js';
import { resolveTarget } from './resolve-name.js';
import { coveringRows, explain, reasonsOf } from './why.js';

/** What `status`, `peers`, `routes` and `why` say, read off the machines at the moment of the question. */

export function membershipInfo(mesh: Mesh): Membership {
  const { membership } = mesh;
  const { node } = membership.chain;
  return {
    node: nodeInfo(mesh, node.number, node.name, node.key),
    network: {
      id: Buffer.from(membership.network.id.subarray(0, 16)).toString('hex'),
      prefix: String(membership.network.prefix),
    },
  };
}

function nodeInfo(mesh: Mesh, number: NodeNumber, name: string, key: Uint8Array): NodeInfo {
  const network = mesh.membership.network.prefix;
  return {
    name,
    id: nodeKey(key),
    address: formatIp(nodeAddress(network, number)),
    prefix: String(nodePrefix(network, number)),
    number,
  };
}

export function memberStatus(
  member: Member,
  version: string,
  tun: { name: string; mtu: number },
  critical: readonly string[],
  listen: Endpoint | undefined,
): Status {
  const { control } = member;
  const rows = control.speaker.view(member.now());
  const capabilities = member.plane.capabilities();
  const offload = [capabilities.tcpSegmentation && 'tcp', capabilities.udpSegmentation && 'udp']
    .filter(Boolean)
    .join('+');
  const fallbacks = [
    !capabilities.virtioHeader && 'no-vnet-header',
    !capabilities.tcpSegmentation && 'no-tso',
    !capabilities.udpSegmentation && 'no-uso',
    !capabilities.udpGso && 'no-udp-gso',
    !capabilities.udpGro && 'no-udp-gro',
    !capabilities.steering && 'no-steering',
    !capabilities.evp && 'no-evp',
    !capabilities.priority && 'no-priority',
    !member.aesFaster && 'no-aes',
  ].filter((text) => text !== false);
  const transports = [...control.tunnels.all()].map(({ endpoint }) => wayOf(member, endpoint).transport);
  const askedAgain = (endpoint: Endpoint) => {
    const wait = control.reachability.waitFor(endpoint, member.now());
    return wait === undefined ? null : Math.ceil(wait / 1000);
  };
  return {
    schema,
    version,
    uptimeSeconds: Math.floor(member.uptime / 1000),
    ...membershipInfo(control.mesh),
    tun: { ...tun, offload: offload === '' ? 'none' : offload },
    cipher: member.aesFaster ? 'aes-256-gcm' : 'chacha20-poly1305',
    workers: capabilities.workers,
    endpoints: control.reachability
      .endpoints()
      .map((endpoint) => ({ ...endpoint, askedAgainSeconds: askedAgain(endpoint) })),
    portMapping: portMappingInfo(control),
    tunnels: {
      up: control.tunnels.count,
      total: otherNodes(control.mesh).length,
      overTcp: transports.filter((transport) => transport === 'tcp').length,
      overTls: transports.filter((transport) => transport === 'tls').length,
    },
    tls: tlsInfo(member, listen),
    routes: { selected: rows.filter((row) => row.selected).length, total: rows.length },
    health: memberHealth(member, critical),
    fallbacks,
    drops: Object.fromEntries(dropsOf(member)),
  };
}

/** Everything dropped since the start, of the plane, the handshakes and the mesh: reasons and counts. */
function dropsOf(member: Member): [string, number][] {
  const { control, plane } = member;
  const refused = [...control.tunnels.refusals()].map(([reason, count]): [string, number] => [kebab(reason), count]);
  const all = [...plane.drops(), ...refused, ...control.mesh.drops(), ...member.streamDrops()];
  return all.filter(([, count]) => count > 0).map(([reason, count]) => [reason, count]);
}

/** "the certificate is for another key" as a name like the others. */
function kebab(reason: string): string {
  return `refused-${reason.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
}

/** How a tunnel's packets travel: the plane knows a stream by the loopback end of its bridge. */
function wayOf(member: Member, endpoint: Endpoint): Pick<TunnelInfo, 'endpoint' | 'transport' | 'openedBy'> {
  if (!isBridged(endpoint)) return { endpoint: formatEndpoint(endpoint), transport: 'udp', openedBy: null };
  const way = member.streamOf(endpoint);
  const openedBy = isOurBridge(endpoint) ? 'self' : 'peer';
  return { endpoint: way?.far ?? formatEndpoint(endpoint), transport: way?.kind ?? 'tcp', openedBy };
}

function tlsInfo(member: Member, listen: Endpoint | undefined): TlsInfo | null {
  if (!member.tls || !listen) return null;
  const { served, problem } = member.tls;
  return {
    state: served ? 'listening' : 'failed',
    listen: formatEndpoint(listen),
    announced: member.control.mesh.tls.map(({ address, port, name }) => ({ address, port, name: name ?? null })),
    expires: served ? new Date(served.expires * 1000).toISOString() : null,
    reason: problem?.message ?? null,
    fix: problem?.cure ?? null,
  };
}

function portMappingInfo(control: ControlPlane): PortMappingInfo {
  const status = control.mapping?.status();
  if (status) return status;
  return {
    state: 'disabled',
    protocol: null,
    gateway: null,
    externalAddress: null,
    externalPort: null,
    leaseSeconds: null,
    reason: null,
    tcp: null,
  };
}

/** How long a report of the speaker or of the tunnels stays in `status`. */
const reportAge = 10 * 60_000;

const cloneFix = 'one machine is a copy of the other: on the copy, weft leave, then join with a token of its own';

const reportFixes: Readonly<Record<string, string>> = {
  cloned: cloneFix,
  'own-key-copied': `${cloneFix}; if you know of no copy, the key is stolen: weft revoke NAME on its issuer`,
  'own-key-cloned': `${cloneFix}; if there is no copy, look at the node that says so`,
  'other-daemon': 'stop the other Babel daemon, or remove the interface from [[babel.interface]]',
  'import-meets-connected': 'the LAN router announces a network this machine is connected to: filter it there',
  'foreign-import':
    'to use it: weft grant NAME --lan PREFIX on an issuer, and "import" of [[babel.interface]] where that is set',
  'default-route': 'to use it, list it in "import" of [[babel.interface]]',
  'not-granted': 'if it may announce this prefix: weft grant NAME --lan PREFIX on its issuer; else look at that node',
  'lan-quota':
    'a router on a LAN of that node announces too much: have it announce fewer, wider prefixes, or narrow "import" there',
  quota: 'the neighbour announces more than it may: look at it, and revoke it if it is not well meant',
};

function memberHealth(member: Member, critical: readonly string[]): HealthItem[] {
  const { control } = member;
  const health: HealthItem[] = [...meshHealth(control.mesh)];
  const others = otherNodes(control.mesh);
  const reachable = new Set(control.forwarding.reachable());
  if (others.length > 0 && control.tunnels.count === 0) {
    health.push({
      code: 'isolated',
      severity: 'error',
      message: 'no tunnel is up, though the network has other nodes',
      fix: 'check that UDP leaves this machine: weft doctor',
    });
  }
  for (const name of critical) {
    const node = others.find((one) => one.name === name);
    if (node && reachable.has(node.number)) continue;
    health.push({
      code: 'critical-unreachable',
      severity: 'error',
      message: node ? `${name} cannot be reached` : `no node is called ${name}`,
      fix: node ? `weft why ${name}` : 'correct the name in [[critical]]',
    });
  }
  const mapping = control.mapping?.status();
  if (mapping?.state === 'refused') {
    health.push({
      code: 'port-mapping-refused',
      severity: 'warning',
      message: mapping.reason ?? 'the router refused to open the port',
      fix: 'allow port mapping on the router, or forward the UDP port by hand and set endpoints in the config',
    });
  }
  const tls = member.tls;
  if (tls?.problem) {
    health.push({
      code: tls.problem.code,
      severity: tls.served ? 'warning' : 'error',
      message: `${tls.problem.message}: ${tls.served ? 'the certificate of before is still shown' : 'nothing is served over TLS'}`,
      fix: tls.problem.cure,
    });
  }
  if (control.relayed.isReached) {
    health.push({
      code: 'relay-quota',
      severity: 'info',
      message: `relayed ${(control.relayed.octets / 1e9).toFixed(1)} GB for others this month, as much as allowed: no more until it is over`,
      fix: 'nothing is wrong; relay.limit-gb-month in the config allows more',
    });
  }
  health.push(...member.kernelHealth());
  const said = new Set<string>();
  for (const event of [...member.events()].reverse()) {
    if (Date.parse(event.at) < Date.now() - reportAge) break;
    const severity = reportSeverities.get(event.kind);
    if (!severity || said.has(event.kind + event.node)) continue;
    said.add(event.kind + event.node);
    health.push({
      code: event.kind,
      severity,
      message: `${event.node === null ? '' : `${event.node}: `}${event.message}`,
      fix: reportFixes[event.kind] ?? 'look at that node; revoke it if it is not well meant: weft revoke NAME',
    });
  }
  return health;
}

/** What the speaker and the tunnels report, and how grave it is. */
const reportSeverities: ReadonlyMap<string, HealthItem['severity']> = new Map(
  Object.entries({
    cloned: 'warning',
    'own-key-copied': 'warning',
    'own-key-cloned': 'error',
    'invalid-signature': 'warning',
    'not-the-owner': 'warning',
    'old-epoch': 'warning',
    'replayed-seqno': 'warning',
    'not-granted': 'warning',
    'overlay-prefix-from-lan': 'warning',
    // Nothing is wrong with the next and `default-route`: a router on our LAN announces more than we take.
    'foreign-import': 'info',
    'import-meets-connected': 'warning',
    'default-route': 'info',
    'own-prefix-by-another': 'warning',
    quota: 'warning',
    'lan-quota': 'warning',
    'other-daemon': 'warning',
    'restarts-too-often': 'warning',
    'signature-rate': 'warning',
  } satisfies Record<
    ReportCode | 'cloned' | 'own-key-copied' | 'own-key-cloned' | 'signature-rate',
    HealthItem['severity']
  >),
);

function otherNodes(mesh: Mesh) {
  const own = mesh.membership.number;
  return [...mesh.directory.records()].map((record) => record.node).filter((node) => node.number !== own);
}

export function peerRows(member: Member): Peer[] {
  const { control } = member;
  const nodes = new Map(otherNodes(control.mesh).map((node) => [node.number, node]));
  for (const node of control.tunnels.certificates()) nodes.set(node.number, node);
  return [...nodes.values()]
    .map((node): Peer => {
      const info = nodeInfo(control.mesh, node.number, node.name, node.key);
      const tunnel = tunnelInfo(member, node.number);
      const next = control.forwarding.choices(node.number)[0]?.neighbourNode;
      const lastError = control.tunnels.errorOf(node.number) ?? null;
      const base = { name: node.name, id: info.id, address: info.address, tunnel, lastError };
      // A tunnel counts as direct even where a relay is the faster way: `via` then names the relay in use.
      if (tunnel)
        return {
          ...base,
          state: 'direct',
          via: next === undefined || next === node.number ? null : member.nameOf(next),
        };
      if (next !== undefined) return { ...base, state: 'relayed', via: member.nameOf(next) ?? `number ${next}` };
      return { ...base, state: control.isDialling(node.number) ? 'connecting' : 'unreachable', via: null };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}

function tunnelInfo(member: Member, node: NodeNumber): TunnelInfo | null {
  const { tunnels } = member.control;
  const tunnel = tunnels.tunnelTo(node);
  if (!tunnel) return null;
  const counters = member.plane.counters(tunnel.link);
  return {
    ...wayOf(member, tunnel.endpoint),
    rttMs: round(tunnel.rtt),
    jitterMs: round(tunnel.jitter),
    lossPercent: round(100 * tunnel.loss),
    mtu: tunnel.mtu,
    cipher: tunnels.cipherOf(tunnel.link) ?? 'unknown',
    txBytes: counters.txBytes,
    rxBytes: counters.rxBytes,
    sinceSeconds: Math.floor((member.now() - tunnel.since) / 1000),
  };
}

function round(value: number): number {
  return Number(value.toFixed(3));
}

export function routeRows(member: Member, target: string | undefined): RouteRow[] {
  const spoken = candidates(member);
  const wanted = target === undefined ? spoken : coveringRows(spoken, resolveTarget(member.control.mesh, target));
  const reasonOf = reasonsOf(wanted);
  return wanted.map((row) => routeRow(member, row, reasonOf(row)));
}

/** Every route there is, and every one there would be if its update had not been refused. */
function candidates(member: Member): SpokenRoute[] {
  const { speaker } = member.control;
  return [...speaker.view(member.now()), ...speaker.refused(member.now())];
}

function routeRow(member: Member, row: SpokenRoute, reason: string): RouteRow {
  return {
    prefix: String(row.prefix),
    origin: (row.origin === undefined ? undefined : member.nameOf(row.origin)) ?? row.routerId,
    egress: egressName(member, row),
    selected: row.selected,
    feasible: row.feasible,
    nextHop: nextHopName(member, row),
    metric: row.metric,
    seqno: row.seqno,
    routerId: row.routerId,
    ageSeconds: Math.floor(row.ageSeconds),
    reason,
  };
}

function egressName(member: Member, row: SpokenRoute): string | null {
  const overlay = nodeNumberOf(member.control.mesh.membership.network.prefix, row.prefix.bytes) !== undefined;
  if (overlay || row.egress === undefined) return null;
  return member.nameOf(row.egress) ?? `number ${row.egress}`;
}

function nextHopName(member: Member, row: SpokenRoute): string | null {
  if (row.interface === undefined) return null;
  const node = member.control.tunnels.nodeOf(row.interface);
  if (node !== undefined) return member.nameOf(node) ?? `number ${node}`;
  return row.neighbour ? formatIp(row.neighbour) : null;
}

export function why(member: Member, target: string): Why {
  const { control } = member;
  const address = resolveTarget(control.mesh, target);
  const node = nodeNumberOf(control.mesh.membership.network.prefix, address);
  return explain(candidates(member), {
    target,
    address,
    hop: (row) => nextHopName(member, row),
    isDirect: (row) => {
      const neighbour = row.interface === undefined ? undefined : control.tunnels.nodeOf(row.interface);
      return neighbour !== undefined && neighbour === (node ?? row.egress);
    },
    egress: (row) => egressName(member, row),
    isLan: (row) => row.interface !== undefined && row.interface >= firstLanInterface,
    withoutTunnel: withoutTunnel(control, node),
  });
}

function withoutTunnel(control: ControlPlane, node: NodeNumber | undefined): string {
  if (node === undefined || node === control.mesh.membership.number || control.tunnels.tunnelTo(node)) return '';
  const error = control.tunnels.errorOf(node);
  const record = control.mesh.directory.byNumber(node);
  if (!record) return 'a tunnel to it: its endpoints are not known here yet';
  if (record.endpoints.length === 0) return 'a tunnel to it: it knows no endpoint of its own at which others reach it';
  return `a direct tunnel to it${error ? `: ${error}` : ', which is being tried'}`;
}
