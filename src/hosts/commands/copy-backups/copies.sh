# shellcheck shell=sh disable=SC2154,SC2034 # The layout is in variables; the commands use what is set here.
# who_may_decrypt: _list is root's file of those who can decrypt a copy, _recipients its lines, and _encryption who encrypts
# (host, service). A file that others could write to names nobody.
who_may_decrypt() {
  _list=$state/recipients _recipients='' _encryption=host
  of_root "$_list" || return 0
  _recipients=$(grep -E '^(age1|ssh-)' "$_list") || _recipients=
  ! grep -qxF '# encrypted by the service' "$_list" || _encryption=service
}

# archive_of BACKUP: the name of its archive in the folder.
archive_of() { printf '%s\n' "$1.tar.gz"; }

# sealed BACKUP: whether a manifest with its seal lies beside the archive.
sealed() { [ -f "$_backups/$1.manifest" ] && [ -f "$_backups/$1.manifest.sig" ]; }
