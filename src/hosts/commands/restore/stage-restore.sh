# shellcheck shell=sh disable=SC2154,SC2034 # The helper ends where a command fails, and has the layout in variables.
_restore=$1
of_restore "$1"
case $_is in
  absent | staging) ;;
  staged) ! grep -qxF "asked $2 $3 $4 $5" "$_rec/request" || { echo 'again'; exit 0; }; stop 17 "$1 is a restore of something else" ;;
  *) stop 17 "$1 is $_is already" ;;
esac
_busy=$(find "$state/restores" -mindepth 2 -maxdepth 2 -name state -exec grep -lE '^(applying|undoing) ' -- {} + 2>/dev/null | head -n 1) || :
[ -z "$_busy" ] || stop 12 'another restore was interrupted on this host and has not gone back: undo that first'
remove_others
mkdir -p -- "$_rec"
[ "$_is" = absent ] || remove_staging
find "$_rec" -mindepth 1 ! -name state -delete
becomes staging
_work=$_rec
require_sealed "$_rec" "$2"
[ "$_sum" = "$3" ] || stop 9 "the manifest of $2 is not the one that was looked at: it is of another archive"
[ "$(sum_of "$_archive")" = "$_sum" ] || stop 9 "the archive is not the one that its sealed manifest is of"
[ "$4" != pve-database ] || refuse_in_cluster
printf '%s\n' "asked $2 $3 $4 $5" "what $4" "top $_top" >"$_rec/request"
select_entries "$_rec" "$4" "$5"
list_units
list_touches "$_rec/units" >"$_rec/touches"
! waits || touches installation || echo installation >>"$_rec/touches"
restore_folders >"$_rec/each-folder"
require_space
while IFS= read -r _folder <&7; do stage_into "$_folder"; done 7<"$_rec/each-folder"
each_unit lay_out
put_marks
each_unit validate_staged
settle_disks
for _file in request units touches folders made marks; do [ ! -f "$_rec/$_file" ] || sync "$_rec/$_file"; done
becomes staged
echo "units $(wc -l <"$_rec/units")"
echo "files $(grep -c '^f ' "$_rec/expected" || :)"
