# shellcheck shell=sh disable=SC2154,SC2164,SC2091,SC2094 # The helper ends where a command fails, and has the layout in variables.
# $1: the archive, $2: an older one, or the same. Only names and numbers leave the host.
places "$1"
state_of "$1"
case $_state in verified | doubted) ;; *) stop 9 "$1 is not as it was published" ;; esac
if [ ! -f "$_manifest" ] || ! is_sealed "$_manifest" "$_manifest.sig"; then stop 9 "$1 has no manifest that this host has sealed"; fi
quietly
in_work
of_manifest files <"$_manifest" >files
# Each part of the host's own configuration, and the installation: how many files the archive has of it, and how many there are.
sed -n 's/^part [^ ]* [0-9]* \([0-9]*\) /\1 /p' "$_manifest" | while read -r _archived _path; do
  _live=0
  [ ! -e "$hostRoot$_path" ] || _live=$(find "$hostRoot$_path" -xdev -path "$_backups" -prune -o -path '/etc/pve/.*' -prune -o -type f -printf x | wc -c)
  echo "part $_archived $_live $_path"
done
_archived=$(grep -c "^$_top/" files || :)
_live=0; ! is_installed || _live=$(find "$_installation" -xdev -path "$_backups" -prune -o -type f -printf x | wc -c)
if [ "$_archived" -gt 0 ] || [ "$_live" -gt 0 ]; then echo "part $_archived $_live $installation"; fi
# What of the source is as it was: by size and time. Names with characters that aren't to be seen are left out.
awk -F '\t' -v top="$_top" -v installed="$_installation" -v root="$hostRoot" -v OFS='\t' '
  index($1, "\\") { next }
  index($1, "host/") == 1 { print root substr($1, 5), $2, $3, $4; next }
  index($1, top "/") == 1 { print installed substr($1, length(top) + 1), $2, $3, $4 }' files >wanted
cut -f 1 wanted | tr '\n' '\0' | xargs -0 -r stat --printf '%n\t%s\t%Y\n' -- 2>/dev/null >live || :
awk -F '\t' -v OFS='\t' '
  FILENAME == "live" { size[$1] = $2; time[$1] = $3; next }
  { all++ }
  !($1 in size) { gone++; next }
  size[$1] == $2 && time[$1] == $3 { same++; print $1, $2, $4 >"same"; next }
  { changed++ }
  END { printf "compared %d %d %d %d\n", all, same, changed, gone }' live wanted
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
awk -F '\t' '
  FILENAME == "before" { sum[$1] = $4; next }
  # What changes by itself.
  $1 ~ /(^|\/)(SHA256SUMS|[^\/]*[.](log|db|db-wal|sqlite|rrd))$/ { next }
  $1 in sum { common++; if (sum[$1] != $4) changed++ }
  END { printf "before %d %d\n", common, changed }' before after
