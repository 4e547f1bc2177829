# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs listed packed
again verified
cd "$_stage"
[ -s "$_partial" ] || stop 9 'the archive is not there, or empty'
make_seal || stop 9 'the key that seals manifests cannot be made'
# shellcheck disable=SC2046 # The names of folders.
{ find $(tops) -type f -printf '%s %p\0' | sort -z -k 2; find SHA256SUMS -printf '%s %p\0'; } >sized
{ cat sums; sha256sum -z SHA256SUMS; } >sums.all
read_back
sort -z sums.all >expected
if [ -e back/broken ] || ! cmp -s back/sums expected; then
  _differing=$(comm -z -3 back/sums expected | tr '\n\0' '?\n' | sed -E 's/^\t*[0-9a-f]{64}  //' | sort -u)
  stop 9 "the archive does not hold what was collected: $(first_of "${_differing:-it cannot be read to its end}")"
fi
sed 's,/$,,' back/names | sort >names
tr '\0' '\n' <list | sort >expected
cmp -s names expected || stop 9 "the archive holds other names: $(first_of "$(comm -3 names expected | sed 's/^\t//')")"
if [ -s back/differences ] || [ -e back/differ ]; then
  stop 9 "the archive differs from what was collected: $(head -n 1 back/differences | printable)"
fi
if [ ! -s expected ] || [ ! -s sums ]; then stop 9 'the archive holds nothing'; fi
read -r _sum <back/sum
_bytes=$(stat -c %s -- "$_partial")
rm -f -- "$_new_manifest.partial" "$_new_manifest.sig.partial"
into "$_new_manifest.partial" manifest "$1" "$_bytes" "$_sum"
tail -n 1 "$_new_manifest.partial" | grep -q '^end [1-9]' || stop 9 'the manifest is not whole'
seal "$_new_manifest.partial" sig || stop 9 'the manifest could not be sealed'
into "$_new_manifest.sig.partial" cat sig
sync "$_new_manifest.partial" "$_new_manifest.sig.partial"
step_ended verified "$_sum $_bytes $(sum_of "$_new_manifest.partial")"
echo "entries $(tr -cd '\0' <list | wc -c)"
echo "files $(tr -cd '\0' <sums.all | wc -c)"
echo "bytes $_bytes"
echo "sha256 $_sum"
