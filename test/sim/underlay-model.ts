import { type Random, seededRandom } from '../../src/random.js';
import type { Millis } from '../../src/time.js';
import { cities } from './cities.js';

/** Each node's share of a round trip, for the way between it and its carrier. */
const lastMile: Millis = 5;
const carriersACity = 3;
/** Kilometres of fibre that light passes there and back in a millisecond. */
const kilometresAMillisecond = 100;
/** Nobody is nearer than this: carriers of one city meet somewhere in it. */
const leastKilometres = 30;
/** Fibre follows roads and coasts, */
const winding = 1.3;
/**
 * and carriers meet where they do: a detour, log-normal around the distance itself, or this where they are farther
 * apart.
 */
const detourKilometres = 1000;
const detourSpread = 0.8;

/**
 * The Internet under a simulated network: nodes at sites (a carrier in a city), a detour for each pair of sites,
 * symmetric. The same seed gives the same model.
 */
export class UnderlayModel {
  readonly nodes: number;
  readonly #siteOf: Int32Array;
  readonly #sites: number;
  readonly #core: Float64Array;

  constructor(nodes: number, seed: number) {
    const random = seededRandom(seed);
    this.nodes = nodes;
    this.#sites = cities.length * carriersACity;
    this.#siteOf = Int32Array.from(
      { length: nodes },
      () => drawCity(random) * carriersACity + random.below(carriersACity),
    );
    this.#core = new Float64Array(this.#sites * this.#sites);
    for (let a = 0; a < this.#sites; a++) {
      for (let b = a; b < this.#sites; b++) {
        const kilometres = Math.max(leastKilometres, greatCircle(a, b));
        const detour = Math.min(detourKilometres, kilometres) * Math.exp(detourSpread * normal(random));
        const core = (winding * kilometres + detour) / kilometresAMillisecond;
        this.#core[a * this.#sites + b] = core;
        this.#core[b * this.#sites + a] = core;
      }
    }
  }

  /** The round trip without any overlay. */
  rtt(a: number, b: number): Millis {
    return 2 * lastMile + this.#core[this.#siteOf[a]! * this.#sites + this.#siteOf[b]!]!;
  }

  /**
   * The least round trip if every pair of nodes had a tunnel, relays used wherever they help. Computed between sites,
   * which is exact: a relay at the site of one of the ends never helps.
   */
  optimum(): (a: number, b: number) => Millis {
    const sites = this.#sites;
    const best = Float64Array.from(this.#core);
    const peopled = new Set(this.#siteOf);
    for (const via of peopled) {
      for (let a = 0; a < sites; a++) {
        const first = best[a * sites + via]! + 2 * lastMile;
        if (a === via) continue;
        for (let b = 0; b < sites; b++) {
          const whole = first + best[via * sites + b]!;
          if (b !== via && whole < best[a * sites + b]!) best[a * sites + b] = whole;
        }
      }
    }
    return (a, b) => 2 * lastMile + best[this.#siteOf[a]! * sites + this.#siteOf[b]!]!;
  }
}

function drawCity(random: Random): number {
  const total = cities.reduce((sum, city) => sum + city[3], 0);
  let drawn = random.unit() * total;
  return cities.findIndex((city) => {
    drawn -= city[3];
    return drawn < 0;
  });
}

/** Box and Muller's. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}

function greatCircle(siteA: number, siteB: number): number {
  const [, latA, lonA] = cities[Math.floor(siteA / carriersACity)]!;
  const [, latB, lonB] = cities[Math.floor(siteB / carriersACity)]!;
  const radians = Math.PI / 180;
  const cosine =
    Math.sin(latA * radians) * Math.sin(latB * radians) +
    Math.cos(latA * radians) * Math.cos(latB * radians) * Math.cos((lonA - lonB) * radians);
  return 6371 * Math.acos(Math.min(1, Math.max(-1, cosine)));
}
