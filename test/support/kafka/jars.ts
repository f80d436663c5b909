import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { locate } from '../machine/tools.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const { kafka } = JSON.parse(readFileSync(path.join(here, 'version.json'), 'utf8')) as { kafka: string };

/** Where scripts/kafka.mjs puts the jars. */
const folder = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'),
  'switchyard',
  `kafka-${kafka}`,
);

export const classPath = path.join(folder, '*');

/** Why no broker can be started here; `undefined` when it can. */
function missing(): string | undefined {
  if (spawnSync('java', ['-version']).status !== 0) return 'no Java: apt-get install openjdk-17-jdk-headless';
  if (locate('openssl') === undefined) return 'no openssl: apt-get install openssl';
  if (!existsSync(folder)) return `no jars of Kafka ${kafka}: node scripts/kafka.mjs (needs Maven)`;
  return undefined;
}

/**
 * `describe` for tests that need a broker. On a machine without Java or the jars they are skipped with the
 * reason; with KAFKA_REQUIRED=1 they fail.
 */
export function describeWithKafka(): typeof describe | typeof describe.skip {
  const reason = missing();
  if (reason === undefined) return describe;
  if (process.env.KAFKA_REQUIRED === '1') throw new Error(reason);
  console.warn(`skipped, ${reason}`);
  return describe.skip;
}
