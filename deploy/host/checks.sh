#!/bin/sh
# What this machine can say of its installation: checks.sh before | start | doctor | explain. Prints a line for each finding,
# VERDICT, CHECK, SUMMARY and REMEDY with tabs between. `before`: what an installation needs; `start`: what starting needs;
# `explain`: why it didn't start; `doctor`: everything. Changes nothing. Exit code 1 when something failed.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
found=$(mktemp)
trap 'rm -f "$found"' EXIT
# finding VERDICT CHECK SUMMARY [REMEDY]
finding() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4-}" | tee -a "$found"; }
is_compose() { [ "$deployment" = compose ]; }
running() { owned_containers '{{.Names}}' 2>/dev/null; }

# Compose v2 by its own word; v1 is another program, which reads neither the profiles nor the health conditions of the file.
docker_check() {
  is_compose || return 0
  if ! command -v docker >/dev/null; then
    finding failed Docker 'Docker is not installed' 'Install it (docs.docker.com/engine/install, or Debian 13: apt-get install docker.io docker-cli docker-compose), or use ./install.sh --without-docker.'
    return 0
  fi
  if ! engine=$(timeout 20 docker version --format '{{.Server.Version}}' 2>&1); then
    finding failed Docker "the Docker engine does not answer: $(printf '%s' "$engine" | tail -n 1 | cut -c 1-200)" 'Start it: systemctl start docker; then see journalctl -u docker.'
    return 0
  fi
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

# The ports that will be published here, those of our own containers aside.
port_check() {
  if is_compose; then
    ports="$(setting HTTP_PORT 80) $(setting HTTPS_PORT 443) $(setting MCP_PORT 8080) $(setting TEMPORAL_UI_PORT 8233)"
    ! is_true ENABLE_MONITORING || ports="$ports 3000 9090 3100"
  else
    ports="$(setting MCP_PORT 8080) $(setting WORKER_METRICS_PORT 9464)"
    [ -n "$(setting TEMPORAL_ADDRESS)" ] || ports="$ports $(setting TEMPORAL_PORT 7233) $(setting TEMPORAL_UI_PORT 8233)"
    [ "$(systemctl is-active "$unit" 2>/dev/null || :)" != active ] || return 0
  fi
  taken=
  ours=$(! is_compose || owned_containers '{{.Ports}}' 2>/dev/null)
  for port in $ports; do
    case $ours in *":$port->"*) continue ;; esac
    # An address of its own, which nothing of ours uses, doesn't take the port; all addresses, or the published one, do.
    line=$(ss -H -ltnp "sport = :$port" 2>/dev/null | head -n 1)
    [ -n "$line" ] || continue
    holder=$(printf '%s\n' "$line" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p')
    taken=1
    case $port in
      "$(setting HTTP_PORT 80)") key=HTTP_PORT ;; "$(setting HTTPS_PORT 443)") key=HTTPS_PORT ;; "$(setting MCP_PORT 8080)") key=MCP_PORT ;;
      "$(setting TEMPORAL_UI_PORT 8233)") key=TEMPORAL_UI_PORT ;; "$(setting TEMPORAL_PORT 7233)") key=TEMPORAL_PORT ;;
      "$(setting WORKER_METRICS_PORT 9464)") key=WORKER_METRICS_PORT ;; *) key= ;;
    esac
    finding failed Ports "port $port is taken by ${holder:-another program}" "Stop that program${key:+, or set another $key in .env}."
  done
  [ -n "$taken" ] || finding ok Ports "free or our own: $ports"
}

