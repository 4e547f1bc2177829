# shellcheck shell=sh disable=SC2154,SC2034,SC2064,SC2015,SC2317 # The helper ends where a command fails, and has the layout in variables.
of_restore look
_work=$state/restores/.look-$$
rm -rf -- "$_work"
mkdir -p -- "$_work"
trap "rm -rf -- '$state'/restores/.look-$$" EXIT
trap 'exit 143' TERM INT HUP
echo "now $(date +%s)"
if [ "$2" = undo ]; then
  of_restore "$3"; [ "$_is" != absent ] || stop 11 "this host has no record of the restore $3"
  _work=$_rec
  say_units() { if [ "$_action" = gone ]; then return 0; elif there "$_folder/old/$_n"; then echo "unit replace $_target"; else echo "unit new $_target"; fi; }
  [ "$_is" != kept ] || each_unit say_units | head -n 300
  users_of "$_rec/touches" "$_rec/units" | named_users
  echo "state $_is"
  [ ! -e "$_rec/forgotten" ] || echo 'problem what it replaced was removed already'
  exit 0
fi
require_sealed "$_work" "$1"
echo "home $_home"
echo "archive ${_archive##*/} $_bytes $_sum"
if [ "$_bytes" -gt 4294967296 ]; then echo 'digest later'
elif [ "$(sum_of "$_archive")" = "$_sum" ]; then echo 'digest whole'
else stop 9 "the archive is not the one that its sealed manifest is of"; fi
[ "$2" != pve-database ] || refuse_in_cluster
select_entries "$_work" "$2" "$3"
[ -z "$_other" ] || echo 'other-machine'
sed -n '/^entry /q;/^version /p' "$_work/manifest" | head -n 100
for _package in pve-manager docker-ce docker.io sudo; do
  _is_here=$(dpkg-query --show --showformat='${Version}' "$_package" 2>/dev/null) && [ -n "$_is_here" ] && echo "here $_package $_is_here" || :
done
[ ! -r /etc/debian_version ] || echo "here debian $(head -n 1 /etc/debian_version)"
_unmounted=$(unmounted)
: >"$_work/units"
while IFS= read -r _unit <&3; do look_at_unit "$_unit"; done 3<"$_work/wanted"
say_kept
say_old
list_touches "$_work/units" >"$_work/touches"
sed 's/^/touches /' "$_work/touches"
users_of "$_work/touches" "$_work/units" | named_users
cut -d' ' -f1 "$_work/left" | sort | uniq -c | while read -r _count _why; do echo "left $_why $_count $(grep -m 1 "^$_why " "$_work/left" | cut -d' ' -f2-)"; done
# With something that only this host knows: of what is in it nobody is to guess the content of a file by its checksum.
echo "fingerprint $(cat -- "$state/seal/key" "$_work/fingerprint" 2>/dev/null | sha256sum | cut -c1-64)"
