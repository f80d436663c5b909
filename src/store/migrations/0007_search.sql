-- Search in links by trigrams. A database that refuses the extension serves all the same, without the search;
-- who creates it later has the index built by the next server that starts.

DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION
  WHEN lock_not_available OR query_canceled THEN RAISE;
  WHEN OTHERS THEN RAISE WARNING 'no search in links: %', SQLERRM;
END
$$;

-- A text without its case. ICU folds all letters, in every database; without it those that the database's locale
-- knows.
DO $$
DECLARE
  icu text := CASE WHEN to_regcollation('pg_catalog."und-x-icu"') IS NULL THEN ' COLLATE pg_catalog."default"'
                   ELSE ' COLLATE pg_catalog."und-x-icu"' END;
BEGIN
  EXECUTE format(
    'CREATE FUNCTION search_fold(content text) RETURNS text
     LANGUAGE sql IMMUTABLE PARALLEL SAFE
     RETURN pg_catalog.upper(content%s)', icu);
END
$$;

-- A folded text in letters that pg_trgm knows in every locale: with the locale C it drops all but ASCII. Each
-- byte beyond becomes x or y and two digits. Texts that are alike here may differ: whoever searches compares.
CREATE FUNCTION search_bytes(content text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_catalog.replace(
  pg_catalog.replace(
    pg_catalog.encode(
      pg_catalog.convert_to(pg_catalog.translate(search_fold(content), '\', '/'), 'UTF8'), 'escape'),
    '\2', 'y'),
  '\3', 'x');
