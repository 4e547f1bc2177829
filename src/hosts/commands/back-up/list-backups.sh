# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
folders
echo "now $(date +%s)"
unsafe_folder
show_seal
each_record one_lost
each_record one_marked
[ -d "$_backups" ] || exit 0
find "$_backups" -maxdepth 1 -type f -regextype posix-extended \
  -regex ".*/${form_backup}[.]tar[.](gz|zst)" -printf '%f\n' | sort | while read -r _name; do
  state_of "${_name%.tar.*}"
  # Of two that differ in their endings alone one is not the host's.
  [ "${_name#*.}" = "$_ending" ] || continue
  echo "archive $_name $(stat -c '%s %Y' -- "$_backups/$_name") $_state $_sum $_published $_checked $_sealed"
done
