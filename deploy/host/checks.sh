#!/bin/sh
# What this machine can say of its installation: checks.sh before | start | doctor | explain. Prints a line for each finding,
# VERDICT, CHECK, SUMMARY and REMEDY with tabs between. `before`: what an installation needs; `start`: what starting needs;
# `explain`: why it didn't start; `doctor`: everything. Changes nothing. Exit code 1 when something failed.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
# Nothing is written to a disk, which may be full.
failed=0
# finding VERDICT CHECK SUMMARY [REMEDY]
finding() {
  [ "$1" != failed ] || failed=$((failed + 1))
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4-}"
}
is_compose() { [ "$deployment" = compose ]; }
# Set by docker_check: what asks the engine is left out where that doesn't answer.
engine=
answers() { is_compose && [ -n "$engine" ]; }

# Compose v2 by its own word; v1 is another program, which reads neither the profiles nor the health conditions of the file.
docker_check() {
  is_compose || return 0
  if ! command -v docker >/dev/null; then
    finding failed Docker 'Docker is not installed' 'Install it (docs.docker.com/engine/install, or Debian 13: apt-get install docker.io docker-cli docker-compose), or use ./install.sh --without-docker.'
    return 0
  fi
  if ! said=$(timeout 20 docker version --format '{{.Server.Version}}' 2>&1); then
    finding failed Docker "the Docker engine does not answer: $(printf '%s' "$said" | tail -n 1 | cut -c 1-200)" 'Start it: systemctl start docker; then see journalctl -u docker.'
    return 0
  fi
  engine=$said
  if ! version=$(docker compose version --short 2>/dev/null); then
    old=$(docker-compose version --short 2>/dev/null || :)
    finding failed 'Docker Compose' "${old:+docker-compose $old is of the first generation, whose end was in 2023; }Compose v2 (docker compose) is not installed" 'Install its plugin: Debian 13: apt-get install docker-compose; Debian 12 has none, so add docs.docker.com/engine/install/debian and apt-get install docker-compose-plugin; or use ./install.sh --without-docker.'
    return 0
  fi
  number=${version#v} major=${number%%.*} rest=${number#*.} minor=${rest%%.*}
  if [ "$major" -lt 2 ] || { [ "$major" = 2 ] && [ "$minor" -lt 20 ]; }; then
    finding failed 'Docker Compose' "Compose $version is too old: 2.20 or newer is needed" 'Install a newer docker-compose-plugin (docs.docker.com/engine/install).'
    return 0
  fi
  finding ok Docker "engine $engine, Compose $version"
}

# The ports that will be published here, those of our own containers aside: ADDRESS PORT KEY, a line each.
published() {
  if is_compose; then
    at=$(setting PUBLISH_ADDRESS 127.0.0.1)
    echo "$at $(setting HTTP_PORT 80) HTTP_PORT"
    echo "$at $(setting HTTPS_PORT 443) HTTPS_PORT"
    echo "$at $(setting MCP_PORT 8080) MCP_PORT"
    echo "127.0.0.1 $(setting TEMPORAL_UI_PORT 8233) TEMPORAL_UI_PORT"
    ! is_true ENABLE_MONITORING || printf '127.0.0.1 %s\n' 3000 9090 3100
  else
    echo "$(setting MCP_HOST 127.0.0.1) $(setting MCP_PORT 8080) MCP_PORT"
    echo "$(setting WORKER_METRICS_HOST 127.0.0.1) $(setting WORKER_METRICS_PORT 9464) WORKER_METRICS_PORT"
    [ -n "$(setting TEMPORAL_ADDRESS)" ] || {
      echo "127.0.0.1 $(setting TEMPORAL_PORT 7233) TEMPORAL_PORT"
      echo "127.0.0.1 $(setting TEMPORAL_UI_PORT 8233) TEMPORAL_UI_PORT"
    }
  fi
}
port_check() {
  is_compose || [ "$(systemctl is-active "$unit" 2>/dev/null || :)" != active ] || return 0
  ours=
  ! answers || ours=$(owned_containers '{{.Ports}}' 2>/dev/null | tr '\n' ' ') || :
  taken=''; ports=''
  while read -r at port key; do
    ports="$ports $port"
    # All addresses take the port at each one, and one of them at all; two different ones don't meet.
    line=$(ss -H -ltnp "sport = :$port" 2>/dev/null | while read -r _ _ _ listens rest; do
      held=${listens%:*}; held=${held#\[}; held=${held%\]}; held=${held%\%*}
      # Of the sixth version only all addresses meet those of the fourth.
      case $held:$at in ::[0-9a-f]*:0.0.0.0 | [0-9a-f]*:*:0.0.0.0) continue ;; esac
      case " $ours" in *[\ \[]"$held:$port->"* | *[\ \[]"$held]:$port->"*) continue ;; esac
      case $held:$at in '*:'* | 0.0.0.0:* | :::* | *:0.0.0.0 | *::: | "$at:$at") printf '%s\n' "$rest "; break ;; esac
    done)
    [ -n "$line" ] || continue
    holder=$(printf '%s\n' "$line" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p')
    taken=1
    finding failed Ports "port $port is taken by ${holder:-another program}" "Stop that program${key:+, or set another $key in .env}."
  done <<EOF
$(published)
EOF
  [ -n "$taken" ] || finding ok Ports "free or our own:$ports"
}

# A route of the host inside our networks would cut either off. Our own bridges are there once we run.
network_check() {
  answers || return 0
  prefix=$(setting NETWORK_PREFIX 172.20)
  own=$(timeout 20 docker network ls --filter label=com.docker.compose.project=proxmox-mcp --format '{{.ID}}' 2>/dev/null | sed 's/^/br-/' | tr '\n' ' ') || :
  route=$(ip -4 route show table all type unicast 2>/dev/null | while read -r to rest; do
    bridge=$(printf '%s\n' "$rest" | sed -n 's/.*dev \([^ ]*\).*/\1/p')
    # Our own, where it belongs.
    case " $own:$to" in *" $bridge "*":$prefix."*) continue ;; esac
    case $to in default | 0.0.0.0/0) continue ;; */*) ;; *) to=$to/32 ;; esac
    bits=${to#*/} address=${to%/*}
    # Both have one network where the shorter of the two masks sees no difference.
    [ "$bits" -le 16 ] || bits=16
    printf '%s %s %s.0.0 %s %s\n' "$address" "$bits" "$prefix" "$to" "$bridge"
  done | awk '
    function number(a,  p) { split(a, p, "."); return p[1] * 16777216 + p[2] * 65536 + p[3] * 256 + p[4] }
    { size = 2 ^ (32 - $2); if (int(number($1) / size) == int(number($3) / size)) { print $4 " (" $5 ")"; exit } }')
  if [ -n "$route" ]; then
    # Networks that are there have the narrower routes: what runs goes on, and is no reason not to start it again.
    verdict=failed; [ -z "$own" ] || verdict=warning
    finding "$verdict" Network "the network $prefix.0.0/16 overlaps the route $route of this machine" 'Set another NETWORK_PREFIX in .env, as 172.29 or 10.201; ./install.sh --network does that.'
  else finding ok Network "$prefix.0.0/16 is not used elsewhere here"; fi
}

disk_check() {
  full=''; least=''; engine_root=''
  ! answers || engine_root=$(timeout 20 docker info --format '{{.DockerRootDir}}' 2>/dev/null) || :
  for place in "$home" /var/lib "$engine_root"; do
    [ -n "$place" ] || continue
    [ -e "$place" ] || place=$(dirname "$place")
    free=$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
    [ -n "$free" ] || continue
    if [ "$free" -lt "$1" ]; then
      finding failed 'Disk space' "only $free MiB are free where $place is; $1 MiB are needed" 'Free some space: apt-get clean; journalctl --vacuum-size=200M; docker image prune.'
      full=1
      break
    fi
    if [ -z "$least" ] || [ "$free" -lt "$least" ]; then least=$free; fi
  done
  [ -n "$full" ] || finding ok 'Disk space' "$least MiB free"
}

# A wrong clock breaks TLS, second factors and every schedule.
clock_check() {
  built=$(stat -c %Y "$here/checks.sh") now=$(date +%s)
  if [ "$now" -lt $((built - 86400)) ]; then
    finding failed Clock "it is $(date '+%F %T %Z') by this machine's clock, before this installation was made ($(date -d "@$built" +%F))" 'Set the clock, and have it kept right: apt-get install chrony, or timedatectl set-ntp true.'
  elif [ "$(timedatectl show --property=NTPSynchronized --value 2>/dev/null)" = no ]; then
    finding warning Clock "nothing keeps this machine's clock right ($(date '+%F %T %Z')): certificates, second factors and schedules go wrong with it" 'Have it synchronized: apt-get install chrony, or timedatectl set-ntp true.'
  else finding ok Clock "$(date '+%F %T %Z')"; fi
}

dns_check() {
  domain=$(setting MCP_DOMAIN)
  [ -n "$domain" ] || return 0
  if ! addresses=$(getent ahosts "$domain" | awk '{ print $1 }' | sort -u) || [ -z "$addresses" ]; then
    if [ -n "$(setting ACME_EMAIL)" ]; then
      finding failed DNS "the name $domain has no address: no certificate can be had for it" "Make an A or AAAA record of $domain that leads here, or correct MCP_DOMAIN in .env."
    else
      # With Caddy's own CA the name has to mean something to those who use it, and to nobody else.
      finding warning DNS "this machine finds no address of the name $domain" "That is right where only the machines that use it know it; else correct MCP_DOMAIN in .env."
    fi
    return 0
  fi
  here_are=$(ip -o address show 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }')
  for address in $addresses; do
    if printf '%s\n' "$here_are" | grep -qxF "$address"; then finding ok DNS "$domain is $address, of this machine"; return 0; fi
  done
  finding warning DNS "$domain is $(echo "$addresses" | tr '\n' ' ' | sed 's/ $//'), none of which this machine has" 'That is right behind a router that forwards ports 80 and 443 here; else correct the record.'
}

secrets_check() {
  [ -d "$home/keys" ] || return 0
  # What several containers read is root's, and their group may read it.
  open=$(find "$home/keys" "$home/secrets" -type f ! -name '*.pub' ! -name 'known_hosts*' \( -perm /037 -o -perm /040 ! -group 10000 \) 2>/dev/null | head -n 5 | tr '\n' ' ')
  open=${open% }
  settings=$(find "$home/.env" -maxdepth 0 -perm /027 2>/dev/null) || :
  if [ -n "$open$settings" ]; then
    mend="${open:+chmod 600 $open}${settings:+${open:+ && }chmod 640 $settings}"
    finding failed Secrets "others on this machine can read $open${settings:+${open:+ }$settings}" "Run: $mend; and change what was in there, if anybody else has a login here."
    return 0
  fi
  inline=$(is_compose && sed -n 's/^[ \t]*\(export \)\{0,1\}\([A-Z_]*\(PASSWORD\|TOKEN_VALUE\|WEBHOOK_URL\|API_KEY\|HEADERS\)\)[ \t]*=[ \t]*[^ \t#].*/\2/p' "$env_file" 2>/dev/null | tr '\n' ' ') || :
  if is_compose && is_true ENABLE_MONITORING && [ "$(secret GRAFANA_PASSWORD 2>/dev/null || :)" = admin ]; then
    finding failed Secrets "Grafana's password is its default, admin" "Write another one into $home/secrets/grafana-password; where Grafana has run with the old one, apply it, too: docs/monitoring.md."
  elif [ -n "${inline% }" ]; then
    finding failed Secrets "$home/.env holds ${inline% }, and every container reads that file" 'Run ./install.sh, which moves it into a file of the one container that needs it.'
  else finding ok Secrets 'nobody else can read them'; fi
}

# The images of the containers, against .env and against what was installed.
image_check() {
  answers || return 0
  tag=$(setting IMAGE_TAG latest) image=proxmox-mcp-server:$(setting IMAGE_TAG latest)
  if ! now=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null); then
    finding failed Images "there is no image $image, which IMAGE_TAG names" "Run ./install.sh, which builds it; or set IMAGE_TAG to one of: $(docker image ls --format '{{.Tag}}' proxmox-mcp-server 2>/dev/null | head -n 5 | tr '\n' ' ')"
    return 0
  fi
  while read -r name id; do
    # Of our own the one that .env names now.
    case $name in '') continue ;; "$image") ;; proxmox-mcp-server:*) continue ;; esac
    is=$(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null || echo missing)
    [ "$is" = "$id" ] && continue
    # Starting pulls it again, and by its digest nobody can give another one for it.
    case $is:$name in missing:*@sha256:*) continue ;; esac
    if [ "$is" = missing ]; then what='it is not here any more'; else what="it is $is now"; fi
    finding failed Images "$name is not the image that was installed ($id): $what" "If you don't know why, load the right one again (docker load, docker pull); else run ./install.sh, which writes down what is there."
    return 0
  done <<EOF
