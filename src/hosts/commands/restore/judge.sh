# shellcheck shell=sh disable=SC2154,SC2034 # Beside record.sh and services.sh, whose names it uses.
# unhealthy: says what of the host isn't as it is to be after a restore, and nothing where all is well.
unhealthy() {
  "$_self" job-list >/dev/null 2>&1 || { echo "this service's helper does not work"; return; }
  if touches sudo && command -v visudo >/dev/null; then
    [ ! -f "$_root/etc/sudoers" ] || visudo -c -q -f "$_root/etc/sudoers" >/dev/null 2>&1 || { echo 'sudo would refuse its policy (visudo -c)'; return; }
    [ ! -f "$sudoersFile" ] || visudo -c -q -f "$sudoersFile" >/dev/null 2>&1 || { echo "sudo would refuse $sudoersFile (visudo -c)"; return; }
    if [ -z "$hostRoot" ] && command -v sudo >/dev/null && id -u -- "$user" >/dev/null 2>&1; then
      sudo -n -l -U "$user" 2>/dev/null | grep -qF -e "$helper" || { echo "sudo would not let $user use this service's helper any more"; return; }
    fi
  fi
  if touches ssh && command -v sshd >/dev/null && [ -z "$hostRoot" ] && [ -f /etc/ssh/sshd_config ]; then
    mkdir -p /run/sshd; sshd -t >/dev/null 2>&1 || { echo 'sshd would not start with this configuration (sshd -t)'; return; }
  fi
  if touches pve; then
    for _try in $(seq 30); do mountpoint --quiet -- "$_root/etc/pve" && timeout 5 ls -- "$_root/etc/pve" >/dev/null 2>&1 && [ -e "$_root/etc/pve/.version" ] && break; sleep 1; done
    [ -e "$_root/etc/pve/.version" ] || { echo '/etc/pve is not mounted, or does not answer: pve-cluster does not work with this database'; return; }
  fi
  { [ ! -f "$_rec/ran" ] || cat "$_rec/ran"; [ ! -f "$_rec/started" ] || cat "$_rec/started"; } >"$_rec/judged"
  while read -r _kind _who <&6; do
    case $_kind in
      unit) _why=$( ( _service=$_who.service; require_active yes ) 2>&1 >/dev/null ) || { echo "$_why"; return; } ;;
      container) container_well "$_who" || return 0 ;;
    esac
  done 6<"$_rec/judged"
  if [ -e "$_rec/answered" ] && [ -n "$healthUrl" ] && ! answers 60; then echo "$healthUrl does not answer any more"; fi
}

# answers SECONDS: whether the service's own health page answers within so long.
answers() {
  command -v curl >/dev/null || return 0
  for _try in $(seq "$1"); do curl --silent --fail --max-time 3 --output /dev/null -- "$healthUrl" && return 0; sleep 1; done
  return 1
}

# container_well ID: whether it runs for three looks and, where it says so itself, is healthy within two minutes; else says why not.
container_well() {
  _steady=0 _seen=
  for _try in $(seq 120); do
    _is=$(timeout 20 docker inspect --type container --format '{{.State.Running}} {{.RestartCount}} {{.State.Pid}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' -- "$1" 2>/dev/null) || _is=gone
    if [ "$_is" = "$_seen" ]; then _steady=$((_steady + 1)); else _steady=0; fi
    _seen=$_is
    case $_steady$_is in [3-9]true*' none' | [3-9]true*' healthy') return 0 ;; *' unhealthy') break ;; 9false* | 9gone*) break ;; esac
    [ "$_steady" -lt 9 ] || _steady=4
    sleep 1
  done
  echo "the container $(timeout 20 docker inspect --type container --format '{{.Name}}' -- "$1" 2>/dev/null || echo "$1") does not run well: $_is"
  return 1
}

# validate_staged: what can be seen to be wrong before anything is stopped.
validate_staged() {
  [ "$_action" = put ] || return 0
  case $_member in
    "$_top/${sudoersFile##*/}" | host/etc/sudoers | host/etc/sudoers.d/*)
      ! command -v visudo >/dev/null || [ "${_member##*/}" = README ] || visudo -c -q -f "$_folder/new/$_n" >/dev/null 2>&1 || stop 9 "sudo would refuse ${_target} of the archive (visudo -c)" ;;
    host/var/lib/pve-cluster/config.db)
      command -v sqlite3 >/dev/null || stop 12 'there is no sqlite3 on this host, so the database of the archive can not be checked'
      _said_db=$(whole_by_sqlite3 "$_folder/new/$_n" 2>&1 | head -n 1) || :
      [ "$_said_db" = ok ] || stop 9 'the database of the archive is damaged (PRAGMA integrity_check)' ;;
  esac
}
