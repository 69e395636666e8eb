import type { PlaneThreads } from '../src/tunnel/plane/linux-threads.js';
import type { NodeApi } from './api.js';
import type { Config } from './config.js';
import type { Log } from './log.js';
import type { State } from './state.js';

/** What a node is started with. `log` is the daemon's; `version` that of the package. */
export interface NodeSetting {
  readonly config: Config;
  readonly state: State;
  readonly log: Log;
  readonly version: string;
  /** Threads for the plane, started ahead. */
  readonly threads?: PlaneThreads;
}

/** A daemon's inside: from `startNode` until `stop`. */
export interface RunningNode {
  readonly api: NodeApi;
  /** Stops in order in under 2 s: says goodbye, stops the plane, stores. Addresses on lo and routes stay. */
  stop(): Promise<void>;
  /** Settles when the node cannot go on; the daemon then logs it and exits 1, to be restarted. */
  readonly failed: Promise<Error>;
}

/** The node at rest, for commands that work without a daemon; `stop` gives up what `join` had to start. */
export interface RestingNode {
  readonly api: NodeApi;
  stop(): Promise<void>;
}
