import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import { infinity, type Seen } from './packet-view.js';

interface Drawn {
  readonly now: Millis;
  readonly from: number;
  /** The same where it is something a node found out, and no message. */
  readonly to: number;
  /** "*": of all prefixes. */
  readonly prefix: string;
  readonly text: string;
}

const kept = 4000;
const shown = 60;

/** What alone is to be remembered, in a network in which everything would be too much. */
export interface Recording {
  readonly prefix: string;
  /** Messages from or to one of these. */
  readonly nodes: readonly number[];
}

/**
 * Remembers the latest route messages that arrived, and who died, began and lost a link, and draws what is about one prefix,
 * or all of it, as a Mermaid sequence.
 */
export class SequenceRecorder implements Checker {
  readonly #only: Recording | undefined;
  readonly #drawn: Drawn[] = [];

  constructor(only?: Recording) {
    this.#only = only;
  }

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) {
      if ('prefix' in seen) this.#keep({ now, from, to, prefix: seen.prefix, text: words(seen) });
    }
  }

  died(node: number, now: Millis): void {
    this.#found(node, 'dies', now);
  }

  started(node: number, now: Millis): void {
    this.#found(node, 'begins anew', now);
  }

  linkDown(node: number, peer: number, now: Millis): void {
    this.#found(node, `has lost the link to n${peer}`, now);
  }

  #found(node: number, text: string, now: Millis): void {
    this.#keep({ now, from: node, to: node, prefix: '*', text });
  }

  #keep(drawn: Drawn): void {
    if (this.#only && !concerns(drawn, this.#only.prefix, this.#only.nodes)) return;
    this.#drawn.push(drawn);
    if (this.#drawn.length >= 2 * kept) this.#drawn.splice(0, kept);
  }

  /** The latest about this prefix, of which these nodes are a part; of any, where none are given. */
  draw(prefix: string | undefined, nodes: readonly number[]): string {
    const about = this.#drawn.filter((drawn) => concerns(drawn, prefix, nodes)).slice(-shown);
    return [
      'sequenceDiagram',
      ...about.map(({ now, from, to, prefix: its, text }) => {
        const line = `${(now / 1000).toFixed(3)} s ${text}${prefix === undefined && its !== '*' ? ` for ${its}` : ''}`;
        return from === to ? `  Note over n${from}: ${line}` : `  n${from}->>n${to}: ${line}`;
      }),
    ].join('\n');
  }
}

function concerns(drawn: Drawn, prefix: string | undefined, nodes: readonly number[]): boolean {
  const isAbout = prefix === undefined || drawn.prefix === prefix || drawn.prefix === '*';
  return isAbout && (nodes.length === 0 || nodes.includes(drawn.from) || nodes.includes(drawn.to));
}

function words(seen: Seen): string {
  if (seen.kind === 'update') {
    if (seen.prefix === '*') return 'retraction of everything';
    return seen.metric === infinity
      ? 'retraction'
      : `update seqno ${seen.seqno} metric ${seen.metric} of ${seen.routerId}`;
  }
  if (seen.kind === 'seqnoRequest') return `seqno request ${seen.seqno} of ${seen.routerId}, ${seen.hopCount} hops`;
  return seen.kind;
}
