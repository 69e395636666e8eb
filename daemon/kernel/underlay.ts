import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Millis } from '../../src/time.js';
import { ipJsonBatch } from './ip.js';
import { hostProtocol } from './plan.js';

/** The machine's own addresses outside the overlay, and its way out. */
export interface Underlay {
  /** Of devices that have a carrier; loopback, link-local and our own left out. Sorted by device. */
  readonly addresses: readonly { readonly device: string; readonly address: string; readonly length: number }[];
  /** Of IPv4, best first; of one that has several ways, each. */
  readonly defaultRoutes: readonly DefaultRoute[];
}

export interface DefaultRoute {
  readonly device: string;
  /** Undefined: whoever is at the other end of the device (PPP); an IPv6 address: a router that carries IPv4 without one of its own. */
  readonly gateway?: string;
}

/** One event often comes as ten netlink messages. */
const settle: Millis = 60;
/** `ip monitor` ends only when killed or out of memory: try again, at this pace. */
const restartDelay: Millis = 1000;
/** And no rarer than this, where `ip` fails again and again. */
const longestDelay: Millis = 30_000;
/** Between two tellings of what is not in the snapshot: each costs a look at all of it, and what we take away ourselves is heard too. */
const leastPause: Millis = 1000;

interface LinkWithAddresses {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly addr_info?: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
    readonly tentative?: boolean;
  }[];
}

interface NextHop {
  readonly gateway?: string;
  /** A router of the other family. */
  readonly via?: { readonly host: string };
  /** Undefined: of a route that refuses, or of one with several ways. */
  readonly dev?: string;
}

interface RouteOfIp extends NextHop {
  readonly metric?: number;
  readonly nexthops?: readonly NextHop[];
}

/** "7: weft0: <POINTOPOINT,...> ..." of `ip -o monitor`; lines of addresses and routes have no colon behind the name. */
const linkEvent = /^\d+: ([^:@\s]+)[@:]/;
/** Of an address, "Deleted 1: lo    inet6 ..."; of a rule, "Deleted 17000:\tnot from all ..."; of a route of ours. */
const ourLoss = new RegExp(`^Deleted (?:\\d+:\\s|.*\\bproto ${hostProtocol}\\b)`);
/** Of a link, an address or a rule; of a route of another table than main; of a route of ours. */
const noOthersRoute = new RegExp(`^(?:Deleted )?\\d+:\\s| table \\S|\\bproto ${hostProtocol}\\b`);
/** What `ip monitor` says of lines that the kernel had to drop, before it goes on. */
const lostLines = /^netlink receive error/;

/** A snapshot now; `own` are devices of overlays, such as weft0. */
export async function readUnderlay(isOwn: (device: string) => boolean): Promise<Underlay> {
  const [links, routes] = (await ipJsonBatch(undefined, ['addr show', 'route show default'])) as [
    LinkWithAddresses[],
    RouteOfIp[],
  ];
  const addresses = links
    .filter((link) => link.flags.includes('LOWER_UP') && !link.flags.includes('LOOPBACK') && !isOwn(link.ifname))
    .flatMap((link) =>
      (link.addr_info ?? [])
        .filter((info) => info.scope === 'global' && !info.tentative)
        .map((info) => ({ device: link.ifname, address: info.local, length: info.prefixlen })),
    )
    .sort((a, b) => (`${a.device} ${a.address}` < `${b.device} ${b.address}` ? -1 : 1));
  const defaultRoutes = routes
    .sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .flatMap((route): readonly NextHop[] => route.nexthops ?? [route])
    .flatMap(({ dev, gateway, via }): DefaultRoute[] => {
      if (dev === undefined || isOwn(dev)) return [];
      const router = gateway ?? via?.host;
      return [router === undefined ? { device: dev } : { device: dev, gateway: router }];
    });
  return { addresses, defaultRoutes };
}

