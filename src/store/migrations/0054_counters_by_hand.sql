-- When clicks are changed by hand, in psql or by a program of an operator's, the counters of their links follow in the same
-- transaction. They are counted anew and not added to: rows may come with their counters, as from a dump of the data.
-- Servers and tools of this release and earlier ones count by themselves; the names of their connections begin with
-- 'switchyard'.

CREATE FUNCTION is_by_hand() RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT current_setting('application_name') NOT LIKE 'switchyard%'
$$;

-- As in 0017, but for the counters.
CREATE OR REPLACE FUNCTION stats_note_events() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  sign bigint := TG_ARGV[0];
  links bigint[];
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
  IF is_by_hand() THEN
    PERFORM FROM short_urls
    WHERE id IN (SELECT url_id FROM changed WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview'))
    ORDER BY id FOR NO KEY UPDATE;
    links := ARRAY(SELECT DISTINCT url_id FROM changed WHERE url_id IS NOT NULL AND event_type = 'click');
    -- By a statement of its own too: it sees what others committed before they let the rows go.
    UPDATE short_urls SET click_count = counted.clicks
    FROM (
      SELECT link_id, sum(clicks) AS clicks
      FROM (
        SELECT unnest(links) AS link_id, 0 AS clicks
        UNION ALL
        SELECT url_id, count(*) FROM events WHERE url_id = ANY (links) AND event_type = 'click' GROUP BY url_id
        UNION ALL
        SELECT url_id, sum(dropped_events.clicks) FROM dropped_events WHERE url_id = ANY (links) GROUP BY url_id
      ) AS parts
      GROUP BY link_id
    ) AS counted
    WHERE id = link_id AND click_count <> counted.clicks;
  ELSE
    PERFORM FROM short_urls
    WHERE id IN (SELECT url_id FROM changed WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview'))
    ORDER BY id FOR KEY SHARE;
  END IF;
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

-- As in 0039, but for the counters: without events, a link has the clicks that retention has removed.
CREATE OR REPLACE FUNCTION stats_note_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT stats_are_noted() THEN
    RETURN NULL;
  END IF;
  IF TG_ARGV[0] = 'no_owners' THEN
    UPDATE deleted_links SET owner_id = NULL;
  ELSIF is_by_hand() THEN
    UPDATE short_urls SET click_count = dropped.clicks
    FROM (
      SELECT id AS link_id, coalesce(sum(clicks), 0) AS clicks
      FROM short_urls LEFT JOIN dropped_events ON url_id = id
      WHERE click_count <> 0 GROUP BY id
    ) AS dropped
    WHERE id = link_id AND click_count <> dropped.clicks;
  END IF;
  INSERT INTO stats_queue (kind) VALUES (TG_ARGV[0]);
  RETURN NULL;
END $$;
