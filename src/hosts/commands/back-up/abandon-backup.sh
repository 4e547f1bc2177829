# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
# Where they can't be, the note of them stays for the next try, and the rest goes.
_go_on=yes; unpause "$_record" || _go_on=
# Of one that was published only what was forgotten is removed; its record stays, wherever the archive is.
_unpublished=yes
if [ -e "$_record/proof" ] && [ ! -e "$_partial" ]; then _unpublished=; fi
rm -rf -- "$_backups/.$1.partial" "$_record/stage" "$_new_manifest.partial" "$_new_manifest.sig.partial" "$_partial" "$_backups/.$1.$_ending.sha256.partial"
if [ -n "$_unpublished" ]; then
  [ -e "$_archive" ] || rm -f -- "$_archive.sha256" "$_manifest" "$_manifest.sig"
  [ -z "$_go_on" ] || rm -rf -- "${_record:?}"
fi
[ ! -e "$_stage" ]
[ -n "$_go_on" ]
