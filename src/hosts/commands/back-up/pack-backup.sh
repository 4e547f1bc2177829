# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs listed
again packed verified
cd "$_stage"
rm -f -- SHA256SUMS sums names.pipe "$_partial"
# shellcheck disable=SC2046 # The names of folders.
find $(tops) ! -type s -print0 | sort -z >list
# shellcheck disable=SC2046 # The same.
find $(tops) -type f -print0 | sort -z >files
# The checksums are made while it is packed: tar is told the name of their file when it is there, as the last one.
mkfifo names.pipe
(
  sums_of files & _sums=$!
  cat list
  wait "$_sums"
  printf 'SHA256SUMS\0'
) >names.pipe & _names=$!
# Numbers for owners: a name is somebody else on another machine.
into "$_partial" tar --create --use-compress-program="$(packer)" --sparse --numeric-owner --acls --xattrs --xattrs-include='*' \
  --hard-dereference --no-recursion --null --files-from=names.pipe --file=-
wait "$_names"
rm -f -- names.pipe
[ -s SHA256SUMS ] || stop 1 'not every file could be read'
printf 'SHA256SUMS\0' >>list
sync "$_partial"
[ -s "$_partial" ]
step_ended packed
echo "bytes $(stat -c %s -- "$_partial")"
