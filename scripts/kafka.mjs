// Fetches the jars of the Kafka broker that tests run, once, into a folder outside the repository. Needs Java 17 and Maven.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { kafka, scala } = JSON.parse(readFileSync(path.join(root, 'test/support/kafka/version.json'), 'utf8'));
const cache = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'),
  'switchyard',
  `kafka-${kafka}`,
);

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>switchyard</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_${scala}</artifactId><version>${kafka}</version></dependency>
  </dependencies>
</project>
`;

/** Maven waits long for a host that does not answer. */
const FETCH_MS = 300_000;

if (!existsSync(cache)) {
  const folder = mkdtempSync(path.join(tmpdir(), 'switchyard-kafka-'));
  writeFileSync(path.join(folder, 'pom.xml'), pom);
  const jars = path.join(folder, 'jars');
  const args = ['--quiet', '--batch-mode', 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`];
  const { status, error } = spawnSync('mvn', args, {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: FETCH_MS,
  });
  if (status === 0) {
    mkdirSync(path.dirname(cache), { recursive: true });
    // Whole or not at all. Another run may have been faster; a cache on another disk can't take a renamed folder.
    const half = `${cache}.${process.pid}`;
    const copied = spawnSync('cp', ['-r', jars, half]);
    if (copied.status === 0 && !existsSync(cache)) renameSync(half, cache);
    rmSync(half, { recursive: true, force: true });
  }
  rmSync(folder, { recursive: true, force: true });
  if (!existsSync(cache)) {
    console.error(`Kafka ${kafka} can't be fetched${error === undefined ? '' : `: ${error.message}`}`);
    process.exit(1);
  }
}
console.log(`Kafka ${kafka} is in ${cache}`);
