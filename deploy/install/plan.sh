# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# What is asked, what is shown before anything is done, and what is remembered while it is done.

check_options() {
  case $monitoring in '' | yes | no) ;; *) fail '--monitoring is yes or no' 2 ;; esac
  [[ -z $network || $network =~ ^(10|172|192)\.[0-9]{1,3}$ ]] || fail '--network is the first two numbers of a private network, as 172.20' 2
  [[ -z $domain || $domain =~ ^[A-Za-z0-9.-]+$ ]] || fail "--domain $domain is no name" 2
  [[ -z $mail || $mail =~ ^[^[:space:]@\"\']+@[^[:space:]@\"\']+$ ]] || fail "--mail $mail is no address" 2
  [[ -z $smtp || $smtp =~ ^[A-Za-z0-9.:-]+$ ]] || fail "--smtp $smtp is no host" 2
  [[ -z $image || $image =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail "--image $image is no tag" 2
  [[ -z $vmid || $vmid =~ ^[1-9][0-9]{2,8}$ ]] || fail '--id is a number from 100 on' 2
}

# An installation stays of its kind; one that an older script made without Docker has a unit and no name for it.
choose_kind() {
  local is=''
  [ ! -f "$lib/deployment" ] || is=$(cat "$lib/deployment")
  [ -n "$is" ] || ! grep -qsxF "$mark" "$units/proxmox-mcp.service" || is=systemd
  # Inside the container that --in-container has made it is one without Docker.
  [ "$is" != container ] || [ -f "$lib/container" ] || is=systemd
  if [ -n "$is" ] && [ -n "$kind" ] && [ "$is" != "$kind" ]; then
    fail "there is an installation of another kind already ($is): run this without that option to update it, or --uninstall it first" 2
  fi
  kind=${kind:-${is:-compose}}
  was=$is
}

# ask QUESTION DEFAULT: a line from the terminal.
ask() {
  local said
  read -r -p "$1 [$2]: " said </dev/tty || said=''
  printf '%s' "${said:-$2}"
}
at_terminal() { [ -z "$yes" ] && [ -t 0 ] && [ -t 1 ]; }

# Only what nobody can know, and only the first time.
ask_little() {
  [ -n "$dry" ] || [ -f "$home/.env" ] || [ "$kind" = container ] || ! at_terminal || {
    [ -n "$mail" ] || mail=$(ask "Administrator's mail address, for reports and certificates (none: nobody is told of anything)" none)
    [ "$mail" = none ] || [ -n "$smtp" ] || smtp=$(ask 'Mail server (none: set SMTP_HOST later)' none)
    if [ "$kind" = compose ]; then
      [ -n "$domain" ] || domain=$(ask 'Name under which it is to be reached, with TLS (none: from this machine alone)' none)
      [ -n "$monitoring" ] || monitoring=$(ask 'Prometheus, Grafana and Loki beside it (yes, no)' no)
    fi
  }
  [ "$mail" != none ] || mail=''
  [ "$smtp" != none ] || smtp=''
  check_options
}

# agree WHAT: shows the plan, which is WHAT with nothing done, asks, and does it.
agree() {
  local wanted=$dry answer
  if [ -n "$wanted" ] || at_terminal; then
    dry=yes
    printf 'To %s:\n' "${1/_/ }"
    "$1"
    dry=$wanted
    [ ${#changes[@]} -gt 0 ] || say 'nothing to do'
    [ -z "$dry" ] || return 0
    changes=()
    answer=$(ask 'Do this? Type yes' no)
    case $answer in y | yes | Y | YES) ;; *) fail 'nothing was changed' ;; esac
  elif [ -z "$yes" ]; then
    fail 'nobody can be asked (no terminal), so nothing was changed: look at --dry-run, then give --yes' 2
  fi
  "$1"
}

# Whoever works on the installation holds this lock; the timer does nothing meanwhile, and one that is at work is waited for.
take_lock() {
  [ -n "$dry" ] && return 0
  mkdir -p "$recovery"; chmod 700 "$recovery"
  exec 8>"$recovery/lock"
  flock --timeout 600 8 || fail "somebody else works on the installation ($recovery/lock)"
}

# While `unfinished` is there an installation has been begun and not finished: doctor says so, and the timer waits an hour for it to go on.
begin() {
  [ -n "$dry" ] && return 0
  take_lock
  # Counted as a change: what that run has put in place may not be what runs.
  [ ! -s "$recovery/unfinished" ] || did "an earlier run was not finished ($(cat "$recovery/unfinished")): going on"
  printf 'begun %s, from %s to %s\n' "$(date '+%F %T %Z')" "${from_version:-nothing}" "$(version_of "$here")" >"$recovery/unfinished.new"
  mv "$recovery/unfinished.new" "$recovery/unfinished"
}
finish() { [ -n "$dry" ] || { rm -f "$recovery/unfinished"; exec 8>&-; }; }

# A run that was cut off says where; what it did stays, and the next one goes on from there.
begin_log() {
  set -E
  # shellcheck disable=SC2154 # Set in the trap itself.
  trap 'code=$?; printf "install.sh: this failed (exit code %s): %s\n" "$code" "$BASH_COMMAND" >&2' ERR
  trap 'code=$?; rm -rf "$home"/.program.*; take_key_away; [ "$code" = 0 ] || [ ! -s "$recovery/unfinished" ] || printf "install.sh: it ended before it was finished; run it again, it goes on from here.\n" >&2' EXIT
}

# What is in the way is said when all is known that was asked, and before anything is changed: what this machine must have, in
# MiB too, and what a kind has of its own.
preflight_systemd() { preflight 1024; }
preflight_container() { :; }
preflight() {
  local verdict check summary remedy bad='' planned
  planned=$(mktemp)
  planned_env >"$planned"
  while IFS=$'\t' read -r verdict check summary remedy; do
    case $verdict in
      failed) printf 'install.sh: %s: %s. %s\n' "$check" "$summary" "$remedy" >&2; bad=1 ;;
      warning) say "note: $check: $summary. $remedy" ;;
    esac
  done < <(PROXMOX_MCP_PLANNED_ENV=$planned PROXMOX_MCP_PLANNED_KIND=$kind sh "$here/deploy/host/checks.sh" before "$1" || true)
  rm -f "$planned"
  [ -z "$bad" ] || fail 'nothing was changed'
}
