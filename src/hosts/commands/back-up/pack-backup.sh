# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs listed
again packed verified
cd "$_stage"
# The manifest first, so that who reads the archive has it before the files.
{
  for _one in $(tops); do
    printf '%s\0%s\0' "$_one" "$_one/$_manifest"
    find "$_one" -mindepth 1 ! -type s ! -path "$_one/$_manifest" -print0 | sort -z
  done
} >list
# Numbers for owners: a name is somebody else on another machine.
tar --create --gzip --sparse --numeric-owner --acls --xattrs --xattrs-include='*' --hard-dereference --no-recursion \
  --null --files-from=list --file="$_partial"
sync "$_partial"
[ -s "$_partial" ]
step_ended packed
echo "bytes $(stat -c %s -- "$_partial")"
