import { createSocket, type Socket } from 'node:dgram';
import type { Millis } from '../time.js';
import { decodeSsdp, encodeSearch, gatewayTypes, isGatewayType, ssdpGroup, ssdpPort } from './ssdp.js';

/** Searches are sent again, as datagrams get lost, and answers are awaited this long after the last. */
const searchTimes: readonly Millis[] = [0, 300, 900];
const searchEnd: Millis = 2500;
/** Locations followed in one search from one side of the network: a liar may name thousands. */
const mostLocations = 8;

/**
 * Searches for Internet gateways from one local address. Calls `found` with the address that answered and where it says its
 * description is. The answer may come from any port: some routers use a fresh one.
 */
export function searchGateways(
  localAddress: string,
  found: (from: string, location: URL) => void,
): { readonly done: Promise<void>; readonly stop: () => void } {
  const socket = createSocket('udp4');
  const timers: NodeJS.Timeout[] = [];
  const seen = new Set<string>();
  let stop = () => {};
  const done = new Promise<void>((resolve) => {
    stop = () => {
      for (const timer of timers.splice(0)) clearTimeout(timer);
      socket.removeAllListeners('message');
      try {
        socket.close();
      } catch {
        // closed before
      }
      resolve();
    };
  });
  socket.on('message', (bytes, from) => {
    const message = decodeSsdp(bytes);
    if (message?.kind !== 'answer' || !isGatewayType(message.type) || !message.location) return;
    const key = `${from.address} ${message.location.href}`;
    if (seen.has(key) || seen.size >= mostLocations) return;
    seen.add(key);
    found(from.address, message.location);
  });
  socket.on('error', () => {}); // no multicast route, or the interface is down: the search ends empty
  socket.bind(0, localAddress, () => {
    try {
      socket.setMulticastInterface(localAddress);
      socket.setMulticastTTL(2);
    } catch {
      return stop(); // the interface went away meanwhile
    }
    const send = () => {
      for (const type of gatewayTypes) socket.send(encodeSearch(type), ssdpPort, ssdpGroup);
    };
    timers.push(...searchTimes.map((after) => setTimeout(send, after)));
  });
  timers.push(setTimeout(() => stop(), searchEnd));
  return { done, stop };
}

/**
 * Listens for devices that announce themselves, on the sides of these local addresses. Calls back with the sender's address.
 * Where port 1900 cannot be shared, nothing is heard, and the regular checks do the work alone.
 */
export class AnnouncementListener {
  readonly #socket: Socket;
  readonly #joined = new Set<string>();
  #bound = false;

  constructor(heard: (from: string) => void) {
    this.#socket = createSocket({ type: 'udp4', reuseAddr: true });
    this.#socket.on('error', () => {});
    this.#socket.on('message', (bytes, from) => {
      const message = decodeSsdp(bytes);
      if (message && message.kind !== 'answer' && isGatewayType(message.type)) heard(from.address);
    });
    this.#socket.bind(ssdpPort, () => {
      this.#bound = true;
      for (const address of this.#joined) this.#join(address);
    });
    this.#socket.unref();
  }

  listenOn(localAddress: string): void {
    if (this.#joined.has(localAddress)) return;
    this.#joined.add(localAddress);
    if (this.#bound) this.#join(localAddress);
  }

  close(): void {
    try {
      this.#socket.close();
    } catch {
      // its bind had failed
    }
  }

  #join(localAddress: string): void {
    try {
      this.#socket.addMembership(ssdpGroup, localAddress);
    } catch {
      // the interface is gone or has no multicast
    }
  }
}
