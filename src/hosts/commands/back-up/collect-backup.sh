# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
mkdir -p -- "$backups"
# What dead runs left, too: whoever holds the lock is alone, or the fence would not have let it in.
unfinished -exec rm -rf -- {} +
mkdir -- "$_stage"
# A log that is rotated while it is copied makes cp fail: once more, then it counts.
for _try in 1 2; do
  rm -rf -- "${_stage:?}/$_top"
  mkdir -- "$_stage/$_top"
  _code=0
  find "$installation" -mindepth 1 -maxdepth 1 ! -path "$backups" \
    -exec cp -a --target-directory="$_stage/$_top" -- {} + || _code=$?
  [ "$_code" != 0 ] || break
  sleep 1
done
[ "$_code" = 0 ] || exit 1
# Its mode and owner become the installation's when it is restored.
chmod --reference="$installation" -- "$_stage/$_top"
[ "$(id -u)" != 0 ] || chown --reference="$installation" -- "$_stage/$_top"
# What an earlier recovery left in the installation under the archive's own names would pass for this backup's.
# shellcheck disable=SC2086 # A word for each volume.
for _own in "$_manifest" "$(basename "$sudoersFile")" $(printf '%s.tar.gz ' $volumes); do
  if [ -e "$_stage/$_top/$_own" ]; then rm -rf -- "${_stage:?}/$_top/$_own"; echo "replaced $_own"; fi
done
echo "source $(find "$installation" -mindepth 1 -path "$backups" -prune -o -printf x | wc -c)"
echo "copied $(find "$_stage/$_top" -mindepth 1 -printf x | wc -c)"
if [ -e "$sudoersFile" ]; then cp -a -- "$sudoersFile" "$_stage/$_top/"; echo 'sudoers copied'; else echo 'sudoers missing'; fi
