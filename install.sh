#!/usr/bin/env bash
# Installs Proxmox MCP on this machine, a Proxmox VE host or another Debian: in /opt/proxmox-mcp, with the systemd unit
# proxmox-mcp. Run it as root from a copy of the sources, again after each update. docs/installing-a-host.md explains it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=/opt/proxmox-mcp data=/var/lib/proxmox-mcp-data cache=/var/cache/proxmox-mcp user=claude-user
unit=/etc/systemd/system/proxmox-mcp.service command=/usr/local/bin/proxmox-mcp
mark='# Made by install.sh of Proxmox MCP.'
dry='' uninstall='' start=yes backups=''

usage() {
  cat <<END
Usage: sudo ./install.sh [--dry-run] [--no-start]
       sudo ./install.sh --uninstall [--remove-backups] [--dry-run]
  --dry-run          say what would be done, and do nothing
  --no-start         install, but don't start the service
  --uninstall        remove the service, its configuration, keys and data; backups stay
  --remove-backups   remove them too
END
}
fail() { printf 'install.sh: %s\n' "$1" >&2; exit "${2:-1}"; }
say() { printf '· %s\n' "$*"; }
# Says what it does, and does it unless --dry-run.
run() { say "$*"; [ -n "$dry" ] || "$@"; }
# put FILE MODE OWNER: standard input, written at once and only where it differs; in a folder that is root's alone.
put() {
  local new; new=$(cat; echo .); new=${new%.}
  if [ -f "$1" ] && [ "$(cat "$1"; echo .)" = "$new." ]; then return 0; fi
  say "write $1 (mode $2, owner $3)"
  [ -n "$dry" ] && return 0
  printf '%s' "$new" >"$1.new"; chown "$3" "$1.new"; chmod "$2" "$1.new"; mv -f "$1.new" "$1"
}
cli() { PROXMOX_MCP_CONFIG_DIR=$home node "$1/dist/src/cli.js" "${@:2}"; }

for argument in "$@"; do
  case $argument in
    --dry-run) dry=yes ;;
    --no-start) start= ;;
    --uninstall) uninstall=yes ;;
    --remove-backups) backups=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "$argument is no option" 2 ;;
  esac
done

[ "$(id -u)" = 0 ] || fail 'run this as root (sudo ./install.sh)' 2
for program in node npm systemctl sudo sshd; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || fail "$program is missing: install it first" 2
done
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  fail "Node.js 20.19 or newer is needed; this is $(node --version)" 2
[ ! -f "$unit" ] || grep -qxF "$mark" "$unit" || fail "$unit is of something else: stop and remove that first" 2

if [ -n "$uninstall" ]; then
  [ ! -f "$unit" ] || run systemctl disable --now proxmox-mcp
  if [ -d "$home/app" ] && grep -qxE 'HOST_NAME=this' "$home/.env"; then
    cli "$home/app" host uninstall this --local --yes ${dry:+--dry-run} ${backups:+--remove-backups}
  fi
  run rm -rf "$unit" "$command" "$data" "$cache" "$home"
  run systemctl daemon-reload
  exit 0
fi

# The program: built here, then put in place by one rename.
if [ -n "$dry" ]; then
  say "build $here, and put it in $home/app"
else
  (cd "$here" && npm run --silent build)
  version=$(cd "$here" && sha256sum package-lock.json dist/.built | sha256sum | cut -d ' ' -f 1)
  if [ "$(cat "$home/app/.version" 2>/dev/null || true)" != "$version" ]; then
    say "put the program in $home/app"
    install -d -m 755 "$home"
    rm -rf "$home/app.new"; mkdir "$home/app.new"
    for part in dist docs sudoers scripts temporal-server node_modules package.json package-lock.json LICENSE README.md; do
      cp -R "$here/$part" "$home/app.new/"
    done
    (cd "$home/app.new" && npm prune --omit=dev --offline --no-audit --no-fund --loglevel=error >/dev/null)
    echo "$version" >"$home/app.new/.version"
    chmod -R go-w "$home/app.new"
    rm -rf "$home/app.old"; [ ! -d "$home/app" ] || mv "$home/app" "$home/app.old"
    mv "$home/app.new" "$home/app"; rm -rf "$home/app.old"
  fi
