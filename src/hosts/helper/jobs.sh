# shellcheck shell=sh disable=SC2154 # One part of the helper: others set its variables.
# 5. Jobs.

# A job is a folder $state/jobs/ID: command (a line with the vector, one with the run it is for, and one with the lock and
# the fences it was started under), claim (a folder: whoever makes it executes the command, so it is executed once), meta
# (who does), stdout, stderr, and exit (written last, durably). Any of these files may be missing, empty, cut or garbage,
# after a crash or a fault of the disk: what the record doesn't say is then `-`, and nothing of it fails.
job_folder() { _id=$1 _dir=$state/jobs/$1; }

# job_start ID RUN VERB ARGUMENTS: starts the job unless it is there, and says which.
job_start() {
  job_folder "$1"; shift 2
  # The fences aren't part of what the job is: a retry may show newer ones.
  call_of "$@"; _under=-
  case $_lock in host) _under="host $2" ;; guest) _under="guest-$_vmid $2 $3" ;; esac
  _found=found
  if unbegun; then
    # Following a job that is there is a look; only starting one needs the lock.
    admit || exit
    permit look "$@" || exit
    mkdir -p "$state/jobs" || fail 'the state folder cannot be written'
    ! mkdir "$_dir" 2>/dev/null || _found=started
    # Two starters write the same; a starter that died in between has written nothing or all.
    asked || keep command "$_call
$_run
$_under" "$_dir" || fail 'the job cannot be written'
  fi
  # A job that was cancelled before it began has no command.
  ! asked || [ "$_known" = "$_call" ] || refuse 'this job id belongs to another command'
  if unbegun; then
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

# unbegun: whether nobody has begun the job, by whatever is left of its record.
unbegun() { [ ! -e "$_dir/claim" ] && [ ! -e "$_dir/meta" ] && [ ! -e "$_dir/exit" ]; }

# job_run ID RUN VERB ARGUMENTS: what systemd or setsid executes. Ends with the command's exit code on disk.
job_run() {
  job_folder "$1"; shift 2
  me; boot; _began=$(date +%s%3N) # Before the claim: what fails here is tried again.
  # Whoever stops the job signals its whole group, so the programs that write its record must not hear it.
  trap '' TERM INT HUP; uptime; _since=$_up
  unbegun && mkdir "$_dir/claim" 2>/dev/null || exit 0
  keep meta "$_pid $_start $_group $_this_boot $_began" "$_dir" || exit 70
  uptime; [ $((_up - _since)) -lt 60 ] || { record terminated; exit 0; } # It may pass for a lost one by now.
  _stopped=; trap '_stopped=yes' TERM INT HUP
  [ ! -e "$_dir/cancel" ] || { record cancelled; exit 0; }
  _code=0; { admit && permit spend "$@"; } 2>/dev/null || _code=$?
  if [ "$_code" != 0 ]; then
    trap '' TERM INT HUP
    [ -z "$_stopped" ] || { stopped; exit 0; }
    case $_code in 75) record fenced-out ;; 77) record changes-stopped ;; 78) record not-signed ;; *) record busy ;; esac
    exit 0
  fi
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
  trap '' TERM INT HUP
  rm -f "$_dir/1" "$_dir/2"
  if [ -z "$_stopped" ]; then record "$_code"; else stopped; fi
  # What is left of the process group; systemd does the same with its control group.
  [ "$_group" = 0 ] || kill -s TERM 0 2>/dev/null || :
}

# stopped: records why the job was stopped.
stopped() {
  uptime
  if [ -e "$_dir/cancel" ]; then record cancelled
  elif [ $((_up - _since)) -ge "$_seconds" ]; then record timeout
  else record terminated; fi
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

# job_state: sets _state, _exit, _began and _ended; of a job that is running, _pid and _pgid.
job_state() {
  _exit=- _ended=- _began=-
  [ -d "$_dir" ] || { _state=absent; return 0; }
  _begun=yes; begun || _begun=
  ended && return 0
  if [ -n "$_begun" ]; then
    boot
    if [ "$_boot" = "$_this_boot" ]; then
      if stat_of "$_pid"; then [ "$_start" != "$_began_at" ] || { running; return 0; }
      # A job that goes on must not pass for a lost one, which would be done again beside it.
      elif [ -z "$_stat" ] && [ -e "/proc/$_pid/stat" ]; then fail "process $_pid cannot be looked at"; fi
    fi
  elif [ ! -e "$_dir/meta" ] && beginning; then _state=starting; return 0
  elif at_work; then running; return 0
  fi
  # It may have ended between the two looks.
  ended || _state=lost
}

# running: its group is what /proc says of it, not what may be wrong in its record.
running() {
  _state=running _pgid=$_group
  ! grep -qs "/proxmox-mcp-job-${_id}[.]service\$" "/proc/$_pid/cgroup" || _pgid=0
}

# asked: _known, _for and _held become what command says; false when it isn't there.
asked() {
  _known=- _for=- _held=-
  [ -f "$_dir/command" ] && { read -r _known && { { read -r _for && read -r _held _fences; } || :; }; } 2>/dev/null <"$_dir/command"
}

# begun: sets what meta says; false when it isn't there, whole.
begun() {
  [ -f "$_dir/meta" ] && read -r _pid _began_at _pgid _boot _time _r 2>/dev/null <"$_dir/meta" || return 1
  for _number in "$_pid" "$_began_at" "$_pgid" "$_time"; do counts "$_number" || return 1; done
  case $_boot in ????????-????-????-????-????????????) ;; *) return 1 ;; esac
  _began=$_time
}

