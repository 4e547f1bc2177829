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
  # Older ones of this release; those that a host still runs on stay.
  docker image ls --format '{{.Repository}}:{{.Tag}}' proxmox-mcp-lab |
    grep "^proxmox-mcp-lab:$release-" | grep -vxF "$tag" | xargs -r docker image rm >/dev/null 2>&1 || true
fi
echo "$tag"
