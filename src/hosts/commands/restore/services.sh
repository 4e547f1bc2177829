# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # Beside record.sh, whose names it uses.
# touches WORD: whether the restore is of it: installation, volumes, systemd, sysctl, sshd, sudo, pve.
touches() { grep -qx -e "$1" "$_rec/touches" 2>/dev/null; }
has_systemd() { [ -d /run/systemd/system ] && [ -z "$hostRoot" ]; }
has_docker() { command -v docker >/dev/null && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# list_touches: from the list of units.
list_touches() {
  top="$_top" base="${sudoersFile##*/}" awk -F '\t' '
    $5 == ENVIRON["top"] || (index($5, ENVIRON["top"] "/") == 1 && $5 != ENVIRON["top"] "/" ENVIRON["base"]) { print "installation" }
    $5 ~ /^volumes\// { print "volumes" } $5 ~ /^host\/etc\/(systemd\/system|default)\// { print "systemd" }
    $5 ~ /^host\/etc\/sysctl/ { print "sysctl" } $5 ~ /^host\/etc\/ssh\/sshd_config/ { print "sshd" } $5 ~ /^host\/etc\/ssh/ { print "ssh" }
    $5 ~ /^host\/etc\/sudoers/ || $5 == ENVIRON["top"] "/" ENVIRON["base"] { print "sudo" } $5 ~ /^host\/var\/lib\/pve-cluster/ { print "pve" }
    $5 ~ /^host\/etc\/network/ { print "network" }' "$1" | sort -u
}

# users_of LIST: what has to stand still: `unit NAME` and `container ID`, in the order in which they are stopped.
users_of() {
  if has_systemd && grep -qx pve "$1"; then for _unit in pvestatd pveproxy pvedaemon pve-cluster; do ! systemctl --quiet is-active "$_unit.service" || echo "unit $_unit"; done; fi
  grep -qx -e installation -e volumes "$1" || return 0
  ! has_systemd || ! systemctl --quiet is-active "${unit%.service}.service" || echo "unit ${unit%.service}"
  has_docker || return 0
  # shellcheck disable=SC2086 # A word for each.
  for _container in $(timeout 20 docker ps --quiet --no-trunc); do
    timeout 20 docker inspect --format '{{println .Name}}{{range .Mounts}}{{println .Source}}{{end}}' -- "$_container" 2>/dev/null |
      names="$containers" awk -F '\t' 'FILENAME == ARGV[1] { if ($5 !~ /^host\//) t[$4]; next }
        { for (x in t) if (index($0 "/", x "/") == 1 || index(x "/", $0 "/") == 1) f = $0 != "" }
        FNR == 1 { n = split(ENVIRON["names"], c, " "); for (i = 1; i <= n; i++) if ("/" c[i] == $0) f = 1 } f { any = 1 } END { exit !any }' "$2" - &&
      echo "container $_container" || :
  done
}

# stop_users: notes what runs, for whoever starts it again, and stops it.
stop_users() {
  [ -e "$_rec/ran" ] || { users_of "$_rec/touches" "$_rec/units" >"$_rec/ran.new"; sync "$_rec/ran.new"; mv -fT "$_rec/ran.new" "$_rec/ran"; sync "$_rec"; }
  { cat "$_rec/ran"; users_of "$_rec/touches" "$_rec/units"; } | awk '!seen[$0]++' >"$_rec/stopping"
  while read -r _kind _who <&5; do
    case $_kind in
      unit) systemctl stop -- "$_who.service" || stop 9 "the service $_who does not stop" ;;
      container) [ "$(running_of "$_who")" != true ] || timeout 90 docker stop -- "$_who" >/dev/null || stop 9 "the container $_who does not stop" ;;
    esac
  done 5<"$_rec/stopping"
}

running_of() { timeout 20 docker inspect --type container --format '{{.State.Running}}' -- "$1" 2>/dev/null || echo gone; }

# start_users: what ran before; what can't be started is for who judges.
start_users() {
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
  if has_systemd && systemctl cat -- "${unit%.service}.service" >/dev/null 2>&1; then
    systemctl start -- "${unit%.service}.service" || :
    echo "unit ${unit%.service}" >>"$_rec/started"
  fi
  has_docker || return 0
  for _file in compose.yaml compose.yml docker-compose.yaml docker-compose.yml; do
    [ -s "$_installation/$_file" ] || continue
    grep -Eq '^services: *(#.*)?$' "$_installation/$_file" || return 0
    compose "$_file" up -d --no-build >&2 || :
    compose "$_file" ps -q 2>/dev/null | sed 's/^/container /' >>"$_rec/started"
    return 0
  done
}

# compose FILE ARGUMENTS: by Docker's plugin, or the older program.
compose() {
  _of_file=$_installation/$1; shift
  if docker compose version >/dev/null 2>&1; then timeout 300 docker compose --project-directory "$_installation" --file "$_of_file" "$@"
  else timeout 300 docker-compose --project-directory "$_installation" --file "$_of_file" "$@"; fi
}

# stop_new: what start_new has started.
stop_new() {
  [ -f "$_rec/started" ] || return 0
  while read -r _kind _who <&5; do
    case $_kind in unit) systemctl stop -- "$_who.service" || : ;; container) timeout 90 docker rm --force -- "$_who" >/dev/null 2>&1 || : ;; esac
  done 5<"$_rec/started"
  rm -f -- "$_rec/started"
}

# at_boot on|off: while something is swapped, the host itself goes back when it has restarted in the middle of it: what the restore
# is of may be the service.
at_boot() {
  has_systemd || return 0
  _at_boot=/etc/systemd/system/proxmox-mcp-restore.service
  if [ "$1" = on ]; then
    printf '%s\n' '[Unit]' "Description=Go back from the restore $_restore, which was interrupted" 'After=local-fs.target docker.service pve-cluster.service' '' \
      '[Service]' 'Type=oneshot' "ExecStart=/bin/sh -c 'read -r fence <\"$state/host.fence\"; exec \"$helper\" undo-restore \"\$\$fence\" \"$_run\" $_restore'" '' \
      '[Install]' 'WantedBy=multi-user.target' >"$_at_boot"
    sync "$_at_boot"; systemctl --quiet enable proxmox-mcp-restore.service 2>/dev/null; sync -f /etc/systemd/system
  elif [ -e "$_at_boot" ]; then systemctl --quiet disable proxmox-mcp-restore.service 2>/dev/null || :; rm -f -- "$_at_boot"; fi
}
