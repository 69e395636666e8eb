import type { CompanionEvent, CompanionOrder } from './companion.js';
import type { Gateway, GatewayFinder, MapAnswer } from './contract.js';
import type { MappingEvent, MappingOrder } from './effects.js';

const forgotten: MapAnswer = {
  kind: 'refused',
  refusal: { code: 'silent', detail: 'it is not found any more' },
};

/** Carries out what a Mapping orders, against real routers, and hands back what they answer. */
export class MappingShell {
  readonly #finder: GatewayFinder;
  readonly #onEvent: (event: MappingEvent) => void;
  readonly #gateways = new Map<string, Gateway>();
  readonly #running = new Set<Promise<void>>();
  #search = 0;

  /** `onEvent` is called from the event loop, never from within `carryOut`. */
  constructor(finder: GatewayFinder, onEvent: (event: MappingEvent) => void) {
    this.#finder = finder;
    this.#onEvent = onEvent;
    finder.onAnnouncement((announcement) => onEvent({ kind: 'announced', announcement }));
  }

  carryOut(order: MappingOrder): void {
    if (order.kind === 'search') {
      void this.#find();
      return;
    }
    const task = this.#start(order).finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /**
   * Resolves when every order that may change a router's table has been carried out, each in bounded time. A search changes
   * nothing, and is not waited for: it ends by itself.
   */
  async close(): Promise<void> {
    // What comes of one may be another order.
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#finder.close();
  }

  async #start(order: Exclude<MappingOrder, { kind: 'search' }>): Promise<void> {
    if (order.kind === 'companion') {
      return this.#onEvent({ kind: 'companion', event: await this.#overTcp(order.order) });
    }
    const gateway = this.#gateways.get(order.gateway);
    if (!gateway) return; // forgotten by a newer search: the machine's own time limit says silent
    switch (order.kind) {
      case 'map': {
        const answer = await gateway.map('udp', order.request);
        return this.#onEvent({ ...answer, gateway: order.gateway, asked: order.request.externalPort });
      }
      case 'check': {
        const answer = await gateway.check(order.depth, order.request);
        return this.#onEvent({ kind: 'checked', gateway: order.gateway, answer });
      }
      case 'unmap':
        return gateway.unmap('udp', order.internalPort, order.externalPort);
    }
  }

  /** Answered in any case: the machine waits for it. */
  async #overTcp({ kind, gateway: id, request }: CompanionOrder): Promise<CompanionEvent> {
    const gateway = this.#gateways.get(id);
    switch (kind) {
      case 'map':
        return { kind: 'mapAnswered', answer: (await gateway?.map('tcp', request)) ?? forgotten };
      case 'look':
        return { kind: 'looked', held: await gateway?.holdsTcp(request) };
      case 'unmap':
        await gateway?.unmap('tcp', request.internalPort, request.externalPort);
        return { kind: 'unmapped' };
    }
  }

  async #find(): Promise<void> {
    const search = ++this.#search;
    const before = new Set(this.#gateways.keys());
    const seen = await this.#finder.findGateways((gateway) => {
      if (search !== this.#search) return;
      const { id } = gateway.description;
      this.#gateways.set(id, gateway);
      before.delete(id);
      this.#onEvent({ kind: 'gatewayFound', gateway: gateway.description });
    });
    if (search !== this.#search) return;
    for (const id of before) this.#gateways.delete(id);
    this.#onEvent({ kind: 'searchEnded', seen });
  }
}
