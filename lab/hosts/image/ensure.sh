#!/usr/bin/env bash
# Prints the name of the image of one Debian release, building it first when its recipe changed: ensure.sh RELEASE
set -euo pipefail
release=$1
cache=${PROXMOX_MCP_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-mcp/lab}
here=$(cd "$(dirname "$0")" && pwd)
recipe=$(cd "$here" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
tag=proxmox-mcp-lab:$release-$recipe
there() { docker image inspect "$tag" >/dev/null 2>&1; }
if ! there; then
  mkdir -p "$cache"
  exec 9>"$cache/$release.lock" && flock 9
  there || bash "$here/build.sh" "$release" "$tag" "$cache" 9>&-
  # Other checkouts may have other recipes, so only what is old goes; what a host runs on stays.
  docker image prune --all --force --filter label=proxmox-mcp-lab=1 --filter until=168h >/dev/null
fi
echo "$tag"
