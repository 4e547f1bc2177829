# shellcheck shell=sh disable=SC2015,SC2154 # The layout's names are the script's own.
places "$1"
incoming "$1"
state_of "$1"
[ "$_state" = unproven ] || stop 17 "$1 is $_state on this host: only what it has no record of is taken from its own folder"
for _file in "$_manifest" "$_manifest.sig" "$_archive"; do
  [ -f "$_file" ] && [ ! -L "$_file" ] || stop 9 "${_file##*/} is not in $_backups"
done
cp --reflink=auto -- "$_manifest" "$_in/manifest"
cp --reflink=auto -- "$_manifest.sig" "$_in/seal"
cp --reflink=auto -- "$_archive" "$_in/archive"
sync "$_in/manifest" "$_in/seal" "$_in/archive"
echo "manifest $(sum_of "$_in/manifest")"
echo "archive $(sum_of "$_in/archive")"
echo "sealed $(sha512sum <"$_in/manifest" | cut -c1-128)"
echo "seal $(head -c 20000 "$_in/seal" | base64 -w 0)"
# What stands before the entries.
sed -n '/^entry /q; /^\(host\|version\|archive\) /s/^/says /p' "$_in/manifest" | head -n 100
