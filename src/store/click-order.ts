import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * The order of links by their clicks: `link_clicks` is a narrow copy of the counters, with an index. A transaction that
 * changes counters notes the links in `link_click_changes`. A list in this order first renews a copy that is older than
 * a few seconds. If too many links have changed for that, the list orders the counters themselves, and the upkeep
 * renews the copy.
 */

/** Held while renewing the copy; others use the copy as it is. */
const ORDER_LOCK = 0x5357_0004;

/** A copy older than this is renewed; one older than the limit is not used. */
const RENEW_AFTER_SECONDS = 5;
const OLDEST_SECONDS = 10;
/** Changes are applied at this age even if no list asks: the next list finds few. */
const IDLE_SECONDS = 300;
/** With more changes than this the upkeep applies them at any age; a list neither waits nor helps. */
const MANY_CHANGES = 25_000;

/** Approximate changes that one transaction reads, and links that it updates; the rest are noted again. */
const CHANGES_A_STEP = 25_000;
const LINKS_A_STEP = 2500;
/** The same for the upkeep, for which nobody waits: each step sorts all the changes that it reads. */
const LINKS_AN_UPKEEP_STEP = 10_000;
const LINKS_A_NOTE = 10_000;
const COMPARED_A_STEP = 20_000;
const NOTES_A_STEP = 2000;
const WAIT_FOR_OTHER_MS = 50;

/** How long a list waits for the copy at most, and for which part of its deadline. */
const RENEW_MS = 1200;
const RENEW_PART = 0.6;

const noteStatement: Statement = {
  name: 'click_order_note',
  text: 'SELECT note_link_clicks($1::bigint[])',
};

/** Notes all links whose counters the transaction may change, before it changes any. */
export async function noteCountedLinks(connection: Connection, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await rowsOf(connection, noteStatement, [ids]);
}

interface OrderState {
  readonly isBuilt: boolean;
  /** Whether some links have not been compared with the copy yet. */
  readonly isBehind: boolean;
  /** Of the copy, but for what is still to be compared. */
  readonly ageSeconds: number;
}

const stateStatement: Statement = {
  name: 'click_order_state',
  text: `SELECT is_built, next_id IS NOT NULL,
           CASE WHEN renewed_at = '-infinity' THEN NULL
                ELSE extract(epoch FROM clock_timestamp() AT TIME ZONE 'utc' - renewed_at) END
         FROM link_click_order`,
};

async function readState(connection: Connection): Promise<OrderState> {
  type Values = readonly [isBuilt: string, isBehind: string, age: string | null];
  const [row] = await rowsOf<Values>(connection, stateStatement, []);
  if (row === undefined) throw new Error('link_click_order has no row');
  const [isBuilt, isBehind, age] = row;
  return {
    isBuilt: isBuilt === 't',
    isBehind: isBehind === 't',
    ageSeconds: age === null ? Number.POSITIVE_INFINITY : Number(age),
  };
}

/**
 * Whether lists may use the copy: `ready`, it is at most 10 s old; `behind`, it is older, and lists order the counters
 * themselves; `unbuilt`, it is being made for the first time.
 */
export type OrderReadiness = 'ready' | 'behind' | 'unbuilt';

/**
 * Brings the copy up to date as far as time allows; the upkeep does the rest within seconds. If SQL by hand changed more
 * links than could be noted, all are compared, and reach their places a little later.
 * @param deadlineMs How long the caller still waits.
 */
export async function renewClickOrder(connection: Connection, deadlineMs: number): Promise<OrderReadiness> {
  const untilMs = performance.now() + Math.min(RENEW_MS, deadlineMs * RENEW_PART);
  for (let steps = 0; ; steps += 1) {
    const state = await readState(connection);
    const isYoung = state.ageSeconds <= RENEW_AFTER_SECONDS;
    if (isYoung && !state.isBehind) return 'ready';
    const isUsable = state.isBuilt && state.ageSeconds <= OLDEST_SECONDS;
    const isFarBehind = !isUsable && (await changesLeft(connection)).areMany;
    // At least one step, unless it is far behind: the next caller continues from there.
    if (isFarBehind || (steps > 0 && performance.now() > untilMs)) {
      if (isUsable) return 'ready';
      await rowsOf(connection, wantedStatement, []);
      return state.isBuilt ? 'behind' : 'unbuilt';
    }
    // Changes first: then only what has not been compared is missing.
    const step = await takeStep(connection, isYoung, LINKS_A_STEP);
    if (step === 'locked' && isUsable) return 'ready';
    if (step === 'locked') await sleep(WAIT_FOR_OTHER_MS);
  }
}

