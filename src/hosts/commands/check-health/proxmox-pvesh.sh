# shellcheck shell=sh
# pvesh_get PATH OPTIONS: reads a path of the Proxmox VE API as root on this host. It prints `proxmox absent`, or
# `proxmox there` and the answer as JSON, each line with `json` before it. `*` in the path is this node's own name.
pvesh_get() {
  command -v pvesh >/dev/null || { echo 'proxmox absent'; return 0; }
  _node=$(uname -n); _node=${_node%%.*}
  case $1 in /nodes/\*/*) _path=/nodes/$_node/${1#/nodes/\*/} ;; *) _path=$1 ;; esac
  shift
  _json=$(pvesh get "$_path" "$@" --output-format json)
  echo 'proxmox there'
  printf '%s\n' "$_json" | sed 's/^/json /'
}
