-- The ingest writes the differences of its clicks itself. It has their facts in memory, where the trigger on events
-- would parse them out of each event's details. Whatever else changes events is noted by the triggers, as before.

-- `SET LOCAL switchyard.differences = 'none'` says that the rest of a transaction notes its differences itself, or
-- changes events that are no differences: the ingest, a restore, clicks that only grew too old. It is asked here, once
-- a statement, and nowhere else. (A restore by the previous release says switchyard.unsummed.)
CREATE FUNCTION stats_are_noted() RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT current_setting('switchyard.differences', true) IS DISTINCT FROM 'none'
     AND current_setting('switchyard.unsummed', true) IS DISTINCT FROM 'on'
$$;

-- Clicks and previews of one minute that an ingest has written in one transaction. Rows have their ids from the same
-- sequence as those of stats_queue, and are added together with them. The previous release, as long as it runs
-- beside this one, leaves them alone.
CREATE TABLE stats_batches (
  id        bigint PRIMARY KEY DEFAULT nextval('stats_queue_id_seq'),
  noted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Clicks and previews together.
  amount    integer NOT NULL,
  minute    timestamp NOT NULL,
  -- A place each for what has the same link and facts. A fact is a place, from 1 on, in the arrays below; 0 is none.
  url_ids   bigint[] NOT NULL,
  owners    bigint[] NOT NULL,
  facts     integer[] NOT NULL,
  clicks    integer[] NOT NULL,
  previews  integer[] NOT NULL,
  countries text[] NOT NULL,
  referrers text[] NOT NULL,
  browsers  text[] NOT NULL,
  systems   text[] NOT NULL,
  devices   text[] NOT NULL
);

-- Rows live for seconds: to compress them costs more than it saves.
ALTER TABLE stats_batches
  ALTER url_ids SET STORAGE EXTERNAL, ALTER owners SET STORAGE EXTERNAL, ALTER facts SET STORAGE EXTERNAL,
  ALTER clicks SET STORAGE EXTERNAL, ALTER previews SET STORAGE EXTERNAL, ALTER countries SET STORAGE EXTERNAL,
  ALTER referrers SET STORAGE EXTERNAL, ALTER browsers SET STORAGE EXTERNAL, ALTER systems SET STORAGE EXTERNAL,
  ALTER devices SET STORAGE EXTERNAL;

CREATE OR REPLACE FUNCTION stats_note_events() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  sign bigint := TG_ARGV[0];
BEGIN
  IF NOT stats_are_noted() THEN
    RETURN NULL;
  END IF;
  -- Most statements on events but an ingest's are about the other kinds.
  IF NOT EXISTS (SELECT FROM changed WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview')) THEN
    RETURN NULL;
  END IF;
  -- The owner is read after the lock is there, by a statement of its own: one that locks reads the row as it was when
  -- it began, and may have waited for somebody who gave the link away.
  PERFORM FROM short_urls
  WHERE id IN (SELECT url_id FROM changed WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview'))
  ORDER BY id FOR KEY SHARE;
  INSERT INTO stats_queue
    (kind, is_less, url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
  SELECT 'events', sign < 0, array_agg(url_id), array_agg(owner), array_agg(minute),
         array_agg(country), array_agg(referrer), array_agg(browser), array_agg(os), array_agg(device),
         array_agg(clicks), array_agg(previews)
  FROM (
    SELECT url_id, date_trunc('minute', "timestamp") AS minute, details::text AS details,
           sign * count(*) FILTER (WHERE event_type = 'click') AS clicks,
           sign * count(*) FILTER (WHERE event_type = 'preview') AS previews
    FROM changed
    WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview')
    GROUP BY url_id, date_trunc('minute', "timestamp"), details::text
  ) AS grouped
  LEFT JOIN (SELECT id, user_id AS owner FROM short_urls) AS link ON id = url_id
  LEFT JOIN LATERAL stats_facts(details) ON true;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION stats_note_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF stats_are_noted() THEN
    INSERT INTO stats_queue (kind) VALUES (TG_ARGV[0]);
  END IF;
  RETURN NULL;
END $$;
