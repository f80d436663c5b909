-- What clicks and previews were, whose events EVENTS_RETENTION_DAYS has removed. They belong to their link for good:
-- its counter and its statistics go on counting them, and they go with it. A piece's events go, and its rows come, in
-- one transaction: in every snapshot an event is in one of the two tables.

-- One row for what a piece removed of a link, a quarter of an hour and the same facts; there may be several alike.
CREATE TABLE dropped_events (
  url_id   bigint NOT NULL,
  slot     timestamp NOT NULL,
  clicks   integer NOT NULL,
  previews integer NOT NULL,
  country  text,
  referrer text,
  browser  text,
  os       text,
  device   text
);

CREATE INDEX dropped_events_by_url ON dropped_events (url_id, slot);

-- Writes to the statistics' queue what links had of dropped events: sign is -1 where they are taken off.
CREATE FUNCTION stats_note_dropped(kind text, link_ids bigint[], link_owners bigint[], sign bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO stats_queue
    (kind, is_less, url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
  SELECT kind, sign < 0, array_agg(url_id), array_agg(owner), array_agg(slot),
         array_agg(country), array_agg(referrer), array_agg(browser), array_agg(os), array_agg(device),
         array_agg(sign * clicks), array_agg(sign * previews)
  FROM unnest(link_ids, link_owners) AS link (id, owner) JOIN dropped_events ON url_id = id
  HAVING count(*) > 0
$$;

-- Links that are deleted take their dropped events with them. Whoever drops events of a link holds a lock on it.
-- (0017 makes stats_are_noted.)
CREATE FUNCTION short_urls_forget_dropped() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    -- The sums are made anew where something was lost to them.
    IF stats_are_noted() AND EXISTS (SELECT FROM dropped_events) THEN
      TRUNCATE dropped_events;
      UPDATE stats_state SET is_built = false;
    END IF;
    RETURN NULL;
  END IF;
  IF NOT EXISTS (SELECT FROM gone JOIN dropped_events ON url_id = gone.id) THEN
    RETURN NULL;
  END IF;
  IF stats_are_noted() THEN
    PERFORM stats_note_dropped('events', array_agg(id), array_agg(user_id), -1) FROM gone;
  END IF;
  DELETE FROM dropped_events WHERE url_id IN (SELECT id FROM gone);
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_deleted_dropped
  AFTER DELETE ON short_urls REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION short_urls_forget_dropped();

CREATE TRIGGER short_urls_truncated_dropped
  AFTER TRUNCATE ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION short_urls_forget_dropped();

-- A link that is given to another owner takes its dropped events along.
CREATE FUNCTION short_urls_give_dropped() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT stats_are_noted() THEN
    RETURN NULL;
  END IF;
  -- Who drops events of the link now is waited for.
  PERFORM FROM short_urls WHERE id = NEW.id FOR UPDATE;
  IF OLD.user_id IS NOT NULL THEN
    PERFORM stats_note_dropped('owners', ARRAY[OLD.id], ARRAY[OLD.user_id], -1);
  END IF;
  IF NEW.user_id IS NOT NULL THEN
    PERFORM stats_note_dropped('owners', ARRAY[NEW.id], ARRAY[NEW.user_id], 1);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_updated_dropped
  AFTER UPDATE OF id, user_id ON short_urls FOR EACH ROW
  WHEN ((OLD.id, OLD.user_id) IS DISTINCT FROM (NEW.id, NEW.user_id)) EXECUTE FUNCTION short_urls_give_dropped();
