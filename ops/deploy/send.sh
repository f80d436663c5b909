#!/usr/bin/env bash
# Sends an image and the files of its commit to the server, and puts them into service there:
#   ops/deploy/send.sh REVISION image.tar.gz
# Host, user and folder are in DEPLOY_HOST, DEPLOY_USER and DEPLOY_PATH; the private key and the host's lines
# of known_hosts in DEPLOY_SSH_KEY and DEPLOY_KNOWN_HOSTS. Only those lines make a host trusted.
set -euo pipefail

revision=$1
image=$2
[[ $revision =~ ^[0-9a-f]{40}$ ]] || { echo "not a commit: $revision" >&2; exit 2; }
for name in DEPLOY_HOST DEPLOY_USER DEPLOY_PATH DEPLOY_SSH_KEY DEPLOY_KNOWN_HOSTS; do
  [[ -n ${!name:-} ]] || { echo "$name is not set" >&2; exit 2; }
done
# It becomes part of a command line on the server.
[[ $DEPLOY_PATH =~ ^/[A-Za-z0-9._/-]+$ ]] || { echo "DEPLOY_PATH must be a plain absolute path" >&2; exit 2; }

folder=$(mktemp --directory)
trap 'rm -rf "$folder"; [[ -z ${SSH_AGENT_PID:-} ]] || kill "$SSH_AGENT_PID"' EXIT
printf '%s\n' "$DEPLOY_KNOWN_HOSTS" > "$folder/known_hosts"
# The key is only in the agent's memory.
eval "$(ssh-agent -s)" > /dev/null
printf '%s\n' "$DEPLOY_SSH_KEY" | ssh-add -q -

over() {
  ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o StrictHostKeyChecking=yes \
    -o UserKnownHostsFile="$folder/known_hosts" "$DEPLOY_USER@$DEPLOY_HOST" "$@"
}

git archive "$revision" docker-compose.yml .env.example ops |
  over "set -e; mkdir -p '$DEPLOY_PATH'; cd '$DEPLOY_PATH'; rm -rf incoming; mkdir incoming; tar -x -C incoming"
over docker load --quiet < "$image"
over "cd '$DEPLOY_PATH' && sh incoming/ops/deploy/apply.sh $revision"
