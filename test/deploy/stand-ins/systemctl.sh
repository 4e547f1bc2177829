#!/bin/sh
# Stands in for systemctl: the state of each unit is a file in /stand-in/units, each call a line in /stand-in/calls.
# The unit proxmox-mcp gets healthy with the start whose number stands in /stand-in/heals-with.
state=/stand-in/units
mkdir -p "$state"
word=
for argument; do case $argument in -*) ;; *) [ -n "$word" ] && unit=${argument%.service} || word=$argument ;; esac; done
case $word in is-active | is-enabled | show) ;; *) echo "systemctl $*" >>/stand-in/calls ;; esac
started() {
  echo active >"$state/$unit"
  [ "$unit" = proxmox-mcp ] && [ -s /stand-in/heals-with ] || return 0
  left=$(($(cat /stand-in/heals-with) - 1)); echo "$left" >/stand-in/heals-with
  [ "$left" -gt 0 ] || { echo ok >/stand-in/health; rm /stand-in/heals-with; }
}
case " $* " in *' --quiet '*) exec >/dev/null ;; esac
case $word in
  is-active) now=$(cat "$state/$unit" 2>/dev/null || echo inactive); echo "$now"; [ "$now" = active ] ;;
  is-enabled) if [ -e "$state/$unit.enabled" ]; then echo enabled; else echo disabled; false; fi ;;
  show) cat "$state/$unit.result" 2>/dev/null || echo success ;;
  start | restart) started ;;
  stop) echo inactive >"$state/$unit" ;;
  enable) : >"$state/$unit.enabled"; case " $* " in *' --now '*) started ;; esac ;;
  disable) rm -f "$state/$unit.enabled"; case " $* " in *' --now '*) echo inactive >"$state/$unit" ;; esac ;;
esac
