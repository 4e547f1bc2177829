# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper ends where a command fails, and has the layout in variables.
_restore=$1
of_restore "$1"
# As long as whoever was stopped may take to end, and a little less than this command may last.
[ "$_is" = absent ] || alone_at 200
folders
_top=$(sed -n 's/^top //p' "$_rec/request" 2>/dev/null) || _top=
case $_is in
  # Of one that was never begun there is nothing to undo.
  absent) ;;
  undone)
    [ ! -e "$_rec/unstarted" ] || start_users
    [ ! -e "$_rec/unjudged" ] || judge_back
    ;;
  staging | staged) remove_staging; becomes undone 'nothing was changed' ;;
  kept)
    [ -f "$_rec/units" ] && [ ! -e "$_rec/forgotten" ] || stop 12 "what $1 replaced was removed already, so it can not be put back"
    rm -f -- "$_rec/ran" "$_rec/marking"
    ! needs_marks || { : >"$_rec/marking"; sync "$_rec"; }
    stop_new
    : >"$_rec/unjudged"
    go_back 'it was asked for'
    judge_back
    ;;
  *)
    stop_new
    go_back "${_said:-it was interrupted}"
    if [ -e "$_rec/unjudged" ]; then judge_back; else drop_new; fi
    ;;
esac