# A route of the host inside our networks would cut either off. Our own bridges are there once we run.
network_check() {
  is_compose || return 0
  prefix=$(setting NETWORK_PREFIX 172.20)
  own=$(docker network ls --filter label=com.docker.compose.project=proxmox-mcp --format '{{.ID}}' 2>/dev/null | sed 's/^/br-/' || :)
  ip -4 route show table all type unicast 2>/dev/null | while read -r to rest; do
    bridge=$(printf '%s\n' "$rest" | sed -n 's/.*dev \([^ ]*\).*/\1/p')
    case " $(echo "$own" | tr '\n' ' ') " in *" $bridge "*) continue ;; esac
    case $to in default | 0.0.0.0/0) continue ;; */*) ;; *) to=$to/32 ;; esac
    bits=${to#*/} address=${to%/*}
    # Both have one network where the shorter of the two masks sees no difference.
    [ "$bits" -le 16 ] || bits=16
    printf '%s %s %s.0.0 %s %s\n' "$address" "$bits" "$prefix" "$to" "$bridge"
  done | awk '
    function number(a,  p) { split(a, p, "."); return p[1] * 16777216 + p[2] * 65536 + p[3] * 256 + p[4] }
    { size = 2 ^ (32 - $2); if (int(number($1) / size) == int(number($3) / size)) { print $4 " (" $5 ")"; exit } }' >"$found.route"
  route=$(cat "$found.route"); rm -f "$found.route"
  if [ -n "$route" ]; then
    finding failed Network "the network $prefix.0.0/16 overlaps the route $route of this machine" 'Set another NETWORK_PREFIX in .env, as 172.29 or 10.201; ./install.sh --network does that.'
  else finding ok Network "$prefix.0.0/16 is not used elsewhere here"; fi
}

disk_check() {
  full=
  for place in "$home" /var/lib; do
    [ -e "$place" ] || place=$(dirname "$place")
    free=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1024) }')
    if [ "$free" -lt "$1" ]; then
      finding failed 'Disk space' "only $free MiB are free where $place is; $1 MiB are needed" 'Free some space: apt-get clean; journalctl --vacuum-size=200M; docker image prune.'
      full=1
      break
    fi
  done
  [ -n "$full" ] || finding ok 'Disk space' "$free MiB free"
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
    finding failed DNS "the name $domain has no address: no certificate can be had for it" "Make an A or AAAA record of $domain that leads here, or correct MCP_DOMAIN in .env."
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
  open="$open$(find "$home/.env" -maxdepth 0 -perm /027 2>/dev/null)"
  open=${open% }
  if [ -n "$open" ]; then
    case $open in *.env) mode=640 ;; *) mode=600 ;; esac
    finding failed Secrets "others on this machine can read $open" "Run: chmod $mode $open; and change what was in there, if anybody else has a login here."
    return 0
  fi
  inline=$(is_compose && sed -n 's/^[ \t]*\(export \)\{0,1\}\([A-Z_]*\(PASSWORD\|TOKEN_VALUE\|WEBHOOK_URL\|API_KEY\|HEADERS\)\)[ \t]*=[ \t]*[^ \t#].*/\2/p' "$env_file" 2>/dev/null | tr '\n' ' ') || :
  if [ -n "${inline% }" ]; then
    finding failed Secrets "$home/.env holds ${inline% }, and every container reads that file" 'Run ./install.sh, which moves it into a file of the one container that needs it.'
  else finding ok Secrets 'nobody else can read them'; fi
}

# The images of the containers, against .env and against what was installed.
image_check() {
  is_compose || return 0
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
  is_compose || return 0
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
  is_compose || return 0
  # shellcheck disable=SC2016 # Docker's own template.
  bad=$(owned_containers '{{.Names}} {{.State}} {{.Status}}' 2>/dev/null | awk '/\(unhealthy\)/ || $2 == "restarting" || $2 == "dead" || ($2 == "exited" && $0 !~ /Exited \(0\)/) { printf "%s%s", sep, $1; sep = ", " }')
  [ -z "$bad" ] || finding failed Containers "not well: $bad" "See: docker logs --tail 50 ${bad%%,*}"
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
  [ "$1" = logs ] || return 0
  for one in $(owned_containers '{{.Names}}' 2>/dev/null | grep -E 'temporal|postgres'); do
    if docker logs --since 15m --tail 200 "$one" 2>&1 | grep -q 'password authentication failed'; then
      finding failed Database "PostgreSQL refuses Temporal's password ($one says so): it was changed while both ran" "$mend"
      return 0
    fi
  done
}

case ${1:-} in
  before) unfinished_check >/dev/null; docker_check; port_check; network_check; disk_check "${2:-2048}"; clock_check; dns_check ;;
  start) docker_check; port_check; secrets_check; database_check files; image_check; disk_check 256 ;;
  explain) database_check logs; container_check; mixed_check; disk_check 256; clock_check ;;
  doctor)
    if [ "$deployment" = container ]; then unfinished_check; guest_check; exit "$(grep -c '^failed' "$found" || :)"; fi
    unfinished_check; unit_check; docker_check; container_check; image_check; mixed_check; database_check logs; port_check; secrets_check; disk_check 512
    clock_check; dns_check
    ;;
  *) echo 'usage: checks.sh before | start | explain | doctor' >&2; exit 2 ;;
esac
! grep -q '^failed' "$found"
