import type { LinkCounters, LinkId, PlaneCommand, PlaneEvent } from './contract.js';
import type { PlaneOrder } from './data-plane.js';
import { sessionSharedLength } from './link.js';
import { LinkShared } from './link-shared.js';

/**
 * What the workers of one plane are told: commands go to all, or to worker 0 where one speaks for all, and with them the memory
 * that they share. Each is told all of it in one order, and so all end alike.
 *
 *     command ──────────────┐
 *     moved (by worker 0) ──┴─► setCarriage ─► every worker, that one too
 */
export class Dispatch {
  readonly #workers: number;
  readonly #order: (worker: number, order: PlaneOrder) => void;
  readonly #links = new Map<LinkId, LinkShared>();
  readonly #direct = new Set<LinkId>();

  /** `order`: tells one worker, which applies what it is told in this order. */
  constructor(workers: number, order: (worker: number, order: PlaneOrder) => void) {
    this.#workers = workers;
    this.#order = order;
  }

  command(command: PlaneCommand): void {
    if (command.kind === 'sendControl' || command.kind === 'sendDatagram' || command.kind === 'setProbing') {
      this.#order(0, { command });
      return;
    }
    if (command.kind === 'openLink' || command.kind === 'setCarriage') {
      if (command.carriage.kind === 'direct') this.#direct.add(command.link);
      else this.#direct.delete(command.link);
    }
    if (command.kind === 'closeLink') this.#direct.delete(command.link);
    const shared = this.#sharedFor(command);
    const order = shared ? { command, shared } : { command };
    for (let worker = 0; worker < this.#workers; worker++) this.#order(worker, order);
  }

  /** A worker said this; to be called before whoever listens hears of it. */
  heard(event: PlaneEvent): void {
    // The control plane may have sent the link elsewhere since. Whether worker 0 moved before it took that order or after, it
    // cannot say; so its word is the newer for all, as it is for who listens, and worker 0 itself is told. What was put on the
    // overlay meanwhile stays there.
    if (event.kind === 'moved' && this.#direct.has(event.link)) {
      this.command({
        kind: 'setCarriage',
        link: event.link,
        carriage: { kind: 'direct', endpoint: event.endpoint },
      });
    }
    if (event.kind === 'closed') this.#links.delete(event.link);
  }

  /** Whoever listens has taken this event. */
  taken(event: PlaneEvent): void {
    if (event.kind === 'control') this.#links.get(event.link)?.taken();
  }

  counters(link: LinkId): LinkCounters {
    const shared = this.#links.get(link);
    if (!shared) return { txBytes: 0, rxBytes: 0, txFrames: 0, rxFrames: 0, carried: 0, lastHeard: 0 };
    return shared.counters();
  }

  #sharedFor(command: PlaneCommand): SharedArrayBuffer | undefined {
    if (command.kind === 'openLink') {
      const shared = new SharedArrayBuffer(LinkShared.byteLength(this.#workers));
      this.#links.set(command.link, new LinkShared(shared, 0));
      return shared;
    }
    if (command.kind === 'installSession') return new SharedArrayBuffer(sessionSharedLength(command.session));
    return undefined;
  }
}
