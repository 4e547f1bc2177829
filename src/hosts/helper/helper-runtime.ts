/**
 * The fixed part of the host helper, in POSIX shell. `helper.ts` puts the layout before it and the two tables of verbs
 * after it. Names that begin with `_` are its own; the layout's names are readonly variables.
 *
 * Exit codes of its own, each with one line on standard error that begins with `proxmox-mcp-helper:`: 64 refused,
 * 70 could not do its own work, 75 fenced out, 76 busy.
 */
export const checks = String.raw`
# 1. How an argument is checked.

say() { printf 'proxmox-mcp-helper: %s\n' "$1" >&2; }
refuse() { say "refused: $1"; exit 64; }
fail() { say "failed: $1"; exit 70; }

# kind read|change now|job SECONDS FUNCTION: what the verb is, how long it may take, and what executes it.
kind() { _risk=$1 _when=$2 _seconds=$3 _do=$4; }

# takes COUNT ARGUMENTS: sudo matches the arguments joined to one string, so only we can count them.
takes() {
  _want=$1; shift
  [ "$#" -eq "$_want" ] || refuse "$_verb takes $_want argument(s), not $#"
}

# is NAME MAXLENGTH PATTERN VALUE: printable ASCII without spaces (so no newline either), bounded, and matching as a
# whole. The value is never printed: it may be anything.
is() {
  [ "\${#4}" -ge 1 ] && [ "\${#4}" -le "$2" ] || refuse "$1: expected 1 to $2 characters"
  case $4 in *[!!-~]*) refuse "$1: holds a character that is not allowed" ;; esac
  printf '%s\n' "$4" | grep -Eqx -e "$3" || refuse "$1: expected $3"
}

# number NAME MAXLENGTH VALUE: decimal digits without a leading zero.
number() {
  case $3 in '' | 0?* | *[!0123456789]*) refuse "$1: expected a number" ;; esac
  [ "\${#3}" -le "$2" ] || refuse "$1: expected at most $2 digits"
}

# among NAME VALUE CHOICES: one of a list.
among() {
  _name=$1 _value=$2; shift 2
  for _choice in "$@"; do [ "$_value" != "$_choice" ] || return 0; done
  refuse "$_name: expected one of: $*"
}

token() {
  number 'fencing token' 15 "\${1-}"
  [ "$1" != 0 ] || refuse 'fencing token: expected 1 or more'
  _token=$1
}

job_id() {
  case $1 in '' | -* | *[!abcdefghijklmnopqrstuvwxyz0123456789-]*) refuse 'job id: expected a-z, 0-9 and -' ;; esac
  [ "\${#1}" -le 100 ] || refuse 'job id: expected at most 100 characters'
}
`.replaceAll('\\$', '$');

export const fence = String.raw`
# 3. The fence: who may change something.

# fence TOKEN: lets only the newest holder of the host's lease change something. The greatest token seen is kept; a
# smaller one is fenced out. Whatever runs under a token holds a shared lock, which the kernel takes back when it ends,
# so that a greater token waits until nothing of an older one is still at work.
fence() {
  mkdir -p "$state" && : >>"$state/fence.lock" || { say 'failed: the state folder cannot be written'; return 70; }
  exec 9>>"$state/fence.lock"
  flock -s -w 5 9 || { say 'busy: another command is being admitted'; return 76; }
  seen || return "$?"
  if [ "$1" -gt "$_greatest" ]; then
    flock -u 9
    flock -x -w 5 9 || { say 'busy: a command or job of an earlier holder of the lease is still at work'; return 76; }
    seen || return "$?"
    [ "$1" -le "$_greatest" ] || keep fence "$1" "$state" ||
      { say 'failed: the fence cannot be written'; return 70; }
    # The kernel lets go of the one lock before it gives the other, so it is looked at once more below.
    flock -s 9
  fi
  newest "$1"
}

# newest TOKEN: whether no greater token has been seen.
newest() {
  seen || return "$?"
  [ "$1" -ge "$_greatest" ] || { say "fenced-out: token $1 is older than $_greatest"; return 75; }
}

# seen: _greatest becomes the greatest token so far.
seen() {
  _greatest=0
  [ ! -e "$state/fence" ] || read -r _greatest <"$state/fence" || _greatest=
  case $_greatest in '' | *[!0-9]*) say 'failed: the fence is unreadable'; return 70 ;; esac
}

# keep NAME TEXT FOLDER: writes a file so that it is there, whole, after a crash.
keep() {
  printf '%s\n' "$2" >"$3/$1.new.$$" && sync "$3/$1.new.$$" && mv -f "$3/$1.new.$$" "$3/$1" && sync "$3" ||
    { rm -f "$3/$1.new.$$"; return 1; }
}
`;
