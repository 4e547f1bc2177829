# shellcheck shell=sh disable=SC2154,SC2164,SC2091,SC2094 # The helper ends where a command fails, and has the layout in variables.
# $1: the archive, $2: an older one, or the same. Only names and numbers leave the host.
places "$1"
state_of "$1"
case $_state in verified | doubted) ;; *) stop 9 "$1 is not as it was published" ;; esac
if [ ! -f "$_manifest" ] || ! is_sealed "$_manifest" "$_manifest.sig"; then stop 9 "$1 has no manifest that this host has sealed"; fi
quietly
in_work
of_manifest files <"$_manifest" >files
# Each part of the host's own configuration, the installation and each volume: how many files the archive has of it, and how many there
# are. `roots`: a top folder of the archive, and where what it is of is now.
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
# What of the source is as it was: by size and time, of all files and of each part by itself, for what was encrypted as a whole may be
# little beside the rest. Names with characters that aren't to be seen are left out, and of volumes what never rests.
cut -d' ' -f3- parts >part-paths
# shellcheck disable=SC2016 # For awk.
_group='
  FILENAME == "part-paths" { part[$0]; next }
  function group(name,   path) {
    if (index(name, "volumes/") == 1) { sub(/^volumes\//, "", name); sub(/\/.*/, "", name); return "volumes/" name }
    if (index(name, "host/") != 1) { sub(/\/.*/, "", name); return name ~ /^[a-z]+-[0-9]+-[0-9]+$/ ? "installation" : name }
    for (path = substr(name, 5); path != ""; sub(/\/[^\/]*$/, "", path)) if (path in part) return path
    return "host"
  }'
awk -F '\t' -v OFS='\t' -v no="$_volatile" "$_group"'
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
# Of what should be the same, a sample is read: another one each week, at most 200 files of 16 MiB at most.
_week=$(($(date +%s) / 604800 % 60 + 1))
_sampled=0
[ ! -e same ] || awk -F '\t' -v at="$_week" '$2 > 0 && $2 <= 16777216 { print substr($3, at, 4) "\t" $0 }' same | sort | head -n 200 | cut -f 2- >sample
if [ -s sample ]; then
  _sampled=$(grep -c . sample)
  cut -f 1 sample | tr '\n' '\0' | xargs -0 -r sha256sum -z -- 2>/dev/null | tr '\0' '\n' >sums || :
  awk 'FILENAME == "sums" { sum[substr($0, 67)] = substr($0, 1, 64); next }
    { split($0, f, "\t"); if ((f[1] in sum) && sum[f[1]] != f[3]) print f[1] }' sums sample | head -n 5 | printable | each_line 'rotten '
fi
echo "sampled $_sampled"
# Beside an older archive: how many of the files that both have hold something else.
[ "$2" != "$1" ] || exit 0
_older=$_backups/$2.manifest
state_of "$2"
[ "$_state" = verified ] && [ -f "$_older" ] && is_sealed "$_older" "$_older.sig" || exit 0
of_manifest files <"$_older" | sed "s,^${2%%-*}-${2#*-backup-}/,installation/," >before
sed "s,^$_top/,installation/," files >after
awk -F '\t' "$_group"'
  FILENAME == "before" { sum[$1] = $4; next }
  # What changes by itself.
  $1 ~ /(^|\/)(SHA256SUMS|[^\/]*[.](log|db|db-wal|sqlite|rrd))$/ { next }
  $1 in sum { common++; one = group($1); files[one]++; if (sum[$1] != $4) { changed++; other[one]++ } }
  END {
    printf "before %d %d\n", common, changed
    for (one in files) printf "other %d %d %s\n", files[one], other[one], one
  }' part-paths before after