/** Asks the upkeep of whichever server to begin: a change of minus infinity. */
const wantedStatement: Statement = {
  name: 'click_order_wanted',
  text: `INSERT INTO link_click_changes (noted_at, amount, link_ids) SELECT '-infinity', 0, '{}'
         WHERE NOT EXISTS (SELECT FROM link_click_changes WHERE noted_at = '-infinity')`,
};

/**
 * What a server does now and then, even if no list asks: makes the copy, and keeps it from falling far behind. Unless a
 * list has asked in vain, it pauses for as long as it works: clicks come before their order.
 */
export async function keepClickOrder(connection: Connection): Promise<void> {
  let isWanted = false;
  for (let isOwed = false; ; ) {
    const startMs = performance.now();
    const { isBehind } = await readState(connection);
    const left = await changesLeft(connection);
    isWanted ||= left.areWanted;
    isOwed ||= isBehind || left.areMany || (await hasOldChanges(connection));
    if (!isOwed) return;
    const step = await takeStep(connection, isBehind, LINKS_AN_UPKEEP_STEP);
    if (step === 'locked' || (step === 'all' && !isBehind)) return;
    if (!isWanted) await sleep(performance.now() - startMs);
  }
}

const changesLeftStatement: Statement = {
  name: 'click_order_changes_left',
  text: `SELECT coalesce(sum(amount), 0) > ${MANY_CHANGES}, coalesce(bool_or(noted_at = '-infinity'), false)
         FROM link_click_changes`,
};

async function changesLeft(
  connection: Connection,
): Promise<{ readonly areMany: boolean; readonly areWanted: boolean }> {
  const [row] = await rowsOf(connection, changesLeftStatement, []);
  return { areMany: row?.[0] === 't', areWanted: row?.[1] === 't' };
}

const oldChangesStatement: Statement = {
  name: 'click_order_old_changes',
  // A change without links means that all links must be compared with the copy: it is read at any age.
  text: `SELECT EXISTS (SELECT FROM link_click_changes
                        WHERE link_ids IS NULL
                           OR noted_at < now() AT TIME ZONE 'utc' - interval '${IDLE_SECONDS} seconds')`,
};

async function hasOldChanges(connection: Connection): Promise<boolean> {
  const [row] = await rowsOf(connection, oldChangesStatement, []);
  return row?.[0] === 't';
}

/**
 * One transaction: applies changes, or compares the next links.
 * @returns whether that was all of them; `'locked'` if another server is doing it now.
 */
async function takeStep(
  connection: Connection,
  isComparing: boolean,
  links: number,
): Promise<'some' | 'all' | 'locked'> {
  return inTransaction(connection, async () => {
    const [row] = await rowsOf(connection, lockStatement, [ORDER_LOCK]);
    if (row?.[0] !== 't') return 'locked';
    if (!isComparing) return (await applyChanges(connection, links)) ? 'all' : 'some';
    await compareNext(connection);
    return 'some';
  });
}

/**
 * Reads few links of many, by their ids, whatever the planner estimates. Commits don't wait for the disk: a crash
 * undoes notes and copy together, and the work is repeated.
 */
const lockStatement: Statement = {
  name: 'click_order_lock',
  text: `SELECT pg_try_advisory_xact_lock($1), set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true),
           set_config('synchronous_commit', 'off', true)`,
};

