# shellcheck shell=sh disable=SC2154,SC2034 # The layout is in variables; the commands use what is set here.
# who_may_decrypt: _list is root's file of those who can decrypt a copy, _recipients its lines, and _encryption who encrypts
# (host, service). A file that others could write to names nobody.
who_may_decrypt() {
  _list=$state/recipients _recipients='' _encryption=host
  of_root "$_list" || return 0
  _recipients=$(grep -E '^(age1|ssh-)' "$_list") || _recipients=
  ! grep -qxF '# encrypted by the service' "$_list" || _encryption=service
}

# has_manifest: whether a manifest with its seal was published with the archive; after state_of.
has_manifest() { [ "$_sealed" != - ]; }
