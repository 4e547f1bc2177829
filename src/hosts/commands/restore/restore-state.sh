# shellcheck shell=sh disable=SC2154,SC2034 # The helper ends where a command fails, and has the layout in variables.
of_restore "$1"
echo "state $_is"
[ "$_is" != absent ] || exit 0
echo "since $_since"
[ -z "$_said" ] || [ "$_said" = - ] || printf 'why %s\n' "$_said"
echo "now $(date +%s)"
sed -n 's/^asked /asked /p' "$_rec/request" 2>/dev/null || :
[ ! -f "$_rec/units" ] || echo "units $(wc -l <"$_rec/units")"
[ ! -e "$_rec/forgotten" ] || echo 'forgotten'
restore_folders | head -n 20 | sed 's/^/folder /'
# By the folders, whatever the record says: what is in its place, and what lies aside.
say_unit() { if there "$_folder/old/$_n"; then printf 'aside %s\n' "$_target"; fi; }
each_unit say_unit | head -n 100
