import type { Random } from '../random.js';
import { hour, type Millis, minute, never, second } from '../time.js';
import type { Announcement } from './contract.js';

/** What a search for routers came to, as far as it tells when the next one is worth its datagrams. */
export type Outcome =
  /** No router answered. */
  | 'absent'
  /** One has no address on the Internet side, and no peer sees us: its line is away. */
  | 'unconnected'
  /** Refused for what may pass by itself, as while a router starts. */
  | 'passing'
  /** Refused for what somebody has to change. */
  | 'firm';

/** Our tuning. A wait varies by a quarter, so that a house that has power again does not ask in step. */
const firstWait: Millis = 2 * second;
/**
 * As long as a router is likely to be on its way back: it is found, mapped and proven within 10 s of being there. A search is
 * ten datagrams at most where nothing answers, and one call where the answer is that there is no line.
 */
const lastWaitHopeful: Millis = 4 * second;
/** Restarts take a minute, updates and broken lines some; what lasts longer is told of by announcements and by peers. */
const hopeLasts: Millis = 15 * minute;
/** A router that never gets a line must not keep us hoping. */
const hopePause: Millis = hour;
/** A router that boots slower than we do is found soon after. */
const lastWaitIdle: Millis = 30 * second;
/** A router that refused is not pestered. */
const lastWaitRefused: Millis = 10 * minute;
/** Peers that tell another address each moment cause no search more often than that. */
const hintPause: Millis = 4 * second;

/** A device that shouts all day must not make us search all day. */
const announcedWait: Millis = second;
/** Without a boot number, who was not heard for that long may have been restarted meanwhile. */
const restartTakes: Millis = minute;
/** Routers of which it is remembered what they said. */
const mostHeard = 8;

/** When to look for a router again. */
export class Patience {
  readonly #random: Random;
  #retries = 0;
  #outcome: Outcome | undefined;
  #hopeUntil: Millis = Number.NEGATIVE_INFINITY;
  /** Of the last outcome. */
  #since: Millis = Number.NEGATIVE_INFINITY;
  /** By address, who said that it is there, the latest last. */
  readonly #heard = new Map<string, { readonly life: string | undefined; readonly at: Millis }>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** What was mapped is mapped no more. */
  lost(now: Millis): void {
    this.#hopeUntil = now + hopeLasts;
    this.#retries = 0;
  }

  /** A mapping stands, or the network is another one than the last outcome was about. */
  beginAnew(): void {
    this.#retries = 0;
  }

  /** A search has ended so: how long until the next. */
  waitAfter(outcome: Outcome, now: Millis): Millis {
    if (outcome !== this.#outcome) this.#retries = 0;
    const isNews = outcome === 'unconnected' && this.#outcome !== outcome;
    if (isNews && now >= this.#hopeUntil + hopePause) this.#hopeUntil = now + hopeLasts;
    this.#outcome = outcome;
    this.#since = now;
    const wait = Math.min(this.#most(outcome, now), firstWait * 2 ** Math.min(this.#retries++, 16));
    return wait * (0.75 + 0.5 * this.#random.unit());
  }

  /** A sign that a line is there again, which may be a lie: when to search for it, and soon again where it was too early. */
  hinted(now: Millis): Millis {
    this.#retries = Math.min(this.#retries, 1);
    return Math.max(now, this.#since + hintPause);
  }

  /**
   * A router announces itself: when to search for it; never: by its patience alone. Miniupnpd says that it is there every 30 s, and
   * who refuses must not be asked each time.
   */
  announced({ address, says, life }: Announcement, now: Millis): Millis {
    const before = this.#heard.get(address);
    this.#heard.delete(address);
    if (says === 'there') this.#heard.set(address, { life, at: now });
    if (this.#heard.size > mostHeard) this.#heard.delete(this.#heard.keys().next().value!);
    const isRefused = this.#outcome === 'firm' || this.#outcome === 'passing';
    if (!isRefused || says === 'started' || !before) return now + announcedWait;
    const isKnown = life !== undefined && before.life !== undefined;
    const isAnew = isKnown ? life !== before.life : now >= before.at + restartTakes;
    return isAnew ? now + announcedWait : never;
  }

  #most(outcome: Outcome, now: Millis): Millis {
    if (outcome === 'firm') return lastWaitRefused;
    if (now < this.#hopeUntil) return lastWaitHopeful;
    return outcome === 'passing' ? lastWaitRefused : lastWaitIdle;
  }
}
