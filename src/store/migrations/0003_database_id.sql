-- Tells this database from every other one. A journal's clicks go only to the database whose links they
-- are on. The id is data like any other, and lives on in a dump, a restore, an upgrade and a standby.
-- Who makes a second database of a copy gives it an id of its own:
-- UPDATE switchyard_database SET id = gen_random_uuid();
CREATE TABLE switchyard_database (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  id      uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO switchyard_database DEFAULT VALUES;
