# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
state_of "$1"
[ "$_sum" != - ] || stop 9 "there is no record of $1 to compare it with"
[ -f "$_archive" ] || stop 9 "${_archive##*/} is not in $_backups"
_now=$(date +%s)
if [ "$(sum_of "$_archive")" = "$_sum" ]; then
  # A copy that kept the content but not the time is the same archive.
  keep proof "$_sum $_bytes $(stat -c %Y -- "$_archive") $_published $_backups" "$_record"
  rm -f -- "$_record/broken"
  keep checked "$_now" "$_record"
else
  keep broken "$_now" "$_record"
  echo broken
fi
[ -e "$_record/seal" ] || exit 0
if [ -f "$_manifest" ] && [ "$(sum_of "$_manifest")" = "$_sealed" ] && is_sealed "$_manifest" "$_manifest.sig"; then
  keep seal "$_sealed $(seal_facts "$_manifest")" "$_record"
  rm -f -- "$_record/unsealed"
else
  keep unsealed "$_now" "$_record"
  echo unsealed
fi
