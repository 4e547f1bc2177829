# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
cd "$_stage/$_top"
rm -f -- "$_manifest"
find . -type f -print0 | sort -z | xargs -0 -r sha256sum -- >"$_stage/manifest.partial"
_files=$(find . -type f -printf x | wc -c)
[ "$(wc -l <"$_stage/manifest.partial")" = "$_files" ] || stop 1 'not every file could be read'
mv -fT -- "$_stage/manifest.partial" "$_manifest"
echo "files $_files"
