#!/bin/sh
# Gives every password and key of the stack its file: what a variable says, else what is there, else a new one.
# Each reader has a folder of its own below SECRETS_DIR. Run by the service "secrets", before all others.
set -eu
umask 022

# secret FILE VALUE FOLDER...: the first folder that has the file decides, where no value is given.
secret() {
  file=$1
  value=$2
  shift 2
  for folder in "$@"; do
    if [ -z "$value" ] && [ -s "$SECRETS_DIR/$folder/$file" ]; then
      value=$(cat "$SECRETS_DIR/$folder/$file")
    fi
  done
  if [ -z "$value" ]; then
    value=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    # Better none than a short one.
    [ "${#value}" -eq 48 ] || { echo "$file could not be made" >&2; exit 1; }
    echo "$file is made"
  fi
  for folder in "$@"; do
    target=$SECRETS_DIR/$folder/$file
    if [ ! -s "$target" ] || [ "$(cat "$target")" != "$value" ]; then
      # Whole or not at all. All may read it who have the volume: users differ from image to image.
      printf %s "$value" > "$target.new"
      chmod 444 "$target.new"
      mv -f "$target.new" "$target"
    fi
  done
}

secret postgres_admin_password "${POSTGRES_ADMIN_PASSWORD:-}" db
secret postgres_password "${POSTGRES_PASSWORD:-}" db app
secret postgres_reader_password "${POSTGRES_READER_PASSWORD:-}" db grafana
secret grafana_password "${GRAFANA_PASSWORD:-}" grafana
secret admin_key "${ADMIN_KEY:-}" app
secret ops_key "${OPS_KEY:-}" app prometheus
