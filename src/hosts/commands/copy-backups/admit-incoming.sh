# shellcheck shell=sh disable=SC2154,SC2164 # The script ends where a command fails, and has the layout in variables.
# An archive that an administrator has brought counts as if it were verified here: when its manifest was sealed by this host,
# or an administrator of this host has signed that very manifest and archive. Either way it is read whole.
_id=$1
places "$_id"
incoming "$_id"
state_of "$_id"
case $_state in gone | changed | unsealed | unproven) ;; *) stop 17 "an archive of this name is there already, and it is $_state" ;; esac
brought_well "$_id"
# Without a record, as after a new installation on the same disk: it is that one, or another one that isn't replaced.
if [ "$_state" = unproven ] && [ "$(sum_of "$_archive")" != "$_sum" ]; then
  stop 17 "another archive of this name lies in $_backups, and this host has no record of it"
fi
if is_sealed "$_in/manifest" "$_in/seal"; then _how='sealed by this host'
else
  identity || stop 11 'this host has no /etc/machine-id to be named by'
  [ -f "$_in/signature" ] || stop 12 'its manifest was not sealed by this host'
  printf 'proxmox-mcp admit-backup\nhost: %s\nbackup: %s\narchive: %s\nmanifest: %s\n' \
    "$_identity" "$_id" "$_sum" "$(sum_of "$_in/manifest")" >"$_in/text"
  vouched "$_in/text" "$_in/signature" || stop 11 "$_why"
  _how="signed by $_signer"
  # What an administrator vouches for is sealed here from now on, so that the host knows it again.
  make_seal
  seal "$_in/manifest" "$_in/seal" || stop 9 'the manifest could not be sealed'
fi
mkdir -p -- "$_backups" "$_record"
chmod 700 "$_record"
_end=${_name#"$_id"}
keep ending "${_end#.}" "$_record"
# No name that a backup which is made meanwhile would take for one of its own that was not finished.
_new=$_backups/.$_id$_end.admitted
# From another file system it is a copy, so it is read once more.
mv -fT -- "$_in/archive" "$_new"
sync "$_new"
[ "$(sum_of "$_new")" = "$_sum" ] || stop 9 'the archive was not written as it came'
chmod 600 "$_new"
# What is there in its place was found changed: it isn't lost, and counts for nothing.
[ "$_state" = unproven ] || [ ! -e "$_backups/$_id$_end" ] || mv -fT -- "$_backups/$_id$_end" "$_backups/$_id$_end.changed"
rm -f -- "$_record/broken" "$_record/unsealed" "$_record/doubts" "$_record/removing"
mv -fT -- "$_in/manifest" "$_manifest"
mv -fT -- "$_in/seal" "$_manifest.sig"
chmod 600 "$_manifest" "$_manifest.sig"
sync "$_manifest" "$_manifest.sig"
keep seal "$(sum_of "$_manifest") $(seal_facts "$_manifest")" "$_record"
printf '%s  %s\n' "$_sum" "$_name" >"$_backups/$_name.sha256"
# It is as old as its name says: a copy that comes back is no new backup.
_when=$(taken_at "$_id")
keep admitted "$(date +%s) $_how" "$_record"
keep checked "$(date +%s)" "$_record"
keep proof "$_sum $_bytes $(stat -c %Y -- "$_new") $_when $_backups" "$_record"
mv -fT -- "$_new" "$_backups/$_name"
sync "$_backups"
state_of "$_id"
[ "$_state" = verified ] || stop 9 "the archive that was admitted is $_state"
rm -rf -- "${_in:?}"
echo "admitted $_how"
