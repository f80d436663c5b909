-- Links with many clicks that were deleted, and whose events are still being removed. They are deleted in the transaction
-- that puts their row here; whoever reads events leaves theirs out from then on, and a server removes them in pieces.
CREATE TABLE deleted_links (
  link_id    bigint PRIMARY KEY,
  -- Whose statistics the clicks are subtracted from.
  owner_id   bigint,
  -- No event of the link has a higher id. Those of another link that is given the id by hand do.
  last_event bigint NOT NULL,
  -- Events with lower ids are removed.
  next_event bigint NOT NULL DEFAULT -9223372036854775808,
  deleted_at timestamptz NOT NULL DEFAULT now()
);

-- As in 0015, but the clicks of links that this transaction puts into deleted_links are subtracted piece by piece.
CREATE OR REPLACE FUNCTION stats_note_deleted_links() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF stats_are_noted() THEN
    PERFORM stats_note_owners(array_agg(id), array_agg(user_id), -1) FROM gone
    WHERE user_id IS NOT NULL AND NOT EXISTS (SELECT FROM deleted_links WHERE link_id = id AND deleted_at = now());
  END IF;
  RETURN NULL;
END $$;

-- As in 0025, and the same is so for what retention has dropped of them.
CREATE OR REPLACE FUNCTION short_urls_forget_dropped() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[];
  owners bigint[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    -- The sums are made anew where something was lost to them.
    IF stats_are_noted() AND EXISTS (SELECT FROM dropped_events) THEN
      TRUNCATE dropped_events;
      UPDATE stats_state SET is_complete = false, next_url = NULL;
    END IF;
    RETURN NULL;
  END IF;
  SELECT array_agg(id), array_agg(user_id) INTO ids, owners FROM gone
  WHERE NOT EXISTS (SELECT FROM deleted_links WHERE link_id = id AND deleted_at = now())
    AND EXISTS (SELECT FROM dropped_events WHERE url_id = id);
  IF ids IS NULL THEN
    RETURN NULL;
  END IF;
  IF stats_are_noted() THEN
    PERFORM stats_note_dropped('events', ids, owners, -1);
  END IF;
  DELETE FROM dropped_events WHERE url_id = ANY (ids);
  RETURN NULL;
END $$;

-- As in 0017. Without links the sums of owners are void, and there is nothing left to subtract from.
CREATE OR REPLACE FUNCTION stats_note_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF stats_are_noted() THEN
    IF TG_ARGV[0] = 'no_owners' THEN
      UPDATE deleted_links SET owner_id = NULL;
    END IF;
    INSERT INTO stats_queue (kind) VALUES (TG_ARGV[0]);
  END IF;
  RETURN NULL;
END $$;
