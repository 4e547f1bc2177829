#!/usr/bin/env bash
# Builds the images that are made of Debian's packages: build-debian.sh CACHE-FOLDER NODE-IMAGE IMAGE …
# Each is a small Debian 13 and what the case below says, as one layer more; node-build is so on top of node. Needs root, debootstrap
# and an engine (DOCKER_HOST). The archive mirror is the one this machine's apt uses; nothing of it is written here.
set -euo pipefail
cache=$1 node=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
release=trixie
say() { printf 'lab images: %4ds %s\n' "$SECONDS" "$*" >&2; }
fail() { say "failed"; tail -n 20 -- "$@" >&2; exit 1; }

# shellcheck disable=SC2016 # apt's own variables.
sources() { apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages'; }
# shellcheck disable=SC1091 # This machine's.
this_release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(sources | awk -F'|' -v r="$this_release" '$2 == r && $3 == "main" && /debian/ { print $1; exit }')
[ -n "$mirror" ] || { say "this machine's apt has no Debian archive with $this_release main"; exit 1; }
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}"

work=$(mktemp -d "$cache/build-images.XXXXXX")
finish() {
  # Whatever is mounted below, the deepest first.
  awk -v below="$work" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r place; do umount -l "$place"; done
  rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

debs=$cache/debs/$release
mkdir -p "$debs/partial" "$work/memory"
mount -t tmpfs -o size=3g,mode=755 tmpfs "$work/memory"
base=$work/memory/base
say "base (debootstrap)"
debootstrap --variant=minbase --cache-dir="$debs" --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  "$release" "$base" "${mirror%/}" "$script" >"$work/log" 2>&1 || fail "$work/log"
# What an image needs of a system that is installed nowhere.
rm -rf "$base"/usr/share/{doc,man,locale,info}/* "$base"/var/cache/apt/archives/*.deb "$base"/var/cache/apt/*.bin \
  "$base"/var/lib/apt/lists/* "$base"/var/log/*.log "$base"/var/log/apt "$base/etc/resolv.conf"
: >"$base/etc/machine-id"
printf 'path-exclude=/usr/share/%s/*\n' doc man locale info >"$base/etc/dpkg/dpkg.cfg.d/small"
tar -C "$base" -c . | docker import --change 'LABEL proxmox-mcp-lab=1' --change 'CMD ["/bin/bash"]' - proxmox-mcp-lab-base:latest >/dev/null

# Installs packages over the base; prints the folder that holds what was added.
add() {
  local name=$1 packages=$2 layer=$work/memory/$1
  mkdir -p "$layer/upper" "$layer/work" "$layer/root"
  mount -t overlay -o "lowerdir=$base,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root"
  if [ -n "$packages" ]; then
    # What this machine's apt needs to reach its mirror holds only while this is built.
    mkdir -p "$layer/apt"
    apt-config dump Acquire | grep -E 'Check-Valid-Until|Check-Date|::Proxy|::Verify|Retries' >"$layer/apt/apt.conf" || true
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
      cp /etc/ssl/certs/ca-certificates.crt "$layer/apt/ca.crt"
      echo 'Acquire::https::CAInfo "/run/apt/ca.crt";' >>"$layer/apt/apt.conf"
    fi
    echo "deb ${mirror%/} $release main" >"$layer/apt/sources.list"
    mount -t tmpfs tmpfs "$layer/root/run"
    mkdir "$layer/root/run/apt" && mount --bind "$layer/apt" "$layer/root/run/apt"
    cp -L /etc/resolv.conf "$layer/root/run/resolv.conf" && ln -sf /run/resolv.conf "$layer/root/etc/resolv.conf"
    mount --bind "$debs" "$layer/root/var/cache/apt/archives"
    mount -t proc proc "$layer/root/proc"
    printf '#!/bin/sh\nexit 101\n' >"$layer/root/usr/sbin/policy-rc.d" && chmod +x "$layer/root/usr/sbin/policy-rc.d"
    local apt=(chroot "$layer/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
      APT_CONFIG=/run/apt/apt.conf ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"}
      apt-get -qq -y -o Dir::Etc::SourceList=/run/apt/sources.list -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Use-Pty=0
      -o APT::Install-Recommends=false -o APT::Keep-Downloaded-Packages=true)
    # shellcheck disable=SC2086 # Words.
    { "${apt[@]}" update && "${apt[@]}" install $packages; } >"$work/$name.log" 2>&1 || fail "$work/$name.log"
    umount "$layer/root/proc" "$layer/root/var/cache/apt/archives" "$layer/root/run/apt" "$layer/root/run"
    rm -rf "$layer/root/usr/sbin/policy-rc.d" "$layer/root/etc/resolv.conf" "$layer"/root/var/lib/apt/lists/* "$layer"/root/var/cache/apt/*.bin \
      "$layer"/root/var/log/*.log "$layer/root/var/log/apt"
  fi
  if [ -e "$here/$name/configure" ]; then (cd "$here/$name" && sh -euc '. ./configure' sh "$layer/root" >&2); fi
  umount "$layer/root"
  echo "$layer/upper"
}

for tag; do
  name=${tag#proxmox-mcp-lab-} name=${name%%:*} from=proxmox-mcp-lab-base:latest
  say "$name"
  case $name in
    node) packages= ;;
    node-build) from=$node packages='gcc g++ make python3' ;;
    postgres) packages=postgresql-17 ;;
    prometheus) packages=prometheus ;;
    *) say "there is no image $name"; exit 1 ;;
  esac
  layer=$(add "$name" "$packages")
  tar -C "$layer" -cf "$work/memory/layer.tar" .
  cp "$here/$name/image.dockerfile" "$work/memory/Dockerfile"
  DOCKER_BUILDKIT=0 docker build --quiet --force-rm --label proxmox-mcp-lab=1 --build-arg "FROM=$from" --tag "$tag" \
    - < <(tar -C "$work/memory" -c Dockerfile layer.tar) >"$work/$name.build" 2>&1 || fail "$work/$name.build"
  rm -rf "$work/memory/layer.tar" "$work/memory/${name:?}"
done
say "done"
