#!/usr/bin/env bash
# Builds the service's own image with its shipped Dockerfile: build-app.sh TAG NODE-IMAGE BUILD-IMAGE. npm's settings of this
# machine (registry, CA, proxy) are in the image of the building stage alone.
set -euo pipefail
tag=$1 node=$2 compiler=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
build=proxmox-mcp-lab-npm:${compiler#*:}
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -L /etc/ssl/certs/ca-certificates.crt "$work/ca.crt"
{
  echo "registry=$(cd / && npm config get registry)"
  echo 'cafile=/usr/local/etc/lab-ca.crt'
  for key in proxy https-proxy noproxy; do
    value=$(cd / && npm config get "$key")
    case $value in null | '') ;; *) echo "$key=$value" ;; esac
  done
} >"$work/npmrc"
printf 'FROM %s\nCOPY npmrc /usr/local/etc/npmrc\nCOPY ca.crt /usr/local/etc/lab-ca.crt\n' "$compiler" >"$work/Dockerfile"
export DOCKER_BUILDKIT=0
docker build --quiet --force-rm --tag "$build" "$work" >/dev/null
# Docker's own builder, without BuildKit: the Dockerfile is to need nothing newer.
docker build --force-rm --network host --build-arg "NODE_IMAGE=$node" --build-arg "BUILD_IMAGE=$build" \
  --build-arg VERSION=lab --label proxmox-mcp-lab=1 --tag "$tag" "$root" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
# Each state of the sources has an image. Those of yesterday go, and their building stages; today's spare the next build its packages.
docker image prune --force --filter label=proxmox-mcp-build=1 --filter until=24h >/dev/null
docker image prune --force --all --filter label=proxmox-mcp-lab=1 --filter 'label=org.opencontainers.image.title=Proxmox MCP' \
  --filter until=24h >/dev/null
