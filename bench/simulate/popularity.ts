import { Random } from '../../csv/random.js';
import { ZipfRanks } from './zipf.js';

/** A visit: the link's rank, by which it is routed, and the number under which caches know it. */
export interface Visit {
  rank: number;
  link: number;
}

/**
 * Which link is visited next. A simulation on a scale of 1 : n joins n neighbouring ranks into one link, which
 * is visited as often, in a world of an n-th of the links, caches and visits, as each of them in the whole one.
 */
export class Popularity {
  readonly #ranks: ZipfRanks;
  readonly #random: Random;
  readonly #scale: number;
  /** Which link has each place; only where popularity drifts. */
  readonly #links: Int32Array | undefined;
  readonly links: number;
  /** The last visit; the next one overwrites it. */
  readonly #visit: Visit = { rank: 0, link: 0 };

  constructor(options: { links: number; zipf: number; drift: number; scale: number; seed: number }) {
    this.#scale = options.scale;
    this.links = Math.max(1, Math.ceil(options.links * options.scale));
    this.#ranks = new ZipfRanks(options.links, options.zipf, new Random(options.seed));
    this.#random = new Random(options.seed + 1);
    if (options.drift > 0) this.#links = Int32Array.from({ length: this.links }, (_, index) => index);
  }

  next(): Visit {
    const rank = this.#ranks.next();
    const place = this.#placeOf(rank);
    this.#visit.rank = rank;
    this.#visit.link = this.linkAt(place);
    return this.#visit;
  }

  /** A link that is visited falls back to the place of any other, which becomes as popular as it was. */
  drift(): void {
    const links = this.#links;
    if (links === undefined) return;
    const one = this.#placeOf(this.#ranks.next());
    const other = this.#random.int(0, this.links - 1);
    const held = links[one] as number;
    links[one] = links[other] as number;
    links[other] = held;
  }

  /** Any link, popular or not. */
  anyLink(): number {
    return this.#random.int(0, this.links - 1);
  }

  /** @param place By popularity, from 0. */
  linkAt(place: number): number {
    return this.#links?.[place] ?? place;
  }

  #placeOf(rank: number): number {
    return Math.min(this.links - 1, Math.floor((rank - 1) * this.#scale));
  }
}
