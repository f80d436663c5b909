-- The server's role: it owns its database and the schema in it, and is no superuser. A superuser runs this once,
-- when the volume is initialised.
CREATE ROLE switchyard LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER DATABASE :"DBNAME" OWNER TO switchyard;
ALTER SCHEMA public OWNER TO switchyard;
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
