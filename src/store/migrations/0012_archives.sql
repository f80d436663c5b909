-- Files to which `switchyard archive` has written the events of a month, and which events are in each: with
-- ARCHIVE_DIR set, no other is removed.
CREATE TABLE archives (
  -- The file's name, without its folder.
  file        text PRIMARY KEY,
  -- The first day of its month.
  month       date NOT NULL,
  -- Of the file; NULL until it is whole.
  bytes       bigint,
  events      bigint NOT NULL DEFAULT 0,
  archived_at timestamptz NOT NULL DEFAULT now()
);

-- Ids of those events, in runs without a gap.
CREATE TABLE archived_events (
  file     text NOT NULL,
  first_id bigint NOT NULL,
  last_id  bigint NOT NULL,
  PRIMARY KEY (file, first_id)
);
