# shellcheck shell=sh disable=SC2154,SC2034 # Beside record.sh and services.sh, whose names it uses.
# unhealthy: says what of the host isn't as it is to be after a restore, and nothing where all is well.
unhealthy() {
  "$_self" job-list >/dev/null 2>&1 || { echo "this service's helper does not work"; return; }
  if touches sudo && command -v visudo >/dev/null; then
    [ ! -f "$_root/etc/sudoers" ] || visudo -c -q -f "$_root/etc/sudoers" >/dev/null 2>&1 || { echo 'sudo would refuse its policy (visudo -c)'; return; }
    [ ! -f "$sudoersFile" ] || visudo -c -q -f "$sudoersFile" >/dev/null 2>&1 || { echo "sudo would refuse $sudoersFile (visudo -c)"; return; }
    [ ! -e "$_rec/entered" ] || may_enter || { echo "sudo would not let $user use this service's helper any more"; return; }
  fi
  if touches ssh && command -v sshd >/dev/null && [ -z "$hostRoot" ] && [ -f /etc/ssh/sshd_config ]; then
    mkdir -p /run/sshd; sshd -t >/dev/null 2>&1 || { echo 'sshd would not start with this configuration (sshd -t)'; return; }
  fi
  if touches pve; then
    for _try in $(seq 30); do mountpoint --quiet -- "$_root/etc/pve" && timeout 5 ls -- "$_root/etc/pve" >/dev/null 2>&1 && [ -e "$_root/etc/pve/.version" ] && break; sleep 1; done
    [ -e "$_root/etc/pve/.version" ] || { echo '/etc/pve is not mounted, or does not answer: pve-cluster does not work with this database'; return; }
  fi
  _by_unit=; ! grep -qs '^unit ' "$_rec/ran" || _by_unit=yes
  { [ ! -f "$_rec/ran" ] || cat "$_rec/ran"; [ ! -f "$_rec/started" ] || cat "$_rec/started"; } >"$_rec/judged"
  _ill='' _away='' _present=''
  while read -r _kind _who <&6; do
    case $_kind in
      failed) _ill=$_who ;;
      unit) _why=$( ( _service=$_who.service; require_active yes ) 2>&1 >/dev/null ) || { echo "$_why"; return; } ;;
      container | new)
        # The installation that is there now may have other ones, which its unit has started.
        if [ "$_kind" = container ] && touches installation && [ -n "$_by_unit" ] && [ "$(running_of "$_who")" = gone ]; then _away=$_who
        else container_well "$_who" "$_kind" || return 0; _present=yes; fi
        ;;
    esac
  done 6<"$_rec/judged"
  [ -z "$_ill" ] || { echo "$_ill"; return; }
  [ -z "$_away" ] || [ -n "$_present" ] || { echo "of the containers that ran none is there, as $_away"; return; }
  if [ -e "$_rec/answered" ] && [ -n "$healthUrl" ] && ! answers 60; then echo "$healthUrl does not answer any more"; fi
}

# judge_back: of what was put back because somebody asked for it. Asked again it is judged again, as it may take long.
judge_back() {
  _failed=$(unhealthy)
  [ -z "$_failed" ] || stop 9 "what was there before is there again, and it is not well: $_failed"
  rm -f -- "$_rec/unjudged"
}

# may_enter: whether the service's user can use the helper by sudo, which admits a helper by its digest: so it is really asked.
may_enter() {
  [ -z "$hostRoot" ] && [ "$(id -u)" = 0 ] && command -v sudo >/dev/null && id -u -- "$user" >/dev/null 2>&1 &&
    timeout 30 runuser -u "$user" -- sudo -n "$helper" job-list </dev/null >/dev/null 2>&1
}

# answers SECONDS: whether the service's own health page answers within so long. A restored service answers that it waits for an
# administrator, and is not healthy by its own word.
answers() {
  command -v curl >/dev/null || return 0
  _how_well=--fail; ! waits || _how_well=--silent
  for _try in $(seq "$1"); do curl --silent "$_how_well" --max-time 3 --output /dev/null -- "$healthUrl" && return 0; sleep 1; done
  return 1
}

# container_well NAME [new]: whether it runs for three looks and, where it says so itself, is healthy within two minutes; else says
# why not. A new one may have had something to do and have done it.
container_well() {
  _steady=0 _seen=
  for _try in $(seq 120); do
    _is=$(timeout 20 docker inspect --type container --format '{{.State.Running}} {{.RestartCount}} {{.State.Pid}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' -- "$1" 2>/dev/null) || _is=gone
    if [ "$_is" = "$_seen" ]; then _steady=$((_steady + 1)); else _steady=0; fi
    _seen=$_is
    case $_steady$_is in [3-9]true*' none' | [3-9]true*' healthy') return 0 ;; *' unhealthy') break ;; 9false* | 9gone*) break ;; esac
    if [ "${2-}" = new ] && [ "$_steady" -ge 3 ] && done_well "$1"; then return 0; fi
    [ "$_steady" -lt 9 ] || _steady=4
    sleep 1
  done
  echo "the container $(timeout 20 docker inspect --type container --format '{{.Name}}' -- "$1" 2>/dev/null || echo "$1") does not run well: $_is"
  return 1
}

done_well() {
  case $(timeout 20 docker inspect --type container --format '{{.State.Status}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}' -- "$1" 2>/dev/null) in
    'exited 0 no' | 'exited 0 ' | 'exited 0 on-failure') true ;;
    *) false ;;
  esac
}

# validate_staged: what can be seen to be wrong before anything is stopped.
validate_staged() {
  [ "$_action" = put ] || return 0
  case $_member in
    "$_top/${sudoersFile##*/}" | host/etc/sudoers | host/etc/sudoers.d/*)
      ! command -v visudo >/dev/null || [ "${_member##*/}" = README ] || visudo -c -q -f "$_folder/new/$_n" >/dev/null 2>&1 || stop 9 "sudo would refuse ${_target} of the archive (visudo -c)"
      if [ "$_target" = "$(realpath -m -- "$sudoersFile")" ] && grep -qsF -e "$(sum_of "$helper")" -- "$_target" && ! grep -qF -e "$(sum_of "$helper")" -- "$_folder/new/$_n"; then
        stop 12 "$_target of the archive is of another helper, and would keep the service out: host install makes the one of now"
      fi
      ;;
    host/var/lib/pve-cluster/config.db)
      command -v sqlite3 >/dev/null || stop 12 'there is no sqlite3 on this host, so the database of the archive can not be checked'
      _said_db=$(whole_by_sqlite3 "$_folder/new/$_n" 2>&1 | head -n 1) || :
      [ "$_said_db" = ok ] || stop 9 'the database of the archive is damaged (PRAGMA integrity_check)' ;;
  esac
}
