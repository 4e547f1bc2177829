#!/usr/bin/env bash
# Builds the images of the programs that are written in Go, from the modules pinned in temporal-server/ and caddy/:
# build-go.sh TAG-SUFFIX CACHE-FOLDER NAME … Go's caches are the lab's own and are kept, so that the next version takes seconds.
set -euo pipefail
suffix=$1 cache=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
say() { printf 'lab images: %4ds %s\n' "$SECONDS" "$*" >&2; }
work=$(mktemp -d "$cache/build-go.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export CGO_ENABLED=0 GOCACHE="${GOCACHE:-$cache/go/build}" GOMODCACHE="${GOMODCACHE:-$cache/go/modules}"
export GOFLAGS='-mod=readonly -modcacherw -buildvcs=false'
build() { (cd "$1" && go build -trimpath -ldflags='-s -w' -o "$2" "$3"); }

# A shell, wget and nc, as the official images have by Alpine; the rest is the programs.
root=$work/root
mkdir -p "$root"/{bin,etc/ssl/certs,tmp,data,config,usr/bin,usr/local/bin,home/ui-server}
cp "$(command -v busybox)" "$root/bin/busybox"
chroot "$root" /bin/busybox --install -s /bin
chmod 1777 "$root/tmp"
printf 'root:x:0:0::/:/bin/sh\ntemporal:x:1000:1000::/home/temporal:/bin/sh\n' >"$root/etc/passwd"

for name; do
  say "$name"
  context=$work/$name
  cp -a "$root" "$context"
  case $name in
    caddy)
      build "$here/caddy" "$context/usr/bin/caddy" github.com/caddyserver/caddy/v2/cmd/caddy
      # As in the official image: the file asks for this capability and can't be started where that can't be given.
      setcap cap_net_bind_service=+ep "$context/usr/bin/caddy"
      ;;
    temporal)
      build "$here/../../temporal-server" "$context/usr/local/bin/temporal-server" go.temporal.io/server/cmd/server
      build "$here/../../temporal-server" "$context/usr/local/bin/temporal-sql-tool" go.temporal.io/server/cmd/tools/sql
      ;;
    temporal-ui) build "$here/../../temporal-server" "$context/home/ui-server/ui-server" github.com/temporalio/ui-server/v2/cmd/server ;;
    *) say "there is no image $name"; exit 1 ;;
  esac
  tar -C "$context" --xattrs --xattrs-include='security.capability' -c . |
    docker import --change 'LABEL proxmox-mcp-lab=1' --change 'CMD ["/bin/sh"]' - "proxmox-mcp-lab-$name:$suffix" >/dev/null
done
say "done"
