# shellcheck shell=sh disable=SC2154 # Beside functions.sh, whose names it uses.
# mounting FOLDER: sets _users to the containers that have something of it mounted and are at work; fails where there are none.
mounting() {
  command -v docker >/dev/null || return 1
  _users=
  for _container in $(timeout 20 docker ps --quiet --no-trunc); do
    ! timeout 20 docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' -- "$_container" |
      of="$1" awk '{ of = ENVIRON["of"] } $0 != "" && ($0 == of || index($0, of "/") == 1 || index(of, $0 "/") == 1) { f = 1 } END { exit !f }' ||
      _users="$_users$_container "
  done
  [ -n "$_users" ]
}

# pause_mounting FOLDER: pauses them; fails where there are none, or they can't be. stop_mounting FOLDER: stops them; fails where they
# can't be.
pause_mounting() {
  mounting "$1" || return 1
  # Whatever happens to this process, whoever finds the note lets them go on.
  keep paused "$_users" "$_record" || return 1
  trap 'unpause "$_record"; exit 143' TERM INT HUP
  # shellcheck disable=SC2086 # One for each container.
  timeout 30 docker pause $_users >/dev/null || { unpause "$_record"; return 1; }
}

stop_mounting() {
  mounting "$1" || return 0
  keep stopped "$_users" "$_record" || return 1
  trap 'unpause "$_record"; exit 143' TERM INT HUP
  # shellcheck disable=SC2086 # The same.
  timeout 180 docker stop --time 60 $_users >/dev/null || { unpause "$_record"; return 1; }
}

# unpause RECORD: lets go on what a backup has paused or stopped.
unpause() {
  if [ -e "$1/stopped" ]; then
    read -r _users <"$1/stopped" || return 0
    for _container in $_users; do
      # One that is gone meanwhile is nobody's to start.
      [ "$(timeout 20 docker inspect --format '{{.State.Running}}' -- "$_container" 2>/dev/null)" != false ] ||
        timeout 120 docker start "$_container" >/dev/null || return 1
    done
    rm -f -- "$1/stopped"
  fi
  [ -e "$1/paused" ] || return 0
  read -r _users <"$1/paused" || return 0
  for _container in $_users; do
    [ "$(timeout 20 docker inspect --format '{{.State.Paused}}' -- "$_container" 2>/dev/null)" != true ] ||
      timeout 30 docker unpause "$_container" >/dev/null || return 1
  done
  rm -f -- "$1/paused"
}
