import type { MappingNews } from './effects.js';
import type { MappingStatus } from './status.js';

/** What was told of the status last: only what is another is told again. */
export class Told {
  #status = '';
  #companion = '';

  news(status: MappingStatus): MappingNews[] {
    const news: MappingNews[] = [];
    const text = JSON.stringify({ ...status, tcp: null });
    if (text !== this.#status) news.push({ kind: 'statusChanged', status });
    this.#status = text;
    const { tcp } = status;
    const companion = tcp && (tcp.mapped || tcp.reason !== null) ? JSON.stringify(tcp) : '';
    if (tcp && companion !== '' && companion !== this.#companion) news.push({ kind: 'companionChanged', status: tcp });
    this.#companion = companion;
    return news;
  }
}
