# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper ends where a command fails, and has the layout in variables.
_restore=$1
of_restore "$1"
folders
_top=$(sed -n 's/^top //p' "$_rec/request" 2>/dev/null) || _top=
case $_is in
  # Of one that was never begun there is nothing to undo.
  absent | undone) ;;
  staging | staged) remove_staging; becomes undone 'nothing was changed' ;;
  kept)
    [ -f "$_rec/units" ] && [ ! -e "$_rec/forgotten" ] || stop 12 "what $1 replaced was removed already, so it can not be put back"
    rm -f -- "$_rec/ran"
    stop_new
    go_back 'it was asked for'
    _failed=$(unhealthy)
    [ -z "$_failed" ] || stop 9 "what was there before is there again, and it is not well: $_failed"
    ;;
  *) stop_new; go_back "${_said:-it was interrupted}" ;;
esac
