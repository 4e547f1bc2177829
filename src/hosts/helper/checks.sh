# shellcheck shell=sh disable=SC2034,SC2154 # One part of the helper: others set and use its variables.
# 1. What is refused.

say() { printf 'proxmox-mcp-helper: %s\n' "$1" >&2; }
refuse() { say "refused: $1"; exit 64; }
fail() { say "failed: $1"; exit 70; }

# Whose run it is, where that is said; and what the table says of the verb besides.
_run=- _traits=

# decide VERB ARGUMENTS: refuses everything that isn't to be. Only after it is anything done.
decide() {
  [ "$#" -ge 1 ] || refuse 'expected a verb'
  _verb=$1; shift
  case $_verb in
    job-start)
      [ "$#" -ge 3 ] || refuse 'job-start takes an id, a run and a verb'
      job_id "$1"; run_of "$2"; shift 2; check job "$@"
      ;;
    job-status) takes 3 "$@"; job_id "$1"; number offset 12 "$2"; number offset 12 "$3" ;;
    job-cancel)
      case $# in
        2) fence "$2" ;;
        4) fence "$2"; guest_fence "$3"; is vmid 9 "$form_vmid" "$4" ;;
        *) takes 1 "$@" ;;
      esac
      job_id "$1"
      ;;
    job-list) takes 0 "$@" ;;
    job-clean) takes 1 "$@"; number days 3 "$1" ;;
    *) check now "$_verb" "$@" ;;
  esac
}

# kind none|host|guest now|job SECONDS FUNCTION read|change|dangerous|own [undo] [signed] [input]: whose lock the verb
# needs, how long it may take, what executes it, and what it is. Which guest's, the table says after it. Between the verb
# and its arguments stand _skip words.
kind() {
  _lock=$1 _when=$2 _seconds=$3 _do=$4 _risk=$5 _skip=0 _vmid=; shift 5
  _traits=" $* "
  case $_lock in host) _skip=1 ;; guest) _skip=2 ;; esac
}

# takes COUNT ARGUMENTS: sudo matches the arguments joined to one string, so only we can count them.
takes() {
  _want=$1; shift
  [ "$#" -eq "$_want" ] || refuse "$_verb takes $_want argument(s), not $#"
}

# is NAME MAXLENGTH PATTERN VALUE: printable ASCII without spaces (so no newline either), bounded, and matching as a
# whole. The value is never printed: it may be anything.
is() {
  # shellcheck disable=SC2015 # Refused for either.
  [ "${#4}" -ge 1 ] && [ "${#4}" -le "$2" ] || refuse "$1: expected 1 to $2 characters"
  case $4 in *[!!-~]*) refuse "$1: holds a character that is not allowed" ;; esac
  printf '%s\n' "$4" | grep -Eqx -e "$3" || refuse "$1: expected $3"
}

# counts TEXT: whether it is a number that we have written: decimal digits without a leading zero, at most 15.
counts() { case $1 in '' | 0?* | *[!0123456789]* | ????????????????*) return 1 ;; esac; }

# number NAME MAXLENGTH VALUE: decimal digits without a leading zero.
number() {
  case $3 in '' | 0?* | *[!0123456789]*) refuse "$1: expected a number" ;; esac
  [ "${#3}" -le "$2" ] || refuse "$1: expected at most $2 digits"
}

# among NAME VALUE CHOICES: one of a list.
among() {
  _name=$1 _value=$2; shift 2
  for _choice in "$@"; do [ "$_value" != "$_choice" ] || return 0; done
  refuse "$_name: expected one of: $*"
}

# fence NUMBER, guest_fence NUMBER: the fence of the host's lock, and that of the guest's.
fence() {
  number fence 15 "${1-}"
  [ "$1" != 0 ] || refuse 'fence: expected 1 or more'
  _fence=$1
}
guest_fence() {
  number 'fence of the guest' 15 "${1-}"
  [ "$1" != 0 ] || refuse 'fence of the guest: expected 1 or more'
  _guest_fence=$1
}

run_of() { is run 200 '-|[A-Za-z0-9][A-Za-z0-9/_.:-]*' "${1-}"; _run=$1; }

job_id() {
  case $1 in '' | -* | *[!abcdefghijklmnopqrstuvwxyz0123456789-]*) refuse 'job id: expected a-z, 0-9 and -' ;; esac
  [ "${#1}" -le 100 ] || refuse 'job id: expected at most 100 characters'
}
