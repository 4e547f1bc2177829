# shellcheck shell=sh disable=SC2154 # Beside functions.sh, whose names it uses.
# unsafe_folder: says which folder on the way to the archives lets others than root remove them; nothing where none does.
unsafe_folder() {
  [ "$(id -u)" = 0 ] || return 0
  _way=$(deepest "$_backups")
  while :; do
    if [ "$(stat -c %u -- "$_way")" != 0 ] ||
      find "$_way" -maxdepth 0 -perm /022 ! -perm -1000 -printf x | grep -q x; then
      printf 'unsafe %s\n' "$_way"
      return 0
    fi
    [ "$_way" != / ] || return 0
    _way=$(dirname -- "$_way")
  done
}
