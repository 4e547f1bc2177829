#!/bin/sh
# What the unit proxmox-mcp does: unit.sh start | stop | reload | down. With Compose its start, stop and reload; without Docker
# only its reload, as the service's own user.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
started=/run/proxmox-mcp/settings
say() { printf '%s\n' "$*"; }
# What is wrong, each with its remedy; nothing of what is well.
wrong() { "$here/checks.sh" "$1" | in_words; }
in_words() {
  tab=$(printf '\t')
  while IFS=$tab read -r verdict check summary remedy; do
    case $verdict in failed | warning) say "$check: $summary. $remedy" ;; esac
  done
}

# digests: of each key what .env says now, as a digest, so that no value stands anywhere else.
digests() {
  sed -n 's/^[ \t]*\(export[ \t]\{1,\}\)\{0,1\}\([A-Za-z_][A-Za-z0-9_]*\)[ \t]*=.*/\2/p' "$env_file" | sort -u | while read -r key; do
    printf '%s %s\n' "$key" "$(setting "$key" | sha256sum | cut -c 1-64)"
  done
}
# changed: the keys of .env that have another value than when the unit was started.
changed() {
  digests >"$started.now"
  [ -f "$started" ] || cp "$started.now" "$started"
  { diff "$started" "$started.now" || :; } | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u
}

# not_started WHAT: with the reasons on standard input; a mail of the timer repeats them.
not_started() { { say "$1"; cat; } | tee "$why_not"; }

# start_compose: up and healthy, or what keeps it from that in a sentence each.
start_compose() {
  install -d -m 700 "$(dirname "$started")"
  rm -f "$stopped" "$why_not"
  if ! said=$("$here/checks.sh" start); then printf '%s\n' "$said" | in_words | not_started 'not started:'; exit 1; fi
  # What is wrong in .env would stand in the logs of each container alone. 2 is the command line's own word for it.
  code=0; said=$(compose --progress quiet run --rm --no-deps -T cli config show 2>&1 >/dev/null </dev/null) || code=$?
  if [ "$code" = 2 ]; then printf '%s\n' "$said" | not_started 'not started, the configuration is wrong:'; exit 1; fi
  # PostgreSQL and Temporal come with who waits for them: named, they would come where another Temporal server took their place
  # (docs/temporal.md), too.
  # shellcheck disable=SC2086 # A word for each service.
  if ! compose up --detach --wait --wait-timeout 300 ${core% postgres temporal}; then
    wrong explain | not_started 'it did not get healthy:'; exit 1
  fi
  # What it can do without may be ill: the service is there.
  if ! compose up --detach --wait --wait-timeout 180 --remove-orphans; then
    say 'the service is there; of what it can do without not all is:'; wrong explain
  fi
  # What belongs to the profile goes when that was switched off.
  if ! is_true ENABLE_MONITORING; then
    compose config --services | sort >"$started.some"
    # shellcheck disable=SC2046 # A word for each service.
    set -- $(compose --profile monitoring config --services | sort | comm -23 - "$started.some")
    [ $# = 0 ] || compose --profile monitoring rm --stop --force "$@"
  fi
  digests >"$started"
}

# stop_compose: the mark is there before anything stops, and goes with the next start, or with this start of the machine.
stop_compose() {
  install -d -m 700 "$(dirname "$stopped")"
  true >"$stopped"
  compose --profile monitoring --profile tools stop
}

# refuse WHAT: a wrong configuration changes nothing, and the journal says why.
refuse() { printf 'not reloaded, everything goes on as it was: %s\n' "$1"; cat; exit 1; }

# Checks what is there, then has our processes and Caddy read it again, without ending a run.
reload_compose() {
  said=$(compose config --quiet 2>&1) || printf '%s\n' "$said" | refuse 'docker-compose.yml or .env is wrong'
  said=$(compose run --rm --no-deps -T cli config check 2>&1) || printf '%s\n' "$said" | refuse 'the configuration is wrong'
  said=$(compose exec -T caddy sh /etc/caddy/start.sh validate 2>&1) || printf '%s\n' "$said" | tail -n 3 | refuse 'the Caddyfile is wrong'
  refused=
  # Each process says what it has read, and what of it counts only when it is started again.
  # shellcheck disable=SC2016 # Docker's own template.
  owned_containers '{{.Label "com.docker.compose.service"}} {{.Names}} {{.State}}' >"$started.containers"
  while read -r service name state; do
    case $service:$state in mcp-server:running | worker:running | ledger:running) ;; *) continue ;; esac
    said=$(docker exec "$name" proxmox-mcp reload </dev/null 2>&1) || refused="$refused $name"
    printf '%s\n' "$said" | sed "s/^/$name: /"
  done <"$started.containers"
  compose exec -T caddy sh /etc/caddy/start.sh reload
  keys=
  for key in $(changed); do
    # What Compose itself puts into containers, ports and networks counts when they are made.
    ! grep -qE "\\$\{?$key\b" "$home/docker-compose.yml" || keys="$keys $key"
  done
  services=
  compose config --hash '*' >"$started.hashes"
  while read -r service hash; do
    # shellcheck disable=SC2016 # Docker's own template.
    has=$(owned_containers '{{.Label "com.docker.compose.service"}} {{.Label "com.docker.compose.config-hash"}}' | awk -v s="$service" '$1 == s { print $2; exit }')
    [ -z "$has" ] || [ "$has" = "$hash" ] || services="$services $service"
  done <"$started.hashes"
  if [ -n "$keys$services" ]; then
    say "reloaded; these count only after systemctl restart $unit:${keys:-" docker-compose.yml"}${services:+ (it makes anew:$services)}"
  else say reloaded; fi
  [ -z "$refused" ] || { say "not taken by:$refused"; exit 1; }
}

# As the service's user, which can signal nothing but its own. Its processes say what counts only when they are started again.
reload_node() {
  said=$(/usr/local/bin/proxmox-mcp config check 2>&1) || printf '%s\n' "$said" | refuse 'the configuration is wrong'
  exec /usr/local/bin/proxmox-mcp reload
}

case $deployment:${1:-} in
  compose:start) start_compose ;;
  compose:stop) stop_compose ;;
  compose:down) compose --profile monitoring --profile tools down --remove-orphans ;;
  compose:reload) reload_compose ;;
  *:reload) reload_node ;;
  *) echo 'usage: unit.sh start | stop | down | reload' >&2; exit 2 ;;
esac
