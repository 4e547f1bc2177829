# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs collected
wanted_volumes | grep -qFx -- "$2" || stop 9 "the volume $2 was not there when this backup was begun"
again "volume-$2" listed packed verified
volume_of "$2" || stop 9 "the volume $2 is not there any more, or not mounted"
notes_of "volume-$2"
mkdir -p -- "$_stage/volumes"
_hold=$(hold_of "$_volume") || doubt failed "not consistent: volume $2, whose containers could not be asked what they want while it is copied"
_copy=$_stage/volumes/$2
copy "$_data" "$_copy" "volume $2"
[ "$_volume" = "$2" ] || echo "named $_volume"
# Root's own folder would be restored over the volume's.
chmod --reference="$_data" -- "$_copy"
[ "$(id -u)" != 0 ] || chown --reference="$_data" -- "$_copy"
cd "$_copy"
_bytes=$(find . -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s }')
_files=$(find . -type f -printf x | wc -c)
note "volume $2 $_manner $_bytes $_files $_volume"
{
  echo "volume $_bytes $_files $2"
  while IFS= read -r _path; do
    [ ! -f "$_path" ] || stat --printf="file %s %Y volume $2/" -- "$_path"
    [ ! -f "$_path" ] || printf '%s\n' "$_path"
  done <"$_stage/databases"
} >"$_stage/$2.contents"
cd /
step_ended "volume-$2"
echo "bytes $_bytes"
