# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
cd "$_stage"
# The checksums of what is in the archive, in its order, without writing it anywhere.
tar --extract --gzip --file="$_partial" --to-command='exec sha256sum' >read-back.partial
{ sha256sum <"$_top/$_manifest"; sed 's/^[^0-9a-f]//' "$_top/$_manifest"; } | cut -c1-64 >expected.partial
cut -c1-64 read-back.partial | cmp -s - expected.partial || stop 9 'the archive does not hold what was collected'
_entries=$(tar --list --gzip --file="$_partial" | wc -l)
[ "$_entries" = "$(tr -cd '\0' <list | wc -c)" ] || stop 9 'the archive holds another number of entries'
echo "entries $_entries"
echo "files $(wc -l <expected.partial)"
echo "bytes $(stat -c %s -- "$_partial")"
echo "sha256 $(sum_of "$_partial")"
