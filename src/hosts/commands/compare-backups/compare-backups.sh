# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
# $1: a backup. $2: a later one, or now.
folders
compare_box
_tab=$(printf '\t') _isNow=
sealed_list "$1" "$_box/a.manifest"
listed_of a "$_box/a.manifest" | sort -S 32M -T "$_box" -t "$_tab" -k1,1 >"$_box/a.list"
if [ "$2" = now ]; then
  _isNow=yes
  entries_now | sort -S 32M -T "$_box" -t "$_tab" -k1,1 >"$_box/b.list"
  # Data is written to all the time: volumes are compared in archives alone.
  _bothHave=' host installation '
  is_installed || grep -q '^installation' "$_box/a.list" || _bothHave=' host '
else
  sealed_list "$2" "$_box/b.manifest"
  listed_of b "$_box/b.manifest" | sort -S 32M -T "$_box" -t "$_tab" -k1,1 >"$_box/b.list"
  _bothHave=' '
  for _one in host installation volumes dumps; do
    ! grep -q -m 1 "^$_one" "$_box/a.list" || ! grep -q -m 1 "^$_one" "$_box/b.list" || _bothHave="$_bothHave$_one "
  done
fi
differences "$_box/a.list" "$_box/b.list"
[ "$2" != now ] || read_maybe
{ cut -f1 "$_box/text" | head -n 40; cut -f1 "$_box/guests" | head -n 200; echo host/dpkg-versions; } >"$_box/wanted"
take_texts a "$1" "$_box/a.manifest"
if [ "$2" = now ]; then
  take_texts_now
  mkdir -p "$_box/b/host"
  package_versions >"$_box/b/host/dpkg-versions" || :
else take_texts b "$2" "$_box/b.manifest"; fi
echo "now $(date +%s)"
say_found
say_texts
say_guests
say_packages
echo 'end '
