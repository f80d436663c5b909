-- By which way clicks come into this database: from the journals of servers, or from Kafka by `switchyard consume`.
-- NULL as long as nobody has used it: the first one decides. A database with links was used by servers.
ALTER TABLE switchyard_database
  ADD COLUMN click_ingest text CHECK (click_ingest IN ('server', 'consume'));

UPDATE switchyard_database SET click_ingest = 'server' WHERE EXISTS (SELECT FROM short_urls);

-- The topics that clicks come from. One that is made anew has another id, and its offsets begin anew too.
CREATE TABLE click_streams (
  topic      text PRIMARY KEY,
  cluster_id text NOT NULL,
  topic_id   text NOT NULL,
  noted_at   timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);

-- How many clicks of a server's journal have come from Kafka, by partition: a server tells by it how many of its clicks
-- are under way.
CREATE TABLE consumed_clicks (
  journal_id   uuid,
  partition    integer,
  clicks       bigint NOT NULL,
  consumed_at  timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
  PRIMARY KEY (journal_id, partition)
) WITH (fillfactor = 50);

-- Refuses whoever ingests into a database of `consume` and is not `switchyard consume`: a server of an earlier
-- release does not know that there are two ways.
CREATE FUNCTION journal_checkpoints_refuse_servers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('switchyard.ingest', true) IS DISTINCT FROM 'consume' THEN
    RAISE EXCEPTION 'the database gets its clicks from Kafka (CLICK_INGEST=consume), not from the journals of servers';
  END IF;
  RETURN NEW;
END $$;

-- Records the way. The trigger exists in databases of `consume` alone: others pay nothing for it.
CREATE FUNCTION set_click_ingest(way text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  is_refused boolean := EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'journal_checkpoints'::regclass AND tgname = 'journal_checkpoints_refuse_servers');
BEGIN
  UPDATE switchyard_database SET click_ingest = way WHERE click_ingest IS DISTINCT FROM way;
  IF way = 'consume' AND NOT is_refused THEN
    CREATE TRIGGER journal_checkpoints_refuse_servers BEFORE INSERT OR UPDATE ON journal_checkpoints
    FOR EACH ROW EXECUTE FUNCTION journal_checkpoints_refuse_servers();
  ELSIF way <> 'consume' AND is_refused THEN
    DROP TRIGGER journal_checkpoints_refuse_servers ON journal_checkpoints;
  END IF;
END $$;
