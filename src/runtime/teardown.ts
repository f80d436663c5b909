/** A part of the server that has to be ended before the process is. */
export interface Part {
  /** Ends it as well as it can be done until then. @returns `false` when something was cut off. */
  end(deadlineMs: number): Promise<boolean | undefined>;
  /** Only what must never be left out, for a stop in a hurry. @returns whether it was done in time. */
  destroy?(deadlineMs: number): Promise<boolean>;
}

/**
 * What has been started so far, to be ended in reverse order: a server that is stopped while it starts,
 * or fails to, has some of its parts only.
 */
export class Teardown {
  readonly #parts: Part[] = [];
  #hasBegun = false;

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** @throws when the stop has begun: the start must not go on. */
  add(part: Part): void {
    if (this.#hasBegun) {
      part.end(Date.now()).catch(() => undefined);
      throw new Error('the server is being stopped');
    }
    this.#parts.push(part);
  }

  /**
   * Ends every part, the last one first; one that fails does not keep the others.
   * @returns whether all of them ended well and in time.
   * @throws the first failure, when all has been ended.
   */
  async run(deadlineMs: number): Promise<boolean> {
    this.#hasBegun = true;
    const failures: unknown[] = [];
    let isWhole = true;
    for (const part of this.#parts.toReversed()) {
      try {
        isWhole = (await part.end(deadlineMs)) !== false && isWhole;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return isWhole;
  }

  /** @returns whether that was done in time. */
  async destroy(deadlineMs: number): Promise<boolean> {
    this.#hasBegun = true;
    const ends = this.#parts.map((part) => part.destroy?.(deadlineMs) ?? true);
    return (await Promise.all(ends)).every(Boolean);
  }
}
