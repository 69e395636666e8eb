import type { Millis } from '../src/time.js';
import type { PlaneThreads } from '../src/tunnel/plane/linux-threads.js';
import { AdminServer } from './admin-server.js';
import type { NodeApi } from './api.js';
import { readConfig } from './config.js';
import { createLog, type Log } from './log.js';
import type { NodeSetting, RunningNode } from './node-contract.js';
import type { Paths } from './paths.js';
import type { ServiceManager } from './sd-notify.js';
import { State } from './state.js';

export interface DaemonSetting {
  readonly paths: Paths;
  readonly version: string;
  readonly startNode: (setting: NodeSetting) => Promise<RunningNode>;
  /** Threads for the plane, started ahead. */
  readonly threads?: PlaneThreads;
  readonly manager: ServiceManager;
  /** Short text instead of JSON in the log. */
  readonly pretty: boolean;
  /** Settles with the name of the signal that ends the daemon. */
  readonly stopped: Promise<string>;
  /** Called once all is up, before any of it is said; when it throws, the daemon stops and throws the same. */
  readonly onReady?: (api: NodeApi) => Promise<void>;
}

/**
 * Stopping in order may take this long: a router that answers late has its time, and whoever waits for us does not use
 * force yet (TimeoutStopSec=5).
 */
const stopLimit: Millis = 4000;

/**
 * Runs the daemon until it is told to stop: config, log, state, node, socket, in this order, and back. Without a network
 * the node only answers on its socket. True when everything stopped in order; false when it must be killed. Throws
 * MeshError, all given back, when it cannot start.
 */
export async function runDaemon(setting: DaemonSetting): Promise<boolean> {
  const { paths, manager, version, threads } = setting;
  const config = readConfig(paths.config, !paths.configNamed);
  const log = createLog({ level: config.log.level, pretty: setting.pretty });
  const undo: (() => Promise<void> | void)[] = [];
  let failure: unknown;
  try {
    const state = State.open(paths.state);
    undo.push(() => state.close());
    const node = await setting.startNode({ config, state, log, version, ...(threads && { threads }) });
    undo.push(() => node.stop());
    const server = await AdminServer.listen(paths.socket, node.api, log);
    undo.push(() => server.close());
    undo.push(keepAlive(manager));
    // Who reads that it is ready, and then why it is not, believes neither.
    await setting.onReady?.(node.api);
    log.info('weftd is ready', { version, socket: paths.socket });
    await sayWhere(node.api, log);
    manager.notify('READY=1');
    const end = await Promise.race([setting.stopped, node.failed]);
    if (typeof end !== 'string') throw end;
    log.info('weftd is stopping', { signal: end });
  } catch (error) {
    failure = error;
  }
  manager.notify('STOPPING=1');
  const inOrder = await giveBack(undo, log);
  if (failure !== undefined) throw failure;
  return inOrder;
}

async function sayWhere(api: NodeApi, log: Log): Promise<void> {
  const { node, network } = await api.status();
  if (node && network) log.info('member of a network', { address: node.address, name: node.name, network: network.id });
  else log.info('this machine belongs to no network', { cure: 'type "weft init" to found one or "weft join TOKEN"' });
}

function keepAlive(manager: ServiceManager): () => void {
  if (manager.watchdog === undefined) return () => {};
  const timer = setInterval(() => manager.notify('WATCHDOG=1'), manager.watchdog);
  return () => clearInterval(timer);
}

/** Undoes the start from its end; a step that fails or hangs does not keep the others from their turn. */
async function giveBack(undo: readonly (() => Promise<void> | void)[], log: Log): Promise<boolean> {
  let inOrder = true;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), stopLimit);
  });
  for (const step of [...undo].reverse()) {
    try {
      const outcome = await Promise.race([Promise.resolve(step()).then(() => 'done'), late]);
      if (outcome === 'late') inOrder = false;
    } catch (error) {
      inOrder = false;
      log.error('stopping failed', { reason: String(error) });
    }
  }
  clearTimeout(timer);
  return inOrder;
}