ended() {
  [ -f "$_dir/exit" ] || return 1
  { read -r _exit _ended _r || _exit=; } 2>/dev/null <"$_dir/exit" || _exit=
  case $_exit in
    [0-9] | [1-9][0-9] | [1-9][0-9][0-9]) _state=ended ;;
    cancelled | timeout | terminated | fenced-out | busy | changes-stopped | not-signed) _state=$_exit _exit=- ;;
    *) _state=lost _exit=- ;;
  esac
  counts "$_ended" || written "$_dir/exit"
}

# beginning: whether somebody may still begin the job, or has done so only now.
beginning() {
  ! unbegun || return 0
  _now=$(date +%s%3N) && written "$_dir/claim" || return 0
  _claimed=$_ended _ended=-
  [ "$_claimed" = - ] || [ $((_now - _claimed)) -lt 300000 ]
}

# at_work: whether the job's own process is there, though its record doesn't name it; sets _pid.
at_work() {
  set +f
  _pid=$(grep -lszxF -e job-run /proc/[0-9]*/cmdline | xargs -r grep -lszxF -e "$_id" | head -n 1) || _pid=
  set -f
  _pid=${_pid#/proc/} _pid=${_pid%%/*}
  [ -n "$_pid" ] && stat_of "$_pid"
}

# written PATH: _ended becomes when it was, in ms, or `-`.
written() { if _ended=$(stat -c %Y -- "$1" 2>/dev/null) && counts "$_ended"; then _ended=${_ended}000; else _ended=-; fi; }

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
  [ ! -f "$_dir/$1" ] || _kept=$(wc -c <"$_dir/$1") || _kept=0
  [ ! -f "$_dir/$1.more" ] || { read -r _more || _more=; } 2>/dev/null <"$_dir/$1.more" || _more=
  counts "$_more" || _more=0
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
        asked || _held=
        [ "$_held" = "guest-$4" ] || refuse "this job is not one of guest $4"
      fi
      ;;
  esac
  mkdir -p "$_dir"; [ -e "$_dir/cancel" ] || : >"$_dir/cancel"
  # A job that nobody has begun to execute never will be.
  if unbegun && mkdir "$_dir/claim" 2>/dev/null; then record cancelled || say 'the end of the job cannot be written'; fi
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

# each_job FUNCTION: calls it for every job, with _id, _dir, _state and its times set. What fails for one is for that one.
each_job() {
  set +f
  for _dir in "$state"/jobs/*/; do
    set -f
    [ -d "$_dir" ] || continue
    _dir=${_dir%/} _id=${_dir##*/}
    case $_id in -* | *[!abcdefghijklmnopqrstuvwxyz0123456789-]*) _id='?' ;; esac
    ( job_state && "$1" ) || [ "$1" != list_job ] || echo "$_id unreadable - - - - -"
  done
  set -f
}

# A line for each job: id, state, exit code, when it began and ended, verb, run.
list_job() {
  asked || :
  _word=${_known%% *}
  case $_word in '' | *[!a-z0-9-]*) _word=- ;; esac
  case $_for in '' | [!A-Za-z0-9]?* | *[!A-Za-z0-9/_.:-]*) _for=- ;; esac
  [ "${#_word}" -le 100 ] || _word=-
  [ "${#_for}" -le 200 ] || _for=-
  echo "$_id $_state $_exit $_began $_ended $_word $_for"
}

# job_clean DAYS: forgets jobs that ended so long ago; never one that may be running.
job_clean() {
  _at=$(date +%s%3N)
  _limit=$((_at - $1 * 86400000))
  each_job clean_job
}

clean_job() {
  case $_state in
    running) return 0 ;;
    # One that nobody has begun for a day never will be.
    starting) written "$_dir"; [ "$_ended" != - ] && [ "$_ended" -le "$((_at - 86400000))" ] || return 0 ;;
    lost) [ "$_began" = - ] || _ended=$_began ;;
  esac
  # A record without a time, or with one that has not come.
  # shellcheck disable=SC2015 # Of either.
  counts "$_ended" && [ "$_ended" -le "$_at" ] || written "$_dir"
  [ "$_ended" != - ] && [ "$_ended" -le "$_limit" ] || return 0
  if rm -rf "$_dir"; then echo "$_id"; fi
}
