# shellcheck shell=sh disable=SC2154 # The layout's names are the helper's own.
# private_folder: _new becomes a folder of root's own that goes when the command ends, however it ends.
private_folder() {
  _new=$state/plans/.new-$$
  mkdir -p "$state/plans"
  # Of those who were killed.
  find "$state/plans" -mindepth 1 -maxdepth 1 -name '.new-*' -mmin +10 -exec rm -rf -- {} +
  rm -rf -- "$_new"
  mkdir -- "$_new"
  trap 'rm -rf -- "$_new"' EXIT
  trap 'exit 143' TERM INT HUP
}
