# shellcheck shell=sh
# shellcheck disable=SC2154 # The layout's names are the helper's own.
# require_unit NAME: ends the command unless root on this host admits the unit: it is the installation's own, or a line of
# $state/units, a file that only root can change. What people reach the host by, and what holds a cluster together, is
# never admitted, whatever names it goes by. Sets _service.
require_unit() {
  [ -d /run/systemd/system ] || stop 12 'this host does not run systemd'
  _service=$1.service
  if [ "$1" != "${unit%.service}" ]; then
    _listed=$(find "$state/units" -maxdepth 0 -type f -uid "$(id -u)" ! -perm /022 2>/dev/null) || _listed=
    if [ -z "$_listed" ] || ! grep -Fqx -e "$1" -- "$_listed"; then
      stop 10 "root has not put $1 on the list $state/units"
    fi
  fi
  _loaded=$(systemctl show --no-pager --property=LoadState,Names -- "$_service")
  for _name in $(printf '%s\n' "$_loaded" | sed -n 's/^Names=//p'); do
    case ${_name%.service} in
      ssh | sshd | ssh@* | sshd@* | networking | NetworkManager | systemd-* | dbus | dbus-broker | pve-cluster | corosync | \
        pve-firewall | pveproxy | pvedaemon | proxmox-mcp-job-*)
        stop 10 "${_name%.service} is never controlled: people reach this host by it, or a cluster stands on it"
        ;;
    esac
  done
  case $_loaded in
    *LoadState=loaded*) ;;
    *LoadState=masked*) stop 12 "$1 is masked" ;;
    *) stop 11 "there is no unit $_service" ;;
  esac
}

# require_active yes|no: ends the command unless $_service becomes so within a minute, and stays so for three seconds:
# what has just started may die at once, and what restarts all the time looks active now and then.
require_active() {
  _steady=0 _seen=
  for _second in $(seq 60); do
    _is=$(systemctl show --no-pager --property=ActiveState,MainPID,NRestarts -- "$_service" | tr '\n' ' ')
    _how=$(systemctl show --no-pager --property=Type,ActiveState,Result -- "$_service" | sort | tr '\n' ' ')
    case "$1 $_how" in
      "yes ActiveState=active "* | "no ActiveState=inactive "* | "no ActiveState=failed "*) _right=yes ;;
      # It has done its work and ended, as it is to.
      "yes ActiveState=inactive Result=success Type=oneshot ") _right=yes ;;
      *) _right=no ;;
    esac
    if [ "$_right $_is" = "$_seen" ]; then _steady=$((_steady + 1)); else _steady=0; fi
    _seen="$_right $_is"
    case $_steady$_right$_how in
      3yes*) return 0 ;;
      # Nothing is under way any more that could still make it so.
      3no*ActiveState=inactive* | 3no*ActiveState=failed* | 3no*ActiveState=active*) break ;;
    esac
    sleep 1
  done
  stop 9 "$_service is not as it was to be: $_how"
}

# require_enabled enabled|disabled: ends the command unless $_service starts with the host, or doesn't.
require_enabled() {
  _is=$(systemctl is-enabled -- "$_service" 2>/dev/null) || :
  [ "$_is" = "$1" ] || stop 9 "$_service is $_is, not $1"
}
