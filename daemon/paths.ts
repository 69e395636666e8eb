import { join } from 'node:path';
import { MeshError } from '../src/errors.js';

/** Where the daemon keeps its things. */
export interface Paths {
  readonly config: string;
  /** The config file was named by the operator: it must exist. */
  readonly configNamed: boolean;
  /** A folder, 0700. */
  readonly state: string;
  readonly socket: string;
}

export interface PathFlags {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly socket?: string | undefined;
}

/** sun_path holds 108 octets, the last of them zero (unix(7)). */
const maxSocketPath = 107;

/** Flags first, then WEFT_CONFIG, WEFT_STATE and WEFT_SOCKET, then root's system folders or the XDG folders. */
export function resolvePaths(flags: PathFlags, env: NodeJS.ProcessEnv, isRoot: boolean): Paths {
  const home = env.HOME ?? '/';
  const xdg = (name: string, ...fallback: string[]) => env[name] || join(home, ...fallback);
  const state = isRoot ? '/var/lib/weft' : join(xdg('XDG_STATE_HOME', '.local', 'state'), 'weft');
  const runtime = isRoot ? '/run/weft' : env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'weft') : state;
  const config = isRoot ? '/etc/weft/weft.toml' : join(xdg('XDG_CONFIG_HOME', '.config'), 'weft', 'weft.toml');
  const named = flags.config ?? (env.WEFT_CONFIG || undefined);
  const socket = flags.socket ?? (env.WEFT_SOCKET || join(runtime, 'weft.sock'));
  if (Buffer.byteLength(socket) > maxSocketPath) {
    throw new MeshError(
      'socket-path-too-long',
      `the socket path is longer than ${maxSocketPath} octets: ${socket}`,
      'give a shorter one with --socket or WEFT_SOCKET',
    );
  }
  return {
    config: named ?? config,
    configNamed: named !== undefined,
    state: flags.state ?? (env.WEFT_STATE || state),
    socket,
  };
}
