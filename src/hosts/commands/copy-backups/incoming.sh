# shellcheck shell=sh disable=SC2015,SC2154,SC2034 # The layout is in variables; the commands use what is set here.
# incoming BACKUP: where what an administrator brings lies, root's alone, until it is admitted.
incoming() { _in=$state/incoming/$1; }

# forget_incoming BACKUP: removes what was brought of it, and what an admission that was cut off left beside the archives.
forget_incoming() {
  rm -rf -- "${state:?}/incoming/${1:?}"
  rm -f -- "$_backups/.$1.tar.gz.admitted" "$_backups/.$1.tar.zst.admitted"
}

# brought_well BACKUP: stops unless manifest and archive belong together; sets _name, _bytes and _sum.
brought_well() {
  for _file in manifest seal archive; do
    [ -f "$_in/$_file" ] && [ ! -L "$_in/$_file" ] || stop 9 "the $_file has not come"
  done
  [ "$(head -n 1 "$_in/manifest")" = 'proxmox-mcp manifest 1' ] && grep -qxF -e "id $1" "$_in/manifest" ||
    stop 9 "what was brought is no manifest of $1"
  tail -n 1 "$_in/manifest" | grep -Eqx 'end [0-9]+' || stop 9 'the manifest was cut off'
  _line=$(sed -n 's/^archive //p' "$_in/manifest" | head -n 1)
  printf '%s\n' "$_line" | grep -Eqx "$1[.]tar[.](gz|zst) [0-9]{1,15} [0-9a-f]{64}" || stop 9 'the manifest names no archive of it'
  _name=${_line%% *} _sum=${_line##* } _bytes=${_line#* } _bytes=${_bytes% *}
  [ "$(stat -c %s -- "$_in/archive")" = "$_bytes" ] && [ "$(sum_of "$_in/archive")" = "$_sum" ] ||
    stop 9 'the archive is not the one of its manifest'
}
