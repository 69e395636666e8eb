import { MeshError } from '../src/errors.js';
import type { NodeSetting, RestingNode, RunningNode } from './node-contract.js';

/** Wires control plane, plane, kernel and state together and runs them. Without a membership in the state it only answers. */
export async function startNode(_setting: NodeSetting): Promise<RunningNode> {
  throw new MeshError('not-built', 'this build has no node', 'build a later commit');
}

/** The node at rest: init, join, leave and what can be told from the state folder alone; others throw `no-daemon`. */
export async function offline(_setting: NodeSetting): Promise<RestingNode> {
  throw new MeshError('not-built', 'this build has no node', 'build a later commit');
}
