import { createSocket, type Socket } from 'node:dgram';
import { isNatPmpAnnouncement, natPmpAnnouncementGroup, natPmpAnnouncementPort } from './nat-pmp.js';
import { decodeSsdp, isGatewayType, ssdpGroup, ssdpPort } from './ssdp.js';

/** One way in which routers say to a whole network that they have started, or have another address. */
export interface AnnouncementKind {
  readonly group: string;
  readonly port: number;
  readonly tells: (bytes: Uint8Array) => boolean;
}

export const ssdpAnnouncements: AnnouncementKind = {
  group: ssdpGroup,
  port: ssdpPort,
  tells: (bytes) => {
    const message = decodeSsdp(bytes);
    return message !== undefined && message.kind !== 'answer' && isGatewayType(message.type);
  },
};

export const natPmpAnnouncements: AnnouncementKind = {
  group: natPmpAnnouncementGroup,
  port: natPmpAnnouncementPort,
  tells: isNatPmpAnnouncement,
};

/**
 * Listens for routers that announce themselves, on the sides of these local addresses. Calls back with the sender's address.
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
    { group, port, tells }: AnnouncementKind,
    heard: (from: string) => void,
    socket = createSocket({ type: 'udp4', reuseAddr: true }),
  ) {
    this.#socket = socket;
    this.#group = group;
    this.#socket.on('error', () => {});
    this.#socket.on('message', (bytes, from) => {
      if (tells(bytes)) heard(from.address);
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
