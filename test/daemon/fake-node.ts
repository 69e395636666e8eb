import type { NodeApi, NodeInfo, Peer, RouteRow, Status } from '../../daemon/api.js';
import { MeshError } from '../../src/errors.js';

/** A node whose every answer is fixed, for the admin socket and the command line. */
const fakeNodeInfo: NodeInfo = {
  name: 'attic',
  id: 'k7qd2mfa',
  address: 'fd5e:cd52:8401:7::1',
  prefix: 'fd5e:cd52:8401:7::/64',
  number: 0x10007,
};

const network = { id: 'n4x2p6ra', prefix: 'fd5e:cd52:8400::/40' };

export const wellStatus: Status = {
  schema: 1,
  version: '0.1.0',
  uptimeSeconds: 93_784,
  node: fakeNodeInfo,
  network,
  tun: { name: 'weft0', mtu: 1380, offload: 'tcp+udp' },
  cipher: 'aes-256-gcm',
  workers: 2,
  endpoints: [
    { address: '11.0.0.7', port: 16696, source: 'upnp', proven: true, askedAgainSeconds: null },
    { address: '192.168.1.20', port: 16696, source: 'local', proven: false, askedAgainSeconds: null },
  ],
  portMapping: {
    state: 'mapped',
    protocol: 'upnp',
    gateway: '192.168.1.1',
    externalAddress: '11.0.0.7',
    externalPort: 16696,
    leaseSeconds: 3600,
    reason: null,
    tcp: { mapped: true, reason: null },
  },
  tunnels: { up: 2, total: 3, overTcp: 0, overTls: 0 },
  tls: null,
  routes: { selected: 3, total: 5 },
  health: [
    {
      code: 'network-key-not-exported',
      severity: 'warning',
      message: 'the network key exists on this machine only',
      fix: 'weft network-key export FILE',
    },
  ],
  fallbacks: [],
  drops: {},
};

export const noNetworkStatus: Status = {
  ...wellStatus,
  node: null,
  network: null,
  tun: null,
  endpoints: [],
  portMapping: {
    state: 'absent',
    protocol: null,
    gateway: null,
    externalAddress: null,
    externalPort: null,
    leaseSeconds: null,
    reason: null,
    tcp: null,
  },
  tunnels: { up: 0, total: 0, overTcp: 0, overTls: 0 },
  tls: null,
  routes: { selected: 0, total: 0 },
  health: [
    {
      code: 'no-network',
      severity: 'error',
      message: 'this machine belongs to no network',
      fix: 'found one, or join one',
    },
  ],
};

export const fakePeers: readonly Peer[] = [
  {
    name: 'cellar',
    id: 'c2c2c2c2',
    address: 'fd5e:cd52:8401:8::1',
    state: 'direct',
    via: null,
    tunnel: {
      endpoint: '11.0.0.8:16696',
      transport: 'udp',
      openedBy: null,
      rttMs: 12.345,
      jitterMs: 0.4,
      lossPercent: 0,
      mtu: 1472,
      cipher: 'aes-256-gcm',
      txBytes: 123_456_789,
      rxBytes: 999,
      sinceSeconds: 4000,
    },
    lastError: null,
  },
  {
    name: 'garden',
    id: 'd3d3d3d3',
    address: 'fd5e:cd52:8401:9::1',
    state: 'relayed',
    via: 'cellar',
    tunnel: null,
    lastError: 'no answer to 5 handshakes',
  },
];

export const fakeRoutes: readonly RouteRow[] = [
  {
    prefix: 'fd5e:cd52:8401:7::/64',
    origin: 'attic',
    egress: null,
    selected: true,
    feasible: true,
    nextHop: null,
    metric: 0,
    seqno: 7,
    routerId: '0100070000000001',
    ageSeconds: 93_784,
    reason: 'used: the best feasible route',
  },
  {
    prefix: '192.168.7.0/24',
    origin: 'garden',
    egress: 'garden',
    selected: false,
    feasible: true,
    nextHop: 'cellar',
    metric: 312,
    seqno: 65535,
    routerId: '0100090000000001',
    ageSeconds: 12,
    reason: 'nothing is heard from that neighbour at the moment',
  },
];

