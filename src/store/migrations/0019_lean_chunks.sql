-- A sealed chunk costs less, and lists read few of them.

-- Ids of a chunk whose rows of one link or one user are few enough to be sorted when they are read.
CREATE FUNCTION event_chunk_is_small(first_id bigint, end_id bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN end_id::numeric - greatest(first_id, 1) <= 262144;

-- An index of one column is built for a third of what one of three costs. Of equal times few are alike, and ids put them
-- in order when they are read; so they do with the rows of one link or user in a small chunk.
CREATE FUNCTION event_chunk_indexes(chunk text, is_small boolean, OUT name text, OUT statement text)
RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $$
  SELECT chunk || suffix, format('CREATE INDEX IF NOT EXISTS %I ON %I %s', chunk || suffix, chunk, definition)
  FROM (VALUES
    ('_newest', '("timestamp")'),
    ('_by_url', CASE WHEN is_small THEN '(url_id)' ELSE '(url_id, "timestamp" DESC, id DESC)' END
                || ' WHERE url_id IS NOT NULL'),
    ('_by_user', CASE WHEN is_small THEN '(user_id)' ELSE '(user_id, "timestamp" DESC, id DESC)' END
                 || ' WHERE user_id IS NOT NULL'),
    ('_by_rare_type', '(event_type, "timestamp" DESC, id DESC) WHERE event_type <> ''click'''),
    ('_by_id', 'USING brin (id) WITH (pages_per_range = 8)')
  ) AS wanted (suffix, definition)
$$;

-- As before, but for the indexes: by their names alone, so that a chunk of before is sealed too.
CREATE OR REPLACE FUNCTION event_chunks(OUT name text, OUT first_id bigint, OUT end_id bigint, OUT is_sealed boolean)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT chunk.relname::text,
         coalesce(substring(bounds FROM $re$FROM \('?(-?\d+)$re$)::bigint, -9223372036854775808),
         coalesce(substring(bounds FROM $re$TO \('?(-?\d+)$re$)::bigint, 9223372036854775807),
         chunk.relkind = 'p' OR NOT EXISTS (
           SELECT FROM event_chunk_indexes(chunk.relname, false) AS wanted
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

-- A chunk that is not attached yet is one that has its indexes from the start, and large.
CREATE OR REPLACE FUNCTION event_chunk_indexes(chunk text, OUT name text, OUT statement text) RETURNS SETOF record
LANGUAGE sql STABLE AS $$
  SELECT wanted.* FROM event_chunk_indexes(chunk, coalesce(
    (SELECT event_chunk_is_small(first_id, end_id) FROM event_chunks() AS there WHERE there.name = chunk), false)) AS wanted
$$;
