import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { readKernelView } from '../../daemon/lan/kernel-view.js';
import { Lans } from '../../daemon/lan/lans.js';
import { monotonicMicros } from '../../daemon/lan/sockets.js';
import { formatIp } from '../../src/addr/ip.js';
import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { systemRandom } from '../../src/random.js';
import type { InterfaceId, LanOptions, SpeakerEffect, SpeakerEvent, StoredSeqno } from '../../src/routing/contract.js';
import { Speaker } from '../../src/routing/speaker.js';
import { KernelRoutes, type LanRoute } from './kernel-routes.js';

/**
 * A LAN router of nothing but the speaker, the LAN sockets and the kernel routes, for real routers to talk to:
 *
 *   node speaker-node.js '{"number":3,"devices":["lan0"],"originate":["fd00:c::1/128"],"state":"/tmp/x/state"}'
 *
 * It takes requests as JSON lines on standard input ({"id":1,"table":true},
 * {"id":2,"originate":["10.0.0.0/8"],"metric":0}, {"withdraw":[…]}, {"dropped":true}, {"stop":true}) and answers with
 * JSON lines.
 */
interface Settings {
  readonly number: number;
  readonly devices: readonly string[];
  readonly originate: readonly string[];
  readonly state: string;
  readonly type?: LanOptions['type'];
}

interface Request {
  readonly id: number;
  readonly table?: true;
  readonly originate?: readonly string[];
  readonly metric?: number;
  readonly withdraw?: readonly string[];
  /** How many datagrams the sockets dropped, by reason. */
  readonly dropped?: true;
  readonly stop?: true;
}

const settings = JSON.parse(process.argv[2]!) as Settings;
const everything = [parsePrefix('::/0')!, parsePrefix('0.0.0.0/0')!];

const now = () => monotonicMicros() / 1000;
const say = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`);
const interfaceOf = (name: string): InterfaceId => settings.devices.indexOf(name) + 1;
const deviceOf = (id: InterfaceId): string => settings.devices[id - 1]!;

const speaker = new Speaker({
  network: parsePrefix('fd57:6566:7400::/40')!,
  node: settings.number,
  now: now(),
  stored: readState(),
  freshEpoch: Math.floor(Date.now() / 1000),
  authority: { sign: () => new Uint8Array(8), verify: () => 'valid', grants: () => true },
  random: systemRandom(),
});
const routes = new KernelRoutes({ failed: (cause) => say({ trouble: cause.message }) });
let timer: NodeJS.Timeout | undefined;

function readState(): StoredSeqno | undefined {
  try {
    return JSON.parse(readFileSync(settings.state, 'utf8')) as StoredSeqno;
  } catch {
    return undefined; // the first start, or the disk was lost
  }
}

function tell(event: SpeakerEvent): void {
  perform(speaker.handle(event, now()));
}

function perform(effects: readonly SpeakerEffect[]): void {
  for (const effect of effects) {
    if (effect.kind === 'sendPacket') {
      lans.send(deviceOf(effect.interface), effect.bytes, effect.to === 'multicast' ? undefined : effect.to);
    } else if (effect.kind === 'persist') {
      writeFileSync(`${settings.state}.new`, JSON.stringify(effect.state));
      renameSync(`${settings.state}.new`, settings.state);
    } else if (effect.kind === 'reported') {
      say({ reported: effect.code, neighbour: formatIp(effect.neighbour), detail: effect.detail });
    } else if (effect.kind === 'routesChanged') {
      const set: LanRoute[] = [];
      const removed: Prefix[] = [];
      for (const { prefix, choices, held } of effect.changes) {
        const first = choices[0];
        if (first) set.push({ prefix, way: { nextHop: first.nextHop, device: deviceOf(first.interface) } });
        else if (held) set.push({ prefix, way: undefined });
        else removed.push(prefix);
      }
      routes.apply(set, removed);
    }
  }
  clearTimeout(timer);
  const wait = speaker.deadline() - now();
  if (Number.isFinite(wait)) timer = setTimeout(() => perform(speaker.tick(now())), Math.max(0, Math.ceil(wait)));
}

function table(): object[] {
  return speaker.view(now()).map((row) => ({
    prefix: row.prefix.toString(),
    via: row.nextHop ? formatIp(row.nextHop) : '',
    device: row.interface === undefined ? '' : deviceOf(row.interface),
    metric: row.metric,
    selected: row.selected,
    feasible: row.feasible,
  }));
}

async function stop(): Promise<void> {
  tell({ kind: 'stopping' });
  clearTimeout(timer);
  await routes.stop();
  lans.close();
  process.exit(0);
}

await routes.start();
for (const prefix of settings.originate) tell({ kind: 'originate', prefix: parsePrefix(prefix)!, metric: 0 });
const lans = new Lans(settings.devices, {
  up: (device) => {
    say({ up: device.name });
    void readKernelView(new Set(settings.devices)).then((view) => {
      tell({
        kind: 'lanUp',
        interface: interfaceOf(device.name),
        ownAddress: device.linkLocal,
        mtu: device.mtu - 48,
        options: {
          imports: everything,
          exports: everything,
          connected: view.connected.map((network) => network.prefix),
          onLink: [],
          own: [],
          type: settings.type ?? 'wired',
          helloInterval: 1000,
          updateInterval: 2000,
          ...(device.ipv4 ? { ownIpv4: device.ipv4 } : {}),
        },
      });
    });
  },
  down: (name) => tell({ kind: 'interfaceDown', interface: interfaceOf(name) }),
  received: (name, packet) => {
    tell({
      kind: 'packetReceived',
      interface: interfaceOf(name),
      from: packet.source,
      bytes: packet.bytes,
      receivedAt: packet.receivedAt / 1000,
    });
  },
  trouble: (_name, error) => say({ trouble: `${error.message}; ${error.cure}` }),
});
createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as Request;
  for (const prefix of request.originate ?? [])
    tell({ kind: 'originate', prefix: parsePrefix(prefix)!, metric: request.metric ?? 0 });
  for (const prefix of request.withdraw ?? []) tell({ kind: 'withdraw', prefix: parsePrefix(prefix)! });
  say({
    id: request.id,
    ...(request.table ? { table: table() } : {}),
    ...(request.dropped ? { dropped: lans.dropped } : {}),
  });
  if (request.stop) void stop();
});
process.on('SIGTERM', () => void stop());
say({ ready: true });
