# shellcheck shell=sh disable=SC2154,SC2034 # One part of the helper: others set and use its variables.
# next_of PLAN: whether the call is still to be executed by this plan, and _line its line there; else why not. The
# signature is verified again, so that whoever is no administrator any more has signed nothing.
next_of() {
  [ -f "$1/text" ] && grep -qxF -e "call: $_call" -- "$1/text" || return 1
  [ "$_when" = now ] || grep -qxF -e "run: $_run" -- "$1/text" || { _why="its plan is not of the run $_run"; return 1; }
  _at=0; [ ! -e "$1/done" ] || { read -r _at <"$1/done" && counts "$_at"; } 2>/dev/null || _at=999999
  _line=$(grep -nxF -e "call: $_call" -- "$1/text" | cut -d : -f 1 | while read -r _n; do
    [ "$_n" -le "$_at" ] || { echo "$_n"; break; }
  done)
  [ -n "$_line" ] || { _why='its plan has it executed already, or what comes after it'; return 1; }
  _until=$(sed -n '6s/^expires: //p' "$1/text"); _now=$(date +%s)
  _why='its plan has expired'; counts "$_until" && [ "$_until" -gt "$_now" ] || return 1
  _why='its plan is for another host'; identity && [ "$(sed -n 2p "$1/text")" = "host: $_identity" ] || return 1
  vouched "$1/text" "$1/signature"
}

# of_root FILE: whether it is a file that only root, or whose helper this is, can write to.
of_root() { [ -n "$(find "$1" -maxdepth 0 -type f -uid "$(id -u)" ! -perm /022 2>/dev/null)" ]; }

# exclusively: nobody else admits or spends until the descriptor 6 is closed.
exclusively() {
  mkdir -p "$state/plans" && { command exec 6>>"$state/plans.lock"; } 2>/dev/null || no_locks || return
  flock -x -w 10 6 || busy 'another signature is being verified'
}

# identity: _identity becomes what signed texts call this host: its name, and the id of the machine, which only root sets.
identity() {
  { read -r _machine </etc/machine-id; } 2>/dev/null || _machine=
  _identity="$(uname -n) $_machine"
  case $_machine in '' | *[!0123456789abcdef]*) return 1 ;; esac
}

# vouched TEXT SIGNATURE: whether one of root's list of administrators has signed the file, and _signer who; else why not.
# A key that the service logs in by is nobody's but the service's.
vouched() {
  _list=$state/administrators
  of_root "$_list" || { _why="root has made no list of administrators here ($_list)"; return 1; }
  _signer=$(timeout 10 ssh-keygen -Y find-principals -s "$2" -f "$_list" 2>/dev/null | head -n 1) || _signer=
  case $_signer in
    '' | -* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._-]*)
      _why='it is signed by nobody on the list of administrators of this host'; return 1 ;;
  esac
  timeout 10 ssh-keygen -Y verify -f "$_list" -I "$_signer" -n proxmox-mcp-approval -s "$2" <"$1" >/dev/null 2>&1 ||
    { _why="the signature by $_signer is not one of this text"; return 1; }
  _keys=$(getent passwd "$user" | cut -d : -f 6)/.ssh/authorized_keys
  # shellcheck disable=SC2013 # Words are meant.
  for _word in $(awk -v name="$_signer" '$1 "" == name ""' "$_list"); do
    case $_word in AAAA*) ! grep -qsF -e "$_word" -- "$_keys" || { _why="the key of $_signer is the service's own"; return 1; } ;; esac
  done
}