$(cat "$home/config/images" 2>/dev/null || :)
EOF
  finding ok Images "$image and the others are what was installed"
}

# What the containers run, against what .env names now; starting mends it.
mixed_check() {
  answers || return 0
  tag=$(setting IMAGE_TAG latest) mixed=
  now=$(docker image inspect --format '{{.Id}}' "proxmox-mcp-server:$tag" 2>/dev/null) || return 0
  for one in $(owned_containers '{{.ID}}' 2>/dev/null); do
    read -r name of id <<EOF
$(docker container inspect --format '{{.Name}} {{.Config.Image}} {{.Image}}' "$one" 2>/dev/null || :)
EOF
    case $of in proxmox-mcp-server:*) [ "$id" = "$now" ] || mixed="$mixed${mixed:+, }${name#/} ($of)" ;; esac
  done
  if [ -n "$mixed" ]; then
    finding failed Containers "half an upgrade: .env says $tag, but other images run in $mixed" 'Finish it: systemctl restart proxmox-mcp. Or go back: set IMAGE_TAG to the old tag, then restart.'
  fi
}

# Left by an installation that did not come to its end.
unfinished_check() {
  [ -s "$recovery/unfinished" ] || return 0
  finding failed Installation "an installation or upgrade was begun and not finished ($(cat "$recovery/unfinished"))" 'Run ./install.sh again: it goes on where it ended.'
}

