#!/bin/sh
# Writes every password and key of the stack to a file: the variable's value, else the existing one, else a new one.
# Each reader has its own folder below SECRETS_DIR. The service "secrets" runs this before all others.
set -eu
umask 022

# secret FILE VALUE FOLDER...: without a value, the first folder that has the file decides.
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
    # No secret is better than a short one.
    [ "${#value}" -eq 48 ] || { echo "$file could not be made" >&2; exit 1; }
    echo "$file is made"
  fi
  for folder in "$@"; do
    target=$SECRETS_DIR/$folder/$file
    if [ ! -s "$target" ] || [ "$(cat "$target")" != "$value" ]; then
      # Whole or not at all. Everyone with the volume may read it: users differ from image to image.
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
