# shellcheck shell=sh disable=SC2154,SC2034,SC2015,SC2015 # Beside record.sh, whose names it uses.
# touches WORD: whether the restore is of it: installation, volumes, systemd, sysctl, sshd, sudo, pve.
touches() { grep -qx -e "$1" "$_rec/touches" 2>/dev/null; }
has_systemd() { [ -d /run/systemd/system ] && [ -z "$hostRoot" ]; }
# At the start of the host Docker waits for who goes back, and asked it would be started.
has_docker() { ! early && command -v docker >/dev/null && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# early: whether this is what the host itself does when it starts: nothing runs yet, and nothing can be started.
early() { grep -qs '/proxmox-mcp-restore[.]service$' /proc/self/cgroup; }

# list_touches: from the list of units.
list_touches() {
  top="$_top" base="${sudoersFile##*/}" home="$_installation" awk -F '\t' '
    index(ENVIRON["home"] "/", $4 "/") == 1 || $5 ~ /^host\/.*\/temporal[.]sqlite$/ || $5 == ENVIRON["top"] || (index($5, ENVIRON["top"] "/") == 1 && $5 != ENVIRON["top"] "/" ENVIRON["base"]) { print "installation" }
    $5 ~ /^volumes\// { print "volumes" } $5 ~ /^host\/etc\/(systemd\/system|default)\// { print "systemd" }
    $5 ~ /^host\/etc\/sysctl/ { print "sysctl" } $5 ~ /^host\/etc\/ssh\/sshd_config/ { print "sshd" } $5 ~ /^host\/etc\/ssh/ { print "ssh" }
    $5 ~ /^host\/etc\/sudoers/ || $5 == ENVIRON["top"] "/" ENVIRON["base"] { print "sudo" } $5 ~ /^host\/var\/lib\/pve-cluster/ { print "pve" }
    $5 ~ /^volumes\/(temporal_data|mcp_ledger)$/ || $5 ~ /^host\/.*\/temporal[.]sqlite$/ { print "restored" }
    $5 ~ /^host\/etc\/network/ { print "network" }' "$1" | sort -u
}

# users_of LIST: what has to stand still: `unit NAME` and `container NAME` (another compose file makes another one of that name), in the order in which they are stopped.
users_of() {
  if has_systemd && grep -qx pve "$1"; then for _unit in pvestatd pveproxy pvedaemon pve-cluster; do ! systemctl --quiet is-active "$_unit.service" || echo "unit $_unit"; done; fi
  grep -qx -e installation -e volumes "$1" || return 0
  ! has_systemd || ! systemctl --quiet is-active "${unit%.service}.service" || echo "unit ${unit%.service}"
  has_docker || return 0
  # shellcheck disable=SC2086 # A word for each.
  for _container in $(timeout 20 docker ps --quiet --no-trunc); do
    timeout 20 docker inspect --format '{{println .Name}}{{range .Mounts}}{{println .Source}}{{end}}' -- "$_container" 2>/dev/null |
      names="$containers" home="$_installation" awk -F '\t' 'FILENAME == ARGV[1] { if ($5 !~ /^host\// || index(ENVIRON["home"] "/", $4 "/") == 1) t[$4]; next }
        { for (x in t) if (index($0 "/", x "/") == 1 || index(x "/", $0 "/") == 1) f = $0 != "" }
        FNR == 1 { name = substr($0, 2); n = split(ENVIRON["names"], c, " "); for (i = 1; i <= n; i++) if ("/" c[i] == $0) f = 1 } f { any = 1 } END { if (any) print "container " name }' "$2" -
  done
}

# stop_users: notes what runs, for whoever starts it again, and stops it.
stop_users() {
  ! early || return 0
  [ -e "$_rec/ran" ] || { users_of "$_rec/touches" "$_rec/units" >"$_rec/ran.new"; sync "$_rec/ran.new"; mv -fT "$_rec/ran.new" "$_rec/ran"; sync "$_rec"; }
  { cat "$_rec/ran"; users_of "$_rec/touches" "$_rec/units"; } | awk '!seen[$0]++' >"$_rec/stopping"
  while read -r _kind _who <&5; do
    case $_kind in
      unit) systemctl stop -- "$_who.service" || stop 9 "the service $_who does not stop" ;;
      container)
        [ "$(running_of "$_who")" != true ] || timeout 90 docker stop -- "$_who" >/dev/null ||
          { [ "$_is" = undoing ] && timeout 30 docker kill -- "$_who" >/dev/null; } || stop 9 "the container $_who does not stop"
        ;;
    esac
  done 5<"$_rec/stopping"
}

running_of() { timeout 20 docker inspect --type container --format '{{.State.Running}}' -- "$1" 2>/dev/null || echo gone; }

# start_users: what ran before; what can't be started is for who judges. Early it would wait for who waits for us.
start_users() {
  if early; then : >"$_rec/unstarted"; return 0; fi
  rm -f -- "$_rec/unstarted"
  ! has_systemd || ! touches systemd || systemctl daemon-reload || :
  [ -n "$hostRoot" ] || ! touches sysctl || sysctl --quiet --system >/dev/null 2>&1 || :
  [ -f "$_rec/ran" ] || return 0
  sort -r "$_rec/ran" | awk '$2 == "pve-cluster" { print "0 " $0; next } { print "1 " $0 }' | sort -s -k1,1 | while read -r _order _kind _who; do
    case $_kind in
      unit) systemctl start -- "$_who.service" || : ;;
      container) [ "$(running_of "$_who")" = true ] || timeout 90 docker start -- "$_who" >/dev/null 2>&1 || : ;;
    esac
  done
}

