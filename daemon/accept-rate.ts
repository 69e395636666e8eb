import { parseIp } from '../src/addr/ip.js';
import { Bucket } from '../src/bucket.js';
import { systemRandom } from '../src/random.js';
import type { Millis } from '../src/time.js';
import { SourceBuckets } from '../src/tunnel/source-buckets.js';

/** Of one source, so that it takes several to use up what there is for all. */
const perSource = { sources: 1024, perSecond: 10, burst: 20 };

/** What all sources together may have. */
export interface OverallRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** How many connections a TCP port takes: of one source, and of all. */
export class AcceptRate {
  readonly #sources = new SourceBuckets(perSource.sources, perSource.perSecond, perSource.burst, systemRandom());
  readonly #all: Bucket;

  constructor(overall: OverallRate) {
    this.#all = new Bucket(overall.perSecond, overall.burst);
  }

  /** Whether one more of this source, as `sourceOf` says, may come in now. */
  take(source: string, now: Millis): boolean {
    return this.#sources.take(parseIp(source)!, now) && this.#all.take(now);
  }
}
