import { flat } from './flat-text.js';

/** Numbers for codes that don't pack into 64 bits: each has a unique one as long as it is kept. */
export class CodeNumbers {
  readonly #numbers = new Map<string, number>();
  readonly #codes = new Map<number, string>();
  #last = 0;

  get(code: string): number | undefined {
    return this.#numbers.get(code);
  }

  code(number: number): string {
    return this.#codes.get(number) as string;
  }

  add(code: string): number {
    do this.#last = (this.#last + 1) | 0;
    while (this.#codes.has(this.#last));
    const own = flat(code);
    this.#numbers.set(own, this.#last);
    this.#codes.set(this.#last, own);
    return this.#last;
  }

  remove(number: number): void {
    this.#numbers.delete(this.code(number));
    this.#codes.delete(number);
  }
}
