# shellcheck shell=sh disable=SC2154,SC2034 # One part of the helper: others set and use its variables.
# 4. What else must be so before anything is executed: that changes aren't stopped, and that an administrator of this host
# has signed what needs a signature.

# permit look|spend VERB FENCES ARGUMENTS: lets it in, or returns why not. A signature is spent only with `spend`, which
# comes last.
permit() {
  _how=$1; shift
  call_of "$@"
  case $_risk in change | dangerous) not_stopped || return ;; esac
  ! needs_signature || signed "$_how"
}

# call_of VERB FENCES ARGUMENTS: _call becomes what is executed, on one line, without fences and run.
call_of() { _call=$1; shift $((_skip + 1)); _call="$_call${1+ $*}"; }

# not_stopped: whether changes aren't stopped on this host. An undo goes on if it is of a run that was at work here when
# they were stopped, and about what that run had worked on: its first argument stands in one of the run's calls.
not_stopped() {
  [ -e "$state/changes-stopped" ] || [ -L "$state/changes-stopped" ] || return 0
  _about=${_call#* }
  case $_traits$_run in
    *' undo '-) ;;
    *' undo '*) ! awk -v run="$_run" '$1 == "open" && $2 "" == run "" { for (i = 4; i <= NF; i++) print $i }' \
      "$state/changes-stopped" | grep -qxF -e "${_about%% *}" || return 0 ;;
  esac
  { read -r _word _since _by _why || :; } 2>/dev/null <"$state/changes-stopped" || :
  say "stopped: ${_since:--} ${_by:--} ${_why:--}"
  return 77
}

# needs_signature: by what the command is, or because root has put it on the list $state/signed-commands: verbs that
# change something, one a line, or `all-dangerous`. A list that others could write asks for all of them.
needs_signature() {
  case $_traits in *' signed '*) return 0 ;; esac
  _list=$state/signed-commands
  case $_risk in read | own) return 1 ;; esac
  [ -e "$_list" ] || [ -L "$_list" ] || return 1
  ! goes_back || return 1
  of_root "$_list" || return 0
  _all=; [ "$_risk" != dangerous ] || _all='|all-dangerous'
  grep -Eqx -e "[[:space:]]*(${_call%% *}$_all)[[:space:]]*" -- "$_list"
}

# goes_back: whether it takes back a restore that isn't done, so that the host is as it was: who let that begin has signed for
# its end. What was kept is there with a yes, and goes with another one.
goes_back() {
  _about=${_call#* }
  [ "${_call%% *}" = undo-restore ] && grep -Eqs '^(staging|staged|applying|undoing|undone) ' "$state/restores/${_about%% *}/state"
}

# signed look|spend: whether the call stands in an admitted plan, signed by who is an administrator still, and wasn't
# executed yet. What stands before it can't be executed any more; a job's run must be the plan's.
signed() {
  [ "$1" = look ] || exclusively || return
  _why='it stands in no plan that was admitted here' _spent=
  set +f
  for _plan in "$state"/plans/[0123456789abcdef]*; do
    set -f
    if next_of "$_plan"; then
      [ "$1" = look ] || keep 'done' "$_line" "$_plan" || { say 'failed: the plan cannot be marked'; return 70; }
      _spent=yes; break
    fi
  done
  set -f
  [ "$1" = look ] || exec 6>&-
  [ -n "$_spent" ] || { say "unsigned: $_why"; return 78; }
}