/** Reads notes and counters in one snapshot: a change that it doesn't see has a note that it doesn't see. */
const applyStatement: Statement = {
  name: 'click_order_apply',
  text: `
    WITH next AS (
      SELECT ctid, sum(amount) OVER (ROWS UNBOUNDED PRECEDING) - amount AS before
      FROM link_click_changes LIMIT ${NOTES_A_STEP}
    ), taken AS (
      DELETE FROM link_click_changes
      WHERE ctid = ANY (ARRAY(SELECT ctid FROM next WHERE before < ${CHANGES_A_STEP}))
      RETURNING noted_at, amount, link_ids
    ), numbered AS MATERIALIZED (
      SELECT id, row_number() OVER (ORDER BY id) AS place
      FROM (SELECT DISTINCT unnest(link_ids) AS id FROM taken) AS ids
    ), changed AS MATERIALIZED (
      SELECT id FROM numbered WHERE place <= $1::bigint
    ), later AS (
      INSERT INTO link_click_changes (noted_at, amount, link_ids)
      SELECT (SELECT min(noted_at) FROM taken), count(*), array_agg(id)
      FROM numbered WHERE place > $1::bigint GROUP BY place / ${LINKS_A_NOTE}
      RETURNING 1
    ), moved AS (
      UPDATE link_clicks SET clicks = click_count FROM changed JOIN short_urls USING (id)
      WHERE link_id = changed.id AND clicks <> click_count
    ), gone AS (
      DELETE FROM link_clicks USING changed
      WHERE link_id = changed.id AND NOT EXISTS (SELECT FROM short_urls WHERE short_urls.id = changed.id)
    ), begun AS (
      UPDATE link_click_order SET next_id = -9223372036854775808
      WHERE EXISTS (SELECT FROM taken WHERE link_ids IS NULL)
    )
    SELECT count(*), coalesce(sum(amount), 0), (SELECT count(*) FROM later) FROM taken`,
};

const renewedStatement: Statement = {
  name: 'click_order_renewed',
  text: `UPDATE link_click_order SET renewed_at = now() AT TIME ZONE 'utc'`,
};

/** @returns whether no earlier change is left. */
async function applyChanges(connection: Connection, links: number): Promise<boolean> {
  const [row] = await rowsOf(connection, applyStatement, [links]);
  const [notes, amount, later] = [Number(row?.[0]), Number(row?.[1]), Number(row?.[2])];
  const isAll = notes < NOTES_A_STEP && amount < CHANGES_A_STEP && later === 0;
  if (isAll) await rowsOf(connection, renewedStatement, []);
  return isAll;
}

/** Compares the next links, and corrects the copy where it differs. */
async function compareNext(connection: Connection): Promise<void> {
  const [range] = await rowsOf<[string | null, string | null]>(connection, rangeStatement, []);
  const [first = null, last = null] = range ?? [];
  if (first === null) return;
  for (const statement of compareStatements) await rowsOf(connection, statement, [first, last]);
  await rowsOf(
    connection,
    last === null ? comparedAllStatement : comparedStatement,
    last === null ? [] : [last],
  );
}

const rangeStatement: Statement = {
  name: 'click_order_range',
  text: `SELECT next_id, (SELECT max(id) FROM (SELECT id FROM short_urls WHERE id >= next_id ORDER BY id
                                               LIMIT ${COMPARED_A_STEP}) AS links)
         FROM link_click_order WHERE next_id IS NOT NULL`,
};

/** Without an end the range covers all ids after the last link. */
const compareStatements: readonly Statement[] = [
  {
    name: 'click_order_compare_moved',
    text: `UPDATE link_clicks SET clicks = click_count FROM short_urls
           WHERE id BETWEEN $1::bigint AND coalesce($2::bigint, $1) AND link_id = id AND clicks <> click_count`,
  },
  {
    name: 'click_order_compare_new',
    text: `INSERT INTO link_clicks (link_id, clicks)
           SELECT id, click_count FROM short_urls
           WHERE id BETWEEN $1::bigint AND coalesce($2::bigint, $1)
             AND NOT EXISTS (SELECT FROM link_clicks WHERE link_id = id)
           ORDER BY id ON CONFLICT (link_id) DO NOTHING`,
  },
  {
    name: 'click_order_compare_gone',
    text: `DELETE FROM link_clicks
           WHERE link_id >= $1::bigint AND ($2::bigint IS NULL OR link_id <= $2)
             AND NOT EXISTS (SELECT FROM short_urls WHERE id = link_id)`,
  },
];

const comparedStatement: Statement = {
  name: 'click_order_compared',
  text: 'UPDATE link_click_order SET next_id = $1::bigint + 1',
};

const comparedAllStatement: Statement = {
  name: 'click_order_compared_all',
  text: 'UPDATE link_click_order SET next_id = NULL, is_built = true',
};
