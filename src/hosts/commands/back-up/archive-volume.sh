# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs collected
wanted_volumes | grep -qFx -- "$2" || stop 9 "the volume $2 was not there when this backup was begun"
again "volume-$2" listed packed verified
volume_of "$2" || stop 9 "the volume $2 is not there any more, or not mounted"
doubts_of "volume-$2"
_copy=$_stage/volume
copy "$_data" "$_copy" "volume $2"
[ "$_volume" = "$2" ] || echo "named $_volume"
# Root's own folder would be restored over the volume's.
chmod --reference="$_data" -- "$_copy"
[ "$(id -u)" != 0 ] || chown --reference="$_data" -- "$_copy"
cd "$_copy"
tar --create --gzip --sparse --numeric-owner --acls --xattrs --xattrs-include='*' --hard-dereference --sort=name --file="$_stage/volume.partial" .
gzip --test <"$_stage/volume.partial"
{
  echo "volume $(find . -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s }') $(find . -type f -printf x | wc -c) $2"
  while IFS= read -r _path; do
    [ ! -f "$_path" ] || stat --printf="file %s %Y volume $2/" -- "$_path"
    [ ! -f "$_path" ] || printf '%s\n' "$_path"
  done <"$_stage/databases"
} >"$_stage/$2.contents"
cd /
mv -fT -- "$_stage/volume.partial" "$_stage/$_top/$2.tar.gz"
rm -rf -- "$_copy"
sync "$_stage/$_top/$2.tar.gz"
step_ended "volume-$2"
echo "bytes $(stat -c %s -- "$_stage/$_top/$2.tar.gz")"
