# shellcheck shell=sh disable=SC2154 # One part of the helper: others set its variables.
# 4. Jobs.

# A job is a folder $state/jobs/ID: command (a line with the vector, one with the run it is for, and one with the lock and
# the fences it was started under), claim (a folder: whoever makes it executes the command, so it is executed once), meta
# (who does), stdout, stderr, and exit (written last, durably).
job_folder() { _id=$1 _dir=$state/jobs/$1; }

# job_start ID RUN VERB ARGUMENTS: starts the job unless it is there, and says which.
job_start() {
  job_folder "$1"; _run=$2; shift 2
  # The fences aren't part of what the job is: a retry may show newer ones.
  _command=$* _under=-
  case $_lock in
    host) _command=$1${_command#"$1 $2"} _under="host $2" ;;
    guest) _command=$1${_command#"$1 $2 $3"} _under="guest-$_vmid $2 $3" ;;
  esac
  _found=found
  if [ ! -e "$_dir/claim" ]; then
    # Following a job that is there is a look; only starting one needs the lock.
    admit || exit
    mkdir -p "$state/jobs" || fail 'the state folder cannot be written'
    ! mkdir "$_dir" 2>/dev/null || _found=started
    # Two starters write the same; a starter that died in between has written nothing or all.
    [ -e "$_dir/command" ] || keep command "$_command
$_run
$_under" "$_dir" || fail 'the job cannot be written'
  fi
  # A job that was cancelled before it began has no command.
  _known=$_command; [ ! -e "$_dir/command" ] || read -r _known <"$_dir/command"
  [ "$_known" = "$_command" ] || refuse 'this job id belongs to another command'
  if [ ! -e "$_dir/claim" ]; then
    if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then
      # Fails when another start of the same job was quicker, which is as good.
      systemd-run --quiet --collect --unit="proxmox-mcp-job-$_id" --property=Type=exec \
        --property=KillMode=control-group --property=TimeoutStopSec=20 --property="RuntimeMaxSec=$((_seconds + 1))" \
        --property=TasksMax=1024 --property=OOMPolicy=kill --property=UMask=0077 --property=WorkingDirectory=/ \
        -- "$_self" job-run "$_id" "$_run" "$@" </dev/null >"$_dir/spawn.$$" 2>&1 || _failed=yes
      if [ "${_failed-}" = yes ] && sleep 1 && [ ! -e "$_dir/claim" ]; then
        cat "$_dir/spawn.$$" >&2; fail 'systemd did not start the job'
      fi
      rm -f "$_dir/spawn.$$"
    else
      setsid timeout -k 20 "$((_seconds + 1))" "$_self" job-run "$_id" "$_run" "$@" </dev/null >/dev/null 2>&1 7>&- 8>&- 9>&- &
    fi
    # Our share of the locks is kept until the job has its own, so that no newer holder comes between.
    _try=0
    until [ -e "$_dir/stdout" ] || [ -e "$_dir/exit" ] || [ "$_try" -ge 100 ]; do _try=$((_try + 1)); sleep 0.02; done
  fi
  echo "$_found"
}

