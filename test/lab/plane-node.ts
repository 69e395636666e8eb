import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { formatIp } from '../../src/addr/ip.js';
import { nodeAddress } from '../../src/addr/node-number.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { MeshError } from '../../src/errors.js';
import type { Cipher, SessionInstall } from '../../src/tunnel/plane/contract.js';
import { openLinuxPlane, type PlaneForce } from '../../src/tunnel/plane/linux.js';

/**
 * One plane with sessions installed by hand, for tests and measurements of the plane alone. Run inside a namespace:
 *
 *   node plane-node.js '{"node":1,"tun":"weft0","port":16696,"peers":[{"node":2,"address":"10.0.0.2","port":16696}]}'
 *
 * Prints "ready", lives until its input ends, and prints counters and drops as JSON on the way out. A line "keys N PEER" of
 * its input gives it new keys with that node, the Nth; it says "keys N PEER" when all workers have them. The node of the lower
 * number begins, and is told after the other.
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
function key(from: number, to: number, generation: number): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(32);
  const bytes = new Uint8Array(shared);
  bytes.fill(0x40 + from * 7 + to);
  bytes[0] = generation;
  return shared;
}

/** Of as many lanes as workers, whatever their number: multiples of 8 and of it. */
const lanes = 6;
const apart = 24;

function session(options: PlaneNodeOptions, peer: number, generation: number, role: SessionInstall['role']) {
  const { node } = options;
  return {
    link: peer,
    cipher: options.cipher ?? 'aes-256-gcm',
    localIndex: ((generation * 256 + node) * 256 + peer) * apart,
    localLanes: lanes,
    remoteIndex: ((generation * 256 + peer) * 256 + node) * apart,
    remoteLanes: lanes,
    sendKey: key(node, peer, generation),
    receiveKey: key(peer, node, generation),
    role,
  };
}

/** What `act` makes for threads to share. */
function sharedMadeBy(act: () => void): SharedArrayBuffer[] {
  const made: SharedArrayBuffer[] = [];
  const { SharedArrayBuffer: Plain } = globalThis;
  globalThis.SharedArrayBuffer = new Proxy(Plain, {
    construct: (target, given) => {
      made.push(Reflect.construct(target, given) as SharedArrayBuffer);
      return made.at(-1)!;
    },
  });
  act();
  globalThis.SharedArrayBuffer = Plain;
  return made;
}

/** What a worker sent and heard on a link: packets and relayed frames, and frames of all kinds. */
export interface WorkerCount {
  readonly sent: number;
  /** Of what a relay brought, only the frames are counted at its end. */
  readonly heard: number;
  readonly framesSent: number;
  readonly framesHeard: number;
}

/** Layout: src/tunnel/plane/link-shared.ts. */
function byWorker(link: SharedArrayBuffer): WorkerCount[] {
  const numbers = new Float64Array(link, 24);
  return Array.from({ length: (numbers.length - 1) / 6 }, (_, worker) => {
    const [, , framesSent, framesHeard, carried, sent] = numbers.subarray(1 + 6 * worker) as unknown as number[];
    return { sent: sent!, heard: carried! - sent!, framesSent: framesSent!, framesHeard: framesHeard! };
  });
}

async function main(options: PlaneNodeOptions): Promise<void> {
  const plane = await openLinuxPlane({
    tunName: options.tun,
    port: options.port,
    ipv6: options.ipv6 ?? false,
    workers: options.workers ?? 2,
    ...(options.force ? { force: options.force } : {}),
  });
  const shared: SharedArrayBuffer[] = [];
  const started = process.hrtime();
  plane.onEvent((event) => {
    const [s, ns] = process.hrtime(started);
    if (event.kind !== 'control') console.error(`${(s + ns / 1e9).toFixed(3)}`, JSON.stringify(event));
    if (event.kind === 'installed') {
      console.log(`keys ${Math.floor(event.localIndex / apart / 65536)} ${event.link}`);
    }
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
    const open = () => plane.command({ kind: 'openLink', link, node: peer.node, carriage });
    shared.push(...sharedMadeBy(open));
    plane.command({ kind: 'installSession', session: session(options, peer.node, 0, 'initiator') });
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
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const [generation, node] = line.split(' ').slice(1).map(Number) as [number, number];
    const role = options.node < node ? 'initiator' : 'responder';
    plane.command({ kind: 'installSession', session: session(options, node, generation, role) });
  });
  await once(input, 'close');
  const report = {
    drops: Object.fromEntries(plane.drops()),
    links: options.peers.map((peer) => plane.counters(peer.node)),
    workers: shared.map(byWorker),
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
