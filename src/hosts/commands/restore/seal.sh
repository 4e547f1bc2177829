# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper has the layout's names; the commands use what is set here.
# require_sealed WORK BACKUP: copies manifest and seal of an archive into WORK, which only root can write, and ends unless the
# seal is this host's own: it made the archive, or took it as a copy that an administrator vouched for. Sets _archive, _bytes, _sum,
# _top and _home, the host that it is of.
require_sealed() {
  folders
  for _end in manifest manifest.sig; do
    [ -f "$_backups/$2.$_end" ] || stop 11 "there is no $2.$_end in $_backups: only an archive with a sealed manifest is restored"
    head -c 536870912 -- "$_backups/$2.$_end" >"$1/$_end"
  done
  of_root "$state/seal/signers" || stop 13 'this host has no key that seals manifests'
  if ! is_sealed "$1/manifest" "$1/manifest.sig"; then
    _by=$(sealed_by "$1/manifest" "$1/manifest.sig")
    stop 13 "the manifest of $2 is not sealed by this host, but by ${_by:-nobody: it is not what was sealed}"
  fi
  [ "$(head -n 1 "$1/manifest")" = 'proxmox-mcp manifest 1' ] &&
    [ "$(tail -n 1 "$1/manifest")" = "end $(grep -c '^entry ' "$1/manifest")" ] &&
    [ "$(head_of "$1" id)" = "$2" ] || stop 9 "the manifest of $2 is none, or one of another archive"
  _home=$(head_of "$1" host)
  # shellcheck disable=SC2046 # Its words.
  set -- "$1" "$2" $(head_of "$1" archive)
  case ${3-} in "$2.tar.gz" | "$2.tar.zst") ;; *) stop 9 "the manifest of $2 is of another file" ;; esac
  _archive=$_backups/$3 _bytes=$4 _sum=$5
  _top=${2%%-*}-${2#*-backup-}
  [ -f "$_archive" ] || stop 11 "there is no $3 in $_backups"
  [ "$(stat -c %s -- "$_archive")" = "$_bytes" ] || stop 9 "$3 is not the archive that its manifest is of: it has another size"
  # Nothing may lie behind a link of the archive itself, stand twice, or lead out of where it belongs.
  awk '/^entry / { p = name($0); if (p in seen || p ~ /^\// || ("/" p "/") ~ /\/[.][.]?\// || p ~ /\/\//) bad = 1
      seen[p] = $2; n[++m] = p }
    function name(s, i) { for (i = 0; i < 8; i++) sub(/^[^ ]+ /, "", s); sub(/\t.*/, "", s); return s }
    END { for (i = 1; i <= m; i++) { p = n[i]; while (sub(/\/[^\/]*$/, "", p)) if ((p in seen) && seen[p] != "d") bad = 1 } exit bad }' "$1/manifest" ||
    stop 9 "the manifest of $2 has names that lead elsewhere"
}

# head_of WORK KEY: what a line before the entries says.
head_of() { sed -n "/^entry /q;s/^$2 //p" "$1/manifest" | head -n 1; }
