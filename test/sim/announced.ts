import type { Millis } from '../../src/time.js';
import type { PrefixIndex } from './next-hops.js';
import { isNewer } from './packet-view.js';
import { metricIn, routerIn, type Said, seqnoIn } from './said.js';

/** Longer ago than this, what a node sent may have left its source table (RFC 8966 §3.7.3; Appendix B: 180 s). */
const sourceLifetime: Millis = 175_000;

/** The best that was sent of one source; what it says is only compared with what names the same router. */
interface Best {
  readonly router: number;
  seqno: number;
  metric: number;
  at: Millis;
  /** Of another router, for the same prefix. */
  readonly next: Best | undefined;
}

/** The best that each node has sent for each source: its feasibility distance, seen from outside (RFC 8966 §3.2.5). */
export class Announced {
  /** By node, then by prefix. */
  readonly #best: (Best | undefined)[][] = [];

  best(
    node: number,
    prefix: PrefixIndex,
    router: number,
  ): { readonly seqno: number; readonly metric: number } | undefined {
    return this.#of(node, prefix, router);
  }

  #of(node: number, prefix: PrefixIndex, router: number): Best | undefined {
    let best = this.#best[node]?.[prefix];
    while (best && best.router !== router) best = best.next;
    return best;
  }

  /** True when the best is another now. */
  note(node: number, prefix: PrefixIndex, words: Said, now: Millis): boolean {
    const [router, seqno, metric] = [routerIn(words), seqnoIn(words), metricIn(words)];
    const best = this.#of(node, prefix, router);
    if (!best) {
      this.#best[node] ??= [];
      this.#best[node]![prefix] = { router, seqno, metric, at: now, next: this.#best[node]![prefix] };
      return true;
    }
    const isBetter =
      now - best.at > sourceLifetime || isNewer(seqno, best.seqno) || (seqno === best.seqno && metric < best.metric);
    if (isBetter) {
      best.seqno = seqno;
      best.metric = metric;
    }
    best.at = now;
    return isBetter;
  }

  /** Whether a node may use a route that says this (RFC 8966 §3.5.1). */
  isFeasible(node: number, prefix: PrefixIndex, words: Said, now: Millis): boolean {
    const best = this.#of(node, prefix, routerIn(words));
    const seqno = seqnoIn(words);
    if (!best || now - best.at > sourceLifetime || isNewer(seqno, best.seqno)) return true;
    return seqno === best.seqno && metricIn(words) < best.metric;
  }

  forgetNode(node: number): void {
    delete this.#best[node];
  }
}
