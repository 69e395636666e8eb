import type { MessagePort } from 'node:worker_threads';
import type { PlaneEvent } from './contract.js';
import type { PlaneOrder } from './data-plane.js';
import type { ProbeReport } from './prober.js';

/** Words of the memory by which the main thread calls a worker that never returns to its event loop. */
export const Signal = { stop: 0, orders: 1 } as const;

/** The first message to a worker: the main thread opened everything, so that errors surface there. */
export interface WorkerData {
  readonly worker: number;
  readonly workers: number;
  readonly tun: {
    readonly fd: number;
    readonly virtioHeader: boolean;
    readonly tcpSegmentation: boolean;
    readonly udpSegmentation: boolean;
  };
  readonly udp: {
    readonly fd: number;
    /** Worker 0: the socket of handshake-class datagrams, where there is one. */
    readonly handshakes: number | undefined;
    readonly family: 4 | 6;
    readonly mark: number;
    readonly segmentation: boolean;
    /** Of a `Segmentation`, the same in all workers. */
    readonly refused: SharedArrayBuffer;
    readonly receiveOffload: boolean;
  };
  readonly eventFd: number;
  /** Worker 0: the descriptor of a `WakeUpSign`, which is closed elsewhere. */
  readonly wakeUpFd: number | undefined;
  /** A `BootClock`, the same in all threads. */
  readonly clock: SharedArrayBuffer;
  readonly noEvp: boolean;
  readonly noWarmUp: boolean;
  /** 32 octets, the same in all workers, so that each accepts the cookies of the others. */
  readonly cookieSecret: Uint8Array;
  readonly signals: SharedArrayBuffer;
  /** A `SentHeads`, the same in all workers. */
  readonly heads: SharedArrayBuffer;
  /** A `RelayMeter`, the same in all workers. */
  readonly relayed: SharedArrayBuffer;
  readonly drops: SharedArrayBuffer;
  readonly orders: MessagePort;
}

export type WorkerMessage =
  | { readonly kind: 'event'; readonly event: PlaneEvent }
  | { readonly kind: 'probe'; readonly report: ProbeReport }
  | { readonly kind: 'ready'; readonly evp: boolean; readonly priority: boolean };

export type WorkerOrder = PlaneOrder | { readonly report: ProbeReport };
