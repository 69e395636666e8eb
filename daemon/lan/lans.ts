import type { IpBytes } from '../../src/addr/ip.js';
import { MeshError } from '../../src/errors.js';
import type { Millis } from '../../src/time.js';
import { type LanDevice, readLanDevice, sameDevice } from './device.js';
import { babelPortHolder } from './port-holder.js';
import { type LanDrop, type LanPacket, LanSockets } from './sockets.js';

/** What the LANs tell the driver, which makes speaker events of it. */
export interface LanListener {
  /** Babel can be spoken on this device; told again, after `down`, when its addresses or MTU change. */
  up(device: LanDevice): void;
  down(name: string): void;
  received(name: string, packet: LanPacket): void;
  /** Something the operator should read, said once while it lasts. */
  trouble(name: string, error: MeshError): void;
}

const lookEvery: Millis = 1000;

/**
 * The kernel interfaces on which Babel is spoken. An interface that appears, gets its link-local address, changes or goes
 * is noticed within a second; nothing is an error about an interface that is not there yet.
 *
 *   absent ──has a link-local address──► opening ──bound──► open
 *      ▲                                    │                 │
 *      └── gone, changed, tentative, or ────┴─────────────────┘
 *          socket error
 */
export class Lans {
  readonly #listener: LanListener;
  readonly #states = new Map<string, LanState>();
  readonly #timer: NodeJS.Timeout;
  /** Datagrams dropped before parsing, by reason. */
  readonly dropped: Record<LanDrop, number> = { port: 0, source: 0, own: 0 };

  constructor(names: readonly string[], listener: LanListener) {
    this.#listener = listener;
    for (const name of names) this.#states.set(name, {});
    this.#timer = setInterval(() => this.look(), lookEvery);
    this.look();
  }

  /** Looks at the interfaces now instead of at the next second. */
  look(): void {
    for (const [name, state] of this.#states) {
      const device = readLanDevice(name);
      if (state.device && !sameDevice(state.device, device)) this.#shut(name, state);
      if (device && !state.device) void this.#open(name, state, device);
    }
  }

  async #open(name: string, state: LanState, device: LanDevice): Promise<void> {
    state.device = device;
    try {
      const sockets = await LanSockets.open(device, {
        received: (packet) => state.sockets && this.#listener.received(name, packet),
        dropped: (reason) => {
          this.dropped[reason]++;
        },
        failed: () => this.#shut(name, state),
      });
      if (state.device !== device) return sockets.close();
      state.sockets = sockets;
      state.complained = false;
      this.#listener.up(device);
    } catch (cause) {
      if (state.device === device) state.device = undefined;
      // Listed, but not to be bound to while the kernel asks the LAN whether somebody else has it (RFC 4862 §5.4).
      if ((cause as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return;
      if (!state.complained) this.#listener.trouble(name, openError(name, cause as NodeJS.ErrnoException));
      state.complained = true;
    }
  }

  #shut(name: string, state: LanState): void {
    state.device = undefined;
    if (!state.sockets) return;
    state.sockets.close();
    state.sockets = undefined;
    this.#listener.down(name);
  }

  /** Sends a Babel packet to all on the LAN, or to one neighbour. Ignored while the LAN is down. */
  send(name: string, bytes: Uint8Array, to?: IpBytes): void {
    this.#states.get(name)?.sockets?.send(bytes, to);
  }

  /** Closes all sockets; tells nobody. */
  close(): void {
    clearInterval(this.#timer);
    for (const state of this.#states.values()) {
      state.device = undefined;
      state.sockets?.close();
      state.sockets = undefined;
    }
  }
}

interface LanState {
  device?: LanDevice | undefined;
  sockets?: LanSockets | undefined;
  complained?: boolean;
}

function openError(name: string, cause: NodeJS.ErrnoException): MeshError {
  if (cause.code !== 'EADDRINUSE') {
    return new MeshError(
      'babel-interface',
      `cannot speak Babel on ${name}: ${cause.message}`,
      `look at "ip addr show dev ${name}"`,
      {
        cause,
      },
    );
  }
  const holder = babelPortHolder() ?? 'another Babel daemon';
  return new MeshError(
    'babel-port-taken',
    `${holder} already speaks Babel on this machine, so weft cannot on ${name}`,
    `stop it, or remove ${name} from [[babel.interface]]`,
    { cause },
  );
}
