-- The release before this one makes no chunks of events. It asks for months each hour and at its start, and nobody else
-- does so where events are in chunks: it gets a chunk for that hour and more, with its indexes from the start.
CREATE OR REPLACE FUNCTION make_event_partitions(first_month date, last_month date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  reserve CONSTANT bigint := 67108864;
  next_id bigint;
  chunk text;
BEGIN
  IF NOT EXISTS (SELECT FROM event_chunks()) THEN
    RETURN make_event_months(first_month, last_month);
  END IF;
  -- As where chunks are made ahead.
  PERFORM pg_advisory_xact_lock(1398210565);
  SELECT max(end_id) INTO next_id FROM event_chunks();
  IF next_id > (SELECT last_value + reserve / 2 FROM events_id_seq) THEN
    RETURN 0;
  END IF;
  chunk := 'events_from_' || next_id;
  EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE)', chunk);
  EXECUTE format('ALTER TABLE %I REPLICA IDENTITY FULL', chunk);
  PERFORM index_event_chunk(chunk);
  EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                 chunk, next_id, next_id + reserve);
  RETURN 1;
END $$;
