import type { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, udpOn } from './machines.js';

/** How far a NAT's choice depends on the other end (RFC 4787 §4.1, §5). */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';

/** What a NAT was seen to do. */
export interface Classification {
  /** No UDP comes out: then the rest means nothing. */
  readonly blocked: boolean;
  readonly mapping: Dependence;
  readonly filtering: Dependence;
  /** Every inner port kept its number outside. */
  readonly portPreservation: boolean;
  /** Two members' sockets reach each other by their outer endpoints (RFC 4787 §6). */
  readonly hairpinning: boolean;
}

/** How long silence must last to be believed; lab lines without delay answer in under a millisecond. */
const patience = 300;

interface Heard {
  readonly text: string;
  readonly address: string;
  readonly port: number;
}

/** A UDP socket that remembers what it heard. */
class Probe {
  readonly #socket: Socket;
  readonly #heard: Heard[] = [];

  constructor(host: Host, port: number, address?: string) {
    this.#socket = udpOn(host, port, address);
    this.#socket.on('message', (message, { address: from, port: fromPort }) => {
      this.#heard.push({ text: message.toString(), address: from, port: fromPort });
    });
    // A port that nobody listens on may be reported here; silence says as much.
    this.#socket.on('error', () => {});
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(text: string, to: { readonly address: string; readonly port: number }): void {
    this.#socket.send(text, to.port, to.address);
  }

  /** The first datagram with this text, or undefined after the patience is over. */
  async hear(text: string): Promise<Heard | undefined> {
    const deadline = performance.now() + patience;
    for (let isOver = false; ; ) {
      const heard = this.#heard.find((each) => each.text === text);
      if (heard || isOver) return heard;
      // Once more when the time is over: who stood still finds that before the socket is read.
      isOver = performance.now() > deadline;
      await sleep(2);
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/**
 * Classifies what stands between a member and two public hosts with plain UDP sockets, knowing nothing of how the
 * router is made. `far` and `other` are the two hosts; they answer from ports of their own, so that many can be
 * classified at once.
 */
export async function classify(member: Host, far: Host, other: Host): Promise<Classification> {
  const open: Probe[] = [];
  const probe = (host: Host, port = 0, address?: string) => {
    const made = new Probe(host, port, address);
    open.push(made);
    return made;
  };
  try {
    const servers = [probe(far, 0, far.address), probe(far, 0, far.address), probe(other, 0, other.address)];
    const [first, second, third] = servers as [Probe, Probe, Probe];
    const at = (server: Probe) => ({ address: server === third ? other.address : far.address, port: server.port });
    /** The outer endpoint that `server` sees `inner` send from. */
    const seenBy = async (server: Probe, inner: Probe, text: string) => {
      inner.send(text, at(server));
      return server.hear(text);
    };

    const mapped = probe(member);
    const seen = await seenBy(first, mapped, 'mapping 1');
    if (!seen) return { ...nothing, blocked: true };
    const samePort = (await seenBy(second, mapped, 'mapping 2'))?.port === seen.port;
    const sameAddress = (await seenBy(third, mapped, 'mapping 3'))?.port === seen.port;

    const filtered = probe(member);
    const hole = (await seenBy(first, filtered, 'filtering'))!;
    third.send('from another address', hole);
    second.send('from another port', hole);
    const otherPort = await filtered.hear('from another port');
    const otherAddress = await filtered.hear('from another address');

    let preserved = true;
    for (const port of [21_000, 33_333, 47_111]) {
      const outside = await seenBy(first, probe(member, port), `port ${port}`);
      preserved &&= outside?.port === port;
    }

    const left = probe(member);
    const right = probe(member);
    const leftOutside = (await seenBy(first, left, 'left'))!;
    const rightOutside = (await seenBy(first, right, 'right'))!;
    // Both send, so that filtering that wants to be spoken to first lets the second one in.
    left.send('round the hairpin', rightOutside);
    await sleep(20);
    right.send('and back', leftOutside);
    await sleep(20);
    left.send('once more', rightOutside);
    const hairpinning = (await right.hear('once more')) !== undefined;

    return {
      blocked: false,
      mapping: dependence(sameAddress, samePort),
      filtering: dependence(otherAddress !== undefined, otherPort !== undefined),
      portPreservation: preserved,
      hairpinning,
    };
  } finally {
    for (const each of open) each.close();
  }
}

const nothing: Classification = {
  blocked: false,
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  portPreservation: false,
  hairpinning: false,
};

function dependence(anyAddress: boolean, anyPort: boolean): Dependence {
  if (anyAddress) return 'endpoint-independent';
  return anyPort ? 'address-dependent' : 'address-and-port-dependent';
}
