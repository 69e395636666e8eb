import type { NodeNumber } from '../addr/node-number.js';
import { type Millis, minute } from '../time.js';
import type { QuietReason, ReportCode, SpeakerEffect } from './contract.js';
import type { Neighbour } from './neighbour.js';

/** Keys remembered for the once-a-minute rule. */
const maxRemembered = 1024;

/** Counts refusals, and reports each kind once a minute for each neighbour, or for each node that they are about. */
export class Reports {
  readonly counts: Map<ReportCode | QuietReason, number> = new Map();
  readonly #effects: SpeakerEffect[];
  readonly #last = new Map<string, Millis>();

  constructor(effects: SpeakerEffect[]) {
    this.#effects = effects;
  }

  /** Of `lan-quota` this is what nobody has proven to have said. */
  dropped(reason: QuietReason | 'lan-quota'): void {
    this.#count(reason);
  }

  #count(reason: ReportCode | QuietReason): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }

  /** `about`: whose doing it is, where that is not the neighbour's; as a function where it is found out only to be told. */
  refused(
    code: ReportCode,
    neighbour: Neighbour,
    detail: () => string,
    now: Millis,
    about?: NodeNumber | (() => NodeNumber),
  ): void {
    this.#count(code);
    const key = typeof about === 'number' ? `${code} of ${about}` : `${code} ${neighbour.column}`;
    const last = this.#last.get(key);
    if (last !== undefined && now - last < minute) return;
    if (this.#last.size >= maxRemembered) this.#last.delete(this.#last.keys().next().value!);
    this.#last.set(key, now);
    this.#effects.push({
      kind: 'reported',
      code,
      interface: neighbour.interface.id,
      neighbour: neighbour.address,
      detail: detail(),
      ...(about === undefined ? {} : { about: typeof about === 'number' ? about : about() }),
    });
  }

  /** The same, of an address that is no neighbour. */
  refusedFrom(code: ReportCode, id: number, address: Uint8Array, detail: string, now: Millis): void {
    this.#count(code);
    const key = `${code} interface ${id}`;
    const last = this.#last.get(key);
    if (last !== undefined && now - last < minute) return;
    if (this.#last.size >= maxRemembered) this.#last.delete(this.#last.keys().next().value!);
    this.#last.set(key, now);
    this.#effects.push({ kind: 'reported', code, interface: id, neighbour: address.slice(), detail });
  }
}
