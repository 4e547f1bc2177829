# shellcheck shell=sh
# require_unprivileged VMID: ends the command unless that container runs on this node and its root is nobody here. What
# its configuration says counts from its next start on, so the mapping of what runs is looked at, too.
require_unprivileged() {
  if ! command -v pct >/dev/null || ! command -v lxc-info >/dev/null; then
    stop 12 'this host has no containers of Proxmox VE'
  fi
  [ -f "/etc/pve/lxc/$1.conf" ] || stop 11 "there is no container $1 on this node"
  # Behind the first section stand snapshots and what is only to come.
  sed '/^\[/,$d' "/etc/pve/lxc/$1.conf" | grep -qx 'unprivileged: *1' ||
    stop 10 "container $1 is privileged: who is root in it is root here"
  _init=$(lxc-info --name "$1" --pid --no-humanize 2>/dev/null) || _init=
  case $_init in
    '' | -* | 0* | *[!0123456789]*) stop 13 "container $1 does not run" ;;
  esac
  for _map in uid_map gid_map; do
    # Inside, outside, count; one that holds 0 outside gives root of this host away.
    awk '$2 + 0 < 1 || NF != 3 { bad = 1 } END { exit NR < 1 || bad }' "/proc/$_init/$_map" 2>/dev/null ||
      stop 10 "container $1 runs with root of this host in it"
  done
}

# keep_first FILE BYTES: keeps the first bytes of what comes, and reads on, so that whoever writes isn't held up.
keep_first() {
  stdbuf -o0 head -c "$2" >"$1" 2>/dev/null
  wc -c >"$1.more" 2>/dev/null
}

# word TEXT: one word of a command out of base64url without padding; an x behind it keeps line ends.
word() {
  _padding=
  case $((${#1} % 4)) in 2) _padding='==' ;; 3) _padding='=' ;; 1) return 1 ;; esac
  printf '%s%s' "$1" "$_padding" | tr '_-' '/+' | base64 -d 2>/dev/null && echo x
}
