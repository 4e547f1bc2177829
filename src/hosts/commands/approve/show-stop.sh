# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
if [ -e "$state/changes-stopped" ] || [ -L "$state/changes-stopped" ]; then
  echo 'on'
  head -n 1 "$state/changes-stopped" 2>/dev/null | grep -Ex 'stopped [ -~]{1,400}' || :
fi
