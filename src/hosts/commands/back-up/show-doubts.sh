# shellcheck shell=sh disable=SC2154 # The layout is in variables.
[ ! -e "$state/backups/$1/doubts" ] || head -n 100 "$state/backups/$1/doubts" | sed 's/^/doubt /'
