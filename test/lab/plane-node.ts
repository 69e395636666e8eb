import { execFileSync } from 'node:child_process';
import { formatIp } from '../../src/addr/ip.js';
import { nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { MeshError } from '../../src/errors.js';
import type { Cipher } from '../../src/tunnel/plane/contract.js';
import { openLinuxPlane, type PlaneForce } from '../../src/tunnel/plane/linux.js';

/**
 * One plane with sessions installed by hand, for tests and measurements of the plane alone. Run inside a namespace:
 *
 *   node plane-node.js '{"node":1,"tun":"weft0","port":16696,"peers":[{"node":2,"address":"10.0.0.2","port":16696}]}'
 *
 * Prints "ready", lives until its input ends, and prints counters and drops as JSON on the way out.
 */
export interface PlaneNodeOptions {
  readonly node: number;
  readonly tun: string;
  readonly port: number;
  readonly peers: readonly {
    readonly node: number;
    readonly address?: string;
    readonly port?: number;
    readonly via?: number;
  }[];
  /** Default: 2, whatever the machine has. */
  readonly workers?: number;
  readonly cipher?: Cipher;
  readonly force?: PlaneForce;
  readonly relay?: boolean;
  readonly ipv4?: boolean;
  /** The underlay also speaks IPv6. */
  readonly ipv6?: boolean;
}

const network = parsePrefix('fd77:6566:7400::/40')!;

/** Two nodes derive the same pair of keys from their numbers; nobody else's traffic is ever sealed with them. */
function key(from: number, to: number): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(32);
  new Uint8Array(shared).fill(0x40 + from * 7 + to);
  return shared;
}

async function main(options: PlaneNodeOptions): Promise<void> {
  const plane = await openLinuxPlane({
    tunName: options.tun,
    port: options.port,
    ipv6: options.ipv6 ?? false,
    workers: options.workers ?? 2,
    ...(options.force ? { force: options.force } : {}),
  });
  const lanes = 6;
  const started = process.hrtime();
  plane.onEvent((event) => {
    const [s, ns] = process.hrtime(started);
    if (event.kind !== 'control') console.error(`${(s + ns / 1e9).toFixed(3)}`, JSON.stringify(event));
  });
  plane.command({
    kind: 'configure',
    node: options.node,
    networkPrefix: network.bytes,
    networkPrefixLength: network.length,
    relay: options.relay ? 'yes' : 'no',
    relayLimitBitsPerSecond: 0,
    publicKey: new Uint8Array(32),
  });
  for (const peer of options.peers) {
    const link = peer.node;
    const carriage =
      peer.address && peer.port
        ? ({ kind: 'direct', endpoint: { address: peer.address, port: peer.port } } as const)
        : ({ kind: 'overlay' } as const);
    plane.command({ kind: 'openLink', link, node: peer.node, carriage });
    plane.command({
      kind: 'installSession',
      session: {
        link,
        cipher: options.cipher ?? 'aes-256-gcm',
        localIndex: (options.node * 256 + peer.node) * lanes,
        localLanes: lanes,
        remoteIndex: (peer.node * 256 + options.node) * lanes,
        remoteLanes: lanes,
        sendKey: key(options.node, peer.node),
        receiveKey: key(peer.node, options.node),
        role: 'initiator',
      },
    });
    plane.command({
      kind: 'patchRoutes',
      nodes: [{ node: peer.node, hops: [peer.via ?? link] }],
      prefixes: options.ipv4
        ? [
            { prefix: ipv4(10, 77, 0, options.node), length: 128, egress: undefined },
            { prefix: ipv4(10, 77, 0, peer.node), length: 128, egress: peer.node },
          ]
        : [],
      removedPrefixes: [],
    });
  }
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('link', 'set', options.tun, 'mtu', '1380', 'up');
  ip('-6', 'address', 'add', `${formatIp(nodeAddress(network, options.node))}/40`, 'dev', options.tun, 'nodad');
  if (options.ipv4) ip('address', 'add', `10.77.0.${options.node}/24`, 'dev', options.tun);
  console.log('ready', JSON.stringify(plane.capabilities()));
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once('end', resolve));
  const report = {
    drops: Object.fromEntries(plane.drops()),
    links: options.peers.map((peer) => plane.counters(peer.node)),
    rssMb: Math.round(process.memoryUsage().rss / 1e6),
    cpuSeconds: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
  };
  const stopping = process.hrtime.bigint();
  await plane.stop();
  console.log(JSON.stringify({ ...report, stopMillis: Number(process.hrtime.bigint() - stopping) / 1e6 }));
}

function ipv4(...octets: number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...octets);
}

const argument = process.argv[2];
if (argument) {
  main(JSON.parse(argument) as PlaneNodeOptions).catch((error: unknown) => {
    console.error(error instanceof MeshError ? `${error.code}: ${error.message}; ${error.cure}` : error);
    process.exitCode = 1;
  });
}
