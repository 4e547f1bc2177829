# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs listed packed
again verified
cd "$_stage"
[ -s "$_partial" ] || stop 9 'the archive is not there, or empty'
# Three looks at what is in the archive, without writing it anywhere: every file's name and checksum, every name, and the
# modes, owners and times.
_code=0
# shellcheck disable=SC2016 # For the shell that tar starts.
tar --extract --gzip --file="$_partial" \
  --to-command='sha256sum | { read -r _sum _ && printf "%s  %s\0" "$_sum" "$TAR_FILENAME"; }' >read-back.partial || _code=$?
sort -z read-back.partial >read-back
sort -z sums >expected
if [ "$_code" != 0 ] || ! cmp -s read-back expected; then
  _differing=$(comm -z -3 read-back expected | tr '\n\0' '?\n' | sed -E 's/^\t*[0-9a-f]{64}  //' | sort -u)
  stop 9 "the archive does not hold what was collected: $(first_of "${_differing:-it cannot be read to its end}")"
fi
tar --list --gzip --quoting-style=literal --file="$_partial" | sed 's,/$,,' | sort >read-back
{ tops; cat names; } | sort >expected
cmp -s read-back expected || stop 9 "the archive holds other names: $(first_of "$(comm -3 read-back expected | sed 's/^\t//')")"
tar --compare --gzip --numeric-owner --file="$_partial" >differences 2>&1 ||
  stop 9 "the archive differs from what was collected: $(head -n 1 differences | printable)"
if [ ! -s expected ] || [ ! -s sums ]; then stop 9 'the archive holds nothing'; fi
_sum=$(sum_of "$_partial")
_bytes=$(stat -c %s -- "$_partial")
step_ended verified "$_sum $_bytes"
# shellcheck disable=SC2046 # The names of two folders.
echo "entries $(find $(tops) ! -type s -printf x | wc -c)"
echo "files $(tr -cd '\0' <sums | wc -c)"
echo "bytes $_bytes"
echo "sha256 $_sum"
