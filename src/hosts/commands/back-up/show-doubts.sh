# shellcheck shell=sh disable=SC2154 # The layout is in variables.
# Whether a doubt alone fails a backup is of no matter to who accepts it.
[ ! -e "$state/backups/$1/doubts" ] || head -n 100 "$state/backups/$1/doubts" | sed -E 's/^(failed |warning )?/doubt /'
