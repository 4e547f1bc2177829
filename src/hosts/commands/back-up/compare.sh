# shellcheck shell=sh disable=SC2154 # Beside functions.sh and copy.sh, whose names it uses.
# describe_files: a line for each thing that a backup is to hold again next time: kind, size, time, name. The kinds: file (of the
# installation, or a database in a volume), volume (size in bytes, number of files as its time).
describe_files() {
  # shellcheck disable=SC2086 # Names of volumes.
  ( cd "$_stage/$_top" && find . -type f ! -name '*
*' -printf 'file %s %T@ %P\n' ) |
    awk -v no="$_volatile" '{ name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name); if (name !~ no) printf "%s %s %d %s\n", $1, $2, $3, name }' |
    awk -v own=" $_manifest $(printf '%s.tar.gz ' $volumes)" 'index(own, " " $4 " ") == 0 || NF > 4'
}

# compare LAST NOW: what of LAST is missing, empty, less than half or older in NOW, as `failed|warning TEXT`.
compare() {
  awk '
    { name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name); key = $1 " " name }
    which == "last" { size[key] = $2; time[key] = $3; order[++n] = key; title[key] = ($1 == "volume" ? "volume " : "") name; next }
    { newsize[key] = $2; newtime[key] = $3 }
    END {
      for (i = 1; i <= n; i++) {
        key = order[i]; t = title[key]
        if (!(key in newsize)) print "failed missing: " t
        else if (newsize[key] == 0 && size[key] > 0) print "failed empty: " t " (" size[key] " bytes in the last good backup)"
        else if (newsize[key] * 2 < size[key] && !(key ~ /^volume .*log/)) print "warning less than half: " t " (" newsize[key] " of " size[key] " bytes)"
        else if (key ~ /^file / && newtime[key] < time[key]) print "warning older than in the last good backup: " t
      }
    }' which=last "$1" which=now "$2" | sort | printable
}

# last_good BACKUP: `PUBLISHED BACKUP` where it counts, or did before its archive was removed or changed.
last_good() {
  [ -e "$_records/$1/contents" ] && [ "$1" != "${_record##*/}" ] || return 0
  state_of "$1"
  [ "$_published" != - ] || return 0
  if [ -e "$_records/$1/doubts" ] && [ ! -e "$_records/$1/accepted" ]; then return 0; fi
  echo "$_published $1"
}
