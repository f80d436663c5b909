#!/bin/sh
# The image's entry point runs this when it initialises the volume.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="$(cat "$APPLICATION_PASSWORD_FILE")" --file /etc/switchyard/application.sql
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="$(cat "$READER_PASSWORD_FILE")" --file /etc/switchyard/reader.sql
