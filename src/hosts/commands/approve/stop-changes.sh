# shellcheck shell=sh disable=SC2154 # The layout's names are the helper's own.
# $1: who; $2: why, with _ for spaces. The first one who stops them is the one who did.
exclusively || exit
if [ ! -e "$state/changes-stopped" ]; then
  _nonce=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  _new=$state/changes-stopped.new
  _at=$(date +%s%3N)
  printf 'stopped %s %s %s\nnonce %s\n' "$_at" "$1" "$2" "$_nonce" >"$_new"
  each_job note_open | sort -u | head -n 1000 >>"$_new"
  sync "$_new"
  mv -fT -- "$_new" "$state/changes-stopped"
  sync "$state"
fi
switch_state
