# shellcheck shell=sh disable=SC2154,SC2094,SC2034 # Beside functions.sh and lists.sh, whose names it uses.
# In awk, what of an archive a name belongs to: a part of the host's own configuration, the installation, a volume.
# shellcheck disable=SC2016 # For awk.
readonly _grouping='
  FILENAME == "part-paths" { part[$0]; next }
  function group(name,   path) {
    if (index(name, "volumes/") == 1) { sub(/^volumes\//, "", name); sub(/\/.*/, "", name); return "volumes/" name }
    if (index(name, "host/") != 1) { sub(/\/.*/, "", name); return name ~ /^[a-z]+-[0-9]+-[0-9]+$/ ? "installation" : name }
    for (path = substr(name, 5); path != ""; sub(/\/[^\/]*$/, "", path)) if (path in part) return path
    return "host"
  }'

# count_parts: of each part of the host's own configuration, the installation and each volume how many files the archive has, and how
# many there are. Leaves `roots`: a top folder of the archive, and where what it is of is now.
count_parts() {
  printf 'host\t%s\n%s\t%s\n' "$hostRoot" "$_top" "$_installation" >roots
  sed -n 's/^part \([^ ]* \)[0-9]* \([0-9]* \)/\1\2/p' "$_manifest" >parts
  while read -r _part _archived _path <&3; do
    place_of "$_part" "$_path" || continue
    _live=0
    [ ! -e "$_real" ] || _live=$(find "$_real" -xdev -path "$_backups" -prune -o -path '/etc/pve/.*' -prune -o ! -type d -printf x | wc -c)
    echo "part $_archived $_live $_path"
  done 3<parts
  _archived=$(grep -c "^$_top/" files || :)
  _live=0; ! is_installed || _live=$(find "$_installation" -xdev -path "$_backups" -prune -o -type f -printf x | wc -c)
  if [ "$_archived" -gt 0 ] || [ "$_live" -gt 0 ]; then echo "part $_archived $_live $installation"; fi
  sed -n 's/^volume \([^ ]*\) [^ ]* [0-9]* \([0-9]*\) .*/\1 \2/p' "$_manifest" >held
  while read -r _name _archived <&3; do
    _code=0; volume_of "$_name" || _code=$?
    # Only a Docker that answers tells of a volume that it is gone.
    [ "$_code" = 0 ] || [ "$(docker_state)" = there ] || _code=2
    case $_code in
      0)
        echo "part $_archived $(find "$_data" -type f -printf x | wc -c) volumes/$_name"
        printf 'volumes/%s\t%s\n' "$_name" "$_data" >>roots
        ;;
      1) echo "part $_archived 0 volumes/$_name" ;;
      *) echo "unseen volumes/$_name" ;;
    esac
  done 3<held
  cut -d' ' -f3- parts >part-paths
}

# compare_with_source: what of the source is as it was: by size and time, of all files and of each part by itself, for what was
# encrypted as a whole may be little beside the rest. Names with characters that aren't to be seen are left out, and of volumes what
# never rests. Leaves `same`, where there is such.
compare_with_source() {
  awk -F '\t' -v OFS='\t' -v no="$_volatile" "$_grouping"'
    FILENAME == "roots" { root[$1] = $2; next }
    index($1, "\\") { next }
    {
      top = $1; sub(/\/.*/, "", top)
      if (top == "volumes") { if ($1 ~ no) next; match($1, /^volumes\/[^\/]*/); top = substr($1, 1, RLENGTH) }
      if (top in root) print root[top] substr($1, length(top) + 1), $2, $3, $4, group($1)
    }' part-paths roots files >wanted
  cut -f 1 wanted | tr '\n' '\0' | xargs -0 -r stat --printf '%n\t%s\t%Y\n' -- 2>/dev/null >live || :
  awk -F '\t' -v OFS='\t' '
    FILENAME == "live" { size[$1] = $2; time[$1] = $3; next }
    { all++; files[$5]++ }
    !($1 in size) { gone++; moved[$5]++; next }
    size[$1] == $2 && time[$1] == $3 { same++; print $1, $2, $4 >"same"; next }
    { changed++; moved[$5]++ }
    END {
      printf "compared %d %d %d %d\n", all, same, changed, gone
      for (one in files) printf "moved %d %d %s\n", files[one], moved[one], one
    }' live wanted
}

# compare_with_older: of the files that `before` and `after` have how many hold something else.
compare_with_older() {
  awk -F '\t' "$_grouping"'
    FILENAME == "before" { sum[$1] = $4; next }
    # What changes by itself.
    $1 ~ /(^|\/)(SHA256SUMS|[^\/]*[.](log|db|db-wal|sqlite|rrd))$/ { next }
    $1 in sum { common++; one = group($1); files[one]++; if (sum[$1] != $4) { changed++; other[one]++ } }
    END {
      printf "before %d %d\n", common, changed
      for (one in files) printf "other %d %d %s\n", files[one], other[one], one
    }' part-paths before after
}
