-- Sums of links are arrays now, a row for whatever was added at once: a row a link, minute and owner cost more than all
-- other sums together. Rows of the old form (field 'l' of stats_sums) are still read, and the previous release goes on
-- writing them as long as it runs beside this one; for what is new here it answers `other` until then.
CREATE TABLE stats_links (
  -- m: a minute, kept for a day and an hour; q: a quarter of an hour. What is in a minute is in no quarter yet.
  step     "char" NOT NULL,
  slot     timestamp NOT NULL,
  -- Places in the arrays. Several rows have the same slot, and a link may be in a row twice, until they are merged.
  amount   integer NOT NULL,
  url_ids  bigint[] NOT NULL,
  clicks   integer[] NOT NULL,
  -- Empty where there are none.
  previews integer[] NOT NULL
);

ALTER TABLE stats_links
  ALTER url_ids SET STORAGE EXTERNAL, ALTER clicks SET STORAGE EXTERNAL, ALTER previews SET STORAGE EXTERNAL;

CREATE INDEX stats_links_slots ON stats_links (slot, step);

-- Links with so many clicks that they have sums of their own: in stats_sums, with their id's negative as owner.
-- Another field there is new too. n: what has no fact at all, which would else be one null a fact; it is in none of them.
CREATE TABLE stats_summed_links (
  url_id bigint PRIMARY KEY CHECK (url_id > 0)
);