unit_check() {
  state=$(systemctl is-active "$unit" 2>/dev/null || :)
  case $state in
    active) finding ok Unit "$unit is active" ;;
    inactive) finding skipped Unit "$unit is stopped; start it: systemctl start $unit" ;;
    *) finding failed Unit "$unit is ${state:-not there}" "See: systemctl status $unit; journalctl -u $unit -n 50; then: systemctl restart $unit" ;;
  esac
  [ "$(systemctl is-enabled "$unit" 2>/dev/null || :)" = enabled ] || finding warning Unit "$unit does not start with this machine" "Run: systemctl enable $unit"
  if [ "$(systemctl is-active "$unit-watch.timer" 2>/dev/null || :)" = active ]; then
    count=$(awk -v since="$(($(date +%s) - 86400))" '$1 >= since && $3 != "healthy" { n++ } END { print n + 0 }' "$recovery/tries" 2>/dev/null || echo 0)
    if [ "$count" -gt 0 ]; then finding warning Recovery "the service had to be recovered $count times in 24 hours" "See: journalctl -u $unit-watch; $recovery/tries"
    else finding ok Recovery 'the timer looks every minute'; fi
  else finding warning Recovery "the timer $unit-watch does not run: nothing restarts a service that is down, and nobody is told" "Run: systemctl enable --now $unit-watch.timer"; fi
}

