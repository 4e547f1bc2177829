# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
if [ -e "$_archive" ] || [ -e "$_record/proof" ]; then stop 17 'an archive of this name is there already'; fi
_now=$(date +%s)
_taken=$(taken_at "$1") || stop 9 "$1 is not named after a time"
if [ "$_taken" -lt $((_now - 86400)) ] || [ "$_taken" -gt $((_now + 600)) ]; then
  stop 9 "$1 is not named after the time of this host, whose clock says $(date -u +%Y%m%d-%H%M%S)"
fi
mkdir -p -- "$_backups" "$_record"
again collected host listed packed verified
forget_steps
# What dead runs left, too: whoever holds the lock is alone, or the fence would not have let it in.
unfinished -exec rm -rf -- {} +
each_record forget_unfinished
# A restore that nobody follows would keep its disk full.
forget_old
rm -rf -- "${_stage:?}"
case $compression in zstd) keep ending tar.zst "$_record" ;; *) keep ending tar.gz "$_record" ;; esac
mkdir -- "$_stage"
notes_of collected
if is_installed; then collect_installation
else printf '%s\n' 'source 0' 'copied 0' 'sudoers missing'; fi
: >"$_stage/wanted-volumes"
if is_installed && [ "$(docker_state)" = there ]; then
  for _name in $(all_volumes); do
    if is_left_out "$_name"; then left_out "$_why" "volumes/$_name"; continue; fi
    # Where Docker doesn't say, it is copied, and whoever copies it asks again.
    if [ "$(hold_of "$(which_volume "$_name")" || :)" = leave-out ]; then left_out label "volumes/$_name"; continue; fi
    _code=0; volume_of "$_name" || _code=$?
    case $_code in
      0) echo "volume $_name" >>"$_stage/wanted-volumes" ;;
      2) doubt failed "not readable: volume $_volume, whose data isn't mounted on this host now" ;;
    esac
  done
fi
if is_installed; then
  docker_versions
  if [ "$(docker_state)" = there ] && [ "$_kind" != monthly ]; then dump_all; fi
fi
cat "$_stage/wanted-volumes"
step_ended collected "$(cat "$_stage/wanted-volumes")"
