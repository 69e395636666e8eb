import { MeshError } from '../src/errors.js';
import { adminClient } from './admin-client.js';
import type { NodeApi } from './api.js';
import type { Paths } from './paths.js';

/**
 * Does the work with the node of this machine: the daemon's, or, where there is none and `orAtRest` is set, the node at
 * rest on its state folder, which is locked meanwhile. Throws MeshError "no-daemon" otherwise.
 */
export async function withNode<T>(paths: Paths, orAtRest: boolean, work: (api: NodeApi) => Promise<T>): Promise<T> {
  const api = adminClient(paths.socket);
  const absence = orAtRest ? await absenceOf(api) : undefined;
  if (!absence) return work(api);
  // Loaded only when needed: it brings the whole node with it, and most commands should answer at once.
  const [{ readConfig }, { createLog }, { offline }, { State }, { packageVersion }] = await Promise.all([
    import('./config.js'),
    import('./log.js'),
    import('./node.js'),
    import('./state.js'),
    import('./version.js'),
  ]);
  const config = readConfig(paths.config, !paths.configNamed);
  const log = createLog({ level: 'error', pretty: true });
  const state = State.open(paths.state);
  try {
    const node = await offline({ config, state, log, version: packageVersion() }, absence);
    try {
      return await work(node.api);
    } finally {
      await node.stop();
    }
  } finally {
    state.close();
  }
}

/** The MeshError "no-daemon" where no daemon answers, undefined where one does. Throws what else is wrong with it. */
export async function absenceOf(api: NodeApi): Promise<MeshError | undefined> {
  try {
    await api.status();
    return undefined;
  } catch (error) {
    if (error instanceof MeshError && error.code === 'no-daemon') return error;
    throw error;
  }
}