# job_run ID RUN VERB ARGUMENTS: what systemd or setsid executes. Ends with the command's exit code on disk.
job_run() {
  job_folder "$1"; shift 2
  me; boot; _began=$(date +%s%3N) # Before the claim: what fails here is tried again.
  mkdir "$_dir/claim" 2>/dev/null || exit 0
  _stopped= ; trap '_stopped=yes' TERM INT HUP
  keep meta "$_pid $_start $_group $_this_boot $_began" "$_dir" || exit 70
  _code=0; admit 2>/dev/null || _code=$?
  case $_code in 0) ;; 75) record fenced-out; exit 0 ;; *) record busy; exit 0 ;; esac
  mkfifo "$_dir/1" "$_dir/2"
  bound "$_dir/stdout" 8388608 <"$_dir/1" 7>&- 8>&- 9>&- & _b1=$!
  bound "$_dir/stderr" 1048576 <"$_dir/2" 7>&- 8>&- 9>&- & _b2=$!
  ( trap - TERM INT HUP; execute "$@" ) </dev/null >"$_dir/1" 2>"$_dir/2" & _child=$!
  _code=0; wait "$_child" || _code=$?
  # A trapped signal ends wait before the child has ended.
  while kill -0 "$_child" 2>/dev/null; do _code=0; wait "$_child" || _code=$?; done
  # Something that the command left behind may hold its output open: don't wait for ever.
  ( sleep 3; kill -s KILL "$_b1" "$_b2" 2>/dev/null ) 7>&- 8>&- 9>&- & _alarm=$!
  wait "$_b1" 2>/dev/null || :; wait "$_b2" 2>/dev/null || :
  kill "$_alarm" 2>/dev/null || :
  rm -f "$_dir/1" "$_dir/2"
  if [ -z "$_stopped" ]; then record "$_code"
  elif [ -e "$_dir/cancel" ]; then record cancelled
  else read -r _p _s _g _b _began _r <"$_dir/meta"
    if [ $(( $(date +%s%3N) - _began )) -ge $(( _seconds * 1000 )) ]; then record timeout; else record terminated; fi
  fi
  # What is left of the process group; systemd does the same with its control group.
  trap '' TERM; [ "$_group" = 0 ] || kill -s TERM 0 2>/dev/null || :
}

# bound FILE BYTES: keeps the first bytes as they come and counts the rest.
bound() {
  trap '' TERM
  stdbuf -o0 head -c "$2" >"$1"
  wc -c >"$1.more"
}

record() {
  [ ! -e "$_dir/stdout" ] || sync "$_dir/stdout" "$_dir/stderr" 2>/dev/null || :
  keep exit "$1 $(date +%s%3N)" "$_dir"
}

# boot: _this_boot becomes the id of this start of the host. Without another process, which may fail.
boot() { read -r _this_boot </proc/sys/kernel/random/boot_id || fail 'the boot id cannot be read'; }

# stat_of PID: sets _start and _group from /proc; false when there is no such process, or (_stat empty) it can't be read.
stat_of() {
  _stat=; read -r _stat 2>/dev/null <"/proc/$1/stat" || return 1
  _stat=${_stat##*) }
  # shellcheck disable=SC2086 # Its words.
  set -- $_stat
  [ "$1" != Z ] || return 1
  _group=$3 _session=$4; shift 19; _start=$1
}

# me: _pid, _start and _group of this process; _group 0 where systemd looks after all of the job.
me() {
  _pid=$$; stat_of "$$"
  ! grep -qs "/proxmox-mcp-job-${_id}[.]service\$" /proc/self/cgroup || _group=0
}

# job_state: sets _state and _exit.
job_state() {
  _exit=- _ended=- _began=-
  [ -d "$_dir" ] || { _state=absent; return 0; }
  if [ -e "$_dir/meta" ]; then read -r _pid _began_at _pgid _boot _began _r <"$_dir/meta"; fi
  ended && return 0
  [ -e "$_dir/meta" ] || { _state=starting; return 0; }
  boot
  if [ "$_boot" = "$_this_boot" ]; then
    if stat_of "$_pid"; then [ "$_start" != "$_began_at" ] || { _state=running; return 0; }
    # A job that goes on must not pass for a lost one, which would be done again beside it.
    elif [ -z "$_stat" ] && [ -e "/proc/$_pid/stat" ]; then fail "process $_pid cannot be looked at"; fi
  fi
  # It may have ended between the two looks.
  ended || _state=lost
}

ended() {
  [ -e "$_dir/exit" ] || return 1
  read -r _exit _ended <"$_dir/exit"
  case $_exit in *[!0-9]*) _state=$_exit _exit=- ;; *) _state=ended ;; esac
}

job_status() {
  job_folder "$1"
  job_state
  echo "state $_state $_exit $_began $_ended"
  output stdout "$2"
  output stderr "$3"
}

# output NAME OFFSET: bytes kept, bytes in all, and at most 48 KiB from the offset as base64.
output() {
  _kept=0 _more=0
  [ ! -e "$_dir/$1" ] || _kept=$(wc -c <"$_dir/$1")
  [ ! -s "$_dir/$1.more" ] || _more=$(cat "$_dir/$1.more")
  printf '%s %s %s ' "$1" "$_kept" $((_kept + _more))
  [ "$_kept" -le "$2" ] || tail -c "+$(($2 + 1))" "$_dir/$1" | head -c 49152 | base64 -w0
  echo
}

