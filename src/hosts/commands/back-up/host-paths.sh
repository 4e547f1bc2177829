# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# host_paths: `PART PATH` for everything that is the host's own configuration, whether it is there or not. What an
# administrator has chosen comes first, so that a folder which holds some of the rest can't take its place.
host_paths() {
  for _path in $backupPaths; do echo "chosen $_path"; done
  printf 'proxmox %s\n' /etc/pve /etc/corosync /etc/vzdump.conf /var/lib/pve-manager /var/lib/vz/snippets /etc/lxc \
    /etc/proxmox-backup
  printf 'network %s\n' /etc/network /etc/hosts /etc/hostname /etc/resolv.conf /etc/systemd/network \
    /etc/nftables.conf /etc/iptables /etc/frr /etc/dnsmasq.d /etc/chrony /etc/postfix /etc/aliases /etc/wireguard
  printf 'storage %s\n' /etc/fstab /etc/crypttab /etc/exports /etc/multipath.conf /etc/multipath /etc/iscsi /etc/lvm /etc/zfs \
    /etc/exports.d /etc/samba /etc/mdadm /etc/smartd.conf /etc/ceph /etc/nvme
  printf 'packages %s\n' /etc/apt /usr/share/keyrings
  printf 'schedules %s\n' /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
    /etc/cron.yearly /var/spool/cron
  printf 'keys %s\n' /etc/ssh /root/.ssh /etc/ssl/private /etc/letsencrypt /usr/local/share/ca-certificates
  printf 'kernel %s\n' /etc/sysctl.conf /etc/sysctl.d /etc/modprobe.d /etc/modules /etc/modules-load.d /etc/kernel \
    /etc/udev/rules.d /etc/initramfs-tools
  printf 'system %s\n' /etc/systemd/system /etc/systemd/timesyncd.conf /etc/systemd/timesyncd.conf.d /etc/systemd/journald.conf \
    /etc/systemd/journald.conf.d /etc/systemd/resolved.conf /etc/systemd/resolved.conf.d /etc/docker /etc/caddy /etc/default /etc/sudoers /etc/sudoers.d /etc/subuid /etc/subgid \
    /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/pam.d /etc/security /etc/machine-id /etc/timezone /etc/localtime /etc/locale.gen \
    /etc/logrotate.d /etc/rsyslog.d /etc/fail2ban /usr/local/bin /usr/local/sbin /usr/local/etc \
    /usr/local/lib/proxmox-mcp
}

# The file in which pmxcfs keeps /etc/pve.
readonly _database=/var/lib/pve-cluster/config.db

# look_for_absent: one look at all of them, as most hosts have less than half; sets _absent to what stat says of those that are not
# there. Where one of them doesn't answer, nothing: then each is looked at by itself.
_absent=''
look_for_absent() {
  _code=0
  _absent=$(host_paths | while read -r _part _path; do printf '%s\0' "$hostRoot$_path"; done |
    timeout -k 2 20 xargs -0 -r stat -- 2>&1 >/dev/null) || _code=$?
  # xargs says 123 for what stat didn't find.
  case $_code in 0 | 123) ;; *) _absent='' ;; esac
}

# seen PATH: sets _seen to what is there: folder, file (or link), absent, unreadable. A file system that has died or hangs,
# as that of /etc/pve can, is not absent.
seen() {
  case $_absent in *"'$1': No such file"* | *"'$1': Not a directory"*) _seen=absent; return 0 ;; esac
  _code=0 _said=$(timeout -k 2 20 stat -- "$1" 2>&1 >/dev/null) || _code=$?
  if [ "$_code" = 124 ] || [ "$_code" = 137 ]; then _seen=unreadable
  elif [ "$_code" = 0 ] || [ -L "$1" ]; then
    if [ -L "$1" ]; then _seen='file'
    elif [ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ]; then _seen=folder
    elif [ -f "$1" ] && [ -r "$1" ]; then _seen='file'
    else _seen=unreadable; fi
  else
    case $_said in *'No such file'* | *'Not a directory'*) _seen=absent ;; *) _seen=unreadable ;; esac
  fi
}

# place_of PART PATH: sets _real, where it is read. A link that an administrator has chosen is followed, but neither to what
# the kernel makes up nor to where archives are made: then it fails.
place_of() {
  _real=$hostRoot$2
  [ "$1" = chosen ] || return 0
  _real=$(realpath -m -- "$_real")
  for _not in /proc /sys /dev /run "$_backups" "$(realpath -m -- "$state")"; do
    case $_real/ in "$_not"/*) return 1 ;; esac
    case $_not/ in "$_real"/*) return 1 ;; esac
  done
}

# time_left: seconds until $_until, by when all must have been measured: a tree of millions keeps no backup from being made.
# bytes_in ARGUMENTS: what du says, in that time; else nothing.
time_left() { _seconds=$((_until - $(date +%s))); [ "$_seconds" -gt 0 ] || _seconds=1; echo "$_seconds"; }
bytes_in() { timeout -k 2 "$(time_left)" du -s --block-size=1 "$@" 2>/dev/null | cut -f1; }

# look_at_host: `part PART BYTES FILES PATH`, `absent PART PATH` and `closed PART PATH` for each of them.
look_at_host() {
  look_for_absent
  { host_paths; echo "proxmox $_database"; } | while read -r _part _path; do
    place_of "$_part" "$_path" || { echo "closed $_part $_path"; continue; }
    seen "$_real"
    case $_seen in absent) echo "absent $_part $_path"; continue ;; unreadable) echo "closed $_part $_path"; continue ;; esac
    _size=$(bytes_in -x -- "$_real")
    [ -n "$_size" ] || echo "unmeasured $_path"
    _files=$(timeout -k 2 "$(time_left)" find "$_real" -xdev ! -type d -printf x 2>/dev/null | wc -c) || _files=
    echo "part $_part ${_size:-0} ${_files:-0} $_path"
  done
}
