#!/bin/sh
# Writes into .env a password for each that docker-compose.yml asks for and .env does not have. Those that
# are there stay as they are.
set -eu
cd "$(dirname "$0")/.."
umask 077
touch .env
chmod 600 .env
# What is appended must begin on a line of its own.
[ ! -s .env ] || [ -z "$(tail -c 1 .env)" ] || echo >> .env
for name in POSTGRES_ADMIN_PASSWORD POSTGRES_PASSWORD POSTGRES_READER_PASSWORD GRAFANA_PASSWORD; do
  if ! grep -q "^$name=." .env; then
    echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >> .env
    echo "$name is made"
  fi
done
