-- New chunks give their rows ids themselves, so that clicks can be copied to a chunk and not through the whole table.

-- As before, but for the default.
CREATE OR REPLACE FUNCTION make_event_chunk(chunk text, first_id bigint, end_id bigint, is_indexed boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE)', chunk);
  EXECUTE format('ALTER TABLE %I ALTER id SET DEFAULT nextval(''events_id_seq'')', chunk);
  -- Without a primary key, publications of deletes ask for it; it costs nothing where there are none.
  EXECUTE format('ALTER TABLE %I REPLICA IDENTITY FULL', chunk);
  IF is_indexed THEN
    PERFORM index_event_chunk(chunk);
  END IF;
  EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                 chunk, coalesce(first_id::text, 'MINVALUE'), end_id);
END $$;

-- Chunks that were made ahead, and have no row yet. Whoever reads all events holds a lock on each: what can't be had at once
-- stays as it is, and clicks go through the whole table until it is full.
DO $$
DECLARE
  wait CONSTANT text := current_setting('lock_timeout');
  chunk text;
BEGIN
  PERFORM set_config('lock_timeout', '50ms', true);
  FOR chunk IN
    SELECT name FROM event_chunks(), events_id_seq
    WHERE end_id > last_value AND (first_id > last_value OR NOT is_called) ORDER BY first_id
  LOOP
    EXECUTE format('ALTER TABLE %I ALTER id SET DEFAULT nextval(''events_id_seq'')', chunk);
  END LOOP;
  PERFORM set_config('lock_timeout', wait, true);
EXCEPTION WHEN lock_not_available THEN
  NULL;
END $$;
