# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
if [ -e "$state/changes-stopped" ] || [ -L "$state/changes-stopped" ]; then
  rm -f -- "$state/changes-stopped"
  sync "$state"
  echo 'lifted'
fi
