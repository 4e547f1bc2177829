# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# What an installation has on the machine whatever runs it: scripts, units, the command, the timer.

install_scripts() {
  local file
  folder "$lib" 755 root:root
  for file in "$here"/deploy/host/*.sh; do put "$lib/${file##*/}" 755 root:root <"$file"; done
  put "$lib/deployment" 644 root:root <<<"$kind"
  folder "$recovery" 700 root:root
  put "$command" 755 root:root <"$here/deploy/host/cli.sh"
}

# A command or a unit of these names that something else made is theirs: said before anything is changed.
require_ours() {
  if [ -f "$command" ] && ! grep -qs -e "^$mark" -e '# The command proxmox-mcp on this machine' "$command"; then
    fail "$command is of something else: move it away first" 2
  fi
  if [ "$kind" != container ] && is_foreign_unit && ! is_guides_unit; then fail "$units/proxmox-mcp.service is of something else: stop and remove that first" 2; fi
}
is_foreign_unit() { [ -f "$units/proxmox-mcp.service" ] && ! grep -qxF "$mark" "$units/proxmox-mcp.service"; }
# The administrator's guide's own.
is_guides_unit() { [ "$kind" = compose ] && grep -qE 'docker-compose|docker compose' "$units/proxmox-mcp.service"; }

install_units() {
  local unit=$1 file
  if is_foreign_unit && [ ! -e "$home/before/proxmox-mcp.service" ]; then
    folder "$home/before" 700 root:root; run cp -p "$units/proxmox-mcp.service" "$home/before/"
  fi
  put "$units/proxmox-mcp.service" 644 root:root <"$here/deploy/systemd/$unit"
  for file in proxmox-mcp-watch.service proxmox-mcp-watch.timer; do put "$units/$file" 644 root:root <"$here/deploy/systemd/$file"; done
  if [ ${#changes[@]} -gt 0 ]; then run systemctl daemon-reload; fi
}

# The service, and the timer that restarts it; a service that runs is restarted only for what has changed, by this run or by one
# with --no-start before it.
start_units() {
  if [ -z "$start" ]; then
    if [ -z "$dry" ] && [ ${#changes[@]} -gt 0 ] && systemctl is-active --quiet proxmox-mcp; then : >"$recovery/to-restart"; fi
    return 0
  fi
  systemctl is-enabled --quiet proxmox-mcp 2>/dev/null || run systemctl enable proxmox-mcp
  if ! systemctl is-active --quiet proxmox-mcp || [ ${#changes[@]} -gt 0 ] || [ -e "$recovery/to-restart" ]; then
    # The start must not wait for the lock that this script holds; what it starts doesn't get it.
    did 'systemctl restart proxmox-mcp'
    [ -n "$dry" ] || systemctl restart proxmox-mcp 8>&- ||
      fail "the service did not start: $(journalctl --unit proxmox-mcp --output cat --lines 6 2>/dev/null | tr '\n' ' ')"
    [ -n "$dry" ] || rm -f "$recovery/to-restart"
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
