const FIRST_BYTES = 4096;

/** A body that arrives in pieces of any size, in one buffer that doubles: a piece costs only its bytes. */
export class GrowingBuffer {
  #bytes: Buffer;
  #length = 0;

  /** @param expectedBytes The client's claim; trusted only up to the first piece's room. */
  constructor(expectedBytes = FIRST_BYTES) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(1, Math.min(expectedBytes, FIRST_BYTES)));
  }

  get length(): number {
    return this.#length;
  }

  /** @param piece Its memory may be invalid once this returns. */
  add(piece: ArrayBuffer): void {
    const length = this.#length + piece.byteLength;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#bytes.set(new Uint8Array(piece), this.#length);
    this.#length = length;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Joins pieces into blocks that can be transferred, each with its own memory. */
export class BlockJoiner {
  readonly #blockBytes: number;
  readonly #post: (block: ArrayBuffer) => void;
  #block: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  constructor(blockBytes: number, post: (block: ArrayBuffer) => void) {
    this.#blockBytes = blockBytes;
    this.#post = post;
  }

  /** @param piece Its memory may be invalid once this returns. */
  add(piece: ArrayBuffer): void {
    let rest = new Uint8Array(piece);
    while (rest.length > 0) {
      this.#block ??= new Uint8Array(this.#blockBytes);
      const part = rest.subarray(0, this.#blockBytes - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === this.#blockBytes) this.flush();
    }
  }

  /** Posts the pieces so far. */
  flush(): void {
    if (this.#block === undefined) return;
    const { buffer } = this.#block;
    this.#post(this.#filled === this.#blockBytes ? buffer : buffer.slice(0, this.#filled));
    this.#block = undefined;
    this.#filled = 0;
  }
}
