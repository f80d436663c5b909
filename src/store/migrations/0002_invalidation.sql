-- Tells every server of a change that a cached link must not outlive: a new target, state or code,
-- or a delete; by whom it was made does not matter, psql included. Inserts say nothing (a cached
-- "unknown" is short-lived), and neither do clicks (click_count is not among the columns).
--
-- NOTIFY takes a lock over the whole database at commit, so a large change must not send a row each:
-- payloads of one transaction are folded by PostgreSQL when equal, and after 1,000 codes in one
-- transaction a single '*' (everything) takes the place of all further ones.

CREATE FUNCTION notify_invalidation(code text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  sent integer := coalesce(nullif(current_setting('switchyard.invalidations', true), ''), '0')::integer + 1;
BEGIN
  PERFORM set_config('switchyard.invalidations', sent::text, true);
  IF sent > 1000 OR octet_length(code) > 7000 THEN
    PERFORM pg_notify('switchyard_invalidation', '*');
  ELSE
    PERFORM pg_notify('switchyard_invalidation', '=' || code);
  END IF;
END $$;

CREATE FUNCTION short_urls_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM pg_notify('switchyard_invalidation', '*');
    RETURN NULL;
  END IF;
  PERFORM notify_invalidation(OLD.short_code);
  IF TG_OP = 'UPDATE' AND NEW.short_code <> OLD.short_code THEN
    PERFORM notify_invalidation(NEW.short_code);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER short_urls_updated
  AFTER UPDATE OF id, user_id, original_url, short_code, is_active ON short_urls
  FOR EACH ROW
  WHEN ((OLD.id, OLD.user_id, OLD.original_url, OLD.short_code, OLD.is_active)
        IS DISTINCT FROM (NEW.id, NEW.user_id, NEW.original_url, NEW.short_code, NEW.is_active))
  EXECUTE FUNCTION short_urls_changed();

CREATE TRIGGER short_urls_deleted
  AFTER DELETE ON short_urls FOR EACH ROW EXECUTE FUNCTION short_urls_changed();

CREATE TRIGGER short_urls_truncated
  AFTER TRUNCATE ON short_urls FOR EACH STATEMENT EXECUTE FUNCTION short_urls_changed();
