# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# Where things are, and how things are said, done and written.
home=/opt/proxmox-mcp data=/var/lib/proxmox-mcp-data cache=/var/cache/proxmox-mcp user=claude-user
lib=/usr/local/lib/proxmox-mcp recovery=/var/lib/proxmox-mcp-recovery
units=/etc/systemd/system command=/usr/local/bin/proxmox-mcp
mark='# Made by install.sh of Proxmox MCP.'
# What this run changes: first as the plan, then for the report.
changes=()

fail() { printf 'install.sh: %s\n' "$1" >&2; exit "${2:-1}"; }
say() { printf '· %s\n' "$*"; }
# did WHAT: says it and remembers it.
did() { say "$*"; changes+=("$*"); }
# run COMMAND…: says what it does, and does it unless this is only the plan.
run() { did "$*"; [ -n "$dry" ] || "$@"; }
# put FILE MODE OWNER: standard input, written by a new name and a rename, and only where it differs; in a folder that is root's alone.
# Never at the end of a pipe: what it does would be remembered in a subshell.
put() {
  local new; new=$(cat; echo .); new=${new%.}
  if [ -f "$1" ] && [ "$(cat "$1"; echo .)" = "$new." ]; then owned "$1" "$2" "$3"; return 0; fi
  did "write $1 (mode $2, owner $3)"
  [ -n "$dry" ] && return 0
  # Nobody else's at any moment, whatever a run that was killed has left there.
  rm -f "$1.new"
  (umask 077; printf '%s' "$new" >"$1.new")
  chown "$3" "$1.new"; chmod "$2" "$1.new"; sync "$1.new"; mv -f "$1.new" "$1"
}
# owned PATH MODE OWNER: what is there already.
owned() {
  local has want=$3
  has=$(stat -c '%a %u:%g' "$1")
  case $want in *:) want="$want$(id -gn "${want%:}" 2>/dev/null || echo "${want%:}")" ;; esac
  want=$(numbers "$want")
  [ "$has" = "${2#0} $want" ] && return 0
  did "set mode $2 and owner $3 of $1"
  [ -n "$dry" ] || { chown -h "$3" "$1"; chmod "$2" "$1"; }
}
# numbers USER:GROUP: both as numbers.
numbers() {
  local u=${1%:*} g=${1#*:}
  case $u in *[!0-9]*) u=$(id -u "$u" 2>/dev/null || echo "$u") ;; esac
  case $g in *[!0-9]*) g=$(getent group "$g" | cut -d : -f 3) ;; esac
  echo "$u:$g"
}
# folder PATH MODE OWNER
folder() {
  if [ -d "$1" ] && [ ! -L "$1" ]; then owned "$1" "$2" "$3"; return 0; fi
  did "make $1 (mode $2, owner $3)"
  [ -n "$dry" ] || { mkdir -p "$1"; chown "$3" "$1"; chmod "$2" "$1"; }
}
# remove PATH…: what is there of them.
remove() {
  local one
  for one; do if [ -e "$one" ] || [ -L "$one" ]; then run rm -rf "$one"; fi; done
}
# version_of FOLDER: nothing where there is none.
version_of() { sed -n 's/^  "version": "\(.*\)",$/\1/p' "$1/package.json" 2>/dev/null | head -n 1 || true; }
