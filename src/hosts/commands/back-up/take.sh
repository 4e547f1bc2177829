# shellcheck shell=sh disable=SC2154,SC2034 # Beside host-paths.sh and copy.sh, whose names it uses.
# take PART PATH: copies what is there into the backup, below host/ with its whole path. Adds `part PART BYTES FILES PATH` to
# $_stage/parts; prints `absent PART PATH` and `closed PART PATH`. What root can't read is a doubt, and the rest goes on.
take() {
  place_of "$1" "$2" || { closed "$1" "$2" 'it is where archives are made, or no place of files'; return 0; }
  seen "$_real"
  case $_seen in absent) echo "absent $1 $2"; return 0 ;; unreadable) closed "$1" "$2" "${_said:-it does not answer}"; return 0 ;; esac
  # Every file is read once: where that takes for ever, copying would, too.
  if [ "$2" = /etc/pve ]; then
    _code=0; timeout -k 2 120 find "$_real" -type f -exec cat -- {} + >/dev/null 2>&1 || _code=$?
    case $_code in 124 | 137) closed "$1" "$2" 'reading it does not end'; return 0 ;; esac
  fi
  _into=$_stage/host$2
  like_above "$2"
  # What pmxcfs makes up, as .version and .rrd, is no configuration, and never rests.
  _without='//none'
  if [ "$2" = /etc/pve ]; then _without='.*'; left_out made-up '/etc/pve/.*'; fi
  set +e
  if [ "$_seen" = folder ]; then ( set -e; _stay=yes; copy "$_real" "$_into" "$2" ) 2>"$_stage/why"
  else ( set -e; copy_file "$_real" "$_into" "$2" ) 2>"$_stage/why"; fi
  _code=$?
  set -e
  if [ "$_code" != 0 ]; then
    cat "$_stage/why" >&2
    ! grep -Eq 'No space left on device|Disk quota exceeded|I/O error' "$_stage/why" || exit 1
    closed "$1" "$2" "$(tail -n 1 "$_stage/why" | printable)"
  elif [ "$_seen" = folder ]; then
    like "$_real" "$_into"
    _source=$(find "$_real" -xdev -mindepth 1 -path "$_backups" -prune -o -path "$_real/$_without" -prune -o -type d -printf '%D\n' -o -printf 'x\n' |
      grep -cx -e x -e "$(stat -c %d -- "$_real")") || :
    _copied=$(find "$_into" -mindepth 1 -printf x | wc -c)
    [ "$_copied" -ge $((_source * 99 / 100 - 2)) ] || doubt failed "not whole: $2, of which $_copied of $_source files and folders were copied"
  fi
  part "$1" "$2"
}

# closed PART PATH WHY: whoever isn't root may not read everything; for root it is a doubt.
closed() {
  echo "closed $1 $2"
  left_out unreadable "$2"
  [ "$(id -u)" != 0 ] || doubt failed "not readable: $2: $3"
}

# part PART PATH: notes what of it is in the backup.
part() {
  if [ ! -e "$_stage/host$2" ] && [ ! -L "$_stage/host$2" ]; then return 0; fi
  echo "part $1 $(find "$_stage/host$2" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s }') $(files_in "$_stage/host$2") $2" >>"$_stage/parts"
}
