# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
# $1: a backup. $2: a folder in it, in base64url behind an f. $3: behind how many names to go on.
folders
compare_box
_text=$(printf '%s' "${2#f}" | tr -- '-_' '+/')
case $((${#_text} % 4)) in 2) _text=$_text== ;; 3) _text=$_text= ;; esac
_folder=$(printf '%s' "$_text" | base64 -d 2>/dev/null | tr -d '\000-\037\177') || stop 12 'the folder is not base64url'
sealed_list "$1" "$_box/manifest"
# A tab parts a name from where its link leads; a name itself holds none.
of="$_folder" awk '
  BEGIN { of = ENVIRON["of"]; if (of != "") of = of "/"; long = length(of) }
  /^entry / {
    line = $0; sub(/^entry /, "", line)
    name = line; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", name); head = substr(line, 1, length(line) - length(name))
    path = name; sub(/\t.*/, "", path); sub(/\/$/, "", path)
    if (path "/" == of) { is = 1; next }
    if (substr(path, 1, long) != of) next
    is = 1; rest = substr(path, long + 1)
    if (at = index(rest, "/")) { inner[substr(rest, 1, at - 1)]; next }
    split(head, w, " "); print rest "\t" w[1] " " w[2] " " w[3] " " w[4] " " w[5] " " w[6] " " name; had[rest]
  }
  # A folder that only its files tell of.
  END { for (one in inner) if (!(one in had)) print one "\td - - 0 0 - " of one; if (!is && of != "") exit 3 }' "$_box/manifest" >"$_box/found" ||
  stop 11 'there is no such folder in the backup'
LC_ALL=C sort "$_box/found" | cut -f2- >"$_box/sorted"
echo "total $(wc -l <"$_box/sorted")"
tail -n "+$(($3 + 1))" "$_box/sorted" | head -n 200 | cut -c1-1200 | sed 's/^/entry /'
