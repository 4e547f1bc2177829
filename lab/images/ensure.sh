#!/usr/bin/env bash
# Makes the images that stand in for what only a registry has, where they aren't there yet, and prints their names, one a
# line: ensure.sh NAME …, of: node node-build postgres prometheus caddy temporal temporal-ui, and `app`, the service's own
# image, built from this checkout on the first two.
set -euo pipefail
# A copy of this may stand in dist, where nothing is that images are made of.
root=$(cd "$(dirname "$0")" && pwd)
until [ -e "$root/Dockerfile" ]; do root=$(dirname "$root"); [ "$root" != / ] || { echo 'There is no Dockerfile above' >&2; exit 1; }; done
here=$root/lab/images
cache=${PROXMOX_MCP_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-mcp/lab}
mkdir -p "$cache"
there() { docker image inspect "$1" >/dev/null 2>&1; }
digest() { (cd "$root" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12); }
go=$(digest lab/images/build-go.sh lab/images/caddy temporal-server)
# Each has a digest of its own, so that a change of one leaves the others as they are.
declare -A debian
for name in node postgres prometheus; do debian[$name]=$(digest lab/images/build-debian.sh "lab/images/$name"); done
debian[node-build]=$(digest lab/images/build-debian.sh lab/images/node lab/images/node-build)
debian_tag() { echo "proxmox-mcp-lab-$1:${debian[$1]:?there is no image $1}"; }

wanted=("$@")
go_missing=() debian_missing=() app=
for name; do
  case $name in
    caddy | temporal | temporal-ui) there "proxmox-mcp-lab-$name:$go" || go_missing+=("$name") ;;
    app) app=1 ;;
  esac
done
if [ -n "$app" ]; then
  # Everything that the Dockerfile copies; .dockerignore says the same.
  source=$(cd "$root" && find Dockerfile .dockerignore package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json LICENSE \
    scripts lab src sudoers deploy/image -type f -not -path 'lab/images/*' -not -path 'lab/hosts/image/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
  app=proxmox-mcp-server:lab-${debian[node-build]}-$source
  there "$app" || set -- "$@" node node-build
fi
# The compiler's image is made on top of the other.
case " $* " in *' node-build '*) set -- node "$@" ;; esac
for name; do
  case $name in node | node-build | postgres | prometheus)
    there "$(debian_tag "$name")" || [[ " ${debian_missing[*]} " = *" $name "* ]] || debian_missing+=("$name")
    ;;
  esac
done

# One build at a time of each kind; whoever waited finds them there.
building=()
if [ "${#go_missing[@]}" -gt 0 ]; then
  (
    exec 9>"$cache/images-go.lock" && flock 9
    missing=()
    for name in "${go_missing[@]}"; do there "proxmox-mcp-lab-$name:$go" || missing+=("$name"); done
    [ "${#missing[@]}" -eq 0 ] || bash "$here/build-go.sh" "$go" "$cache" "${missing[@]}" 9>&-
  ) &
  building+=($!)
fi
if [ "${#debian_missing[@]}" -gt 0 ]; then
  (
    exec 8>"$cache/images-debian.lock" && flock 8
    missing=()
    for name in "${debian_missing[@]}"; do there "$(debian_tag "$name")" || missing+=("$(debian_tag "$name")"); done
    [ "${#missing[@]}" -eq 0 ] || bash "$here/build-debian.sh" "$cache" "$(debian_tag node)" "${missing[@]}" 8>&-
  ) &
  building+=($!)
fi
for build in "${building[@]}"; do wait "$build"; done
if [ -n "$app" ] && ! there "$app"; then
  exec 7>"$cache/images-app.lock" && flock 7
  there "$app" || bash "$here/build-app.sh" "$app" "$(debian_tag node)" "$(debian_tag node-build)" 7>&-
fi
for name in "${wanted[@]}"; do
  case $name in
    caddy | temporal | temporal-ui) echo "proxmox-mcp-lab-$name:$go" ;;
    app) echo "$app" ;;
    *) debian_tag "$name" ;;
  esac
done
# Other checkouts may have other recipes, so only what is old goes.
docker image prune --all --force --filter label=proxmox-mcp-lab=1 --filter until=168h >/dev/null