# start_new: where the installation was not running because there was none: its unit, or its compose project.
start_new() {
  touches installation && [ ! -s "$_rec/ran" ] && grep -qx 'what complete' "$_rec/request" || return 0
  : >"$_rec/before"
  ! has_docker || timeout 20 docker ps --all --quiet --no-trunc | sed 's/^/new /' >"$_rec/before"
  if has_systemd && systemctl cat -- "${unit%.service}.service" >/dev/null 2>&1; then
    systemctl start -- "${unit%.service}.service" || :
    echo "unit ${unit%.service}" >>"$_rec/started"
  fi
  has_docker || return 0
  for _file in compose.yaml compose.yml docker-compose.yaml docker-compose.yml; do
    [ -s "$_installation/$_file" ] || continue
    grep -Eq '^services: *(#.*)?$' "$_installation/$_file" || return 0
    # Who could write it would have root start what they like.
    _trusted=yes; for _of_it in "" "/$_file" /.env; do [ ! -e "$_installation$_of_it" ] || of_root_alone "$_installation$_of_it" || _trusted=; done
    [ -z "$_trusted" ] || compose "$_file" up -d --no-build >&2 || echo "failed docker compose could not start what $_file names" >>"$_rec/started"
    compose "$_file" ps --all --quiet 2>/dev/null | sed 's/^/new /' | awk 'FILENAME == ARGV[1] { was[$0]; next } { if ($0 in was) $1 = "container"; print }' "$_rec/before" - >>"$_rec/started"
    return 0
  done
}

# of_root_alone PATH: whether only root, or whose helper this is, can change it.
of_root_alone() { [ -n "$(find "$1" -maxdepth 0 -uid "$(id -u)" ! -perm /022 2>/dev/null)" ]; }

# compose FILE ARGUMENTS: by Docker's plugin, or the older program.
compose() {
  _of_file=$_installation/$1; shift
  if docker compose version >/dev/null 2>&1; then timeout 300 docker compose --project-directory "$_installation" --file "$_of_file" "$@"
  else timeout 300 docker-compose --project-directory "$_installation" --file "$_of_file" "$@"; fi
}

# stop_new: what start_new has started.
stop_new() {
  [ -f "$_rec/started" ] && ! early || return 0
  while read -r _kind _who <&5; do
    case $_kind in unit) systemctl stop -- "$_who.service" || : ;; container) timeout 90 docker stop -- "$_who" >/dev/null 2>&1 || : ;; new) timeout 90 docker rm --force -- "$_who" >/dev/null 2>&1 || : ;; esac
  done 5<"$_rec/started"
  rm -f -- "$_rec/started"
}

# at_boot on|off: while something is swapped, the host itself goes back when the job has died or the host has restarted: what the
# restore is of may be the service. Whoever it is asks for the state first: what was kept stays.
at_boot() {
  has_systemd || return 0
  _at_boot=/etc/systemd/system/proxmox-mcp-restore.service
  if [ "$1" = on ]; then
    way_back >"$_rec/way-back"
    printf '%s\n' '[Unit]' "Description=Go back from the restore $_restore, which was interrupted" 'After=local-fs.target' \
      "Before=docker.service pve-cluster.service ${unit%.service}.service" '' \
      '[Service]' 'Type=oneshot' 'TimeoutStartSec=1h' "ExecStart=/bin/sh \"$_rec/way-back\"" '' '[Install]' 'WantedBy=multi-user.target' >"$_at_boot"
    sync "$_rec/way-back" "$_rec" "$_at_boot"; systemctl --quiet enable proxmox-mcp-restore.service 2>/dev/null; sync -f /etc/systemd/system
    # Without the order of the one above, which others wait for.
    systemd-run --quiet --collect --unit="proxmox-mcp-$_restore" --property=Type=exec -- /bin/sh "$_rec/way-back" 2>/dev/null || :
  elif [ -e "$_at_boot" ]; then systemctl --quiet disable proxmox-mcp-restore.service 2>/dev/null || :; rm -f -- "$_at_boot"; sync -f /etc/systemd/system; fi
}

# way_back: a script that waits until nobody works on the restore, and goes back where it was left in the middle. Its fence is the
# newest one of this host, or a clock that is behind would refuse it.
way_back() {
  printf 'rec=%s fence_of=%s helper=%s run=%s restore=%s\n' "$(quoted "$_rec")" "$(quoted "$state/host.fence")" "$(quoted "$helper")" "$(quoted "$_run")" "$_restore"
  cat <<'WAY'
for try in 1 2 3 4 5 6 7 8 9 10; do
  flock -x "$rec/at-work" true
  { grep -Eqs '^(applying|undoing) ' "$rec/state" || [ -e "$rec/unstarted" ]; } || break
  now=$(date +%s%3N); fence=
  read -r fence <"$fence_of" || :
  case $fence in '' | *[!0123456789]*) fence=$now ;; esac
  [ "$fence" -le "$((now + 200000))" ] || fence=$now
  "$helper" undo-restore "$fence" "$run" "$restore" && [ ! -e "$rec/unstarted" ] && break
  # Before Docker nothing could be started.
  if [ -e "$rec/unstarted" ]; then
    systemd-run --quiet --collect --unit="proxmox-mcp-$restore-start" --property=After=docker.service --property=After=multi-user.target \
      --property=Type=exec --no-block -- /bin/sh "$rec/way-back"
    break
  fi
  sleep 15
done
WAY
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
