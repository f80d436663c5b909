-- Events in chunks by id instead of months. Ids are given in order, so new rows go to one chunk, the hot one, which
-- has no index: to keep five of them up to date costs more than half of what a click costs. When all ids of a chunk
-- are given it is sealed: its indexes are built at once, in the background. Months of before are the first chunk.

-- An event that is looked for by id, time, link, user or type is found by these in a sealed chunk. There is no
-- index of the table as a whole, for it would be one of the hot chunk too. Ids of a chunk lie in its rows' order.
CREATE FUNCTION event_chunk_indexes(chunk text, OUT name text, OUT statement text) RETURNS SETOF record
LANGUAGE sql IMMUTABLE AS $$
  SELECT chunk || suffix, format('CREATE INDEX IF NOT EXISTS %I ON %I %s', chunk || suffix, chunk, definition)
  FROM (VALUES
    ('_newest', '("timestamp" DESC, id DESC)'),
    ('_by_url', '(url_id, "timestamp" DESC, id DESC) WHERE url_id IS NOT NULL'),
    ('_by_user', '(user_id, "timestamp" DESC, id DESC) WHERE user_id IS NOT NULL'),
    ('_by_rare_type', '(event_type, "timestamp" DESC, id DESC) WHERE event_type <> ''click'''),
    ('_by_id', 'USING brin (id) WITH (pages_per_range = 8)')
  ) AS wanted (suffix, definition)
$$;