fi

# The configuration. One that is there stays; its host must be called "this" only if this script is to install on it.
# Root's until the end: in a folder of the user's, a link that waits there would lead what is written somewhere else.
[ -n "$dry" ] || { install -d -m 755 -o root -g root "$home" "$home/keys"; rm -f "$home/keys/known_hosts.new"; }
if [ ! -f "$home/.env" ]; then
  put "$home/.env" 600 root: <<END
# Proxmox MCP on this machine. Every key: $home/app/docs/configuration.md
HOST_NAME=this
SSH_HOST=127.0.0.1
SSH_USER=$user
SSH_KEY_PATH=$home/keys/claude_proxmox_key
SSH_KNOWN_HOSTS=$home/keys/known_hosts
DATA_DIR=$data
# The service runs without containers here: name yours, or its reverse proxy's address, to have them watched and backed up.
CONTAINERS=none
VOLUMES=none
PROXY_URL=none
END
fi
# This machine's own host keys need no comparing: they are read from its disk.
for key in /etc/ssh/ssh_host_*_key.pub; do echo "127.0.0.1 $(cut -d ' ' -f 1,2 "$key")"; done |
  put "$home/keys/known_hosts" 644 root:

# The user, key, helper and policy of sudo: as on every other host, taken back unless they prove themselves.
if [ -f "$home/.env" ] && ! grep -qxE 'HOST_NAME=this' "$home/.env"; then
  say "$home/.env names no host \"this\": nothing is installed on this machine as a managed host"
elif [ -z "$dry" ]; then
  cli "$home/app" host install this --local --from '127.0.0.1,::1' --yes
elif [ -d "$home/app" ]; then
  cli "$home/app" host install this --local --from '127.0.0.1,::1' --dry-run
else
  say "host install this --local: user $user, its key, helper and policy of sudo; it shows each when it is built"
fi

if [ -z "$dry" ]; then
  getent passwd "$user" >/dev/null || fail "there is no user $user to run the service: proxmox-mcp host install makes it"
  # Root reads it too, when this is run again: whoever could write it could choose what root does.
  chown "root:$user" "$home/.env"; chmod 640 "$home/.env"
  # Not what has another name elsewhere.
  find "$home/keys" -mindepth 1 -maxdepth 1 -type f -links 1 -exec chown -h "$user:" {} +
  chown "$user:" "$home/keys"; chmod 700 "$home/keys"
fi

put "$command" 755 root: <<END
#!/bin/sh
$mark
PROXMOX_MCP_CONFIG_DIR=$home XDG_CACHE_HOME=$cache
export PROXMOX_MCP_CONFIG_DIR XDG_CACHE_HOME
exec $(command -v node) $home/app/dist/src/cli.js "\$@"
END

# Hardened: what needs root goes over SSH to the helper, so that the service itself can have no way to it.
put "$unit" 644 root: <<END
$mark
[Unit]
Description=Proxmox MCP
Documentation=file://$home/app/docs
After=network-online.target ssh.service
Wants=network-online.target

[Service]
User=$user
# The home of the user belongs to root; the Temporal CLI wants one that can be read.
Environment=HOME=$data
ExecStart=$command start
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
StateDirectory=$(basename "$data")
StateDirectoryMode=0700
CacheDirectory=$(basename "$cache")
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=$home/keys
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @pkey
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
END
run systemctl daemon-reload
if [ -n "$start" ]; then
  run systemctl enable proxmox-mcp
  run systemctl restart proxmox-mcp
  say "running; see: systemctl status proxmox-mcp, $command doctor"
fi
