import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from '../scenario.js';

/** A bar on a terminal, a line a step elsewhere. */
export function createProgress(): Progress {
  return process.stderr.isTTY ? new Bar() : new Lines();
}

class Bar implements Progress {
  readonly #bar = new SingleBar(
    {
      format: '{bar} {percentage} %  {title}: {what}',
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );

  begin(title: string, steps: number): void {
    this.#bar.start(steps, 0, { title, what: '' });
  }

  step(what: string): void {
    this.#bar.increment(1, { what });
  }

  end(): void {
    this.#bar.stop();
  }
}

class Lines implements Progress {
  #title = '';
  #steps = 0;
  #done = 0;

  begin(title: string, steps: number): void {
    this.#title = title;
    this.#steps = steps;
    this.#done = 0;
  }

  step(what: string): void {
    this.#done += 1;
    console.error(`${this.#title} ${this.#done}/${this.#steps}: ${what}`);
  }

  end(): void {
    // Every line stands already.
  }
}
