import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { beaconGroup, beaconPort } from '../src/mesh/lan-beacon.js';

/** The LANs' beacons on sockets: one that hears them all, one to speak from for each of our IPv4 addresses. */
export class LanBeaconSockets {
  readonly #heard: (from: string, bytes: Uint8Array) => void;
  readonly #warn: (reason: string) => void;
  #listener: Socket | undefined;
  #ready: Promise<void> = Promise.resolve();
  #over = false;
  readonly #speakers = new Map<string, Socket>();

  /** `heard` is called for every datagram, whoever sent it; `warn` when the port cannot be had: then nobody is found here. */
  constructor(heard: (from: string, bytes: Uint8Array) => void, warn: (reason: string) => void) {
    this.#heard = heard;
    this.#warn = warn;
  }

  /** Our addresses are these now. */
  setAddresses(addresses: readonly string[]): void {
    const wanted = new Set(addresses.filter((address) => isIPv4(address)));
    this.#ready = this.#ready.then(() => this.#open(wanted));
  }

  async #open(wanted: ReadonlySet<string>): Promise<void> {
    if (this.#over) return;
    for (const [address, socket] of this.#speakers) {
      if (wanted.has(address)) continue;
      this.#speakers.delete(address);
      socket.close();
    }
    const listener = await this.#listen();
    for (const address of wanted) {
      if (this.#speakers.has(address)) continue;
      try {
        listener?.addMembership(beaconGroup, address);
      } catch {
        // A membership is the device's and outlives the address; joining twice is refused, and harmless.
      }
      const socket = await bound({ port: 0, address });
      if (typeof socket === 'string') continue; // the address went again; the next change tells
      try {
        socket.setMulticastInterface(address);
        socket.setMulticastTTL(1);
        this.#speakers.set(address, socket);
      } catch {
        socket.close();
      }
    }
  }

  /** On every LAN, when the sockets for the newest addresses are there; what cannot be sent is lost. */
  send(bytes: Uint8Array): void {
    void this.#ready.then(() => {
      for (const socket of this.#speakers.values()) socket.send(bytes, beaconPort, beaconGroup, () => {});
    });
  }

  close(): void {
    this.#over = true;
    void this.#ready.then(() => this.#close());
  }

  #close(): void {
    for (const socket of this.#speakers.values()) socket.close();
    this.#speakers.clear();
    this.#listener?.close();
    this.#listener = undefined;
  }

  async #listen(): Promise<Socket | undefined> {
    if (this.#listener) return this.#listener;
    const socket = await bound({ port: beaconPort, address: '0.0.0.0' });
    if (typeof socket === 'string') {
      this.#warn(socket);
      return undefined;
    }
    socket.on('message', (bytes, { address }) => this.#heard(address, bytes));
    this.#listener = socket;
    return socket;
  }
}

/** The socket, or why there is none. */
function bound(to: { port: number; address: string }): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.once('error', (error) => {
      socket.close();
      resolve(error.message);
    });
    socket.bind(to, () => {
      socket.removeAllListeners('error');
      socket.on('error', () => {}); // of a send: what cannot be sent is lost
      resolve(socket);
    });
  });
}
