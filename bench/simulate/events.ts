import TinyQueue from 'tinyqueue';

interface Event {
  readonly at: number;
  readonly order: number;
  readonly happen: () => void;
}

/** Virtual time, in seconds: what was planned happens in its order, what was planned first comes first. */
export class Events {
  readonly #queue = new TinyQueue<Event>([], (one, other) => one.at - other.at || one.order - other.order);
  #planned = 0;
  now = 0;

  at(time: number, happen: () => void): void {
    this.#queue.push({ at: Math.max(time, this.now), order: this.#planned, happen });
    this.#planned += 1;
  }

  /** Again and again; counted, so that the times don't drift. */
  every(seconds: number, happen: () => void, count = 1): void {
    this.at(seconds * count, () => {
      happen();
      this.every(seconds, happen, count + 1);
    });
  }

  /** Lets happen all that is planned up to then. */
  runTo(time: number): void {
    for (let next = this.#queue.peek(); next !== undefined && next.at <= time; next = this.#queue.peek()) {
      this.#queue.pop();
      this.now = next.at;
      next.happen();
    }
    this.now = time;
  }
}
