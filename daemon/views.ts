import { formatEndpoint } from '../src/addr/endpoint.js';
import type {
  AppRow,
  DoctorCheck,
  HealthItem,
  Invitation,
  IssuerRow,
  Membership,
  NodeEvent,
  Peer,
  PingReply,
  PortMappingInfo,
  RouteRow,
  Status,
  TlsInfo,
  TopFrame,
  TraceHop,
  Why,
} from './api.js';
import { formatBytes, formatMs, formatRate, formatSeconds } from './human.js';
import { type Paper, printable, tint, wrap } from './paper.js';
import { table } from './table.js';

/** What the commands print for people: each answer of the node as text that ends with a newline. */

/** Well, as `weft status` judges it: a member of a network, with nothing that is an error. */
export function isWell(status: Status): boolean {
  return status.node !== null && !status.health.some((item) => item.severity === 'error');
}

export function statusView(status: Status, paper: Paper): string {
  const { node, network, tun } = status;
  if (!node || !network) {
    const lines = ['no network', '', 'found one: weft init', 'or join:   weft join TOKEN'];
    // That there is none was just said.
    const others = status.health.filter((item) => item.code !== 'no-network');
    return `${lines.join('\n')}\n${healthView(others, paper)}`;
  }
  const facts: [string, string][] = [
    ['node', `${node.name}  ${node.address}`],
    ['id', `${node.id}, number ${node.number}`],
    ['network', `${network.id}  ${network.prefix}`],
    ['running', `${formatSeconds(status.uptimeSeconds)}, version ${status.version}`],
    ['device', tun ? `${tun.name}, mtu ${tun.mtu}, offload ${tun.offload}` : 'none'],
    ['cipher', status.cipher],
    ['workers', String(status.workers)],
    ['endpoints', status.endpoints.map(endpointText).join(', ') || 'none known'],
    ['router', portMappingText(status.portMapping)],
    ['tunnels', tunnelsText(status.tunnels)],
    ['routes', `${status.routes.selected} selected of ${status.routes.total}`],
  ];
  if (status.tls) facts.push(['tls', tlsText(status.tls)]);
  if (status.fallbacks.length > 0) facts.push(['fallbacks', status.fallbacks.join(', ')]);
  const rows = facts.map(([name, value]) => `${name.padEnd(11)}${wrap(value, paper, 11)}\n`).join('');
  return `${tint(isWell(status) ? 'well' : 'not well', paper)}\n\n${rows}${healthView(status.health, paper)}`;
}

function tunnelsText({ up, total, overTcp, overTls }: Status['tunnels']): string {
  const streams = [...(overTcp > 0 ? [`${overTcp} over TCP`] : []), ...(overTls > 0 ? [`${overTls} over TLS`] : [])];
  return [`${up} up of ${total}`, ...streams].join(', ');
}

function tlsText({ state, listen, announced, expires, reason }: TlsInfo): string {
  if (state === 'failed') return `not served at ${listen}${reason === null ? '' : `: ${reason}`}`;
  const where =
    announced.map((endpoint) => formatEndpoint(endpoint)).join(', ') || 'nobody: no address of ours is known';
  return `served at ${listen}, told to members: ${where}; certificate until ${expires?.slice(0, 10)}`;
}

function endpointText(endpoint: Status['endpoints'][number]): string {
  const wait = endpoint.askedAgainSeconds ?? 0;
  const standing = endpoint.proven ? ' proven' : wait > 1 ? `, asked about again in ${wait} s` : '';
  return `${formatEndpoint(endpoint)} ${endpoint.source}${standing}`;
}

function portMappingText(mapping: PortMappingInfo): string {
  if (mapping.state === 'mapped' || mapping.state === 'renewing') {
    const lease = mapping.leaseSeconds === null ? '' : ` for ${formatSeconds(mapping.leaseSeconds)}`;
    const outside = `${mapping.externalAddress ?? '?'}:${mapping.externalPort ?? '?'}`;
    const tcp = mapping.tcp?.mapped ? ', over TCP too' : '';
    return `${mapping.state} by ${mapping.protocol} at ${mapping.gateway}: ${outside}${lease}${tcp}`;
  }
  return mapping.reason === null ? mapping.state : `${mapping.state}: ${mapping.reason}`;
}

