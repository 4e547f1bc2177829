# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# .env as it is to be: what is there stays, but for what an option says.

# env_value KEY [DEFAULT] [FILE]
env_value() { PROXMOX_MCP_PLANNED_ENV=${3:-$home/.env} sh -c '. "$1"; setting "$2" "$3"' - "$here/deploy/host/settings.sh" "$1" "${2-}"; }

# is_on KEY: a switch of .env, however it is spelt.
is_on() { PROXMOX_MCP_PLANNED_ENV=$home/.env sh -c '. "$1"; is_true "$2"' - "$here/deploy/host/settings.sh" "$1"; }

# with KEY VALUE: standard input with this line in the place of the key's own, else at its end.
with() {
  key=$1 value=$2 awk '
    { line = $0; sub(/^[ \t]*(export[ \t]+)?/, "", line) }
    index(line, ENVIRON["key"]) == 1 && substr(line, length(ENVIRON["key"]) + 1) ~ /^[ \t]*=/ {
      if (!done) print ENVIRON["key"] "=" ENVIRON["value"]
      done = 1; next
    }
    { print }
    END { if (!done) print ENVIRON["key"] "=" ENVIRON["value"] }'
}
# unless KEY VALUE: as with, where the key isn't there yet.
unless() {
  local text; text=$(cat)
  if grep -qE "^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=" <<<"$text"; then printf '%s\n' "$text"; else with "$1" "$2" <<<"$text"; fi
}
# planned_env: the text of .env as this run will leave it.
planned_env() {
  local text
  if [ -f "$home/.env" ]; then text=$(cat "$home/.env"); else text=$(fresh_env); fi
  case $kind in
    compose)
      text=$(with IMAGE_TAG "$tag" <<<"$text")
      text=$(unless NETWORK_PREFIX "${network:-172.20}" <<<"$text")
      if [ -n "$network" ]; then
        # This machine itself is reached at the gateway of that network.
        if [ "$(env_value SSH_HOST '' <(cat <<<"$text"))" = "$(env_value NETWORK_PREFIX '' <(cat <<<"$text")).1.1" ]; then
          text=$(with SSH_HOST "$network.1.1" <<<"$text")
        fi
        text=$(with NETWORK_PREFIX "$network" <<<"$text")
      fi
      text=$(with_processors_there_are <<<"$text")
      # Where the administrator's guide's container had it.
      text=${text//SSH_KEY_PATH=\/app\/keys\//SSH_KEY_PATH=\/opt\/proxmox-mcp\/keys\/}
      ;;
  esac
  [ -z "$monitoring" ] || text=$(with ENABLE_MONITORING "$([ "$monitoring" = yes ] && echo true || echo false)" <<<"$text")
  # There is no default password: one is made (grafana_password) where none is written.
  if [ "$kind" = compose ] && grep -qE '^ENABLE_MONITORING=(true|yes|y|on|1)$' <<<"$text" && ! grep -q '^GRAFANA_PASSWORD=' <<<"$text"; then
    text=$(unless GRAFANA_PASSWORD_FILE ./secrets/grafana-password <<<"$text")
  fi
  case $domain in
    '') ;;
    none) text=$(grep -vE '^(MCP_DOMAIN|ACME_EMAIL|PUBLISH_ADDRESS)=' <<<"$text" || true) ;;
    *)
      text=$(with MCP_DOMAIN "$domain" <<<"$text" | unless PUBLISH_ADDRESS 0.0.0.0)
      [ -z "$mail" ] || text=$(with ACME_EMAIL "$mail" <<<"$text")
      ;;
  esac
  if [ -n "$smtp" ] && [ -n "$mail" ]; then text=$(with SMTP_HOST "$smtp" <<<"$text" | with MAIL_TO "$mail" | unless MAIL_FROM "Proxmox MCP <$mail>"); fi
  printf '%s\n' "$text"
}

# Docker refuses a container that may use more processors than the machine has.
with_processors_there_are() {
  local text key value there; text=$(cat) there=$(nproc)
  while read -r key value; do
    [[ $text != *"$key"* ]] || value=$(env_value "$key" "$value" <(cat <<<"$text"))
    [[ $value =~ ^[0-9]+(\.[0-9]+)?$ ]] || continue
    [ "${value%.*}" -ge "$there" ] || continue
    if awk -v value="$value" -v there="$there" 'BEGIN { exit !(value > there) }'; then text=$(with "$key" "$there.0" <<<"$text"); fi
  done < <(sed -n 's/.*\${\([A-Z_]*_CPUS\):-\([0-9.]*\)}.*/\1 \2/p' "$here/docker-compose.yml" | sort -u)
  printf '%s\n' "$text"
}

# inline_secrets: the keys whose secrets stand in .env or hosts.yaml themselves.
inline_secrets() {
  { cat "$home/.env" "$home/hosts.yaml" 2>/dev/null || true; } |
    sed -n 's/^[[:space:]]*\(export \)\{0,1\}\([A-Z_]*\(PASSWORD\|TOKEN_VALUE\|WEBHOOK_URL\|API_KEY\|OTLP_HEADERS\)\)[[:space:]]*[=:][[:space:]]*[^[:space:]#].*/\2/p'
}

# write_secret FILE UID: standard input.
write_secret() {
  local new; new=$(mktemp "$1.XXXXXX")
  cat >"$new"; chown "$2:$2" "$new"; chmod 600 "$new"; sync "$new"; mv -f "$new" "$1"
}

fresh_env() {
  cat <<TEXT
# Proxmox MCP on this machine. Every key: docs/configuration.md
TEXT
  [ -z "$manage" ] || cat <<TEXT
HOST_NAME=this
SSH_HOST=$(own_address)
SSH_USER=$user
SSH_KEY_PATH=$home/keys/claude_proxmox_key
SSH_KNOWN_HOSTS=$home/keys/known_hosts
TEXT
  case $kind in
    compose) ;;
    *)
      cat <<TEXT
DATA_DIR=$data
# The service runs without containers here: name yours, or its reverse proxy's address, to have them watched and backed up.
CONTAINERS=none
VOLUMES=none
PROXY_URL=none
TEXT
      ;;
  esac
}

# Where the service reaches this machine: from a container at the gateway of its network.
own_address() { if [ "$kind" = compose ]; then echo "${network:-172.20}.1.1"; else echo 127.0.0.1; fi; }
