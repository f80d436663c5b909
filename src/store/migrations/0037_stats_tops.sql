-- The links with most clicks of a long time, without reading all links: what is over has, beside its rows, a list of the links
-- with most clicks, and days are folded further, into 4, 16, 64 and 256 days. The sums are made anew from the events after the
-- upgrade.

-- The release before reads stats_rollups and is_complete: its statistics are 503 as long as it runs beside this one, and its
-- sums fail at once instead of taking what waits.
DROP TABLE stats_rollups;

CREATE TABLE stats_slots (
  -- t: all clicks of a key. f: those with a fact. l: of one link, its id being the key.
  -- The key of t and f is a user, whose links they are of; 0 for all links; negative for one link with many clicks.
  kind      "char" NOT NULL,
  -- m: a minute. h: an hour, by its minutes; of t alone. q: a day, by its quarters of an hour. A click of t and f is in one of these.
  -- Q: a whole quarter of an hour, of l alone. While minutes are kept it is beside them; later a click of l is in Q or in q.
  -- H: a whole hour whose minutes are there. D: a whole day. 1, 2, 3, 4: 4, 16, 64 and 256 days, counted from 1970.
  -- These are made as soon as they are over, of f and l alone.
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
  clicks    bigint[] NOT NULL,
  -- Empty where there are none.
  previews  bigint[] NOT NULL
);

CREATE INDEX stats_slots_by_key ON stats_slots (kind, step, slot, first_key);
CREATE INDEX stats_slots_unfolded ON stats_slots (kind, step, slot) WHERE NOT is_folded;

-- Of each slot of l with folded rows: the links with most clicks in them, and how many they are.
CREATE TABLE stats_tops (
  step     "char" NOT NULL,
  slot     timestamp NOT NULL,
  -- Whether no other link is in the folded rows.
  is_all   boolean NOT NULL,
  keys     bigint[] NOT NULL,
  clicks   bigint[] NOT NULL,
  previews bigint[] NOT NULL,
  PRIMARY KEY (step, slot)
);

-- Links that are gone, and may still have clicks: their events are removed later.
CREATE TABLE stats_gone_links (
  url_id bigint PRIMARY KEY
);

CREATE FUNCTION stats_keep_gone_links() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO stats_gone_links SELECT id FROM short_urls ON CONFLICT DO NOTHING;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO stats_gone_links VALUES (OLD.id) ON CONFLICT DO NOTHING;
  ELSE
    INSERT INTO stats_gone_links SELECT id FROM gone ORDER BY id ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_deleted_gone
  AFTER DELETE ON short_urls REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION stats_keep_gone_links();
CREATE TRIGGER short_urls_updated_gone
  AFTER UPDATE OF id ON short_urls FOR EACH ROW
  WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION stats_keep_gone_links();
CREATE TRIGGER short_urls_truncated_gone
  BEFORE TRUNCATE ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION stats_keep_gone_links();

-- How far each kind is folded. What is before quarters_to is in q (l: or Q). What is later is in m, but of t before hours_to in h.
-- What is before days_to is in D besides, and from quarters_to up to hours_to in H. What is before parts_to is not only in m:
-- it is where hours_to is for t and f, and says of l how far Q are made. spans_to says the same of 1 to 4.
-- spans_to[n + 1] <= spans_to[n] <= days_to <= hours_to <= parts_to, and quarters_to <= days_to.
ALTER TABLE stats_folds
  ADD COLUMN parts_to timestamp NOT NULL DEFAULT '-infinity',
  ADD COLUMN spans_to timestamp[] NOT NULL DEFAULT '{}';

DROP FUNCTION stats_begin_folds();
CREATE FUNCTION stats_begin_folds(utc timestamp DEFAULT now() AT TIME ZONE 'utc') RETURNS void
LANGUAGE sql AS $$
  DELETE FROM stats_folds;
  INSERT INTO stats_folds (kind, parts_to, hours_to, quarters_to, days_to, spans_to)
  SELECT kind, date_trunc('hour', utc), date_trunc('hour', utc), date_trunc('hour', utc - interval '25 hours'),
         date_trunc('day', utc),
         (SELECT array_agg(date_bin(n * interval '1 day', utc, timestamp 'epoch') ORDER BY n)
          FROM unnest('{4,16,64,256}'::integer[]) AS n)
  FROM unnest('{t,f,l}'::"char"[]) AS kind
$$;

SELECT stats_begin_folds();
DELETE FROM stats_day_facts;

-- Whether the sums hold all events; set it to false and they are made anew.
ALTER TABLE stats_state ADD COLUMN is_whole boolean NOT NULL DEFAULT false;

UPDATE stats_state
SET is_complete = false, next_url = NULL, next_quarter = NULL,
    is_whole = NOT EXISTS (SELECT FROM events WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview'))
               AND NOT EXISTS (SELECT FROM dropped_events)
               AND NOT EXISTS (SELECT FROM stats_queue) AND NOT EXISTS (SELECT FROM stats_batches);

-- Other migrations' functions, and operators, say so by is_complete, which stays false for the release before.
CREATE FUNCTION stats_state_is_old() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.is_whole := NEW.is_whole AND NEW.is_complete;
  NEW.is_complete := false;
  RETURN NEW;
END $$;

CREATE TRIGGER stats_state_completed BEFORE UPDATE OF is_complete ON stats_state
  FOR EACH ROW EXECUTE FUNCTION stats_state_is_old();
