# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # The parts of install.sh share their variables; Markdown has backticks.
# The installation report: what is there, for people who come later. It holds no secret and no digest of one.

report() {
  [ ${#changes[@]} -gt 0 ] || { say 'nothing has changed'; return 0; }
  local file
  file=$home/installation-report-$(date +%F).md
  # The second of a day is another one: the first says what was there before.
  [ ! -e "$file" ] || file=$home/installation-report-$(date +%F-%H%M%S).md
  say "write the report $file"
  [ -n "$dry" ] || { report_text >"$file.new"; chmod 640 "$file.new"; mv "$file.new" "$file"; }
}

report_text() {
  local one path
  cat <<TEXT
# Installation of Proxmox MCP on $(uname -n), $(date '+%F %T %Z')

| what | which |
|---|---|
| Proxmox MCP | $(version_of "$here")${from_version:+, before: $from_version} |
| kind | $kind |
| machine | $(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release), Linux $(uname -r), $(uname -m) |
$(case $kind in
    compose) printf '| Docker | %s, Compose %s |\n' "$(docker version --format '{{.Server.Version}}')" "$(docker compose version --short)" ;;
    *) printf '| Node.js | %s |\n' "$(node --version)" ;;
  esac)

## What this run did

TEXT
  for one in "${changes[@]}"; do printf -- '- %s\n' "$one"; done
  if [ "$kind" = compose ]; then
    printf '\n## Images\n\n| image | id |\n|---|---|\n'
    sed 's/^\(.*\) \(.*\)$/| `\1` | `\2` |/' "$home/config/images" 2>/dev/null || true
  fi
  printf '\n## Files\n\n| file | mode | owner | SHA-256 |\n|---|---|---|---|\n'
  # Not every one of these is there in every kind.
  {
    find "$home" -maxdepth 2 -type f ! -path '*/app/*' ! -name 'installation-report-*'
    find "$lib" "$units"/proxmox-mcp*.service "$units"/proxmox-mcp-watch.timer "$command" /etc/sudoers.d/"$user" /usr/local/libexec/proxmox-mcp -type f || true
  } 2>/dev/null | sort | while read -r path; do
    # Of what may be a secret no digest either: a short one can be guessed from it.
    case $path in "$home"/keys/* | "$home"/secrets/* | */.env) one=- ;; *) one=$(sha256sum "$path" | cut -c 1-16) ;; esac
    printf '| `%s` | %s | %s |\n' "$path" "$(stat -c '%a | %U:%G' "$path")" "$one"
  done
  printf '\n## Users\n\n'
  if [ "$kind" = compose ]; then
    echo '- in the containers: 10001 MCP server, 10002 worker, 10003 ledger, 10004 Caddy, 1000 Temporal, 999 PostgreSQL; group 10000'
  fi
  getent passwd "$user" | awk -F : '{ print "- `" $1 "`: uid " $3 ", home " $6 ", shell " $7 }' || true
  printf '\n## Ports\n\n'
  report_ports
  printf '\n## Fingerprints\n\n'
  for one in "$home"/keys/*_key; do
    [ ! -f "$one" ] || printf -- '- the key of the service, `%s`: %s\n' "$one" "$(ssh-keygen -lf "$one" 2>/dev/null | cut -d ' ' -f 2,4)"
  done
  for one in /etc/ssh/ssh_host_*_key.pub; do
    [ ! -f "$one" ] || printf -- '- SSH of this machine: %s\n' "$(ssh-keygen -lf "$one" 2>/dev/null | cut -d ' ' -f 2,4)"
  done
  cat <<TEXT

## What to do next

1. Add yourself as the first administrator, in a terminal: \`sudo proxmox-mcp people add NAME\`
2. See that all is well: \`sudo proxmox-mcp doctor\`; the page: <$(public_url)>
3. Add it to Claude Code, on your own machine, with the token that this prints here: \`sudo proxmox-mcp token create claude-code --scope operate\`

   \`claude mcp add --transport http proxmox $(public_url)/api/mcp --header "Authorization: Bearer TOKEN"\`$(tunnel)
4. A report and a backup: \`sudo proxmox-mcp check-health --host $(first_host)\`, \`sudo proxmox-mcp back-up --host $(first_host)\`
5. More hosts: \`sudo proxmox-mcp host add NAME --address ADDRESS\`, \`sudo proxmox-mcp host install NAME\`
$([ -n "$(env_value SMTP_HOST)" ] || echo "6. Nobody is told by mail of anything yet: set SMTP_HOST, MAIL_FROM and MAIL_TO in $home/.env, then \`systemctl reload proxmox-mcp\`")

\`systemctl start|stop|restart|reload proxmox-mcp\`; log: \`journalctl -u proxmox-mcp\`; to take it off: \`./install.sh --uninstall\`.
TEXT
}

public_url() {
  local url; url=$(env_value MCP_PUBLIC_URL)
  [ -n "$url" ] || { url=$(env_value MCP_DOMAIN); [ -z "$url" ] || url=https://$url; }
  echo "${url:-http://127.0.0.1:$(env_value MCP_PORT 8080)}"
}

# Where it listens on loopback alone, what is said of 127.0.0.1 is true of another machine through a tunnel only.
tunnel() {
  local address
  case $(public_url) in http://127.0.0.1:*) ;; *) return 0 ;; esac
  address=$(ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p' || true)
  printf '\n\n   It listens on this machine alone. On another one first a tunnel, for the page too: `ssh -N -L %s:127.0.0.1:%s -L %s:127.0.0.1:%s USER@%s`' \
    "$(env_value MCP_PORT 8080)"{,} "$(env_value TEMPORAL_UI_PORT 8233)"{,} "${address:-$(uname -n)}"
}
first_host() { if is_managed; then echo this; else echo NAME; fi; }

report_ports() {
  local address
  if [ "$kind" = compose ]; then
    address=$(env_value PUBLISH_ADDRESS 127.0.0.1)
    printf -- '- %s: %s HTTP, %s HTTPS, %s MCP (Caddy)\n- 127.0.0.1: %s Temporal UI (Caddy)\n' "$address" "$(env_value HTTP_PORT 80)" \
      "$(env_value HTTPS_PORT 443)" "$(env_value MCP_PORT 8080)" "$(env_value TEMPORAL_UI_PORT 8233)"
    printf -- '- containers: %s.0.0/16\n' "$(env_value NETWORK_PREFIX 172.20)"
    [ "$(env_value ENABLE_MONITORING false)" = false ] || echo '- 127.0.0.1: 3000 Grafana, 9090 Prometheus, 3100 Loki'
  else
    printf -- '- %s: %s MCP; 127.0.0.1: %s worker (metrics), %s Temporal, %s Temporal UI\n' "$(env_value MCP_HOST 127.0.0.1)" \
      "$(env_value MCP_PORT 8080)" "$(env_value WORKER_METRICS_PORT 9464)" "$(env_value TEMPORAL_PORT 7233)" "$(env_value TEMPORAL_UI_PORT 8233)"
  fi
}