function healthView(health: readonly HealthItem[], paper: Paper): string {
  return health
    .map(({ severity, message, fix }) => {
      const words = wrap(`${severity}: ${message}`, paper, 2).slice(severity.length);
      return `\n${tint(severity, paper)}${words}\n  ${wrap(fix, paper, 2)}\n`;
    })
    .join('');
}

export function peersView(peers: readonly Peer[], paper: Paper): string {
  if (peers.length === 0) return 'alone in the network; "weft invite" makes a token for another machine\n';
  return table(
    [
      'NAME',
      'STATE',
      'VIA',
      'RTT>',
      'LOSS>',
      'ADDRESS',
      'ENDPOINT',
      'JITTER>',
      'MTU>',
      'SENT>',
      'RECEIVED>',
      'FOR>',
      'LAST ERROR',
    ],
    peers.map(({ name, address, state, via, tunnel, lastError }) => [
      name,
      state,
      via ?? '-',
      formatMs(tunnel?.rttMs ?? null),
      tunnel ? lossText(tunnel.lossPercent) : '-',
      address,
      ...(tunnel
        ? [
            tunnel.transport === 'udp' ? tunnel.endpoint : `${tunnel.transport} ${tunnel.endpoint}`,
            formatMs(tunnel.jitterMs),
            String(tunnel.mtu),
            formatBytes(tunnel.txBytes),
            formatBytes(tunnel.rxBytes),
            formatSeconds(tunnel.sinceSeconds),
          ]
        : ['-', '-', '-', '-', '-', '-']),
      lastError ?? '',
    ]),
    paper,
  );
}

function lossText(percent: number): string {
  return `${Number(percent.toFixed(1))} %`;
}

export function routesView(routes: readonly RouteRow[], paper: Paper): string {
  if (routes.length === 0) return 'no route is known\n';
  return table(
    [
      '',
      'PREFIX',
      'NEXT HOP',
      'METRIC>',
      'ORIGIN',
      'FEASIBLE',
      'AGE>',
      'EGRESS',
      'SEQNO>',
      'ROUTER ID',
      'NOT USED BECAUSE',
    ],
    routes.map((row) => [
      row.selected ? '*' : ' ',
      row.prefix,
      row.nextHop ?? 'this node',
      metricText(row.metric),
      row.origin,
      row.feasible ? 'yes' : 'no',
      formatSeconds(row.ageSeconds),
      row.egress ?? '-',
      String(row.seqno),
      row.routerId,
      row.selected ? '' : row.reason,
    ]),
    paper,
  );
}

function metricText(metric: number): string {
  return metric >= 65535 ? 'none' : String(metric);
}

export function whyView(why: Why, paper: Paper): string {
  const rows = why.candidates.map((candidate) => [
    candidate.selected ? '*' : ' ',
    candidate.nextHop ?? 'this node',
    metricText(candidate.metric),
    candidate.feasible ? 'yes' : 'no',
    formatSeconds(candidate.ageSeconds),
    String(candidate.seqno),
    candidate.reason,
  ]);
  const candidates =
    rows.length === 0
      ? ''
      : `\n${table(['', 'NEXT HOP', 'METRIC>', 'FEASIBLE', 'HEARD>', 'SEQNO>', 'REASON'], rows, paper)}`;
  const change = why.change === '' ? '' : `\n${wrap(`what would change it: ${why.change}`, paper)}\n`;
  const about = why.target === why.address ? why.address : `${why.target} (${why.address})`;
  return `${wrap(`${about}: ${why.decision}`, paper)}\n${candidates}${change}`;
}

export function membershipView({ node, network }: Membership): string {
  return `${node.name} is ${node.address} in network ${network.id} (${network.prefix})\n`;
}

export function exportedKeyView(file: string): string {
  return (
    `the network key is in ${file}: keep that elsewhere, with its passphrase\n` +
    'then take it off this machine: weft network-key remove\n'
  );
}

export function invitationView(invitation: Invitation): string {
  const who = invitation.name === null ? 'one machine' : invitation.name;
  return `${invitation.token}\n\nfor ${who}, once, until ${invitation.expires}; there: weft join TOKEN\n`;
}

export function issuersView(issuers: readonly IssuerRow[], paper: Paper): string {
  return table(
    ['NAME', 'PREFIX', 'STATE', 'ID'],
    issuers.map((row) => [row.name, row.prefix, row.revoked ? 'revoked' : row.self ? 'this node' : 'admits', row.id]),
    paper,
  );
}

