# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
if [ -e "$_archive" ] || [ -e "$_record/proof" ]; then stop 17 'an archive of this name is there already'; fi
_now=$(date +%s)
_taken=$(taken_at "$1") || stop 9 "$1 is not named after a time"
if [ "$_taken" -lt $((_now - 86400)) ] || [ "$_taken" -gt $((_now + 600)) ]; then
  stop 9 "$1 is not named after the time of this host, whose clock says $(date -u +%Y%m%d-%H%M%S)"
fi
mkdir -p -- "$_backups" "$_record"
# shellcheck disable=SC2046,SC2086 # Names of volumes.
again collected $(printf 'volume-%s ' $volumes) listed packed verified
# What dead runs left, too: whoever holds the lock is alone, or the fence would not have let it in.
unfinished -exec rm -rf -- {} +
each_record forget_unfinished
rm -rf -- "${_stage:?}"
mkdir -- "$_stage"
doubts_of collected
below "$(unmounted)" "$_installation" | while IFS= read -r _mount; do
  doubt failed "not mounted: $_mount, which this host should have mounted in the installation"
done
copy "$_installation" "$_stage/$_top" "$installation"
# Its mode and owner become the installation's when it is restored.
chmod --reference="$_installation" -- "$_stage/$_top"
[ "$(id -u)" != 0 ] || chown --reference="$_installation" -- "$_stage/$_top"
# What an earlier recovery left in the installation under the archive's own names would pass for this backup's.
# shellcheck disable=SC2086 # A word for each volume.
for _own in "$_manifest" "$(basename "$sudoersFile")" $(printf '%s.tar.gz ' $volumes); do
  if [ -e "$_stage/$_top/$_own" ]; then rm -rf -- "${_stage:?}/$_top/$_own"; echo "replaced $_own"; fi
done
echo "source $(find "$_installation" -mindepth 1 -path "$_backups" -prune -o -printf x | wc -c)"
echo "copied $(find "$_stage/$_top" -mindepth 1 -printf x | wc -c)"
if [ -e "$sudoersFile" ]; then cp -aL -- "$sudoersFile" "$_stage/$_top/$(basename "$sudoersFile")"; echo 'sudoers copied'; else echo 'sudoers missing'; fi
: >"$_stage/volumes"
if [ "$(docker_state)" = there ]; then
  for _name in $volumes; do
    _code=0; volume_of "$_name" || _code=$?
    case $_code in
      0) echo "volume $_name" >>"$_stage/volumes" ;;
      2) doubt failed "not readable: volume $_volume, whose data isn't mounted on this host now" ;;
    esac
  done
fi
cat "$_stage/volumes"
step_ended collected "$(cat "$_stage/volumes")"
