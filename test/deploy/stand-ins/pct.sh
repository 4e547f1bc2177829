#!/bin/bash
# Stands in for pct, pveam, pvesm and pvesh of a Proxmox VE host, by the name it is called with. They answer as the real ones were
# recorded to (exit codes and words too), and take the options that the API's schema has: /stand-in/options, a line
# `COMMAND OPTION …` each. What is in a container /stand-in/inside executes.
state=/stand-in/guests
mkdir -p "$state"
self=$(basename "$0")
echo "$self $*" >>/stand-in/calls
die() { echo "$2" >&2; exit "$1"; }
# options COMMAND WORDS…: refuses what the schema doesn't have.
options() {
  local known; known=" $(sed -n "s/^$1 //p" /stand-in/options) "
  for word in "${@:2}"; do
    local name=${word#--}
    # The schema has net[n] for net0.
    case $word in --*) [[ $known == *" $name "* || $known == *" ${name%%[0-9]*}[n] "* ]] || die 255 "Unknown option: ${word#--}
400 unable to parse option" ;; esac
  done
}
absent() { [ -f "$state/$1/config" ] || die "$2" "Configuration file 'nodes/pve1/lxc/$1.conf' does not exist"; }
case "$self ${1-}" in
  'pvesh get') cat /stand-in/next 2>/dev/null || echo 103 ;;
  'pvesm status')
    options 'pvesm status' "$@"
    printf 'Name         Type     Status     Total (KiB)      Used (KiB) Available (KiB)        %%\n'
    case $* in
      *rootdir*) printf 'btr         btrfs     active         8388608           39668         7813196    0.47%%\nlocal-lvm    lvmthin     active       264212084        32880288        73510624   12.44%%\nold         dir     inactive       0        0        99999999   0.00%%\n' ;;
      *) printf 'local         dir     active       264212084        32880284        73510628   12.44%%\n' ;;
    esac
    ;;
  'pveam list') printf 'NAME                                                         SIZE  \n'; cat /stand-in/templates 2>/dev/null || : ;;
  'pveam available') printf 'system          alpine-3.22-default_20250617_amd64.tar.xz\nsystem          debian-12-standard_12.12-1_amd64.tar.zst\nsystem          debian-13-standard_13.1-1_amd64.tar.zst\nsystem          debian-13-standard_13.1-2_amd64.tar.zst\n' ;;
  'pveam download') echo "$2:vztmpl/$3  123.45MB" >>/stand-in/templates ;;
  'pct create')
    options 'pct create' "$@"
    grep -qF "$3 " /stand-in/templates || die 255 "unable to create CT $2 - volume '$3' does not exist"
    mkdir -p "$state/$2"
    shift 3
    while [ $# -gt 0 ]; do echo "${1#--}: $2"; shift 2; done >"$state/103/config"
    echo stopped >"$state/103/status"
    if [ -e /stand-in/die-after-create ]; then rm /stand-in/die-after-create; echo 104 >/stand-in/next; kill -s KILL "$PPID"; fi
    ;;
  'pct status') absent "$2" 2; echo "status: $(cat "$state/$2/status")" ;;
  'pct config') absent "$2" 2; cat "$state/$2/config" ;;
  'pct start')
    absent "$2" 255
    [ "$(cat "$state/$2/status")" = stopped ] || die 255 "CT $2 already running"
    echo running >"$state/$2/status"
    ;;
  'pct stop')
    absent "$2" 255
    [ "$(cat "$state/$2/status")" = running ] || die 255 "CT $2 not running"
    echo stopped >"$state/$2/status"
    ;;
  'pct destroy')
    options 'pct destroy' "$@"
    absent "$2" 2
    [ "$(cat "$state/$2/status")" = stopped ] || die 255 "unable to destroy CT $2 - container is running"
    rm -r "${state:?}/$2"
    ;;
  'pct push' | 'pct exec')
    absent "$2" 2
    [ "$(cat "$state/$2/status")" = running ] || die 255 "container '$2' not running!"
    if [ "$1" = push ]; then exec /stand-in/inside push "${@:3}"; fi
    [ "$3" = -- ] || die 255 '400 not enough arguments'
    exec /stand-in/inside exec "${@:4}"
    ;;
  *) die 255 "ERROR: unknown command '$self ${1-}'" ;;
esac
