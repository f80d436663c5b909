-- The schema's floor: programs whose newest migration is below the highest one of these refuse this database.
-- NULL for a migration that leaves the previous release working.
ALTER TABLE schema_migrations ADD COLUMN floor integer;
