# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# What an installation has on the machine whatever runs it: scripts, units, the command, the timer.

install_scripts() {
  local file
  folder "$lib" 755 root:root
  for file in "$here"/deploy/host/*.sh; do put "$lib/${file##*/}" 755 root:root <"$file"; done
  put "$lib/deployment" 644 root:root <<<"$kind"
  folder "$recovery" 700 root:root
  if [ -f "$command" ] && ! grep -qs -e "^$mark" -e '# The command proxmox-mcp on this machine' "$command"; then
    fail "$command is of something else: move it away first"
  fi
  put "$command" 755 root:root <"$here/deploy/host/cli.sh"
}

# Units of this name that something else made are theirs.
install_units() {
  local unit=$1 file
  if [ -f "$units/proxmox-mcp.service" ] && ! grep -qxF "$mark" "$units/proxmox-mcp.service"; then
    if [ "$kind" = compose ] && grep -q 'docker-compose' "$units/proxmox-mcp.service"; then
      # The administrator's guide's own unit: its containers go on under the new one.
      [ -e "$home/before/proxmox-mcp.service" ] || { folder "$home/before" 700 root:root; run cp -p "$units/proxmox-mcp.service" "$home/before/"; }
    else
      fail "$units/proxmox-mcp.service is of something else: stop and remove that first" 2
    fi
  fi
  put "$units/proxmox-mcp.service" 644 root:root <"$here/deploy/systemd/$unit"
  for file in proxmox-mcp-watch.service proxmox-mcp-watch.timer; do put "$units/$file" 644 root:root <"$here/deploy/systemd/$file"; done
  if [ ${#changes[@]} -gt 0 ]; then run systemctl daemon-reload; fi
}

# The service, and the timer that restarts it; a service that runs is restarted only for what has changed.
start_units() {
  [ -n "$start" ] || return 0
  systemctl is-enabled --quiet proxmox-mcp 2>/dev/null || run systemctl enable proxmox-mcp
  if ! systemctl is-active --quiet proxmox-mcp || [ ${#changes[@]} -gt 0 ]; then
    # The start must not wait for the lock that this script holds; what it starts doesn't get it.
    did 'systemctl restart proxmox-mcp'
    [ -n "$dry" ] || systemctl restart proxmox-mcp 8>&- ||
      fail "the service did not start: $(journalctl --unit proxmox-mcp --output cat --lines 6 2>/dev/null | tr '\n' ' ')"
  fi
  if ! systemctl is-active --quiet proxmox-mcp-watch.timer; then run systemctl enable --now proxmox-mcp-watch.timer; fi
}

remove_units() {
  local unit
  for unit in proxmox-mcp-watch.timer proxmox-mcp-watch.service proxmox-mcp.service; do
    [ -f "$units/$unit" ] || continue
    if grep -qxF "$mark" "$units/$unit"; then
      case $unit in proxmox-mcp-watch.service) ;; *) run systemctl disable --now "$unit" ;; esac
      remove "$units/$unit"
    else say "$units/$unit is of something else: it stays"; fi
  done
  [ ${#changes[@]} = 0 ] || run systemctl daemon-reload
}
