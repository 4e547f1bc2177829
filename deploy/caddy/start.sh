#!/bin/sh
# First process of the container `caddy`: says what the Caddyfile needs in Caddy's words, and becomes Caddy. With `validate` or
# `reload`, in the running container: the Caddyfile as it is now, by the same words.
set -eu
host_of() { printf '%s' "$1" | sed -E 's#^[a-z]+://(\[[^]]*\]|[^/:]*).*#\1#'; }

# The name that clients use: a domain, or where there is none the host of MCP_PUBLIC_URL (an address of this machine).
name=${MCP_DOMAIN:-$(host_of "${MCP_PUBLIC_URL:-}")}
# This machine's own names are signed for by Caddy's own CA alone: no other one would.
CADDY_OWN='localhost, 127.0.0.1'
case $name in '' | localhost | 127.0.0.1) name=localhost CADDY_OWN=127.0.0.1 ;; esac
# A certificate of a public CA is asked for where there is somebody whom the CA can write to; else Caddy's own CA signs.
CADDY_TLS=internal
[ -z "${MCP_DOMAIN:-}" ] || CADDY_TLS=${ACME_EMAIL:-internal}
CADDY_HTTPS=
[ "${HTTPS_PORT:-443}" = 443 ] || CADDY_HTTPS=:$HTTPS_PORT
CADDY_TRUSTED=$(printf '%s' "127.0.0.1/32,${TRUSTED_PROXIES:-}" | tr ',' ' ')
# Who may come without TLS: this machine (its connections come from the network's gateway), proxies that are named, and
# everybody where MCP_PUBLIC_URL says so.
CADDY_PLAIN="$CADDY_GATEWAY $CADDY_TRUSTED"
case ${MCP_PUBLIC_URL:-} in
  http://localhost* | http://127.*) ;;
  http://*) CADDY_PLAIN='0.0.0.0/0 ::/0' ;;
esac
CADDY_NAME=$name
export CADDY_NAME CADDY_OWN CADDY_TLS CADDY_HTTPS CADDY_TRUSTED CADDY_PLAIN
case ${1:-run} in
  run) set -- run ;;
  validate) set -- validate ;;
  reload) set -- reload --address unix//tmp/caddy-admin.sock --force ;;
  *) echo 'usage: start.sh [validate | reload]' >&2; exit 2 ;;
esac
exec caddy "$@" --config /etc/caddy/Caddyfile --adapter caddyfile
