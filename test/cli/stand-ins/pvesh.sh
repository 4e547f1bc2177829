#!/bin/sh
# Stands in for pvesh on a lab host: reads a path as root does, from the simulated API at port 8006, whose node is pve1. It gets
# an administrator's token in /etc/pve/administrator.
set -eu
[ "$1" = get ] || exit 255
path=$2 query=
shift 2
node=$(uname -n)
case $path in /nodes/"${node%%.*}"/*) path=/nodes/pve1/${path#/nodes/*/} ;; esac
while [ $# -gt 0 ]; do
  [ "$1" = --output-format ] || query="$query&${1#--}=$2"
  shift 2
done
answer=$(curl --silent --show-error --fail --insecure --header "Authorization: PVEAPIToken=$(cat /etc/pve/administrator)" \
  "https://127.0.0.1:8006/api2/json$path?${query#&}")
answer=${answer#*'"data":'}
printf '%s\n' "${answer%\}}"