# job_cancel ID [FENCE [GUESTFENCE VMID]]: stops the whole group and says what it could not stop. With fences, which is
# how a run stops the jobs of others, only for who still holds the lock: who holds the host alone any job, who holds a
# guest only that guest's.
job_cancel() {
  job_folder "$1"
  case $# in
    2) near "$2" && not_older "$2" host host-shared || exit ;;
    4)
      near "$2" "$3" && not_older "$2" host && not_older "$3" "guest-$4" || exit
      if [ -e "$_dir/command" ]; then
        { read -r _command && read -r _run && read -r _under _fences; } <"$_dir/command" || _under=
        [ "$_under" = "guest-$4" ] || refuse "this job is not one of guest $4"
      fi
      ;;
  esac
  mkdir -p "$_dir"; : >"$_dir/cancel"
  # A job that nobody has begun to execute never will be.
  if mkdir "$_dir/claim" 2>/dev/null; then record cancelled || say 'the end of the job cannot be written'; fi
  job_state
  if [ "$_state" = starting ]; then sleep 1; job_state; fi
  _left=
  if [ "$_state" = running ]; then
    if [ "$_pgid" = 0 ]; then
      systemctl stop "proxmox-mcp-job-$_id.service" || :
      _group=/sys/fs/cgroup/system.slice/proxmox-mcp-job-$_id.service
      { _left=$(tr '\n' ' ' <"$_group/cgroup.procs"); } 2>/dev/null || _left=
    else
      kill -s TERM -- "-$_pgid" 2>/dev/null || :
      uptime; _since=$_up
      while members; [ -n "$_left" ] && [ $((_up - _since)) -lt 20 ]; do
        # After ten seconds there is nothing left to be polite about.
        # shellcheck disable=SC2086 # One for each process.
        [ $((_up - _since)) -lt 10 ] || kill -s KILL $_left 2>/dev/null || :
        sleep 0.2; uptime
      done
    fi
    ended || record cancelled || say 'the end of the job cannot be written'
    job_state
  fi
  echo "state $_state $_exit $_began $_ended"
  echo "left $_left"
}

# uptime: _up becomes the seconds since the host started, whatever is done to its clock.
uptime() { read -r _up _idle </proc/uptime; _up=${_up%.*}; }

# members: _left becomes the processes of the job's session.
members() {
  _left=
  set +f
  for _p in /proc/[0-9]*; do
    stat_of "${_p#/proc/}" 2>/dev/null || continue
    [ "$_session" != "$_pgid" ] || _left="$_left${_p#/proc/} "
  done
  set -f
}

# each_job FUNCTION: calls it for every job, with _dir, _state and its times set.
each_job() {
  set +f
  for _dir in "$state"/jobs/*/; do
    set -f
    [ -d "$_dir" ] || continue
    _dir=${_dir%/}
    job_state
    "$1"
  done
  set -f
}

# A line for each job: id, state, exit code, when it began and ended, verb, run.
list_job() {
  _command=- _run=-
  [ ! -e "$_dir/command" ] || { read -r _command && read -r _run || _run=-; } <"$_dir/command"
  echo "${_dir##*/} $_state $_exit $_began $_ended ${_command%% *} $_run"
}

# job_clean DAYS: forgets jobs that ended so long ago; never one that may be running.
job_clean() {
  _now=$(date +%s%3N)
  _limit=$((_now - $1 * 86400000))
  each_job clean_job
}

clean_job() {
  case $_state in
    running) return 0 ;;
    # One that nobody has begun for a day never will be.
    starting) _ended=$(stat -c %Y "$_dir")000; [ "$_ended" -le "$((_now - 86400000))" ] || return 0 ;;
    lost) _ended=$_began ;;
  esac
  [ "$_ended" -le "$_limit" ] || return 0
  if rm -rf "$_dir"; then echo "${_dir##*/}"; fi
}
