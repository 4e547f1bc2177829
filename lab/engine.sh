#!/usr/bin/env bash
# The Docker engine of the lab: engine.sh start | status | stop (status: succeeds while the one that start made runs)
# start prints the DOCKER_HOST of an engine that answers. One that somebody else runs is used and never stopped; else one
# is started by hand, with its own data folder and socket, so that it can be stopped exactly.
set -euo pipefail
cache=${PROXMOX_MCP_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-mcp/lab}
run=/run/proxmox-mcp-lab
ours=unix://$run/docker.sock
answers() { timeout 10 docker --host "$1" version --format '{{.Server.Version}}' >/dev/null 2>&1; }
running() { [ -s "$run/pid" ] && [ "$(cat "/proc/$(cat "$run/pid")/comm" 2>/dev/null)" = dockerd ]; }

start() {
  for host in ${DOCKER_HOST:-} unix:///var/run/docker.sock "$ours"; do
    if answers "$host"; then echo "$host"; return; fi
  done
  command -v dockerd >/dev/null || { echo "No Docker engine answers and none is installed: apt-get install docker.io iptables" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "No Docker engine answers, and only root can start one: start Docker, or run this as root" >&2; exit 1; }
  mkdir -p "$run" "$cache/engine"
  exec 9>"$run/lock" && flock 9
  if answers "$ours"; then echo "$ours"; return; fi
  rm -f "$run/pid" "$run/docker.sock"
  # Debian's own socket is left alone. It keeps nothing of who starts it: no lock that is held, no folder it stands in, no
  # mark of a test run (scripts/test/left-behind.mjs), as it stays.
  (
    cd /
    for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done
    exec env -u TEST_RUN setsid nohup dockerd --data-root "$cache/engine" --exec-root "$run/exec" --pidfile "$run/pid" --host "$ours" \
      --bip 10.212.77.1/24 --storage-driver overlay2 --log-level warn </dev/null >"$cache/engine.log" 2>&1
  ) &
  for _ in $(seq 300); do
    if [ -S "$run/docker.sock" ] && answers "$ours"; then echo "$ours"; return; fi
    sleep 0.1
  done
  tail -n 20 "$cache/engine.log" >&2
  echo "The Docker engine did not start in 30 s" >&2
  exit 1
}

stop() {
  running || return 0
  pid=$(cat "$run/pid")
  kill "$pid"
  for _ in $(seq 300); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
  [ ! -e "/proc/$pid" ] || { echo "The Docker engine (process $pid) does not end" >&2; exit 1; }
  # An engine that was busy to its end leaves the mounts of its networks behind.
  awk -v under="$run/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount --lazy
  rm -rf --one-file-system "$run"
}

case ${1:-} in
  start) start ;;
  status) running ;;
  stop) stop ;;
  *) echo "usage: engine.sh start | status | stop" >&2; exit 2 ;;
esac
