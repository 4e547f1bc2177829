# shellcheck shell=sh disable=SC2154 # The helper has the layout in variables.
folders
who_may_decrypt
echo "encryption $_encryption"
if command -v age >/dev/null; then echo 'age'; fi
printf '%s\n' "$_recipients" | grep . | head -n 100 | sed 's/^/recipient /' || :
one_sendable() { state_of "$1"; [ "$_state" != verified ] || ! has_manifest || echo "sendable $1"; }
each_record one_sendable
# What somebody brought a day ago and was never admitted.
[ ! -d "$state/incoming" ] || find "$state/incoming" -mindepth 1 -maxdepth 1 -type d -mmin +1440 -regextype posix-extended \
  -regex ".*/$form_backup" -printf 'brought %f\n' | head -n 100
