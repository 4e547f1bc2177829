# shellcheck shell=sh disable=SC2154 # One part of the helper: others set its variables.
# 3. Locks and fences: who may change something.
#
# Who asks for a change holds a lock of the service and shows its fence, a number that grows with each holder. Of each
# lock, NAME.fence keeps the greatest fence that was shown here, and what is at work under one keeps NAME.lock (flock -s),
# which the kernel takes back when it ends. A smaller fence is fenced out; a greater one waits until nothing of a smaller
# one is at work (flock -x). Fences are times of the service's clock, ms since the epoch: one that is further ahead of
# this host's clock than clocks differ is refused and never kept, or whoever has the service's key could keep its runs out
# for ever. One that is kept nevertheless, from an earlier helper or before the clock was set back, or that can't be read,
# counts as one of a while ago: who got the lock since then goes on. The locks, in the order in which they are taken, so that no two wait for each other:
#
#   9  host         of who holds the host alone
#   8  host-shared  of who shares the host, holding one guest alone
#   7  guest-VMID   of who holds that guest alone
#
# Who holds the host alone is compared with all, and waits for all others. Who shares it is compared only with those who
# held it alone, and waits only for them: so two guests are worked on side by side, whichever fence is greater.

# How far ahead a fence may be, in ms. 5 min.
readonly _ahead=300000

# admit: lets in what check has read, or returns why not. What it takes is kept until this process has ended.
admit() {
  [ "$_lock" != none ] || return 0
  near "$_fence" ${_guest_fence+"$_guest_fence"} || return
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

# near FENCES: sets _now, and says whether none of them is too far ahead of it.
near() {
  _now=$(date +%s%3N) || _now=
  counts "$_now" || { say "failed: this host's clock cannot be read"; return 70; }
  for _shown in "$@"; do
    [ "$_shown" -le $((_now + _ahead)) ] || { say "fenced-out: fence $_shown is too far ahead of this host's clock, $_now"; return 75; }
  done
}

# not_older FENCE NAMES: whether no greater fence of these locks was shown.
not_older() {
  _shown=$1; shift
  for _of in "$@"; do
    newest "$_of" || return
    [ "$_shown" -ge "$_newest" ] || { say "fenced-out: fence $_shown is older than $_newest"; return 75; }
  done
}

# newest NAME: _newest becomes the greatest fence of this lock so far; after near.
newest() {
  _newest=0
  [ -e "$state/$1.fence" ] || return 0
  { read -r _newest || _newest=damaged; } 2>/dev/null <"$state/$1.fence" || { say "failed: $state/$1.fence is unreadable"; return 70; }
  counts "$_newest" && [ "$_newest" -le $((_now + _ahead)) ] || _newest=$((_now - _ahead))
}

busy() { say "busy: $1"; return 76; }
no_locks() { say 'failed: the state folder cannot be written'; return 70; }

# keep NAME TEXT FOLDER: writes a file so that it is there, whole, after a crash.
keep() {
  # shellcheck disable=SC2015 # Whatever fails, nothing half written stays.
  printf '%s\n' "$2" >"$3/$1.new.$$" && sync "$3/$1.new.$$" && mv -fT "$3/$1.new.$$" "$3/$1" && sync "$3" ||
    { rm -f "$3/$1.new.$$"; return 1; }
}
