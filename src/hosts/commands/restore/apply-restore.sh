# shellcheck shell=sh disable=SC2154,SC2034 # The helper ends where a command fails, and has the layout in variables.
_restore=$1
of_restore "$1"
[ "$_is" = absent ] || alone_at 60
folders
_top=$(sed -n 's/^top //p' "$_rec/request" 2>/dev/null) || _top=
case $_is in
  kept) echo 'again'; exit 0 ;;
  staged) ;;
  applying | undoing) go_back 'it was interrupted'; [ -e "$_rec/unjudged" ] || drop_new; stop 9 "$1 was interrupted on this host, and all is as it was before" ;;
  *) stop 9 "$1 is not staged, but $_is" ;;
esac
! touches pve || refuse_in_cluster
# Without Docker's word nobody knows what writes to a volume.
! touches volumes || has_docker || stop 12 'Docker does not answer, so what uses the volumes can not be stopped'
rm -f -- "$_rec/ran" "$_rec/answered" "$_rec/started" "$_rec/entered"
! touches sudo || ! may_enter || : >"$_rec/entered"
if [ -n "$healthUrl" ] && touches installation && command -v curl >/dev/null && answers 2; then : >"$_rec/answered"; fi
at_boot on
becomes applying
# From here on whatever fails is gone back from, here: who asked for it may be what was stopped.
set +e
_failed=$( ( set -e; stop_users; each_unit swap_in; settle_disks; start_users; start_new ) 2>&1 >/dev/null )
_code=$?
set -e
if [ "$_code" = 0 ]; then _failed=$(unhealthy); else _failed=$(printf '%s\n' "$_failed" | tail -n 1); _failed=${_failed:-it failed}; fi
if [ -n "$_failed" ]; then
  stop_new
  go_back "$_failed"
  drop_new
  case $_failed in *'No space left'*) echo 'No space left on device' >&2 ;; esac
  stop 9 "it did not stay well, so all is as it was before: $_failed"
fi
if touches sshd && has_systemd; then for _ssh in ssh sshd; do ! systemctl --quiet is-active "$_ssh.service" || systemctl reload -- "$_ssh.service" || :; done; fi
becomes kept
at_boot off
# All of it is there again, and works: that is the best proof of a backup.
read -r _asked _of _rest <"$_rec/request" || :
if grep -qx 'what complete' "$_rec/request" && [ -d "$_records/$_of" ]; then keep proven "$(date +%s)" "$_records/$_of"; fi
echo "units $(wc -l <"$_rec/units")"
