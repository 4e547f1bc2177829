#!/bin/sh
# Stands in for docker with Compose: what there is are files in /stand-in/docker, and each call that changes something is a line
# in /stand-in/calls. The program that it hands out of an image writes its words there too.
state=/stand-in/docker
mkdir -p "$state/images" "$state/volumes"
name_of() { printf '%s' "$1" | tr '/:' '__'; }
log() { echo "docker $*" >>/stand-in/calls; }
for last; do :; done
# Where it has networks: `NAME SUBNET`, a line each.
if [ -s "$state/networks" ]; then
  case "$1 ${2-}" in
    'network ls') cut -d ' ' -f 1 "$state/networks"; exit ;;
    'network inspect') cat "$state/networks"; exit ;;
    'network rm') log "$@"; rm "$state/networks"; exit ;;
  esac
fi
case "$1 ${2-}" in
  'version --format') echo 26.1.5 ;;
  'compose version') cat "$state/compose-version" 2>/dev/null || echo 2.26.1 ;;
  'image inspect')
    [ -f "$state/images/$(name_of "$last")" ] || exit 1
    case $* in *--format*) cat "$state/images/$(name_of "$last")" ;; esac
    ;;
  'image ls') case $* in *Repository*) for one in "$state"/images/proxmox-mcp-server_*; do [ ! -e "$one" ] || echo "proxmox-mcp-server:${one##*server_}"; done ;; esac ;;
  'image rm') log "$@"; rm -f "$state/images/$(name_of "$last")" ;;
  'volume inspect') [ -e "$state/volumes/$last" ] ;;
  'network ls' | 'info --format') ;;
  'container ls' | 'container inspect') cat "$state/containers" 2>/dev/null || : ;;
  'build --tag') log build "$3"; echo "sha256:$(date +%N)" >"$state/images/$(name_of "$3")" ;;
  'create --entrypoint') echo c0ffee ;;
  cp\ *)
    case $* in
      */usr/local/bin/node*) printf '#!/bin/sh\nshift\necho "proxmox-mcp $*" >>/stand-in/calls\n[ ! -e /stand-in/refuse ]\n' >"$last"; chmod 755 "$last" ;;
      *) mkdir -p "$last/dist/src"; : >"$last/dist/src/cli.js" ;;
    esac
    ;;
  'rm c0ffee') ;;
  'pull --quiet')
    log "$@"
    [ ! -e /stand-in/no-pull ] || { echo "Error response from daemon: manifest for $last not found: manifest unknown" >&2; exit 1; }
    echo "sha256:$(date +%N)" >"$state/images/$(name_of "$last")"
    ;;
  compose\ *)
    shift
    case $* in
      *'config --images'*)
        # Those without a profile, and those of the profiles that are named.
        awk -v asked=" $* " '
          /^  [a-z-]+:$/ { image = "" }
          /^    image:/ { image = $2 }
          /^    profiles:/ { of = $2; gsub(/[][]/, "", of); if (index(asked, "--profile " of " ") == 0) image = "" }
          /^    (user|ports|environment|restart|command):/ && image != "" { print image; image = "" }
          ' docker-compose.yml | sed 's/^${//; s/}$//' | while IFS= read -r one; do
          own=$(sed -n "s/^${one%%:-*}=//p" .env); echo "${own:-${one#*:-}}"
        done
        echo "proxmox-mcp-server:$(sed -n 's/^IMAGE_TAG=//p' .env)"
        ;;
      *' down '*)
        log compose "$@"; rm -f "$state"/volumes/*
        for one in "$state"/images/*; do case $one in */proxmox-mcp-server_*) ;; *) rm -f "$one" ;; esac; done
        ;;
      *) log compose "$@" ;;
    esac
    ;;
  *) log "$@" ;;
esac