# On the Proxmox VE host, of the container that the service has there.
guest_check() {
  id=$(cat "$lib/container" 2>/dev/null || :)
  config=$(pct config "$id" 2>/dev/null) || { finding failed Container "there is no container $id" 'Run ./install.sh --in-container again, or restore it from a backup.'; return 0; }
  case $(pct status "$id" 2>/dev/null) in
    *running) finding ok Container "$id runs" ;;
    *) finding failed Container "$id does not run" "Run: pct start $id" ;;
  esac
  printf '%s\n' "$config" | grep -q '^onboot: 1' || finding warning Container "$id does not start with this host" "Run: pct set $id --onboot 1"
  printf '%s\n' "$config" | grep -q '^unprivileged: 1' || finding failed Container "$id is privileged: its root is this host's" 'Back it up and restore it as an unprivileged one: pct restore with --unprivileged 1.'
}

container_check() {
  answers || return 0
  all=$(containers) || return 0
  bad=$(printf '%s\n' "$all" | not_well core)
  beside=$(printf '%s\n' "$all" | not_well beside)
  [ -z "$bad" ] || finding failed Containers "not well: $(echo "$bad" | sed 's/ /, /g')" "See: docker logs --tail 50 ${bad%% *}"
  [ -z "$beside" ] || finding warning Containers "not well, while the service itself can do without: $(echo "$beside" | sed 's/ /, /g')" "See: docker logs --tail 50 ${beside%% *}; then: docker restart ${beside%% *}"
  [ "$(systemctl is-active "$unit" 2>/dev/null || :)" = active ] || return 0
  gone=$(printf '%s\n' "$all" | stopped_on_request)
  [ -z "$gone" ] || finding warning Containers "stopped with Docker itself: $(echo "$gone" | sed 's/ /, /g; s/^all$/all of them/'); the timer leaves it alone" "Start it again: systemctl restart $unit"
}