export function fakeNode(changes: Partial<NodeApi> = {}): NodeApi {
  const membership = { node: fakeNodeInfo, network };
  const issuer = { name: 'attic', id: 'k7qd2mfa', prefix: 'fd5e:cd52:8401::/48', self: true, revoked: false };
  const app = (name: string) => ({ name, address: 'fd5e:cd52:8401:7:9b0c:1:2:3' });
  return {
    status: () => wellStatus,
    peers: () => fakePeers,
    routes: ({ target }) => fakeRoutes.filter((row) => target === undefined || row.origin === target),
    why: ({ target }) => ({
      target,
      address: 'fd5e:cd52:8401:9::1',
      decision: 'goes through cellar: the only feasible route',
      candidates: [
        {
          nextHop: 'cellar',
          metric: 312,
          seqno: 3,
          selected: true,
          feasible: true,
          ageSeconds: 12,
          reason: 'lowest metric',
        },
      ],
      change: 'a direct tunnel with a metric below 312',
    }),
    init: () => membership,
    invite: ({ name }) => ({
      token: 'TOKEN',
      name: name ?? null,
      issuer: 'attic',
      expires: '2026-11-23T12:00:00.000Z',
      warning: name === 'far' ? 'nobody gets in' : null,
    }),
    join: ({ token }) => {
      if (token !== 'TOKEN') throw new MeshError('token-malformed', 'this is no token', 'copy the whole token');
      return membership;
    },
    leave: () => membership,
    issuerAdd: ({ name }) => ({ ...issuer, name, self: false }),
    issuerList: () => [issuer],
    issuerRevoke: ({ name }) => ({ ...issuer, name, self: false, revoked: true }),
    grant: ({ name, lan }) => ({ name, lan }),
    revoke: ({ name }) => ({ name, id: 'd3d3d3d3' }),
    networkKeyExport: ({ passphrase }) => ({ sealed: `sealed ${passphrase.length}` }),
    networkKeyKept: () => network,
    networkKeyRemove: () => network,
    networkKeyImport: () => network,
    identityExport: ({ passphrase }) => ({ sealed: `sealed ${passphrase.length}` }),
    identityImport: () => membership,
    appAdd: ({ name }) => app(name),
    appList: () => [app('web'), app('db')],
    appRemove: ({ name }) => app(name),
    resolve: ({ target }) => ({ name: target, address: 'fd5e:cd52:8401:9::1' }),
    doctor: () => [
      { code: 'tun', check: 'TUN device', state: 'ok', evidence: 'weft0 is up', remedy: '', command: '' },
      {
        code: 'clock',
        check: 'clock',
        state: 'warning',
        evidence: 'an hour ahead of the issuers',
        remedy: 'switch on time synchronisation',
        command: 'timedatectl set-ntp true',
      },
    ],
    trace: () => [
      { hop: 1, name: 'cellar', address: 'fd5e:cd52:8401:8::1', rttMs: 12.3, endpoint: '11.0.0.8:16696' },
      { hop: 2, name: 'garden', address: 'fd5e:cd52:8401:9::1', rttMs: null, endpoint: null },
    ],
    async ping({ count = 3 }, emit) {
      for (let sequence = 1; sequence <= count; sequence++) {
        emit({ sequence, address: 'fd5e:cd52:8401:9::1', rttMs: sequence === 2 ? null : 10 + sequence, via: 'cellar' });
      }
    },
    async top(_options, emit, signal) {
      emit({ schema: 1, at: '2026-11-22T12:00:00.000Z', status: wellStatus, peers: [] });
      await aborted(signal);
    },
    async log(_options, emit, signal) {
      emit({ time: '2026-11-22T12:00:00.000Z', level: 'info', msg: 'tunnel up', node: 'cellar' });
      await aborted(signal);
    },
    async events(_options, emit, signal) {
      emit({ at: '2026-11-22T12:00:00.000Z', kind: 'tunnel-up', message: 'tunnel to cellar is up', node: 'cellar' });
      await aborted(signal);
    },
    ...changes,
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}
