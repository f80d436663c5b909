import type { Database } from './database.js';

/** As many a day whatever their number: what sums cost depends on how many clicks an owner has in a quarter of an hour. */
const EVENTS_A_DAY = 100_000_000 / 60;
const EVENTS_A_STEP = 500_000;

/**
 * Fills a database with click events on its links, one in ten a preview, as `CLICK_DETAILS=off` makes them: popular
 * links have most (Zipf 1.0). Counters and the order by clicks say the same; the statistics' sums are still to be made.
 */
export async function fillEvents({ client, number }: Database, events: number, links: number): Promise<void> {
  for (let first = 0; first < events; first += EVENTS_A_STEP) {
    const count = Math.min(EVENTS_A_STEP, events - first);
    await client.query('BEGIN');
    await client.query(`SET LOCAL switchyard.differences = 'none'`);
    await client.query(`SELECT make_event_chunks((SELECT last_value FROM events_id_seq) + ${count})`);
    await client.query(eventsSql(first, count, events, links));
    await client.query('COMMIT');
  }
  await client.query(
    'SELECT index_event_chunk(name) FROM event_chunks() WHERE NOT is_sealed AND end_id <= (SELECT last_value FROM events_id_seq)',
  );
  await client.query('BEGIN');
  await client.query(`SET LOCAL switchyard.noted_clicks = 'all'`);
  await client.query(
    `CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
     SELECT url_id, count(*) AS n FROM events WHERE event_type = 'click' GROUP BY 1`,
  );
  await client.query('UPDATE short_urls SET click_count = n FROM counted WHERE id = url_id');
  await client.query('UPDATE link_clicks SET clicks = n FROM counted WHERE link_id = url_id');
  await client.query('UPDATE stats_state SET is_whole = false');
  await client.query('COMMIT');
  await client.query('VACUUM (ANALYZE) events, short_urls, link_clicks');
  const filled = await number('SELECT count(*) FROM events');
  if (filled !== events) throw new Error(`${filled} events instead of ${events}`);
}

function eventsSql(first: number, count: number, events: number, links: number): string {
  return `
    INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
    SELECT id, user_id, CASE WHEN n % 10 = 0 THEN 'preview' ELSE 'click' END,
           now() AT TIME ZONE 'utc' - (${events} - n) * interval '1 day' / ${EVENTS_A_DAY},
           format('{"short_code":"%s","original_url":"%s"}', short_code, original_url)::json
    FROM (SELECT n, floor(exp(random() * ln(${links})))::bigint * 7919 % ${links} + 1 AS link
          FROM generate_series(${first + 1}::bigint, ${first + count}) AS n OFFSET 0) AS drawn
    JOIN short_urls ON id = link`;
}
