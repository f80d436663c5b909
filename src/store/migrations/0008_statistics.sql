-- Statistics: sums of clicks and previews, kept equal to the events by a queue of differences. Whoever changes
-- which clicks or previews of links there are writes the difference to the queue, in the same transaction; a job
-- takes rows from the queue and adds them to the sums, in one transaction too. Nothing here is a position over
-- ids or times, for neither commits in order.

-- A row is what one statement changed: arrays of the same length, a place each for what has the same link, owner,
-- minute and facts.
CREATE TABLE stats_queue (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  noted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- events: differences of all links, and of the owner where there is one; owners: of the owner alone;
  -- no_events and no_owners: what was summed before is void.
  kind      text NOT NULL CHECK (kind IN ('events', 'owners', 'no_events', 'no_owners')),
  -- Whether it takes off.
  is_less   boolean NOT NULL DEFAULT false,
  url_ids   bigint[] NOT NULL DEFAULT '{}',
  owners    bigint[] NOT NULL DEFAULT '{}',
  minutes   timestamp[] NOT NULL DEFAULT '{}',
  countries text[] NOT NULL DEFAULT '{}',
  referrers text[] NOT NULL DEFAULT '{}',
  browsers  text[] NOT NULL DEFAULT '{}',
  systems   text[] NOT NULL DEFAULT '{}',
  devices   text[] NOT NULL DEFAULT '{}',
  clicks    bigint[] NOT NULL DEFAULT '{}',
  previews  bigint[] NOT NULL DEFAULT '{}'
);

-- Rows live for a second: to compress them costs more than it saves.
ALTER TABLE stats_queue
  ALTER url_ids SET STORAGE EXTERNAL, ALTER owners SET STORAGE EXTERNAL, ALTER minutes SET STORAGE EXTERNAL,
  ALTER countries SET STORAGE EXTERNAL, ALTER referrers SET STORAGE EXTERNAL, ALTER browsers SET STORAGE EXTERNAL,
  ALTER systems SET STORAGE EXTERNAL, ALTER devices SET STORAGE EXTERNAL, ALTER clicks SET STORAGE EXTERNAL,
  ALTER previews SET STORAGE EXTERNAL;

CREATE TABLE stats_sums (
  -- The user whose links they are of; 0 for all links.
  owner    bigint NOT NULL,
  -- t: all clicks; l: of one link, its id as value; else by a fact: c country, r referrer, b browser, o os, d device.
  field    "char" NOT NULL,
  -- m: a minute, kept for a day and an hour; q: a quarter of an hour; d: a day of UTC. What is in a minute of one
  -- link is in no quarter yet, and links have no days.
  step     "char" NOT NULL,
  slot     timestamp NOT NULL,
  -- Null where it is unknown.
  value    text COLLATE "C",
  clicks   bigint NOT NULL,
  previews bigint NOT NULL,
  UNIQUE NULLS NOT DISTINCT (owner, field, step, slot, value)
) WITH (fillfactor = 80);

-- Minutes that are too old are found by it.
CREATE INDEX stats_sums_minutes ON stats_sums (slot) WHERE step = 'm';

