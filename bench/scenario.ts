import type { BenchPostgres } from './data/database.js';
import type { Generator } from './load/load.js';
import type { ScenarioResult } from './report/results.js';

/** A checkout whose server is measured. */
export interface Subject {
  readonly name: string;
  readonly root: string;
  /** Other than the bench's own. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What every scenario of a run receives. */
export interface Bench {
  readonly isQuick: boolean;
  readonly rounds: number;
  /** Length of one timed turn. */
  readonly seconds: number;
  readonly generator: Generator;
  /** Clicks of a scenario whose number can be set; its own number without. */
  readonly clicks: number | undefined;
  /** For files of the run; removed at its end. */
  readonly folder: string;
  readonly postgres: BenchPostgres;
  /**
   * The servers to measure. One: it is measured against the scenario's baselines. More: against the
   * first of them.
   */
  readonly subjects: readonly Subject[];
  /** Folder for CPU profiles; none are taken without. */
  readonly profiles: string | undefined;
  readonly progress: Progress;
}

export interface Progress {
  /** Announces so many steps. */
  begin(title: string, steps: number): void;
  step(what: string): void;
  end(): void;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Whether it can compare two revisions. */
  readonly isComparable: boolean;
  /** Whether it runs only if named, because it takes hours. */
  readonly isOnRequest?: boolean;
  run(bench: Bench): Promise<ScenarioResult>;
}
