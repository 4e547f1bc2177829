#!/usr/bin/env bash
# Builds one host image: build.sh RELEASE TAG CACHE-FOLDER. Needs root, debootstrap and an engine (DOCKER_HOST).
# The archive mirror is the one this machine's apt uses; nothing of it is written here.
set -euo pipefail
release=$1 tag=$2 cache=$3
here=$(cd "$(dirname "$0")" && pwd)
say() { printf 'lab image %s: %4ds %s\n' "$release" "$SECONDS" "$*" >&2; }
fail() { say "failed"; tail -n 20 -- "$@" >&2; exit 1; }

packages='systemd systemd-sysv dbus libpam-systemd openssh-server sudo curl ca-certificates openssl logrotate rsyslog
  iptables iproute2 procps busybox-static zstd age'
# Debian 11 is there for its sudo alone; Debian 13 also has the other sudo.
case $release in
  bullseye) ;;
  bookworm) packages+=' docker.io docker-compose' ;;
  *) packages+=' docker.io docker-cli docker-compose sudo-rs' ;;
esac

# debootstrap would warn and go slow without it; the releases it doesn't know yet are built like their elder.
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

# shellcheck disable=SC2016 # apt's own variables.
sources() { apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages'; }
# shellcheck disable=SC1091 # This machine's.
this_release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(sources | awk -F'|' -v r="$this_release" '$2 == r && $3 == "main" && /debian/ { print $1; exit }')
security=$(sources | awk -F'|' -v r="$this_release-security" '$2 == r && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || { say "this machine's apt has no Debian archive with $this_release main"; exit 1; }
mirror=${mirror%/} security=${security%/}

work=$(mktemp -d "$cache/build-$release.XXXXXX")
root=$work/root
engine_pid=
finish() {
  [ -z "$engine_pid" ] || { kill "$engine_pid" 2>/dev/null && wait "$engine_pid" 2>/dev/null; } || true
  # Lazily: a process of the engine may take a moment to end.
  ! mountpoint -q "$root" || umount -R -l "$root"
  rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir -p "$root" "$cache/debs/$release/partial"
# In memory where there is enough: dpkg waits for the disk thousands of times. Either way it must be a mount point,
# as the engine that fills it with images changes its root there.
if [ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 4 ]; then
  mount -t tmpfs -o size=3g,mode=755 tmpfs "$root"
else
  mount --bind "$root" "$root"
fi
say "debootstrap"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}"
debootstrap --variant=minbase --cache-dir="$cache/debs/$release" --keyring="$keyring" \
  "$release" "$root" "$mirror" "$script" >"$work/log" 2>&1 || fail "$work/log"

say "packages"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
{
  echo "deb $mirror $release main"
  [ -z "$security" ] || echo "deb $security $release-security main"
} >"$root/etc/apt/sources.list"
# What this machine's apt needs to reach its mirror (proxy, checks, CA) holds in the new system only while it is built.
apt-config dump Acquire | grep -E 'Check-Valid-Until|Check-Date|::Proxy|::Verify|Retries' >"$root/tmp/apt.conf" || true
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  cp /etc/ssl/certs/ca-certificates.crt "$root/tmp/ca.crt"
  echo 'Acquire::https::CAInfo "/tmp/ca.crt";' >>"$root/tmp/apt.conf"
fi
mount -t proc proc "$root/proc"
mount --bind "$cache/debs/$release" "$root/var/cache/apt/archives"
clean_environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
clean_environment+=(APT_CONFIG=/tmp/apt.conf ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"})
# No function: in the background, the process known would be a shell around the engine, and the engine would outlive it.
in_root=(chroot "$root" env -i "${clean_environment[@]}")
apt='apt-get -qq -y -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=false -o APT::Keep-Downloaded-Packages=true'
# shellcheck disable=SC2086 # Words.
{
  "${in_root[@]}" $apt update && "${in_root[@]}" $apt upgrade && "${in_root[@]}" $apt install $packages
} >>"$work/log" 2>&1 || fail "$work/log"
umount "$root/var/cache/apt/archives"

say "settings"
cp -r "$here/files/." "$root/"
"${in_root[@]}" sh -e /lab/configure
if [ -x "$root/usr/sbin/dockerd" ]; then
  say "containers' images"
  mkdir -p "$root/sys/fs/cgroup" && mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup" && mount --make-rslave "$root/sys/fs/cgroup"
  # In a network of its own: an engine without a bridge removes the docker0 of the engine that runs this build.
  # It ends with this shell, however that ends.
  setpriv --pdeathsig TERM "${in_root[@]}" unshare --net dockerd --data-root /var/lib/docker --exec-root /tmp/engine --pidfile /tmp/engine.pid --host unix:///tmp/engine.sock \
    --bridge none --iptables=false --storage-driver overlay2 >"$work/engine.log" 2>&1 &
  engine_pid=$!
  for _ in $(seq 100); do [ -S "$root/tmp/engine.sock" ] && break; sleep 0.1; done
  "${in_root[@]}" DOCKER_HOST=unix:///tmp/engine.sock sh -e /lab/container-images >"$work/images.log" 2>&1 || fail "$work/engine.log" "$work/images.log"
  # shellcheck disable=SC2015 # It was to end.
  kill "$engine_pid" && wait "$engine_pid" || true
  engine_pid=
  umount -R "$root/sys/fs/cgroup"
fi
umount "$root/proc"

rm -rf "$root"/tmp/* "$root"/tmp/.[!.]* "$root/usr/sbin/policy-rc.d" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin \
  "$root/etc/resolv.conf" "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
say "import ($(du -sh "$root" | cut -f1))"
tar -C "$root" --xattrs --xattrs-include='trusted.*' -c . |
  docker import --change 'ENTRYPOINT ["/lab/init"]' --change 'ENV container=docker' \
    --change 'LABEL proxmox-mcp-lab=1' - "$tag" >/dev/null
