# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
[ -d "$backups" ] || exit 0
find "$backups" -maxdepth 1 -type f -regextype posix-extended \
  -regex ".*/${form_backup}[.]tar[.]gz" -printf '%f\n' | sort | while read -r _name; do
  _sum=-
  if [ -r "$backups/$_name.sha256" ]; then _sum=$(head -c 64 -- "$backups/$_name.sha256" | grep -axE "$form_sha256") || _sum=-; fi
  echo "archive $_name $(stat -c '%s %Y' -- "$backups/$_name") $_sum"
done
