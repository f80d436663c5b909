-- Between which times the events of a chunk lie that gets no new ids, so that a list of the newest need not look into
-- each. No event of the chunk is outside: who adds one widens them. A delete leaves them as they are.
CREATE TABLE event_chunk_times (
  first_id   bigint PRIMARY KEY,
  end_id     bigint NOT NULL,
  -- About so many it had when this was noted.
  amount     bigint NOT NULL,
  -- NULL: it has no event.
  first_time timestamp(3),
  last_time  timestamp(3)
);

-- On chunks that are noted. A click gets an id of another one: it costs whoever adds an event by hand.
CREATE FUNCTION widen_event_chunk_times() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE event_chunk_times
  SET first_time = least(first_time, NEW."timestamp"), last_time = greatest(last_time, NEW."timestamp")
  WHERE first_id = TG_ARGV[0]::bigint AND (NEW."timestamp" BETWEEN first_time AND last_time) IS NOT TRUE;
  RETURN NULL;
END $$;

-- Notes a chunk's times. The trigger's lock keeps writers out until they are noted, and waits for those before.
CREATE FUNCTION note_event_chunk_times(chunk text, chunk_first_id bigint, chunk_end_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER event_chunk_times AFTER INSERT OR UPDATE ON %I
                  FOR EACH ROW EXECUTE FUNCTION widen_event_chunk_times(%L)', chunk, chunk_first_id);
  EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER event_chunk_times', chunk);
  EXECUTE format(
    'INSERT INTO event_chunk_times (first_id, end_id, amount, first_time, last_time)
     SELECT $1, $2, (SELECT coalesce(sum(greatest(reltuples, 0)), 0)
                     FROM pg_partition_tree(%L) JOIN pg_class ON oid = relid WHERE isleaf),
            min("timestamp"), max("timestamp")
     FROM %I
     ON CONFLICT (first_id) DO UPDATE
     SET end_id = excluded.end_id, amount = excluded.amount,
         first_time = excluded.first_time, last_time = excluded.last_time',
    format('%I', chunk), chunk) USING chunk_first_id, chunk_end_id;
END $$;

-- As before, and of the chunks that go nothing is known any more.
CREATE OR REPLACE FUNCTION restart_event_chunks(last_id bigint) RETURNS boolean
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
  DELETE FROM event_chunk_times;
  CREATE TABLE events_from_0 (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE);
  ALTER TABLE events_from_0 REPLICA IDENTITY FULL;
  EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_0 FOR VALUES FROM (MINVALUE) TO (%s)', last_id + 1);
  RETURN true;
END $$;
