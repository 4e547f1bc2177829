# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
if [ -e "$_archive" ]; then
  _now=$(date +%s)
  state_of "$1"
  [ "$_sum" != - ] || stop 9 "this host has no record of $1: it is somebody else's, who decides about it"
  not_kept "$1"
  _since=$(stat -c %Y -- "$_archive")
  _named=$(taken_at "$1") || _named=0
  for _at in "$_named" "$_published"; do [ "$_at" = - ] || [ "$_at" -le "$_since" ] || _since=$_at; done
  [ $((_now - _since)) -ge 604800 ] || stop 9 "$1 is younger than seven days by this host's clock"
  # By what this host has proved itself, not by what lies beside a file. Of three days, so that a flood of new ones, made by
  # whoever has the service's key, pushes nothing out.
  _good=$(counting | grep -E "^[0-9]+ $_kind-" || :)
  _newest=$(printf '%s\n' "$_good" | head -n 1)
  [ -n "$_newest" ] || stop 9 "there is no verified $_kind backup"
  [ "${_newest% *}" -le $((_now + 600)) ] || stop 9 'the newest archive is of the future: the clock of this host went back'
  _newer=$(printf '%s\n' "$_good" | awk -v since="$_since" -v this="$1" '$1 > since && $2 != this { print int($1 / 86400) }' | sort -u | wc -l)
  [ "$_newer" -ge 3 ] || stop 9 "of $_kind backups that are newer than $1, verified and as they were published there are such of $_newer days, and three days are kept"
  state_of "${_newest#* }"
  [ "$(sum_of "$_backups/${_newest#* }.$_ending")" = "$_sum" ] || stop 9 "the checksum of the newest archive ${_newest#* } is wrong"
  # Reading that one may have taken an hour.
  may_remove "$1"
  [ ! -d "$_record" ] || keep removing "$_now" "$_record"
elif [ -e "$_record/proof" ] && [ ! -e "$_record/removing" ]; then
  stop 9 "${_archive##*/} is not in $_backups"
fi
rm -f -- "$_archive" "$_archive.sha256" "$_manifest" "$_manifest.sig"
if [ -d "$_backups" ]; then sync "$_backups"; fi
rm -rf -- "${_record:?}"
[ ! -e "$_archive" ]