-- The chunks in order: ids from first_id up to end_id, which is not one of them. The months of before count as
-- sealed. Nothing where the events are still in months alone.
CREATE FUNCTION event_chunks(OUT name text, OUT first_id bigint, OUT end_id bigint, OUT is_sealed boolean)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT chunk.relname::text,
         coalesce(substring(bounds FROM $re$FROM \('?(-?\d+)$re$)::bigint, -9223372036854775808),
         coalesce(substring(bounds FROM $re$TO \('?(-?\d+)$re$)::bigint, 9223372036854775807),
         chunk.relkind = 'p' OR NOT EXISTS (
           SELECT FROM event_chunk_indexes(chunk.relname) AS wanted
           WHERE wanted.name NOT IN (
             SELECT there.relname FROM pg_index JOIN pg_class AS there ON there.oid = indexrelid
             WHERE indrelid = chunk.oid AND indisvalid))
  FROM pg_partitioned_table AS whole
    JOIN pg_attribute AS key ON key.attrelid = partrelid AND key.attnum = partattrs[0] AND key.attname = 'id'
    JOIN pg_inherits ON inhparent = partrelid
    JOIN pg_class AS chunk ON chunk.oid = inhrelid
    -- With the chunk's oid it would wait for who has locked the chunk.
    CROSS JOIN LATERAL pg_get_expr(chunk.relpartbound, 0) AS bounds
  WHERE partrelid = to_regclass('events')
  ORDER BY 2
$$;

-- How many ids the next chunk has, by the number of those that are there. They are small while there are few, for a
-- list reads the hot one from end to end, and grow with their number, for a list looks into each: 400 are enough for
-- twenty thousand million events.
CREATE FUNCTION event_chunk_size(chunks bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN chunks < 192 THEN 65536 WHEN chunks < 256 THEN 131072 WHEN chunks < 288 THEN 262144
            WHEN chunks < 320 THEN 524288 WHEN chunks < 336 THEN 1048576 WHEN chunks < 352 THEN 8388608
            WHEN chunks < 368 THEN 33554432 WHEN chunks < 384 THEN 134217728 ELSE 1073741824 END;

-- Makes a chunk of the ids from first_id up to end_id. To attach one waits for no reader and no writer.
CREATE FUNCTION make_event_chunk(chunk text, first_id bigint, end_id bigint, is_indexed boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE)', chunk);
  -- Without a primary key, publications of deletes ask for it; it costs nothing where there are none.
  EXECUTE format('ALTER TABLE %I REPLICA IDENTITY FULL', chunk);
  IF is_indexed THEN
    PERFORM index_event_chunk(chunk);
  END IF;
  EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                 chunk, coalesce(first_id::text, 'MINVALUE'), end_id);
END $$;

-- Makes chunks ahead of the ids that were given, and one for up_to. Behind the small ones lies a reserve of many ids
-- with its indexes, for statements that bring more rows than the small ones have ids. When the small ones are nearly
-- used up there are new ones behind the reserve, and the sequence goes on there: to put them before it, it would have
-- to be taken out, which waits for every reader. Chunks that would take long to read, and what lies before a sequence
-- that was raised, have their indexes from the start. Returns how many were made.
CREATE FUNCTION make_event_chunks(up_to bigint DEFAULT 0) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
  ahead CONSTANT bigint := 1048576;
  nearly CONSTANT bigint := 131072;
  reserve CONSTANT bigint := 67108864;
  given bigint;
  last_id bigint;
  small_end bigint;
  next_id bigint;
  following bigint;
  go_on_at bigint;
  chunks bigint;
  made integer := 0;
BEGIN
  IF to_regclass('events') IS NULL OR NOT EXISTS (
    SELECT FROM pg_partitioned_table
      JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0] AND attname = 'id'
    WHERE partrelid = to_regclass('events')
  ) THEN
    RETURN 0;
  END IF;
  SELECT last_value INTO given FROM events_id_seq;
  -- A sequence at its end gives no more ids, and is set back by somebody.
  IF greatest(given, up_to) > 9223372028264841216 THEN
    RETURN 0;
  END IF;
  FOR attempt IN 1 .. 2 LOOP
    SELECT CASE WHEN name LIKE 'events_reserve_%' THEN first_id ELSE end_id END, end_id INTO small_end, next_id
    FROM event_chunks() AS chunk ORDER BY chunk.end_id DESC LIMIT 1;
    IF small_end > given + nearly AND next_id > up_to THEN
      RETURN 0;
    END IF;
    -- Servers take turns.
    PERFORM pg_advisory_xact_lock(1398210565);
    SELECT last_value INTO given FROM events_id_seq;
  END LOOP;
  last_id := greatest(given, up_to);
  SELECT count(*) INTO chunks FROM event_chunks();
  IF next_id < last_id - 4 * ahead THEN
    PERFORM make_event_chunk('events_from_' || next_id, next_id, last_id + 1, true);
    next_id := last_id + 1;
    made := 1;
  END IF;
  last_id := greatest(last_id, next_id);
  WHILE next_id IS NULL OR next_id <= last_id + ahead LOOP
    following := coalesce(next_id, 1) + event_chunk_size(chunks + made);
    PERFORM make_event_chunk('events_from_' || coalesce(next_id, 0), next_id, following,
                             following - coalesce(next_id, 1) > ahead);
    IF go_on_at IS NULL AND following > given THEN
      go_on_at := coalesce(next_id, 1);
    END IF;
    next_id := following;
    made := made + 1;
  END LOOP;
  PERFORM make_event_chunk('events_reserve_' || next_id, next_id, next_id + reserve, true);
  IF go_on_at > given + 1 THEN
    PERFORM setval('events_id_seq', go_on_at, false);
  END IF;
  RETURN made + 1;
END $$;

-- Builds all indexes of a chunk that it lacks, in one transaction.
CREATE FUNCTION index_event_chunk(chunk text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  wanted text;
BEGIN
  FOR wanted IN SELECT statement FROM event_chunk_indexes(chunk) LOOP
    EXECUTE wanted;
  END LOOP;
END $$;

-- What would be left behind if the months were put into a table of chunks: things of an operator's own that hang
-- on the table of events.
CREATE FUNCTION event_chunks_obstacles() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT 'the view ' || ev_class::regclass FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid
  WHERE classid = 'pg_rewrite'::regclass AND refobjid = to_regclass('events') AND ev_class <> refobjid
  UNION ALL
  SELECT 'the rule ' || rulename FROM pg_rewrite WHERE ev_class = to_regclass('events')
  UNION ALL
  SELECT 'the policy ' || polname FROM pg_policy WHERE polrelid = to_regclass('events')
  UNION ALL
  SELECT 'the publication ' || pubname FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
  WHERE prrelid = to_regclass('events')
  UNION ALL
  SELECT 'the foreign key ' || conname FROM pg_constraint
  WHERE contype = 'f' AND to_regclass('events') IN (conrelid, confrelid)
  UNION ALL
  SELECT 'the trigger ' || tgname FROM pg_trigger
  WHERE tgrelid = to_regclass('events') AND NOT tgisinternal AND tgtype & 1 = 1
  UNION ALL
  SELECT 'the index ' || indexrelid::regclass FROM pg_index
  WHERE indrelid = to_regclass('events')
    AND indexrelid::regclass::text !~ '(^|\.)(events_pkey|events_newest|events_by_(url|user|type|rare_type))$'
$$;

-- Puts a table of chunks in the place of that of months. Months with rows become the first chunk, up to end_id: a
-- valid constraint says that no id reaches it, and nothing is read. Without end_id the months are empty, and go.
-- The caller holds the lock of the table and of all its months.
CREATE FUNCTION chunk_events(end_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  old CONSTANT oid := 'events'::regclass;
  triggers text[];
  part record;
BEGIN
  SELECT array_agg(pg_get_triggerdef(oid) ORDER BY tgname) INTO triggers
  FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal;
  FOR part IN SELECT tgname FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal LOOP
    EXECUTE format('DROP TRIGGER %I ON events', part.tgname);
  END LOOP;
  ALTER TABLE events RENAME TO events_in_months;
  CREATE TABLE events (LIKE events_in_months INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
    PARTITION BY RANGE (id);
  ALTER TABLE events DROP CONSTRAINT IF EXISTS events_before_chunks;
  EXECUTE format('ALTER TABLE events OWNER TO %s', (SELECT relowner::regrole FROM pg_class WHERE oid = old));
  FOR part IN
    SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC') AS grantee, privilege_type AS privilege, is_grantable,
           '' AS columns
    FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = old
    UNION ALL
    SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'), privilege_type, is_grantable, format('(%I)', attname)
    FROM pg_attribute, aclexplode(attacl) WHERE attrelid = old AND attnum > 0 AND NOT attisdropped
  LOOP
    EXECUTE format('GRANT %s %s ON events TO %s %s', part.privilege, part.columns, part.grantee,
                   CASE WHEN part.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END);
  END LOOP;
  ALTER SEQUENCE events_id_seq OWNED BY events.id;
  IF end_id IS NULL THEN
    DROP TABLE events_in_months;
  ELSE
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_in_months FOR VALUES FROM (MINVALUE) TO (%s)', end_id);
    ALTER TABLE events_in_months DROP CONSTRAINT events_before_chunks;
  END IF;
  FOR number IN 1 .. coalesce(cardinality(triggers), 0) LOOP
    EXECUTE triggers[number];
  END LOOP;
  PERFORM make_event_chunks(end_id);
END $$;

-- Puts one chunk with its indexes in the place of all chunks, for rows of a backup that come next, with ids up to
-- last_id. There are no rows now. Returns whether the events are in chunks.
CREATE FUNCTION restart_event_chunks(last_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  part text;
BEGIN
  IF NOT EXISTS (SELECT FROM event_chunks()) THEN
    IF EXISTS (SELECT FROM event_chunks_obstacles()) THEN
      RETURN false;
    END IF;
    PERFORM chunk_events();
  END IF;
  FOR part IN SELECT name FROM event_chunks() LOOP
    EXECUTE format('DROP TABLE %I', part);
  END LOOP;
  CREATE TABLE events_from_0 (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE);
  ALTER TABLE events_from_0 REPLICA IDENTITY FULL;
  EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_0 FOR VALUES FROM (MINVALUE) TO (%s)', last_id + 1);
  RETURN true;
END $$;

-- The release before asks for months each hour, and makes no chunks of its own accord.
ALTER FUNCTION make_event_partitions(date, date) RENAME TO make_event_months;

CREATE FUNCTION make_event_partitions(first_month date, last_month date) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM event_chunks()) THEN
    RETURN make_event_chunks();
  END IF;
  RETURN make_event_months(first_month, last_month);
END $$;

-- A link's owner loses its events with the link, and another gets them with it: what is counted for the statistics
-- then. The hot chunk is read from end to end for it: it is done for many links at once, and no longer for each.
DROP TRIGGER short_urls_deleted_stats ON short_urls;
DROP TRIGGER short_urls_updated_stats ON short_urls;
DROP FUNCTION stats_note_link();
DROP FUNCTION stats_note_owner(bigint, bigint, bigint);

CREATE FUNCTION stats_note_owners(link_ids bigint[], link_owners bigint[], sign bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[];
BEGIN
  FOR place IN 1 .. coalesce(cardinality(link_ids), 0) BY 1000 LOOP
    ids := link_ids[place : place + 999];
    INSERT INTO stats_queue
      (kind, is_less, url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
    SELECT 'owners', sign < 0, array_agg(url_id), array_agg(owner), array_agg(minute),
           array_agg(country), array_agg(referrer), array_agg(browser), array_agg(os), array_agg(device),
           array_agg(clicks), array_agg(previews)
    FROM (
      SELECT url_id, date_trunc('minute', "timestamp") AS minute, details::text AS details,
             sign * count(*) FILTER (WHERE event_type = 'click') AS clicks,
             sign * count(*) FILTER (WHERE event_type = 'preview') AS previews
      FROM events
      WHERE url_id = ANY (ids) AND event_type IN ('click', 'preview')
      GROUP BY url_id, date_trunc('minute', "timestamp"), details::text
    ) AS grouped
    JOIN unnest(ids, link_owners[place : place + 999]) AS link (id, owner) ON id = url_id
    LEFT JOIN LATERAL stats_facts(details) ON true
    HAVING count(*) > 0;
  END LOOP;
END $$;

CREATE FUNCTION stats_note_deleted_links() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF stats_are_noted() THEN
    PERFORM stats_note_owners(array_agg(id), array_agg(user_id), -1) FROM gone WHERE user_id IS NOT NULL;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_deleted_stats
  AFTER DELETE ON short_urls REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION stats_note_deleted_links();

-- Links that a statement gave another id or owner. A row is gone when its statement ends: nobody sees those of
-- others. A trigger with a list of columns has no table of the rows that changed, and one without would keep every
-- counter that an ingest adds to.
CREATE TABLE stats_moved_links (
  old_id    bigint NOT NULL,
  old_owner bigint,
  new_id    bigint NOT NULL,
  new_owner bigint
);

CREATE FUNCTION stats_keep_moved_link() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF stats_are_noted() THEN
    INSERT INTO stats_moved_links VALUES (OLD.id, OLD.user_id, NEW.id, NEW.user_id);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION stats_note_moved_links() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  old_ids bigint[];
  old_owners bigint[];
  new_ids bigint[];
  new_owners bigint[];
BEGIN
  WITH moved AS (DELETE FROM stats_moved_links RETURNING *)
  SELECT array_agg(old_id) FILTER (WHERE old_owner IS NOT NULL),
         array_agg(old_owner) FILTER (WHERE old_owner IS NOT NULL),
         array_agg(new_id), array_agg(new_owner)
  INTO old_ids, old_owners, new_ids, new_owners FROM moved;
  IF new_ids IS NULL THEN
    RETURN NULL;
  END IF;
  -- Who has noted an event on a link is waited for; who comes later waits, and sees the new owner.
  PERFORM FROM short_urls WHERE id = ANY (new_ids) ORDER BY id FOR UPDATE;
  PERFORM stats_note_owners(old_ids, old_owners, -1);
  PERFORM stats_note_owners(array_agg(id), array_agg(owner), 1)
  FROM unnest(new_ids, new_owners) AS moved (id, owner) WHERE owner IS NOT NULL;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_updated_stats
  AFTER UPDATE OF id, user_id ON short_urls FOR EACH ROW
  WHEN ((OLD.id, OLD.user_id) IS DISTINCT FROM (NEW.id, NEW.user_id)) EXECUTE FUNCTION stats_keep_moved_link();

CREATE TRIGGER short_urls_updated_stats_all
  AFTER UPDATE OF id, user_id ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION stats_note_moved_links();

-- A database without an event gets its chunks at once; in another a server puts the months into them later.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM event_chunks_obstacles()) AND (
    SELECT sum(pg_relation_size(relid)) = 0 FROM pg_partition_tree('events') WHERE isleaf
  ) THEN
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    PERFORM chunk_events();
  END IF;
END $$;
