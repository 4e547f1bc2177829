# shellcheck shell=sh disable=SC2154 # Beside functions.sh and pause.sh, whose names it uses.
# With _stay, what is mounted below a folder is left out; with _without, what right in it has a name of that pattern.
# _hold is what the containers that use it ask for: pause, stop, copy, or nothing.
_stay='' _without='//none' _hold=''

# list_files FOLDER: a line for each file in it: size, when its content and its entry changed, path. Files whose name
# holds a line break aren't watched.
list_files() {
  find "$1" ${_stay:+-xdev} -path "$_backups" -prune -o -path "$1/$_without" -prune -o -type f ! -name '*
*' -printf '%s %T@ %C@ %P\n' | sort
}

# copy FOLDER COPY NAME: copies all of it as it was at one moment, as far as that can be had: what was written to
# meanwhile is copied again until nothing was for as long as that took. Where that doesn't end with a database in it, or they ask
# for it, the containers that use the folder are paused for it; where they ask for that, they are stopped before. Prints `lost attributes …`, `changed NAME/PATH`, and a doubt about each
# database that was written to all the time. Leaves the databases' paths in $_stage/databases.
copy() {
  _from=$1 _to=$2 _manner=copied
  # An attempt that was killed may have left them paused: nothing would change, and nobody would let them go on.
  unpause "$_record"
  if [ "$_hold" = stop ]; then
    _code=0; stop_mounting "$_from" || _code=$?
    # Where none is at work, they stand still already.
    case $_code in
      0 | 1) _manner=stopped ;;
      *) doubt failed "not consistent: $3, whose containers could not be stopped as their label asks" ;;
    esac
  fi
  list_files "$_from" >"$_stage/was"
  copy_all "$3"
  case $_backups in "$_from"/*) left_out archives "$_backups" ;; esac
  [ -z "$_stay" ] || mounted_below "$_from" | while IFS= read -r _path; do left_out mounted "$_path"; done
  _whole=yes
  settle || _whole=
  databases "$_to" >"$_stage/databases"
  if [ "$_hold" = pause ] || { [ -z "$_whole$_hold" ] && unsettled_databases | grep -q . && is_quick; }; then
    _code=0; pause_mounting "$_from" || _code=$?
    if [ "$_code" = 0 ]; then
      _manner=paused
      settle || :
    elif [ "$_code" != 1 ] && [ "$_hold" = pause ]; then
      doubt failed "not consistent: $3, whose containers could not be paused as their label asks"
    fi
  fi
  unpause "$_record"
  unsettled_databases | while IFS= read -r _path; do
    doubt failed "not consistent: the database $3/$_path, which was written to while it was copied; this part is not a backup"
  done
  grep -Ev "$_volatile" "$_stage/changed" | head -n 5 | printable | each_line "changed $3/" || :
}

# Written to all the time, and nobody's configuration: logs, locks, what a database keeps beside it, temporary files.
readonly _volatile='(^|/)(logs?|cache|[.]cache|tmp|node_modules|[.]git|__pycache__|wal|chunks_head)/|[.](log|pid|sock|lock|tmp|swp|part)([.-][^/]*)?$|[.]log[.]|~$|-(wal|shm|journal)$'

# mounted_below FOLDER: what other file systems are mounted in it.
mounted_below() {
  find "$1" -xdev -mindepth 1 -type d ! -name '*
*' -printf '%D %p\n' | own="$(stat -c %d -- "$1")" awk '$1 != ENVIRON["own"] { sub(/^[^ ]+ /, ""); print }'
}

copy_all() {
  _what=$1; set --
  # shellcheck disable=SC2016 # For the shell that find starts.
  [ -z "$_stay" ] || set -- '(' ! -type d -o -exec sh -c '[ "$(stat -c %d -- "$1")" = "$2" ]' sh '{}' "$(stat -c %d -- "$_from")" ';' ')'
  # A log that is rotated while it is copied makes cp fail: once more, then it counts.
  for _try in 1 2 3; do
    rm -rf -- "$_to"
    mkdir -- "$_to"
    _code=0
    find "$_from" -mindepth 1 -maxdepth 1 ! -path "$_backups" ! -path "$_from/$_without" "$@" \
      -exec cp -dR ${_stay:+--one-file-system} --sparse=auto "--preserve=$_keeping" --target-directory="$_to" -- {} + 2>"$_stage/said" || _code=$?
    [ "$_code" != 0 ] || break
    cat "$_stage/said" >&2
    ! grep -q 'preserve ownership' "$_stage/said" ||
      stop 1 "the file system of $_stage doesn't keep owners, or root may not set them here"
    if grep -qi 'attribute' "$_stage/said" && [ "$_keeping" != all ]; then
      # Better without those that are refused than not at all; but it is said. With `all`, cp goes on and keeps the others.
      _keeping=all
      _refused=$(grep -ci 'attribute' "$_stage/said")
      lost "$(grep -i 'attribute' "$_stage/said" | head -n 1 | printable)$([ "$_refused" = 1 ] || echo " and $((_refused - 1)) more")"
    elif grep -q 'preserving permissions' "$_stage/said" && [ "$_keeping" != "$_plainly" ]; then
      # An ACL takes its file's mode with it, and cp doesn't go on without.
      _keeping=$_plainly
      lost "ACLs and attributes in $_what: $(grep 'preserving permissions' "$_stage/said" | head -n 1 | printable)"
    else sleep 1; fi
  done
  [ "$_code" = 0 ] || exit 1
  [ "$_keeping" != "$_plainly" ] || ( cd "$_to" && find . -mindepth 1 ! -type l -print0 ) | modes_again
  # In the archive each is a file of its own.
  _linked=$(find "$_to" -type f -links +1 -printf x | wc -c)
  [ "$_linked" = 0 ] || note "lost hard links of $_linked files in $_what"
}
readonly _plainly='ownership,timestamps,links' _anyhow='mode,ownership,timestamps,links'

# modes_again: of what was copied without, by its paths.
# shellcheck disable=SC2016 # For the shell that xargs starts.
modes_again() { from="$_from" to="$_to" xargs -0 -r sh -c 'for one; do [ ! -e "$from/$one" ] || chmod --reference="$from/$one" -- "$to/$one"; done' sh; }

_keeping="$_anyhow,xattr"

# settle: copies again what differs from the last look until two looks agree; then $_stage/changed is empty.
settle() {
  for _try in 1 2 3 4 5; do
    # The shell goes on here where something fails; and what could not be written would say that nothing has changed.
    list_files "$_from" >"$_stage/is" || exit 1
    comm -3 "$_stage/was" "$_stage/is" | sed 's/^\t//' | cut -d' ' -f4- | sort -u >"$_stage/changed" || exit 1
    mv -f -- "$_stage/is" "$_stage/was" || exit 1
    [ -s "$_stage/changed" ] || return 0
    while IFS= read -r _path; do copy_one "$_path"; done <"$_stage/changed"
    # Logs never come to rest.
    grep -Eqv "$_volatile" "$_stage/changed" || grep -Eq -e '-(wal|journal)$' "$_stage/changed" || return 1
    sleep 0.2
  done
  return 1
}

# is_quick: whether what changed can be copied while containers stand still: 2 GiB is about ten seconds of a slow disk.
is_quick() {
  [ "$( ( cd "$_from" || exit; tr '\n' '\0' <"$_stage/changed" | xargs -0 -r stat -c %s -- 2>/dev/null; true ) |
    awk '{ s += $1 } END { printf "%.0f", s }')" -le 2147483648 ]
}

# copy_one PATH: it may have gone again; then it isn't in the copy either, or a journal would belong to no database.
copy_one() {
  for _again in yes yes no; do
    if [ ! -e "$_from/$1" ]; then rm -f -- "$_to/$1"; return 0; fi
    if ( cd "$_from" && cp -d --sparse=auto "--preserve=$_keeping" --parents --target-directory="$_to" -- "./$1" ) 2>"$_stage/said"; then
      [ "$_keeping" != "$_plainly" ] || printf '%s\0' "$1" | modes_again
      return 0
    fi
    [ "$_again" = yes ] && sleep 0.2
  done
  cat "$_stage/said" >&2
  exit 1
}

# databases FOLDER: paths of SQLite's files and of the folders of database servers in it.
databases() {
  ( cd "$1" && find . -type f -size +0 ! -name '*
*' -exec head -v -c 15 -- {} + 2>/dev/null | tr -d '\0' | grep -a -B 1 '^SQLite format 3' | sed -n 's|^==> \./\(.*\) <==$|\1|p'
    find . -type f '(' -name PG_VERSION -o -name ibdata1 -o -name WiredTiger -o -name '*.mdb' ')' -printf '%P\n' |
      sed -n -e 's|/*[^/]*$||p' ) | sort -u
}

# unsettled_databases: those of which something changed until the last.
unsettled_databases() {
  while IFS= read -r _path; do
    of="$_path" awk '{ p = $0; d = ENVIRON["of"]; if (d == "" || p == d || p == d "-wal" || p == d "-journal" || index(p, d "/") == 1) f = 1 } END { exit !f }' \
      "$_stage/changed" && printf '%s\n' "$_path"
  done <"$_stage/databases" | printable
}

# printable: names as one line each.
printable() { tr '\001-\011\013-\037\177' '?' | cut -c1-200; }

# each_line BEFORE: its input with this before each line.
each_line() { while IFS= read -r _line; do printf '%s%s\n' "$1" "$_line"; done; }

# notes_of STEP: begins anew with what the step has to say. doubt failed|warning TEXT: why this backup counts for nothing
# until an administrator accepts it. note LINE: what its manifest says. left_out WHY PATH, lost TEXT: the same.
notes_of() {
  _doubts=$_record/doubts.$1 _notes=$_record/notes.$1
  : >"$_doubts"
  : >"$_notes"
}
doubt() { printf '%s %s\n' "$1" "$2" >>"$_doubts"; }
note() { printf '%s\n' "$1" >>"$_notes"; }
# As an entry has a name: it is compared with those, so nothing of it is cut.
left_out() { note "left-out $1 $(printf '%s\n' "$2" | sed -e 's/\\/\\\\/g' -e 's/\t/\\t/g' | tr '\001-\011\013-\037\177' '?')"; }
lost() { echo "lost $1"; note "lost $1"; }
