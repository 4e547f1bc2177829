# shellcheck shell=sh disable=SC2154,SC2034 # Beside functions.sh and copy.sh, whose names it uses.
# collect_installation: copies the installation and the sudoers file into the backup, and says how much.
collect_installation() {
  below "$(unmounted)" "$_installation" | while IFS= read -r _mount; do
    doubt failed "not mounted: $_mount, which this host should have mounted in the installation"
  done
  copy "$_installation" "$_stage/$_top" "$installation"
  # Its mode and owner become the installation's when it is restored.
  chmod --reference="$_installation" -- "$_stage/$_top"
  [ "$(id -u)" != 0 ] || chown --reference="$_installation" -- "$_stage/$_top"
  # What an earlier recovery left in the installation under the name of the archive's own would pass for this backup's.
  _own=$(basename "$sudoersFile")
  if [ -e "$_stage/$_top/$_own" ]; then rm -rf -- "${_stage:?}/$_top/$_own"; echo "replaced $_own"; fi
  echo "source $(find "$_installation" -mindepth 1 -path "$_backups" -prune -o -printf x | wc -c)"
  echo "copied $(find "$_stage/$_top" -mindepth 1 -printf x | wc -c)"
  if [ -e "$sudoersFile" ]; then cp -aL -- "$sudoersFile" "$_stage/$_top/$(basename "$sudoersFile")"; echo 'sudoers copied'; else echo 'sudoers missing'; fi
}
