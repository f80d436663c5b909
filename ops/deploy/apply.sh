#!/bin/sh
# On the server, in the folder of docker-compose.yml: puts the image switchyard:REVISION into service, with the
# files in incoming/ if there are any. If the stack does not become healthy, restores the previous image.
#   sh ops/deploy/apply.sh REVISION
set -eu

revision=$1
image=switchyard:$revision
# docker-compose.yml finds the image by this name, whoever starts it.
export SWITCHYARD_IMAGE=switchyard:local
docker image inspect "$image" > /dev/null

if [ -d incoming ]; then
  # Keep the folders themselves: containers have them mounted.
  cp -R incoming/. .
  find ops -type f | while read -r file; do
    [ -e "incoming/$file" ] || rm "$file"
  done
  rm -rf incoming
fi

start() {
  docker compose up --detach --no-build --remove-orphans --wait --wait-timeout 180
}

id_of() {
  docker image inspect --format '{{.Id}}' "$1" 2> /dev/null || true
}
before=$(id_of "$SWITCHYARD_IMAGE")
# Tagging the same image again would leave nothing to go back to.
if [ -n "$before" ] && [ "$before" != "$(id_of "$image")" ]; then
  docker tag "$SWITCHYARD_IMAGE" switchyard:previous
fi
docker tag "$image" "$SWITCHYARD_IMAGE"
if ! start; then
  docker compose logs --no-color --tail 100 app >&2 || true
  if [ -n "$(id_of switchyard:previous)" ]; then
    echo "$image does not get healthy: the image before is put back" >&2
    docker tag switchyard:previous "$SWITCHYARD_IMAGE"
    start || true
  fi
  exit 1
fi

# Compose does not notice a change in a mounted file.
mkdir -p .deployed
for service in nginx prometheus alertmanager grafana; do
  now=$(find "ops/$service" -type f -exec sha256sum {} + | sort | sha256sum)
  if [ "$now" != "$(cat ".deployed/$service" 2> /dev/null || true)" ]; then
    docker compose up --detach --no-build --no-deps --force-recreate --wait --wait-timeout 120 "$service"
    echo "$now" > ".deployed/$service"
  fi
done

# Keep the five newest, to go back to.
docker image ls switchyard --format '{{.Tag}}' | grep -E '^[0-9a-f]{40}$' | grep -v "$revision" |
  tail -n +5 | while read -r old; do
  docker image rm "switchyard:$old" > /dev/null || true
done
echo "$image is in service"