export function appsView(apps: readonly AppRow[], paper: Paper): string {
  if (apps.length === 0) return 'no apps; "weft app add NAME" gives one an address\n';
  return table(
    ['NAME', 'ADDRESS'],
    apps.map((app) => [app.name, app.address]),
    paper,
  );
}

/** A check a line: its state, what was checked, what was seen; and below it what to do, where something is. */
export function doctorView(checks: readonly DoctorCheck[], paper: Paper): string {
  const width = Math.max(0, ...checks.map((check) => check.state.length)) + 2;
  const margin = ' '.repeat(width);
  return checks
    .map(({ state, check, evidence, remedy, command }) => {
      const todo = remedy === '' ? '' : `${margin}-> ${wrap(remedy, paper, width + 3)}\n`;
      // One line however long, to be copied as it is.
      const typed = command === '' ? '' : `${margin}   ${command}\n`;
      return `${tint(state.padEnd(width), paper)}${wrap(`${check}: ${evidence}`, paper, width)}\n${todo}${typed}`;
    })
    .join('');
}

export function traceView(hops: readonly TraceHop[], paper: Paper): string {
  return table(
    ['HOP>', 'NAME', 'ADDRESS', 'RTT>', 'ENDPOINT'],
    hops.map((hop) => [String(hop.hop), hop.name, hop.address, formatMs(hop.rttMs), hop.endpoint ?? '-']),
    paper,
  );
}

export function pingReplyView(reply: PingReply): string {
  if (reply.rttMs === null) return `${reply.sequence}: no answer\n`;
  const way = reply.via === null ? 'direct' : `via ${reply.via}`;
  return `${reply.sequence}: ${reply.address} ${formatMs(reply.rttMs)} ${way}\n`;
}

export interface PingSummary {
  readonly sent: number;
  readonly received: number;
  readonly lossPercent: number;
  readonly rttMs: { readonly min: number; readonly mean: number; readonly max: number } | null;
}

export function pingSummary(replies: readonly PingReply[]): PingSummary {
  const times = replies.flatMap((reply) => (reply.rttMs === null ? [] : [reply.rttMs]));
  const sent = replies.length;
  return {
    sent,
    received: times.length,
    lossPercent: sent === 0 ? 0 : Number((100 * (1 - times.length / sent)).toFixed(1)),
    rttMs:
      times.length === 0
        ? null
        : {
            min: Math.min(...times),
            mean: Number((times.reduce((sum, time) => sum + time, 0) / times.length).toFixed(3)),
            max: Math.max(...times),
          },
  };
}

export function pingSummaryView(summary: PingSummary): string {
  const { rttMs } = summary;
  const times = rttMs ? `; ${formatMs(rttMs.min)} / ${formatMs(rttMs.mean)} / ${formatMs(rttMs.max)}` : '';
  return `${summary.received} of ${summary.sent} answered (${summary.lossPercent} % lost)${times}\n`;
}

export function topView(frame: TopFrame, paper: Paper): string {
  const { status } = frame;
  const head = `${frame.at.slice(11, 19)}  ${status.node?.name ?? 'no network'}  tunnels ${status.tunnels.up}/${status.tunnels.total}  routes ${status.routes.selected}/${status.routes.total}  ${tint(isWell(status) ? 'well' : 'not well', paper)}\n\n`;
  const busiest = [...frame.peers].sort(
    (a, b) => b.txBitsPerSecond + b.rxBitsPerSecond - a.txBitsPerSecond - a.rxBitsPerSecond,
  );
  return (
    head +
    table(
      ['NAME', 'STATE', 'VIA', 'SENDING>', 'RECEIVING>', 'RTT>', 'LOSS>'],
      busiest.map((peer) => [
        peer.name,
        peer.state,
        peer.via ?? '-',
        formatRate(peer.txBitsPerSecond),
        formatRate(peer.rxBitsPerSecond),
        formatMs(peer.tunnel?.rttMs ?? null),
        peer.tunnel ? lossText(peer.tunnel.lossPercent) : '-',
      ]),
      paper,
    )
  );
}

export function eventView(event: NodeEvent): string {
  const about = event.node === null ? event.kind : `${event.kind} ${event.node}`;
  return printable(`${event.at} ${about}: ${event.message}`).concat('\n');
}
