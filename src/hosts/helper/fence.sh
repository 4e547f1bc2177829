# shellcheck shell=sh disable=SC2154 # One part of the helper: others set its variables.
# 3. Locks and fences: who may change something.
#
# Who asks for a change holds a lock of the service and shows its fence, a number that grows with each holder. Of each
# lock, NAME.fence keeps the greatest fence that was shown here, and what is at work under one keeps NAME.lock (flock -s),
# which the kernel takes back when it ends. A smaller fence is fenced out; a greater one waits until nothing of a smaller
# one is at work (flock -x). The locks, in the order in which they are taken, so that no two wait for each other:
#
#   9  host         of who holds the host alone
#   8  host-shared  of who shares the host, holding one guest alone
#   7  guest-VMID   of who holds that guest alone
#
# Who holds the host alone is compared with all, and waits for all others. Who shares it is compared only with those who
# held it alone, and waits only for them: so two guests are worked on side by side, whichever fence is greater.

# admit: lets in what check has read, or returns why not. What it takes is kept until this process has ended.
admit() {
  [ "$_lock" != none ] || return 0
  mkdir -p "$state" && { command exec 9>>"$state/host.lock" 8>>"$state/host-shared.lock"; } 2>/dev/null || no_locks || return
  case $_lock in
    host) alone 9 "$_fence" host host-shared ;;
    guest)
      shared "$_fence" || return
      { command exec 7>>"$state/guest-$_vmid.lock"; } 2>/dev/null || no_locks || return
      alone 7 "$_guest_fence" "guest-$_vmid"
      ;;
  esac
}

# alone DESCRIPTOR FENCE NAME [SHARED]: lets in who holds the lock alone; with SHARED, also without anybody who shares it.
alone() {
  flock -s -w 5 "$1" || busy 'another command is being admitted' || return
  not_older "$2" "$3" ${4+"$4"} && newest "$3" || return
  if [ "$2" -gt "$_newest" ]; then
    flock -u "$1"
    flock -x -w 5 "$1" && { [ "$#" = 3 ] || flock -x -w 5 8; } ||
      busy 'a command or job of an earlier holder of the lock is still at work' || return
    not_older "$2" "$3" ${4+"$4"} || return
    keep "$3.fence" "$2" "$state" || { say 'failed: the fence cannot be written'; return 70; }
    # The kernel lets go of the one lock before it gives the other, so it is looked at once more below.
    [ "$#" = 3 ] || flock -u 8
    flock -s "$1"
  fi
  not_older "$2" "$3" ${4+"$4"}
}

# shared FENCE: lets in who shares the host.
shared() {
  # For a moment alone: then nobody who holds the host alone is at work, and none begins before this is known to be.
  flock -x -w 5 9 || busy 'a command or job of who holds the host alone is still at work' || return
  not_older "$1" host && newest host-shared || return
  [ "$1" -le "$_newest" ] || keep host-shared.fence "$1" "$state" || { say 'failed: the fence cannot be written'; return 70; }
  flock -s -w 5 8 || busy 'another command is being admitted' || return
  exec 9>&-
}

# not_older FENCE NAMES: whether no greater fence of these locks was shown.
not_older() {
  _shown=$1; shift
  for _of in "$@"; do
    newest "$_of" || return
    [ "$_shown" -ge "$_newest" ] || { say "fenced-out: fence $_shown is older than $_newest"; return 75; }
  done
}

# newest NAME: _newest becomes the greatest fence of this lock so far.
newest() {
  _newest=0
  [ ! -e "$state/$1.fence" ] || read -r _newest <"$state/$1.fence" || _newest=
  case $_newest in '' | *[!0-9]*) say "failed: $state/$1.fence is unreadable"; return 70 ;; esac
}

busy() { say "busy: $1"; return 76; }
no_locks() { say 'failed: the state folder cannot be written'; return 70; }

# keep NAME TEXT FOLDER: writes a file so that it is there, whole, after a crash.
keep() {
  # shellcheck disable=SC2015 # Whatever fails, nothing half written stays.
  printf '%s\n' "$2" >"$3/$1.new.$$" && sync "$3/$1.new.$$" && mv -f "$3/$1.new.$$" "$3/$1" && sync "$3" ||
    { rm -f "$3/$1.new.$$"; return 1; }
}
