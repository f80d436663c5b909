import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packagedFolder } from '../runtime/package.js';

const folder = packagedFolder('store/migrations');

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /** Programs whose newest migration is below this one must not run from then on. */
  readonly floor: number | undefined;
}

/** The migrations of this program, in the order of their numbers. */
export function readMigrations(): Migration[] {
  return migrationFiles().map((file) => {
    const number = numberOf(file);
    const sql = readFileSync(path.join(folder, file), 'utf8');
    return { number, name: file.slice(0, -'.sql'.length), sql, floor: floorOf(number, sql) };
  });
}

/** The number of this program's newest migration. */
export function newestMigration(): number {
  return Math.max(...migrationFiles().map(numberOf));
}

/**
 * The floor that a migration declares in its first line, as `-- floor: 0061`.
 * @throws if the line is not written like that, or the floor is above the migration itself.
 */
export function floorOf(number: number, sql: string): number | undefined {
  const [line = ''] = sql.split('\n', 1);
  if (!/^--\s*floor\b/i.test(line)) return undefined;
  const floor = Number(/^-- floor: (\d{4})$/.exec(line)?.[1]);
  if (!(floor <= number)) throw new Error(`migration ${number} declares no floor that it can have: ${line}`);
  return floor;
}

function migrationFiles(): string[] {
  return readdirSync(folder)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .sort();
}

function numberOf(file: string): number {
  return Number(file.slice(0, 4));
}
