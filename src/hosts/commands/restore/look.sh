# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # Beside places.sh and services.sh, whose names it uses.
# look_at_unit UNIT: what restoring it would do: `unit new|replace|same TARGET`, `tree CREATED CHANGED REMOVED SAME TARGET`, `problem TEXT`,
# `volume NAME` of one that would be made; and a line of what is there in $_work/fingerprint.
look_at_unit() {
  target_of "$1"
  if [ -n "$_missing" ]; then echo "volume $_missing"; echo "volume $_missing" >>"$_work/fingerprint"; return 0; fi
  if same_unit "$1" "$_target"; then echo "unit same $_target"; return 0; fi
  place_for "$_target"
  if [ -n "$_problem" ]; then echo "problem $_problem" | one_line; return 0; fi
  if there "$_target"; then _how_unit=replace; else _how_unit=new; fi
  printf 'unit %s %s\n' "$_how_unit" "$_target" | one_line
  printf '%s\tput\t%s\t%s\t%s\n' 1 "$_place" "$_target" "$1" >>"$_work/units"
  if [ -d "$_target" ] && [ ! -L "$_target" ]; then compare_tree "$1" "$_target"; echo "$1 folder" >>"$_work/fingerprint"
  else echo "$1 $( { [ ! -f "$_target" ] || sum_of "$_target"; } )" >>"$_work/fingerprint"; fi
}

one_line() { tr '\001-\011\013-\037\177' '?' | cut -c1-300; }

# compare_tree UNIT FOLDER: by kind, mode, owner, size and time; names that hold a line break aren't compared.
compare_tree() {
  ( cd -- "$2" && find . -mindepth 1 ! -name '*
*' ! -name '*\\*' -printf '%P\t%y %m %U:%G %s %T@\n' ) 2>/dev/null |
    of_unit="$1" base="$_top/${sudoersFile##*/}" awk -F '\t' '
      FILENAME == ARGV[1] { if ($1 != ENVIRON["of_unit"] || $2 ~ /\\/) next
        split($2, a, " "); p = $2; for (i = 0; i < 7; i++) sub(/^[^ ]+ /, "", p)
        if (p == ENVIRON["of_unit"]) next
        was[substr(p, length(ENVIRON["of_unit"]) + 2)] = a[1] " " (a[1] == "l" ? "-" : a[2] + 0) " " a[3] " " (a[1] == "f" ? a[4] " " a[5] : ""); next }
      { split($2, a, " "); sub(/[.].*/, "", a[5]); now = a[1] " " (a[1] == "l" ? "-" : a[2] + 0) " " a[3] " " (a[1] == "f" ? a[4] " " a[5] : "")
        if (!($1 in was)) { removed++; if (removed <= 5) print "goes " $1 } else { if (was[$1] == now) same++; else { changed++; if (changed <= 5) print "changes " $1 } delete was[$1] } }
      END { for (p in was) { created++; if (created <= 5) print "comes " p } print "tree " created + 0, changed + 0, removed + 0, same + 0 }' "$_work/selected" - |
    sed "s|^tree .*|& $(printf '%s' "$2" | sed 's/[&|\\]/\\&/g')|" | one_line
}

# say_kept: the space that each file system needs beside what is there, and has.
say_kept() {
  cut -f3 "$_work/units" | sort -u | while IFS= read -r _place; do
    _need=$(of="$_place" awk -F '\t' 'FILENAME == ARGV[1] { if ($3 == ENVIRON["of"]) mine[$5]; next } $1 in mine { split($2, a, " "); s += a[4] + 4096 } END { printf "%.0f", s * 1.1 }' "$_work/units" "$_work/selected")
    printf 'space %s %s %s\n' "$_need" "$(df --block-size=1 --output=avail -- "$_place" | tail -n 1 | tr -d ' ')" "$_place"
  done
}

# named_users: `stops unit NAME` and `stops container NAME`.
named_users() { sed 's/^/stops /'; }
