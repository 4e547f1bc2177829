# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
if [ -e "$_partial" ]; then
  needs listed packed verified
  read -r _sum _bytes _sealed <"$_record/verified"
  [ ! -e "$_archive" ] || stop 17 'an archive of this name is there already'
  if [ "$_sum" != "$2" ] || [ "$(sum_of "$_partial")" != "$2" ]; then stop 9 'the archive is not the one that was verified'; fi
  # An attempt that was killed may have given them their names already.
  for _end in manifest manifest.sig; do
    [ ! -e "$_backups/.$1.$_end.partial" ] || mv -fT -- "$_backups/.$1.$_end.partial" "$_backups/$1.$_end"
  done
  if [ "$(sum_of "$_manifest")" != "$_sealed" ] || ! is_sealed "$_manifest" "$_manifest.sig"; then stop 9 'the manifest is not the one that was sealed'; fi
  rm -f -- "$_backups/.$1.$_ending.sha256.partial" "$_record/broken" "$_record/unsealed"
  into "$_backups/.$1.$_ending.sha256.partial" printf '%s  %s\n' "$2" "${_archive##*/}"
  sync "$_partial" "$_manifest" "$_manifest.sig" "$_backups/.$1.$_ending.sha256.partial"
  # The proof and what belongs to it first: an archive that has its name has been verified.
  _now=$(date +%s)
  for _file in contents.part doubts.new accepted.new; do
    [ ! -e "$_record/$_file" ] || mv -fT -- "$_record/$_file" "$_record/${_file%.*}"
  done
  [ -e "$_record/contents" ]
  keep checked "$_now" "$_record"
  keep seal "$_sealed $(seal_facts "$_manifest")" "$_record"
  # Until then nothing is gone that isn't there, whatever ends this.
  keep naming yes "$_record"
  keep proof "$2 $_bytes $(stat -c %Y -- "$_partial") $_now $_backups" "$_record"
  mv -fT -- "$_backups/.$1.$_ending.sha256.partial" "$_archive.sha256"
  mv -nT -- "$_partial" "$_archive"
  sync "$_backups"
elif [ ! -e "$_record/proof" ] || [ ! -f "$_archive" ] || [ "$(sum_of "$_archive")" != "$2" ]; then
  stop 9 'the archive is not the one that was verified'
fi
rm -f -- "$_record/naming"
rm -rf -- "$_stage"
again collected host listed packed verified
forget_steps
[ -s "$_archive" ]
[ -s "$_archive.sha256" ]
[ ! -e "$_partial" ]
# It must be found where archives are looked for.
state_of "$1"
case $_state in verified | doubted) ;; *) stop 9 "the archive that was just published is not found in $_backups" ;; esac
echo "name ${_archive##*/}"
echo "bytes $(stat -c %s -- "$_archive")"
echo "state $_state"
show_seal
