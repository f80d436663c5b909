-- The order of links by their clicks. An index that names click_count would end HOT updates of short_urls, so a
-- narrow copy is ordered instead. It is renewed when somebody asks for the order, else every few minutes.

CREATE TABLE link_clicks (
  link_id bigint PRIMARY KEY,
  clicks  bigint NOT NULL
);

CREATE INDEX link_clicks_order ON link_clicks (clicks, link_id);

-- Links whose counter changed or which are gone since the copy was renewed. It has no index and its arrays are
-- not compressed: an ingest adds one row a batch, for next to nothing.
CREATE TABLE link_click_changes (
  noted_at timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
  amount   integer NOT NULL,
  -- NULL: any link may have changed.
  link_ids bigint[]
);

ALTER TABLE link_click_changes ALTER COLUMN link_ids SET STORAGE EXTERNAL;

-- How far the copy is: links from next_id on are still to be compared, none where it is NULL.
CREATE TABLE link_click_order (
  is_only    boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  is_built   boolean NOT NULL,
  next_id    bigint,
  renewed_at timestamp(3) NOT NULL DEFAULT '-infinity'
);

-- Links that are there already are copied later, piece by piece, while the server serves.
INSERT INTO link_click_order (is_built, next_id)
SELECT NOT is_any, CASE WHEN is_any THEN -9223372036854775808 END
FROM (SELECT EXISTS (SELECT FROM short_urls) AS is_any) AS links;

-- Notes links whose counters this transaction changes, once for all of them: the trigger below says nothing more.
CREATE FUNCTION note_link_clicks(ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  FOR part IN 1 .. cardinality(ids) BY 10000 LOOP
    INSERT INTO link_click_changes (amount, link_ids)
      VALUES (least(10000, cardinality(ids) - part + 1), ids[part : part + 9999]);
  END LOOP;
  PERFORM set_config('switchyard.noted_clicks', 'all', true);
END $$;

-- Whatever else changes a counter, psql included. After 1,000 rows in one transaction one row without ids takes
-- the place of all further ones.
CREATE FUNCTION short_urls_counted() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  noted text := coalesce(nullif(current_setting('switchyard.noted_clicks', true), ''), '0');
BEGIN
  IF noted = 'all' OR (OLD.id, OLD.click_count) IS NOT DISTINCT FROM (NEW.id, NEW.click_count) THEN
    RETURN NULL;
  END IF;
  IF NEW.id <> OLD.id OR noted::integer >= 1000 THEN
    INSERT INTO link_click_changes (amount) VALUES (1);
    PERFORM set_config('switchyard.noted_clicks', 'all', true);
  ELSE
    INSERT INTO link_click_changes (amount, link_ids) VALUES (1, ARRAY[NEW.id]);
    PERFORM set_config('switchyard.noted_clicks', (noted::integer + 1)::text, true);
  END IF;
  RETURN NULL;
END $$;

-- The condition looks at no column: where an ingest has said 'all', it is all that a row costs.
CREATE TRIGGER short_urls_counted
  AFTER UPDATE OF id, click_count ON short_urls
  FOR EACH ROW
  WHEN (current_setting('switchyard.noted_clicks', true) IS DISTINCT FROM 'all')
  EXECUTE FUNCTION short_urls_counted();

-- A new link is in the order at once.
CREATE FUNCTION short_urls_ordered() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO link_clicks (link_id, clicks) SELECT id, click_count FROM made ORDER BY id
  ON CONFLICT (link_id) DO UPDATE SET clicks = excluded.clicks;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_ordered
  AFTER INSERT ON short_urls REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION short_urls_ordered();

-- A deleted link is in no list from then on; its row of the copy goes when that is renewed.
CREATE FUNCTION short_urls_unordered() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO link_click_changes (amount) VALUES (1);
  ELSE
    INSERT INTO link_click_changes (amount, link_ids)
      SELECT count(*), array_agg(id)
      FROM (SELECT id, row_number() OVER () AS place FROM gone) AS numbered GROUP BY place / 10000;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_unordered
  AFTER DELETE ON short_urls REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION short_urls_unordered();

CREATE TRIGGER short_urls_emptied
  AFTER TRUNCATE ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION short_urls_unordered();
