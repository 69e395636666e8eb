import { createSocket, type Socket } from 'node:dgram';
import type { Announcement } from './contract.js';
import { isNatPmpAnnouncement, natPmpAnnouncementGroup, natPmpAnnouncementPort } from './nat-pmp.js';
import { decodeSsdp, isGatewayType, ssdpGroup, ssdpPort } from './ssdp.js';

/** One way in which routers say to a whole network that they have started, or have another address. */
export interface AnnouncementKind {
  readonly group: string;
  readonly port: number;
  /** What these octets say; undefined: nothing of the kind. */
  readonly read: (bytes: Uint8Array) => Omit<Announcement, 'address'> | undefined;
}

export const ssdpAnnouncements: AnnouncementKind = {
  group: ssdpGroup,
  port: ssdpPort,
  read: (bytes) => {
    const message = decodeSsdp(bytes);
    if (!message || message.kind === 'answer' || !isGatewayType(message.type)) return undefined;
    const { kind, life } = message;
    if (kind === 'byebye') return { says: 'started' };
    return { says: 'there', ...(life === undefined ? {} : { life: life.slice(0, 64) }) };
  },
};

export const natPmpAnnouncements: AnnouncementKind = {
  group: natPmpAnnouncementGroup,
  port: natPmpAnnouncementPort,
  read: (bytes) => (isNatPmpAnnouncement(bytes) ? { says: 'started' } : undefined),
};

/**
 * Listens for routers that announce themselves, on the sides of these local addresses. Calls back with what the sender says.
 * Where the port cannot be shared, nothing is heard, and the regular checks do the work alone.
 */
export class AnnouncementListener {
  readonly #socket: Socket;
  readonly #group: string;
  /** Asked for before there was a port. */
  readonly #early = new Set<string>();
  #bound = false;

  /** `socket`: not bound yet; the listener's own from now on. */
  constructor(
    { group, port, read }: AnnouncementKind,
    heard: (announcement: Announcement) => void,
    socket = createSocket({ type: 'udp4', reuseAddr: true }),
  ) {
    this.#socket = socket;
    this.#group = group;
    this.#socket.on('error', () => {});
    this.#socket.on('message', (bytes, from) => {
      const said = read(bytes);
      if (said) heard({ address: from.address, ...said });
    });
    // To the group: nothing that is sent to this machine alone is heard.
    this.#socket.bind(port, group, () => {
      this.#bound = true;
      for (const address of this.#early) this.#join(address);
    });
    this.#socket.unref();
  }

  /** Said again with every search: an interface that had no multicast yet has it now, or has gone and come back. */
  listenOn(localAddress: string): void {
    if (this.#bound) this.#join(localAddress);
    else this.#early.add(localAddress);
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
      this.#socket.addMembership(this.#group, localAddress);
    } catch {
      // the interface is gone or has no multicast; or it was joined before
    }
  }
}
