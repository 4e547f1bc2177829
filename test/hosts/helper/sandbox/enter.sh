#!/bin/sh
# Makes a copy-on-write image of this machine and executes a program in it as root: enter.sh FOLDER PROGRAM ARGUMENTS.
# To be run as: unshare --mount --pid --fork --kill-child --net --uts --ipc sh enter.sh …
# Nothing that happens inside reaches the machine: writes go to a tmpfs that ends with the namespace.
set -eu
base=$1; shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
mount -t proc proc "$base/root/proc"
mount --rbind /dev "$base/root/dev"
mount -t tmpfs tmpfs "$base/root/tmp"
mount -t tmpfs tmpfs "$base/root/run"
chmod 1777 "$base/root/tmp"
hostname sandbox
printf '127.0.0.1 localhost sandbox\n' >"$base/root/etc/hosts"
: >"$base/root/etc/resolv.conf"
ip link set lo up 2>/dev/null || :
exec chroot "$base/root" "$@"
