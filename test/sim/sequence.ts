import type { Millis } from '../../src/time.js';
import type { Checker } from './checker.js';
import { infinity, type Seen } from './packet-view.js';

interface Drawn {
  readonly now: Millis;
  readonly from: number;
  readonly to: number;
  readonly prefix: string;
  readonly text: string;
}

const kept = 4000;
const shown = 60;

/** Remembers the latest route messages that arrived, and draws those about one prefix, or all, as a Mermaid sequence. */
export class SequenceRecorder implements Checker {
  readonly #drawn: Drawn[] = [];

  delivered(from: number, to: number, packet: readonly Seen[], now: Millis): void {
    for (const seen of packet) {
      if ('prefix' in seen) this.#drawn.push({ now, from, to, prefix: seen.prefix, text: words(seen) });
    }
    if (this.#drawn.length > 2 * kept) this.#drawn.splice(0, kept);
  }

  /** Something a node did, between the messages. */
  note(node: number, prefix: string, text: string, now: Millis): void {
    this.#drawn.push({ now, from: node, to: node, prefix, text });
  }

  /** About this prefix, and only what this node had part in, where they are given. */
  draw(prefix?: string, node?: number): string {
    const concerns = ({ from, to }: Drawn) => node === undefined || from === node || to === node;
    const about = this.#drawn
      .filter((drawn) => (prefix === undefined || drawn.prefix === prefix || drawn.prefix === '*') && concerns(drawn))
      .slice(-shown);
    return [
      'sequenceDiagram',
      ...about.map(({ now, from, to, prefix: its, text }) => {
        const line = `${(now / 1000).toFixed(3)} s ${text}${prefix === undefined ? ` for ${its}` : ''}`;
        return from === to ? `  Note over n${from}: ${line}` : `  n${from}->>n${to}: ${line}`;
      }),
    ].join('\n');
  }
}

function words(seen: Seen): string {
  if (seen.kind === 'update') {
    return seen.metric === infinity
      ? 'retraction'
      : `update seqno ${seen.seqno} metric ${seen.metric} of ${seen.routerId}`;
  }
  if (seen.kind === 'seqnoRequest') return `seqno request ${seen.seqno} of ${seen.routerId}, ${seen.hopCount} hops`;
  return seen.kind;
}
