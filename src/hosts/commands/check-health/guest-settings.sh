# shellcheck shell=sh
# Of each guest of this node: kind, number, whether it is started with the node, whether it is a template, its lock. Only
# what stands before the first snapshot counts.
for _kind in qemu-server lxc; do
  for _file in $(find "/etc/pve/local/$_kind/" -maxdepth 1 -type f -name '[1-9]*.conf' 2>/dev/null | head -n 1000); do
    _guest=${_file##*/}
    awk -v kind="$_kind" -v guest="${_guest%.conf}" '
      /^\[/ { exit }
      /^onboot: *1/ { boot = 1 }
      /^template: *1/ { template = 1 }
      /^lock: *[a-z-]+ *$/ { lock = $2 }
      END { print kind, guest, boot + 0, template + 0, (lock == "" ? "-" : lock) }
    ' "$_file" || :
  done
done
