# shellcheck shell=sh disable=SC2034 # Read by the scripts that read this: where an installation is, and what its .env says.
home=${PROXMOX_MCP_HOME:-/opt/proxmox-mcp}
lib=/usr/local/lib/proxmox-mcp
# What is counted and remembered about recovering; docs/installation.md has the format of each file.
recovery=/var/lib/proxmox-mcp-recovery
unit=proxmox-mcp
# There while it is stopped on request: a stop that takes too long ends as a failure all the same.
stopped=/run/proxmox-mcp/stopped
# Why the last start was none, while it is.
why_not=/run/proxmox-mcp/why-not
# The services of docker-compose.yml without which there is none; the others (Temporal's UI, monitoring) may be ill beside them.
core='mcp-server worker ledger caddy postgres temporal'
# compose, systemd or container: written by install.sh, which looks ahead at another one and at another file while it plans.
deployment=${PROXMOX_MCP_PLANNED_KIND:-$(cat "$lib/deployment" 2>/dev/null || echo compose)}
env_file=${PROXMOX_MCP_PLANNED_ENV:-$home/.env}

# setting KEY [DEFAULT]: its value in .env, read as src/config/dotenv.ts reads it.
setting() {
  _found=$(awk -v key="$1" '
    { sub(/\r$/, ""); line = $0; sub(/^[ \t]*(export[ \t]+)?/, "", line) }
    index(line, key) == 1 && substr(line, length(key) + 1) ~ /^[ \t]*=/ {
      value = substr(line, length(key) + 1); sub(/^[ \t]*=[ \t]*/, "", value)
      quote = substr(value, 1, 1)
      if (quote == "\"") {
        out = ""
        for (i = 2; i <= length(value); i++) {
          c = substr(value, i, 1)
          if (c == "\"") break
          if (c == "\\") { c = substr(value, ++i, 1); if (c == "n") c = "\n"; if (c == "t") c = "\t"; if (c == "r") c = "\r" }
          out = out c
        }
        value = out
      } else if (quote == "\047" || quote == "`") {
        value = substr(value, 2); sub(quote ".*", "", value)
      } else { sub(/(^|[ \t])#.*/, "", value); sub(/[ \t]+$/, "", value) }
      print value; found = 1; exit
    }
    END { exit !found }' "$env_file" 2>/dev/null) && [ -n "$_found" ] || _found=${2-}
  printf '%s\n' "$_found"
}

# is_true KEY: however it is spelt.
is_true() {
  case $(setting "$1" | tr '[:upper:]' '[:lower:]') in true | yes | y | on | 1) return 0 ;; *) return 1 ;; esac
}

# secret KEY: what the file of a secret holds, or .env itself; a file that a container has below /run/secrets is the host's own.
secret() {
  _file=$(setting "${1}_FILE")
  case $_file in
    '') setting "$1" ;;
    /run/secrets/*) head -n 1 "$home/secrets/${_file##*/}" ;;
    /*) head -n 1 "$_file" ;;
    *) head -n 1 "$home/$_file" ;;
  esac
}

# health_url: where this machine itself reaches the service. Caddy lets in without TLS who comes over loopback; published on
# another address alone, the server is asked directly.
health_url() {
  if [ "$deployment" = compose ]; then
    case $(setting PUBLISH_ADDRESS 127.0.0.1) in
      127.* | 0.0.0.0 | :: | ::1) printf 'http://127.0.0.1:%s/health\n' "$(setting MCP_PORT 8080)" ;;
      *)
        # One that took over while clients went on (replace-server.sh) has another address.
        _address=$(docker inspect --type container --format '{{with index .NetworkSettings.Networks "proxmox-mcp_front"}}{{.IPAddress}}{{end}}' proxmox-mcp-server 2>/dev/null) || _address=
        printf 'http://%s:8080/health\n' "${_address:-$(setting NETWORK_PREFIX 172.20).0.2}" ;;
    esac
    return 0
  fi
  _address=$(setting MCP_HOST 127.0.0.1)
  case $_address in 0.0.0.0) _address=127.0.0.1 ;; ::) _address='[::1]' ;; *:*) _address="[$_address]" ;; esac
  printf 'http://%s:%s/health\n' "$_address" "$(setting MCP_PORT 8080)"
}

# compose ARGUMENTS: Docker Compose for this installation, with the profile of its settings.
compose() {
  _profile=; ! is_true ENABLE_MONITORING || _profile=monitoring
  (cd "$home" && exec docker compose ${_profile:+--profile "$_profile"} "$@")
}

# owned_containers FORMAT: of every container of this installation but those of single commands.
owned_containers() {
  timeout 60 docker container ls --all --no-trunc --filter label=com.docker.compose.project=proxmox-mcp \
    --filter label=com.docker.compose.oneoff=False --format "$1"
}

# containers: of each a line: service, name, state, health, restart policy, and `error` where Docker could not start it. Fails
# when Docker doesn't answer.
containers() {
  _ids=$(owned_containers '{{.ID}}' 2>/dev/null) || return 1
  [ -n "$_ids" ] || return 0
  # shellcheck disable=SC2086,SC2016 # A word for each; Docker's own template.
  timeout 60 docker container inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.HostConfig.RestartPolicy.Name}} {{if .State.Error}}error{{else}}-{{end}}' $_ids 2>/dev/null | sed 's, /, ,' || :
}

# not_well core | beside: of those lines, the names of containers that are ill. What is stopped without an error was stopped on
# request: whatever ends otherwise Docker starts again.
not_well() {
  awk -v core=" $core " -v which="$1" '
    ((index(core, " " $1 " ") ? "core" : "beside") == which) &&
      ($3 == "dead" || $3 == "restarting" || ($3 == "running" && $4 == "unhealthy") || $6 == "error") { printf "%s%s", sep, $2; sep = " " }'
}

# stopped_on_request: of those lines, the services of the core all of whose containers are stopped so; `all` where there is none.
stopped_on_request() {
  awk -v core="$core" '
    { there[$1]++ }
    ($3 == "exited" || $3 == "paused") && $5 != "no" && $6 != "error" { ended[$1]++ }
    END {
      n = split(core, names, " ")
      for (i = 1; i <= n; i++) {
        some += there[names[i]]
        if (there[names[i]] && ended[names[i]] == there[names[i]]) { printf "%s%s", sep, names[i]; sep = " " }
      }
      if (!some) printf "all"
    }'
}
