# shellcheck shell=sh disable=SC2154 # Beside functions.sh, whose names it uses.
# may_remove BACKUP: counts one more removal, or stops where four archives were removed within a day. So who has stolen the
# service's key for an hour, or a rule that is wrong, costs little. Counted before it is removed, and once, if that is done again.
# From then on nobody protects another one until this one is gone.
may_remove() {
  command exec 6>>"$state/removals.lock"
  flock -x -w 10 6 || stop 9 'another archive is being removed'
  not_kept "$1"
  _removed=; [ ! -e "$state/removals" ] || _removed=$(awk -v now="$_now" '$1 > now - 86400 && $2 != ""' "$state/removals")
  if ! printf '%s\n' "$_removed" | cut -d' ' -f2 | grep -qFx -- "$1"; then
    _count=$(printf '%s\n' "$_removed" | grep -c . || :)
    [ "$_count" -lt 4 ] || stop 9 "$_count archives were removed within a day, and more go tomorrow"
    keep removals "$_removed${_removed:+
}$_now $1" "$state"
  fi
}

# not_kept BACKUP: stops where somebody wants it kept.
not_kept() {
  [ ! -e "$_record/protected" ] || stop 9 "$1 is protected: only an administrator on this host lifts that"
  ! last_proven "$1" || stop 9 "$1 is the last $_kind backup that was restored to prove it"
}

# last_proven BACKUP: whether the archive is the one of its kind that was last restored and worked.
last_proven() {
  [ -e "$_record/proven" ] || return 1
  [ "$(each_record one_marked | sed -n "s/^proven \($_kind-[^ ]*\) /\1 /p" | sort -k2,2n | tail -n 1 | cut -d' ' -f1)" = "$1" ]
}