CREATE TABLE stats_state (
  is_only   boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  -- Whether the sums hold all events. Set it to false and they are made anew.
  is_built  boolean NOT NULL,
  -- Whatever was committed before is in the sums, or was so at the last time that the queue was not empty.
  as_of     timestamptz NOT NULL DEFAULT now(),
  -- Whether a sum may have become zero, and can go.
  has_zeros boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Text that is valid JSON and that PostgreSQL can't hold, as an escaped NUL, is no fact.
CREATE FUNCTION stats_odd_fact(details json, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN details ->> name;
EXCEPTION
  WHEN untranslatable_character OR invalid_text_representation THEN RETURN NULL;
END $$;

-- A member of an event's details. It goes into an index: of a longer one the beginning counts.
CREATE FUNCTION stats_fact(details json, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(CASE WHEN strpos(details::text, '\u') = 0 THEN details ->> name
                 ELSE stats_odd_fact(details, name) END, 255);

-- All facts of an event's details, which are parsed once for them.
CREATE FUNCTION stats_facts(details text, OUT country text, OUT referrer text, OUT browser text, OUT os text,
                            OUT device text)
RETURNS SETOF record LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT left(facts.country, 255), left(facts.referrer, 255), left(facts.browser, 255), left(facts.os, 255),
         left(facts.device, 255)
  FROM json_to_record(CASE WHEN strpos(details, '\u') = 0 AND left(ltrim(details, E' \t\n\r'), 1) = '{'
                           THEN details::json END)
    AS facts (country text, referrer text, browser text, os text, device text)
  WHERE strpos(details, '\u') = 0
  UNION ALL
  SELECT stats_fact(details::json, 'country'), stats_fact(details::json, 'referrer'),
         stats_fact(details::json, 'browser'), stats_fact(details::json, 'os'), stats_fact(details::json, 'device')
  WHERE strpos(details, '\u') > 0
$$;

-- Notes what a statement changed; the argument is 1 for rows that are there now, -1 for rows that were. Rows alike
-- but for their time are grouped by the text of their details first: to parse it costs more than all else.
-- A link's owner is read under a lock: who gives a link to another owner, or deletes it, waits until the difference
-- is committed.
CREATE FUNCTION stats_note_events() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  sign bigint := TG_ARGV[0];
BEGIN
  IF current_setting('switchyard.unsummed', true) = 'on' THEN
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

CREATE FUNCTION stats_note_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('switchyard.unsummed', true) IS DISTINCT FROM 'on' THEN
    INSERT INTO stats_queue (kind) VALUES (TG_ARGV[0]);
  END IF;
  RETURN NULL;
END $$;

-- What a link's owner loses with the link, or with its id, and what the next one gets. Ours delete a link's
-- events first: then there is nothing left to count.
CREATE FUNCTION stats_note_owner(link_id bigint, owner bigint, sign bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO stats_queue
    (kind, is_less, url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
  SELECT 'owners', sign < 0, array_agg(link_id), array_agg(owner), array_agg(minute),
         array_agg(country), array_agg(referrer), array_agg(browser), array_agg(os), array_agg(device),
         array_agg(clicks), array_agg(previews)
  FROM (
    SELECT date_trunc('minute', "timestamp") AS minute, details::text AS details,
           sign * count(*) FILTER (WHERE event_type = 'click') AS clicks,
           sign * count(*) FILTER (WHERE event_type = 'preview') AS previews
    FROM events
    WHERE url_id = link_id AND event_type IN ('click', 'preview')
    GROUP BY date_trunc('minute', "timestamp"), details::text
  ) AS grouped
  LEFT JOIN LATERAL stats_facts(details) ON true
  HAVING count(*) > 0;
$$;

CREATE FUNCTION stats_note_link() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('switchyard.unsummed', true) = 'on' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    -- Who has noted an event on the link is waited for; who comes later waits, and sees the new owner.
    PERFORM FROM short_urls WHERE id = NEW.id FOR UPDATE;
  END IF;
  IF OLD.user_id IS NOT NULL THEN
    PERFORM stats_note_owner(OLD.id, OLD.user_id, -1);
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.user_id IS NOT NULL THEN
    PERFORM stats_note_owner(NEW.id, NEW.user_id, 1);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER events_inserted_stats
  AFTER INSERT ON events REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION stats_note_events('1');

CREATE TRIGGER events_deleted_stats
  AFTER DELETE ON events REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION stats_note_events('-1');

CREATE TRIGGER events_updated_stats_1
  AFTER UPDATE ON events REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION stats_note_events('-1');

CREATE TRIGGER events_updated_stats_2
  AFTER UPDATE ON events REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION stats_note_events('1');

CREATE TRIGGER events_truncated_stats
  AFTER TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION stats_note_truncate('no_events');

CREATE TRIGGER short_urls_deleted_stats
  AFTER DELETE ON short_urls FOR EACH ROW WHEN (OLD.user_id IS NOT NULL) EXECUTE FUNCTION stats_note_link();

CREATE TRIGGER short_urls_updated_stats
  AFTER UPDATE OF id, user_id ON short_urls FOR EACH ROW
  WHEN ((OLD.id, OLD.user_id) IS DISTINCT FROM (NEW.id, NEW.user_id)) EXECUTE FUNCTION stats_note_link();

CREATE TRIGGER short_urls_truncated_stats
  AFTER TRUNCATE ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION stats_note_truncate('no_owners');

-- No event from before this migration has a row in the queue: nobody else writes events while it runs.
INSERT INTO stats_state (is_built) SELECT NOT EXISTS (SELECT FROM events WHERE event_type IN ('click', 'preview'));
