#!/bin/sh
# The command proxmox-mcp on this machine: the command line in a container of its own, or with Node where there is no Docker.
# install.sh copies it to /usr/local/bin.
set -eu
lib=/usr/local/lib/proxmox-mcp
# shellcheck source=deploy/host/settings.sh
. "$lib/settings.sh"
# doctor also says what only this machine knows: units, containers, images, the modes of secrets.
host_findings() {
  for word; do case $word in -*) ;; *) break ;; esac; done
  if [ "${word-}" != doctor ] || [ "$(id -u)" != 0 ]; then return 0; fi
  "$lib/checks.sh" doctor || :
}
# In a container of its own: what the machine around it knows comes first.
PROXMOX_MCP_HOST_FINDINGS=$(printf '%s\n' "${PROXMOX_MCP_HOST_FINDINGS-}"; host_findings "$@")
PROXMOX_MCP_DEPLOYMENT=${PROXMOX_MCP_DEPLOYMENT:-$deployment}
export PROXMOX_MCP_HOST_FINDINGS PROXMOX_MCP_DEPLOYMENT
if [ "$deployment" = container ]; then
  if [ "$(id -u)" != 0 ]; then echo 'Run this as root: sudo proxmox-mcp' >&2; exit 2; fi
  exec pct exec "$(cat "$lib/container")" -- env PROXMOX_MCP_DEPLOYMENT=container \
    "PROXMOX_MCP_HOST_FINDINGS=$PROXMOX_MCP_HOST_FINDINGS" /usr/local/bin/proxmox-mcp "$@"
fi
# hand_to_unit WORD: what the service itself is to do; the answers are in its journal.
hand_to_unit() {
  code=0
  # It would be stopped, and not be started again.
  if [ "$1" = restart ]; then "$0" config show >/dev/null || code=$?; fi
  if [ "$code" = 2 ]; then echo 'Not restarted: everything goes on as it was.' >&2; exit 2; fi
  began=$(date +%s) code=0
  systemctl "$1" "$unit" || code=$?
  journalctl --sync 2>/dev/null || :
  journalctl --unit "$unit" --since "@$began" --output cat --no-pager 2>/dev/null || :
  exit "$code"
}
# The unit without Docker itself calls this as the service's user.
if [ "$(id -u)" = 0 ] && [ $# = 1 ]; then
  case $1 in start | stop | restart | reload) hand_to_unit "$1" ;; esac
fi
if [ "$deployment" != compose ]; then
  PROXMOX_MCP_CONFIG_DIR=$home XDG_CACHE_HOME=/var/cache/proxmox-mcp
  export PROXMOX_MCP_CONFIG_DIR XDG_CACHE_HOME
  exec "$lib/node" "$home/app/dist/src/cli.js" "$@"
fi
if [ "$(id -u)" != 0 ]; then echo 'Run this as root: sudo proxmox-mcp' >&2; exit 2; fi
terminal=-T
if [ -t 0 ] && [ -t 1 ]; then terminal=; fi
status=0
# shellcheck disable=SC2086 # Nothing, or one word.
compose --progress quiet run --rm --no-deps $terminal \
  -e PROXMOX_MCP_HOST_FINDINGS -e PROXMOX_MCP_DEPLOYMENT cli "$@" || status=$?
# Where the command line itself can't be run, what this machine knows says why.
if [ -n "$PROXMOX_MCP_HOST_FINDINGS" ] && [ "$status" -ge 125 ]; then
  echo 'The command line could not be run. What this machine knows:' >&2
  printf '%s\n' "$PROXMOX_MCP_HOST_FINDINGS" | awk -F '\t' '$1 == "failed" || $1 == "warning" { print $2 ": " $3 ". " $4 }' >&2
fi
exit "$status"
