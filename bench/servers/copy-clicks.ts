import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type ClickRows, clickRows } from '../data/clicks.js';

/**
 * The minimum cost of ingesting clicks: rows ready in memory go through pg-copy-streams into the real table,
 * and the counters are added. Prints the cost, without that of making the rows.
 */
const { DATABASE_URL = '', CLICKS = '0', LINKS = '1', BATCH = '1' } = process.env;
const CHUNK_BYTES = 128 * 1024;

function* chunks(rows: Buffer): Generator<Buffer> {
  for (let start = 0; start < rows.length; start += CHUNK_BYTES)
    yield rows.subarray(start, start + CHUNK_BYTES);
}

async function takeIn(client: pg.Client, { rows, ids, counts }: ClickRows): Promise<void> {
  await client.query('BEGIN');
  const columns = 'url_id, user_id, event_type, "timestamp", details';
  const stream = client.query(copyFrom(`COPY events (${columns}) FROM STDIN`));
  await pipeline(Readable.from(chunks(rows), { objectMode: true, highWaterMark: 1 }), stream);
  await client.query({
    name: 'count',
    text: `UPDATE short_urls SET click_count = click_count + clicks.n
           FROM unnest($1::bigint[], $2::bigint[]) AS clicks (url_id, n) WHERE id = clicks.url_id`,
    values: [ids, counts],
  });
  await client.query('COMMIT');
}

const client = new pg.Client({ connectionString: DATABASE_URL });
await client.connect();
const batches = clickRows(Number(CLICKS), Number(LINKS), Number(BATCH));
process.stdout.write('READY\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const cpu = process.cpuUsage();
const startMs = performance.now();
for (const batch of batches) await takeIn(client, batch);
const seconds = (performance.now() - startMs) / 1000;
const { user, system } = process.cpuUsage(cpu);
const peakBytes = process.resourceUsage().maxRSS * 1024;
console.log(`RESULT ${JSON.stringify({ seconds, cpuMicros: user + system, peakBytes })}`);
await client.end();
process.exit(0);
