#!/usr/bin/env bash
# Makes this machine able to run the lab (tests on real hosts in containers): installs what is missing by apt (Debian, as
# root), starts a Docker engine unless one answers, and builds the hosts' images once. Can be run again at any time.
# lab-setup.sh [RELEASE …], by default bookworm, trixie and bullseye.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need dockerd docker.io
need debootstrap debootstrap
need iptables iptables
need ssh openssh-client
need flock util-linux
need busybox busybox-static
need setcap libcap2-bin
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
# docker.io of Debian 13 has its client in a package of its own.
if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then missing+=(docker-cli); fi
if [ "${#missing[@]}" -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "The lab needs these packages, which only root can install: apt-get install ${missing[*]}" >&2; exit 1; }
  echo "· installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null ||
    { apt-get -qq update && apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null; }
fi
DOCKER_HOST=$("$root/lab/engine.sh" start)
export DOCKER_HOST
[ "$#" -gt 0 ] || set -- bookworm trixie bullseye
# At once: each keeps one core busy.
builds=()
# The deployment's images: its own, and what stands in for those that only a registry has.
bash "$root/lab/images/ensure.sh" app postgres prometheus caddy temporal temporal-ui >/dev/null &
builds+=("$!:images")
for release in "$@"; do
  bash "$root/lab/hosts/image/ensure.sh" "$release" &
  builds+=("$!:$release")
done
for build in "${builds[@]}"; do
  if wait "${build%%:*}"; then continue; fi
  # They need Go, which nothing else here does; a test that needs them says so.
  if [ "${build##*:}" = images ]; then echo "The deployment's images could not be built: see above" >&2; continue; fi
  # Archives drop old releases; the tests on it then say that they are left out, and nothing else needs it.
  [ "${build##*:}" = bullseye ] || exit 1
  echo 'The image of bullseye could not be built: see above' >&2
done
