# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# This machine as a host of the service: user, key, helper and policy of sudo, as on every other host.

# known_hosts ADDRESS: this machine's own host keys need no comparing, as they are read from its disk.
known_hosts() { local key; for key in /etc/ssh/ssh_host_*_key.pub; do echo "$1 $(cut -d ' ' -f 1,2 "$key")"; done; }

# What has been pinned of other hosts stays. Whose the file is in the end each kind decides with the rest of keys/.
pin_own_keys() {
  local address=$1 file=$home/keys/known_hosts has='' text
  if [ -f "$file" ] && [ ! -L "$file" ]; then has=$(cat "$file"); fi
  text=$(known_hosts "$address"; awk -v address="$address" '$1 != address' <<<"$has")
  [ "$text" = "$has" ] || put "$file" 644 "$2" <<<"$text"
}

is_managed() { [ -n "$manage" ] && grep -qxE 'HOST_NAME=this' <<<"$(planned_env)"; }

# cli PROGRAM-FOLDER NODE WORDS…
cli() { PROXMOX_MCP_CONFIG_DIR=$home PROXMOX_MCP_DEPLOYMENT=$kind DATA_DIR=${data_dir:-$data} "$2" "$1/dist/src/cli.js" "${@:3}"; }
