-- The statistics' sums as rows of arrays: one for what a step added to a minute, an hour or a day, where there was one for
-- each value of a fact, owner and slot. Nothing is looked up or updated to add to them; what is over is folded into fewer
-- rows once. They are built from the events after the upgrade.

CREATE TABLE stats_rollups (
  -- t: all clicks of a key. f: those with a fact. l: of one link, its id being the key.
  -- The key of t and f is a user, whose links they are of; 0 for all links; negative for one link with many clicks.
  kind      "char" NOT NULL,
  -- m: a minute. h: an hour, by its minutes; of t alone. q: a day, by its quarters of an hour. A click is in one of these.
  -- H: a whole hour whose minutes are there; D: a whole day. They are made as soon as it is over, of f and l alone.
  step      "char" NOT NULL,
  slot      timestamp NOT NULL,
  first_key bigint NOT NULL,
  last_key  bigint NOT NULL,
  -- Places in the arrays.
  amount    integer NOT NULL,
  -- Whether it came from a fold: of one slot such rows overlap in no key.
  is_folded boolean NOT NULL,
  keys      bigint[] NOT NULL,
  -- Of the minute in the hour, or the quarter in the day; empty where the slot says it.
  offsets   smallint[] NOT NULL,
  -- A letter for the field (c country, r referrer, b browser, o os, d device), then the value; the capital letter alone
  -- for values beyond the first 1,000 of a day. Empty where there are none.
  facts     text[] COLLATE "C" NOT NULL,
  clicks    integer[] NOT NULL,
  -- Empty where there are none.
  previews  integer[] NOT NULL
);

CREATE INDEX stats_rollups_slots ON stats_rollups (kind, step, slot, first_key);
CREATE INDEX stats_rollups_unfolded ON stats_rollups (kind, step, slot) WHERE NOT is_folded;

-- Facts that a key has had on a day that is not folded yet. Those of other days are in its rows of step D.
CREATE TABLE stats_day_facts (
  key   bigint NOT NULL,
  day   timestamp NOT NULL,
  facts text[] COLLATE "C" NOT NULL,
  PRIMARY KEY (key, day)
) WITH (fillfactor = 50);

-- How far each kind is folded. What is before quarters_to is in q. What is later is in m, but of t before hours_to in h.
-- What is before days_to is in D besides, and from quarters_to up to hours_to in H. quarters_to is never after days_to, nor days_to after hours_to.
CREATE TABLE stats_folds (
  kind        "char" PRIMARY KEY,
  hours_to    timestamp NOT NULL,
  quarters_to timestamp NOT NULL,
  days_to     timestamp NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION stats_begin_folds() RETURNS void
LANGUAGE sql AS $$
  DELETE FROM stats_folds;
  INSERT INTO stats_folds (kind, hours_to, quarters_to, days_to)
  SELECT kind, date_trunc('hour', utc), date_trunc('hour', utc - interval '25 hours'), date_trunc('day', utc)
  FROM unnest('{t,f,l}'::"char"[]) AS kind, (SELECT now() AT TIME ZONE 'utc' AS utc) AS clock
$$;

SELECT stats_begin_folds();

-- The release before would take what waits, and add it to sums that nobody reads any more. Its statistics are 503 as long as
-- it runs beside this one, and to make its sums anew fails at once.
CREATE FUNCTION stats_are_kept_elsewhere() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'statistics are kept by a newer release';
END $$;

CREATE TRIGGER stats_sums_inserted BEFORE INSERT ON stats_sums
  FOR EACH ROW EXECUTE FUNCTION stats_are_kept_elsewhere();
CREATE TRIGGER stats_sums_deleted BEFORE DELETE ON stats_sums
  FOR EACH STATEMENT EXECUTE FUNCTION stats_are_kept_elsewhere();
TRUNCATE stats_sums, stats_links;

-- Whether the rollups hold all events; set it to false and they are made anew. Until then those of links before next_url
-- are in, and of next_url itself those from next_quarter on; there is no next_url before the first piece.
ALTER TABLE stats_state
  ADD COLUMN is_complete boolean NOT NULL DEFAULT false,
  ADD COLUMN next_url bigint,
  ADD COLUMN next_quarter timestamp;

UPDATE stats_state
SET is_built = false,
    is_complete = NOT EXISTS (SELECT FROM events WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview'))
                  AND NOT EXISTS (SELECT FROM dropped_events)
                  AND NOT EXISTS (SELECT FROM stats_queue) AND NOT EXISTS (SELECT FROM stats_batches);

-- As in 0011, and the rollups are made anew.
CREATE OR REPLACE FUNCTION short_urls_forget_dropped() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    -- The sums are made anew where something was lost to them.
    IF stats_are_noted() AND EXISTS (SELECT FROM dropped_events) THEN
      TRUNCATE dropped_events;
      UPDATE stats_state SET is_complete = false, next_url = NULL;
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
