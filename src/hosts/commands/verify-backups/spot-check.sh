# shellcheck shell=sh disable=SC2154,SC2164,SC2091,SC2094 # The helper ends where a command fails, and has the layout in variables.
# $1: the archive, $2: an older one, or the same. Only names and numbers leave the host.
places "$1"
state_of "$1"
case $_state in verified | doubted) ;; *) stop 9 "$1 is not as it was published" ;; esac
if [ ! -f "$_manifest" ] || ! is_sealed "$_manifest" "$_manifest.sig"; then stop 9 "$1 has no manifest that this host has sealed"; fi
quietly
in_work
of_manifest files <"$_manifest" >files
count_parts
compare_with_source
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
compare_with_older
