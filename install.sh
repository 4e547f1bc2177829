#!/usr/bin/env bash
# Installs Proxmox MCP on this machine: with Docker Compose, without Docker (--without-docker), or in a container of its own on
# a Proxmox VE host (--in-container). Run it as root from a copy of the sources, again after each update: it changes what
# differs and nothing else. docs/installation.md explains it.
# shellcheck disable=SC2034 # What the options say is read by the parts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for part in common plan settings files host report compose node container; do
  # shellcheck source=/dev/null
  . "$here/deploy/install/$part.sh"
done

usage() {
  cat <<'TEXT'
Usage: sudo ./install.sh [options]                Docker Compose: service, PostgreSQL, Caddy with TLS
       sudo ./install.sh --without-docker         the service alone, with Node and a hardened unit
       sudo ./install.sh --in-container           on a Proxmox VE host: in an unprivileged container of its own
       sudo ./install.sh --uninstall [--remove-backups]

  --mail ADDRESS        the administrator's address, for certificates and reports
  --smtp HOST           the mail server that takes them
  --domain NAME         be reached under this name, with TLS; none: from this machine alone
  --monitoring yes|no   Prometheus, Grafana and Loki beside it
  --network A.B         the /16 network of the containers (default 172.20)
  --image TAG           take the image proxmox-mcp-server:TAG that is there, and build none
  --no-host             don't manage this machine itself; with --uninstall: leave its own part (user, policy of sudo, helper)
  --no-start            install, but don't start the service
  --yes                 don't ask; take what the options say, else the defaults
  --dry-run             show the plan and do nothing
  --uninstall           remove the service, its configuration, keys and data; backups stay
  --remove-backups      remove them too
With --in-container also: --id N (VMID), --storage NAME, --bridge NAME (vmbr0), --template VOLUME, --address CIDR (dhcp), --gateway IP
TEXT
}

kind='' dry='' uninstall='' start=yes backups='' yes='' manage=yes
mail='' smtp='' domain='' monitoring='' network='' image=''
vmid='' storage='' bridge=vmbr0 template='' address=dhcp gateway=''
while [ $# -gt 0 ]; do
  case $1 in
    --mail | --smtp | --domain | --monitoring | --network | --image | --id | --storage | --bridge | --template | --address | --gateway)
      if [ $# -lt 2 ] || [ -z "$2" ]; then usage >&2; fail "$1 needs a value" 2; fi
      case $1 in --id) vmid=$2 ;; *) printf -v "${1#--}" '%s' "$2" ;; esac
      shift
      ;;
    --without-docker) kind=systemd ;;
    --in-container) kind=container ;;
    --dry-run) dry=yes ;;
    --no-start) start='' ;;
    --no-host) manage='' ;;
    --yes) yes=yes ;;
    --uninstall) uninstall=yes ;;
    --remove-backups) backups=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "$1 is no option" 2 ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || fail 'run this as root (sudo ./install.sh)' 2
begin_log
check_options
choose_kind
if [ -n "$uninstall" ]; then agree "uninstall_$kind"; exit 0; fi
"require_$kind"
ask_little
"preflight_$kind"
agree "install_$kind"
