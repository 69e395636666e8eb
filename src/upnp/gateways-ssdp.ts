import { createSocket } from 'node:dgram';
import type { Millis } from '../time.js';
import type { DefaultGateway } from './gateways-routes.js';
import { decodeSsdp, encodeSearch, gatewayTypes, isGatewayType, ssdpGroup, ssdpPort } from './ssdp.js';

/** Searches are sent again, as datagrams get lost, and answers are awaited this long after the last. */
const searchTimes: readonly Millis[] = [0, 300, 900];
const searchEnd: Millis = 2500;
/** Locations followed in one search, those from elsewhere on top, and strangers named: a liar may invent thousands. */
const mostLocations = 4;
const mostFromElsewhere = 2;
const mostStrangers = 4;

export interface SearchListener {
  /** The router's description is said to be here. */
  answered(location: URL): void;
  /** Another device says that it is a router. */
  strangerAnswered(address: string): void;
}

/**
 * Whether a search is answered for this router: from any port of it, for some use a fresh one; or from elsewhere with a place on
 * it, as two routers do that share the gateway's address (VRRP, CARP). Of the latter nothing but that place is believed.
 */
export function isAnswerFor(router: string, from: string, location: URL | undefined): boolean {
  return from === router || location?.hostname === router;
}

/** Searches for Internet gateways on the side of a default gateway. */
export function searchGateways(
  { address, localAddress }: DefaultGateway,
  listener: SearchListener,
): { readonly done: Promise<void>; readonly stop: () => void } {
  const socket = createSocket('udp4');
  const timers: NodeJS.Timeout[] = [];
  const locations = new Set<string>();
  const strangers = new Set<string>();
  let [own, elsewhere] = [0, 0];
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
    if (!isAnswerFor(address, from.address, message.location)) {
      if (strangers.has(from.address) || strangers.size >= mostStrangers) return;
      strangers.add(from.address);
      listener.strangerAnswered(from.address);
    } else if (!locations.has(message.location.href)) {
      const isElsewhere = from.address !== address;
      if (isElsewhere ? elsewhere++ >= mostFromElsewhere : own++ >= mostLocations) return;
      locations.add(message.location.href);
      listener.answered(message.location);
    }
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
