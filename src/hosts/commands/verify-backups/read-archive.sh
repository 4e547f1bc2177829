# shellcheck shell=sh disable=SC2154,SC2164,SC2091,SC2094 # The helper ends where a command fails, and has the layout in variables.
places "$1"
state_of "$1"
[ "$_sum" != - ] || stop 9 "there is no record of $1 to compare it with"
[ -f "$_archive" ] || stop 9 "${_archive##*/} is not in $_backups"
quietly
in_work
: >sized
: >sums.wanted
: >names.wanted
_has=
if [ -e "$_record/seal" ]; then
  # A manifest that isn't this host's says nothing of the archive.
  if [ -f "$_manifest" ] && [ "$(sum_of "$_manifest")" = "$_sealed" ] &&
    grep -qxF -e "id $1" -- "$_manifest" && grep -qxF -e "archive ${_archive##*/} $_bytes $_sum" -- "$_manifest"; then
    # It is the one that was published, also where this host has lost the key since.
    is_sealed "$_manifest" "$_manifest.sig" || { _by=$(sealed_by "$_manifest" "$_manifest.sig"); echo "${_by:+sealed-by $_by}" | grep . || echo unsealed; }
    _has=yes
    of_manifest sized <"$_manifest" >sized
    of_manifest sums <"$_manifest" | sort >sums.wanted
    of_manifest names <"$_manifest" | sort >names.wanted
  else echo unsealed; fi
fi
mkfifo whole named content
sum_of whole >sum & _readers=$!
tar --list --quoting-style=literal --file=- <named >names 2>/dev/null & _readers="$_readers $!"
if [ -n "$_has" ]; then content_sums <content >sums.read 2>/dev/null & else cat content >/dev/null & fi
_readers="$_readers $!"
tee -p whole <"$_archive" | { make_whole 2>/dev/null || : >torn; } | tee -p named content >/dev/null || : >torn
for _reader in $_readers; do wait "$_reader" || : >torn; done
[ "$(cat sum)" = "$_sum" ] || echo changed
[ ! -e torn ] || echo torn
echo "bytes $(stat -c %s -- "$_archive")"
echo "entries $(grep -c . names || :)"
[ -n "$_has" ] || exit 0
sed 's,/$,,' names | sort >names.read
tr '\0' '\n' <sums.read | sort >sums.sorted
{
  comm -23 names.wanted names.read | sed 's/^/missing /'
  comm -13 names.wanted names.read | sed 's/^/extra /'
  comm -23 sums.wanted sums.sorted | sed -E 's/^[0-9a-f]{64}  /content /'
} >wrong
echo "files $(grep -c . sums.wanted || :)"
echo "differing $(grep -c . wrong || :)"
head -n 20 wrong | printable | each_line 'wrong '
