# shellcheck shell=sh disable=SC2154,SC2034 # The helper ends where a command fails, and has the layout in variables.
_restore=$1
of_restore "$1"
_now=$(date +%s)
case $_is in
  absent) exit 0 ;;
  applying | undoing | staging) stop 9 "$1 is $_is: undo it first" ;;
  undone) [ $((_now - _since)) -ge 86400 ] || stop 9 "$1 went back less than a day ago: what it had brought is kept so long" ;;
  staged) [ $((_now - _since)) -ge 86400 ] || stop 9 "$1 was staged less than a day ago" ;;
  kept) [ $((_now - _since)) -ge 1209600 ] || stop 9 "$1 was done less than 14 days ago by this host's clock: what it replaced is kept so long" ;;
esac
forget_kept
