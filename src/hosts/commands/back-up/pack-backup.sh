# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
cd "$_stage"
# The manifest first and the rest in its order, so that what is read back can be compared line by line.
{
  printf '%s\0%s\0' "$_top" "$_top/$_manifest"
  find "$_top" -mindepth 1 ! -type s ! -path "$_top/$_manifest" -print0 | sort -z
} >list
tar --create --gzip --hard-dereference --no-recursion --null --files-from=list --file="$_partial"
sync "$_partial"
[ -s "$_partial" ]
echo "bytes $(stat -c %s -- "$_partial")"
