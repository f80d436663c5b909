-- What a link can do besides leading to one place: another status, a time in which it holds, a limit, a
-- password, tags. Every default is a constant, so that no row is rewritten; checks are NOT VALID, so that no
-- row is read. The release before this one goes on working: it names its columns.

ALTER TABLE short_urls
  ADD COLUMN redirect_status smallint NOT NULL DEFAULT 302,
  ADD COLUMN cache_seconds   integer,
  ADD COLUMN valid_since     timestamp(3),
  ADD COLUMN expires_at      timestamp(3),
  ADD COLUMN expired_url     text,
  ADD COLUMN max_clicks      bigint,
  -- Redirects claimed under max_clicks; an update of it alone is HOT and tells no cache.
  ADD COLUMN claimed_clicks  bigint NOT NULL DEFAULT 0,
  ADD COLUMN password_hash   text,
  ADD COLUMN forward_query   boolean NOT NULL DEFAULT false,
  ADD COLUMN tags            text[] NOT NULL DEFAULT '{}',
  -- Whether a client or an import chose the code: only chosen codes are found in another letter case.
  ADD COLUMN is_chosen       boolean NOT NULL DEFAULT false,
  -- Kept for links under several host names; '' is the service's own.
  ADD COLUMN domain          text COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE short_urls
  ADD CONSTRAINT short_urls_redirect_status_check CHECK (redirect_status IN (301, 302, 307, 308)) NOT VALID,
  ADD CONSTRAINT short_urls_cache_seconds_check CHECK (cache_seconds BETWEEN 0 AND 31536000) NOT VALID,
  ADD CONSTRAINT short_urls_times_check CHECK (expires_at > valid_since) NOT VALID,
  ADD CONSTRAINT short_urls_expired_url_check CHECK (char_length(expired_url) <= 8192) NOT VALID,
  ADD CONSTRAINT short_urls_max_clicks_check CHECK (max_clicks BETWEEN 1 AND 9007199254740991) NOT VALID;

DROP TRIGGER short_urls_updated ON short_urls;

CREATE TRIGGER short_urls_updated
  AFTER UPDATE OF id, user_id, original_url, short_code, is_active, created_at, redirect_status, cache_seconds,
    valid_since, expires_at, expired_url, max_clicks, password_hash, forward_query ON short_urls
  FOR EACH ROW
  WHEN ((OLD.id, OLD.user_id, OLD.original_url, OLD.short_code, OLD.is_active, OLD.created_at,
         OLD.redirect_status, OLD.cache_seconds, OLD.valid_since, OLD.expires_at, OLD.expired_url,
         OLD.max_clicks, OLD.password_hash, OLD.forward_query)
        IS DISTINCT FROM
        (NEW.id, NEW.user_id, NEW.original_url, NEW.short_code, NEW.is_active, NEW.created_at,
         NEW.redirect_status, NEW.cache_seconds, NEW.valid_since, NEW.expires_at, NEW.expired_url,
         NEW.max_clicks, NEW.password_hash, NEW.forward_query))
  EXECUTE FUNCTION short_urls_changed();
