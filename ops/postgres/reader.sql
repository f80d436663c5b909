-- The role with which Grafana reads: SELECT and nothing else, also on tables that migrations and the
-- upkeep make later (chunks of events). A superuser runs this once, when the volume is
-- initialised. The server's role must exist first: application.sql.
CREATE ROLE switchyard_reader LOGIN PASSWORD :'password' CONNECTION LIMIT 5;
ALTER ROLE switchyard_reader SET default_transaction_read_only = on;
ALTER ROLE switchyard_reader SET statement_timeout = '10s';
ALTER ROLE switchyard_reader SET lock_timeout = '1s';

GRANT CONNECT ON DATABASE :"DBNAME" TO switchyard_reader;
GRANT USAGE ON SCHEMA public TO switchyard_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO switchyard_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE switchyard IN SCHEMA public GRANT SELECT ON TABLES TO switchyard_reader;
