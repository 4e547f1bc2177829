# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
folders
echo "now $(date +%s)"
unsafe_folder
each_record one_lost
each_record one_marked
[ -d "$_backups" ] || exit 0
find "$_backups" -maxdepth 1 -type f -regextype posix-extended \
  -regex ".*/${form_backup}[.]tar[.]gz" -printf '%f\n' | sort | while read -r _name; do
  state_of "${_name%.tar.gz}"
  echo "archive $_name $(stat -c '%s %Y' -- "$_backups/$_name") $_state $_sum $_published $_checked"
done