# PostgreSQL takes the one from its file with each start; Temporal has it in another.
database_check() {
  is_compose || return 0
  mend="Make both files say the same, each with its owner and mode 600, then: systemctl restart $unit"
  if [ -s "$home/secrets/postgres_password" ] && ! cmp -s "$home/secrets/postgres_password" "$home/secrets/temporal_password"; then
    finding failed Database "Temporal has another password than PostgreSQL: $home/secrets/temporal_password and postgres_password differ" "$mend"
    return 0
  fi
  # What was logged before says nothing of the start that is to come.
  if [ "$1" != logs ] || ! answers; then return 0; fi
  for one in $(owned_containers '{{.Names}}' 2>/dev/null | grep -E 'temporal|postgres'); do
    if docker logs --since 15m --tail 200 "$one" 2>&1 | grep -q 'password authentication failed'; then
      finding failed Database "PostgreSQL refuses Temporal's password ($one says so): it was changed while both ran" "$mend"
      return 0
    fi
  done
}

case ${1:-} in
  before) docker_check; port_check; network_check; disk_check "${2:-2048}"; clock_check; dns_check ;;
  start) docker_check; port_check; network_check; secrets_check; database_check files; image_check; disk_check 256 ;;
  explain) docker_check; database_check logs; container_check; mixed_check; disk_check 256; clock_check ;;
  doctor)
    if [ "$deployment" = container ]; then unfinished_check; guest_check; exit "$failed"; fi
    unfinished_check; unit_check; docker_check; container_check; image_check; mixed_check; database_check logs; port_check; network_check
    secrets_check; disk_check 512; clock_check; dns_check
    ;;
  *) echo 'usage: checks.sh before | start | explain | doctor' >&2; exit 2 ;;
esac
[ "$failed" = 0 ]
