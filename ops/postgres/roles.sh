#!/bin/sh
# Run by the image's entry point when the volume is initialised.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="$(cat "$APPLICATION_PASSWORD_FILE")" --file /etc/switchyard/application.sql
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="$(cat "$READER_PASSWORD_FILE")" --file /etc/switchyard/reader.sql
