# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
_archive=$backups/$1.tar.gz
if [ -e "$_partial" ]; then
  [ ! -e "$_archive" ] || stop 17 'an archive of this name is there already'
  [ "$(sum_of "$_partial")" = "$2" ] || stop 9 'the archive is not the one that was verified'
  printf '%s  %s\n' "$2" "$1.tar.gz" >"$backups/.$1.tar.gz.sha256.partial"
  sync "$_partial" "$backups/.$1.tar.gz.sha256.partial"
  # The checksum first: an archive that has its name has been verified.
  mv -fT -- "$backups/.$1.tar.gz.sha256.partial" "$_archive.sha256"
  mv -nT -- "$_partial" "$_archive"
  sync "$backups"
else
  [ "$(sum_of "$_archive")" = "$2" ] || stop 9 'the archive is not the one that was verified'
fi
rm -rf -- "$_stage"
[ -s "$_archive" ]
[ -s "$_archive.sha256" ]
[ ! -e "$_partial" ]
echo "bytes $(stat -c %s -- "$_archive")"
