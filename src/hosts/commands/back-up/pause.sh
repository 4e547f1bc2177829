# shellcheck shell=sh disable=SC2154 # Beside functions.sh, whose names it uses.
# of_container FORMAT CONTAINER: sets _fact. 1: there is no such container any more; 2: Docker doesn't say. Only a daemon that answers
# tells of one that there is none.
of_container() {
  if _fact=$(timeout 20 docker inspect --type container --format "$1" -- "$2" 2>/dev/null); then return 0; fi
  case $(timeout 20 docker inspect --type container --format x -- "$2" 2>&1) in
    *[Nn]'o such container'* | *[Nn]'o such object'*) return 1 ;;
    *) return 2 ;;
  esac
}

# mounting FOLDER: sets _users to the containers that are at work and may write to something of it. 1: there are none; 2: Docker
# doesn't say. Who has all of Docker's folder mounted, as what monitors does, is none of them, nor is who only reads.
mounting() {
  _users=
  command -v docker >/dev/null || return 1
  # Not those that somebody else has paused, who would go on with ours.
  _running=$(timeout 20 docker ps --quiet --no-trunc --filter status=running) || return 2
  for _container in $_running; do
    _answer=0; of_container '{{range .Mounts}}{{if .RW}}{{println .Source}}{{end}}{{end}}' "$_container" || _answer=$?
    case $_answer in 1) continue ;; 2) return 2 ;; esac
    ! printf '%s\n' "$_fact" | of="$1" awk '{ of = ENVIRON["of"] } $0 != "" && ($0 == of || index($0, of "/") == 1) { f = 1 } END { exit !f }' ||
      _users="$_users$_container "
  done
  [ -n "$_users" ]
}

# pause_mounting FOLDER: pauses them. stop_mounting FOLDER: stops them. 1: there are none; 2: they can't be, or Docker doesn't say.
pause_mounting() {
  mounting "$1" || return
  stand_still paused || return 2
  # shellcheck disable=SC2086 # One for each container.
  timeout 30 docker pause $_users >/dev/null || { not_still paused; return 2; }
}
stop_mounting() {
  mounting "$1" || return
  stand_still stopped || return 2
  # shellcheck disable=SC2086 # The same.
  timeout 180 docker stop --time 60 $_users >/dev/null || { not_still stopped; return 2; }
}

# stand_still NOTE: before they are: whatever ends this process, somebody lets them go on. Among them may be the database without which the
# service that started this can't hear of its end.
stand_still() {
  keep "$1" "$_users" "$_record" || return 1
  trap 'exit 143' TERM INT HUP
  trap 'unpause "$_record" || :' EXIT
  guard
}

# guard: what lets them go on where this process was killed with everything that it has started: out of its group, its session
# and, with systemd, its unit. The notes stay for who looks after it.
guard() {
  read -r _me _ </proc/self/stat
  # shellcheck disable=SC2016 # For the shell that is started.
  set -- sh -c 'while [ -e "/proc/$1" ]; do [ -e "$2/paused" ] || [ -e "$2/stopped" ] || exit 0; sleep 1; done
    for note in stopped paused; do
      [ -e "$2/$note" ] || continue
      for one in $(cat "$2/$note"); do
        case $note in
          stopped) timeout 120 docker start "$one" ;;
          paused) timeout 30 docker unpause "$one" ;;
        esac
      done
    done' guard "$_me" "$_record"
  if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then
    systemd-run --quiet --collect --property=UMask=0077 --setenv="PATH=$PATH" -- "$@" </dev/null >/dev/null 2>&1 7>&- 8>&- 9>&- && return 0
  fi
  setsid "$@" </dev/null >/dev/null 2>&1 7>&- 8>&- 9>&- &
}

# not_still NOTE: they go on, as far as some stand still. A request that took too long may have its effect later: the note stays, and who
# comes next looks again.
not_still() {
  _them=$_users
  sleep 1
  unpause "$_record" || return 0
  keep "$1" "$_them" "$_record" || :
}

# unpause RECORD: lets go on what a backup has paused or stopped; fails where one of them could not be, or Docker doesn't say. The others
# go on nevertheless.
unpause() {
  _stuck=
  for _note in stopped paused; do
    [ -e "$1/$_note" ] || continue
    _still=
    read -r _users <"$1/$_note" || :
    for _container in $_users; do let_go "$_note" "$_container" || _still="$_still $_container"; done
    if [ -z "$_still" ]; then rm -f -- "$1/$_note"
    else
      _stuck=yes
      echo "these containers were $_note for a backup and could not be let go on:$_still" >&2
    fi
  done
  [ -z "$_stuck" ]
}

# let_go stopped|paused CONTAINER: one that is gone meanwhile, or that somebody else has let go on, is nobody's to start.
let_go() {
  # Without the program there are no containers.
  command -v docker >/dev/null || return 0
  case $1 in stopped) set -- '{{.State.Running}}' false start "$2" ;; *) set -- '{{.State.Paused}}' true unpause "$2" ;; esac
  _answer=0; of_container "$1" "$4" || _answer=$?
  case $_answer in 1) return 0 ;; 2) return 1 ;; esac
  [ "$_fact" = "$2" ] || return 0
  timeout 120 docker "$3" "$4" >/dev/null
}