export interface UnderlayListener {
  changed(underlay: Underlay): void;
  /**
   * Addresses, routes or rules of ours may be gone: one was deleted, one of our own devices was set up, down, or otherwise, another one
   * was set down, with which the kernel drops unsaid what leaves by it, or events were lost. We may have done it ourselves. At
   * most once a second.
   */
  ownTouched(): void;
  /** Routes of the main table may be others, of either family, than ours there. At most once a second. */
  routesChanged(): void;
  /** `ip` fails: told once for each reason. */
  failed(error: unknown): void;
  /** And failed again when it was asked anew: what addresses there are stays unknown for now. Once in a row. */
  blind(): void;
}

/**
 * Tells every change of the underlay, from netlink events and not by polling; the first snapshot at once. Returns the end
 * of it. A failing `ip` is tried again.
 */
export function watchUnderlay(isOwn: (device: string) => boolean, listener: UnderlayListener): () => void {
  let last = '';
  let over = false;
  let pending: NodeJS.Timeout | undefined;
  let monitor: ReturnType<typeof startMonitor> | undefined;
  let isLooking = false;
  let lookAgain = false;
  let delay = restartDelay;
  let complaint = '';
  let failures = 0;
  let ownTouched = false;
  let routesChanged = false;
  let pause: NodeJS.Timeout | undefined;
  const tellTouched = (): void => {
    if (pause || !(ownTouched || routesChanged)) return;
    pause = setTimeout(() => {
      pause = undefined;
      tellTouched();
    }, leastPause);
    if (ownTouched) listener.ownTouched();
    if (routesChanged) listener.routesChanged();
    ownTouched = routesChanged = false;
  };
  const fail = (error: unknown): void => {
    if (String(error) === complaint) return;
    complaint = String(error);
    listener.failed(error);
  };
  const look = async (): Promise<void> => {
    pending = undefined;
    // One at a time: of two, the older snapshot might be told last.
    if (isLooking) {
      lookAgain = true;
      return;
    }
    isLooking = true;
    let underlay: Underlay | undefined;
    try {
      underlay = await readUnderlay(isOwn);
      delay = restartDelay;
      complaint = '';
      failures = 0;
    } catch (error) {
      fail(error);
      if (++failures === 2) listener.blind();
      // The event that asked for it does not come again.
      if (!over) pending ??= setTimeout(look, delay);
      delay = Math.min(longestDelay, 2 * delay);
    }
    isLooking = false;
    const text = JSON.stringify(underlay);
    if (underlay && !over && text !== last) {
      last = text;
      listener.changed(underlay);
    }
    if (underlay && !over) tellTouched();
    if (!lookAgain || over) return;
    lookAgain = false;
    await look();
  };
  const listen = () => {
    if (over) return;
    monitor = startMonitor();
    createInterface({ input: monitor.stdout }).on('line', (line) => {
      if (mayBeOurLoss(line, isOwn)) ownTouched = true;
      if (!noOthersRoute.test(line)) routesChanged = true;
      pending ??= setTimeout(look, settle);
    });
    monitor.on('error', fail);
    monitor.stdout.on('close', () => {
      monitor?.stdin.end();
      if (over) return;
      // What was missed meanwhile shows in the next snapshot, or is looked for.
      ownTouched = routesChanged = true;
      setTimeout(listen, delay).unref();
      pending ??= setTimeout(look, delay + settle);
    });
  };
  listen();
  void look();
  return () => {
    over = true;
    clearTimeout(pending);
    clearTimeout(pause);
    monitor?.stdin.end();
  };
}

/** Of a line of the monitor: whether something of ours may be gone from the kernel. What is put in its place shows at the next look. */
function mayBeOurLoss(line: string, isOwn: (device: string) => boolean): boolean {
  const device = linkEvent.exec(line)?.[1];
  if (device !== undefined) return isOwn(device) || !/[<,]UP[,>]/.test(line);
  return ourLoss.test(line) || lostLines.test(line);
}

/**
 * `ip monitor` that ends when its standard input does, so that not even kill -9 leaves one behind, waiting in a network
 * namespace for an event that never comes. Its standard output closes when `ip` ends by itself.
 */
function startMonitor() {
  const script = 'ip -o monitor link address route rule 2>&1 & exec >&-; read -r _; kill $!';
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {}); // the shell is gone already
  return child;
}
