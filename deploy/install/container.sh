# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# On a Proxmox VE host: an unprivileged container of its own, in which it is installed without Docker, and this host as the first one
# that it manages. What marks the container as ours is its tag; nothing else is ever destroyed.
ours=proxmox-mcp-install size=8 memory=2048
template_name='debian-13-standard_[0-9.-]*_\(amd64\|arm64\)\.tar\.[a-z]*'

require_container() {
  local program
  for program in pct pveam pvesm pvesh ssh-keygen tar; do
    command -v "$program" >/dev/null || fail "$program is missing: --in-container is for a Proxmox VE host; use ./install.sh or --without-docker on other machines" 2
  done
  local option value
  for option in domain monitoring network image; do
    value=${!option}
    case $value in '' | none | no) ;; *) fail "--$option is for Docker Compose, and in the container it is installed without Docker (docs/installation.md says how it is reached there)" 2 ;; esac
  done
  require_ours
  [ -n "$vmid" ] || [ ! -f "$lib/container" ] || vmid=$(cat "$lib/container")
  if [ -n "$vmid" ] && pct status "$vmid" >/dev/null 2>&1; then
    must_be_ours ': choose another --id'
    # Where it is, whatever the default is.
    bridge=$(pct config "$vmid" | sed -n 's/^net0:.*bridge=\([^,]*\).*/\1/p')
    [ -n "$bridge" ] || fail "container $vmid has no net0 with a bridge, by which it could reach this host: give it one (pct set $vmid --net0 …)" 2
  else
    [ -n "$vmid" ] || vmid=$(pvesh get /cluster/nextid | tr -d '"')
    [ -n "$storage" ] || storage=$(pvesm status --content rootdir --enabled 1 | awk 'NR > 1 && $3 == "active" && $6 > most { most = $6; name = $1 } END { print name }')
    [ -n "$storage" ] || fail 'no active storage takes containers (content rootdir): name one with --storage, or allow it in Datacenter, Storage' 2
    ip link show "$bridge" >/dev/null 2>&1 || fail "there is no bridge $bridge: name one with --bridge" 2
    find_template
  fi
  node_address=$(ip -4 -o address show dev "$bridge" 2>/dev/null | awk '{ sub("/.*", "", $4); print $4; exit }' || true)
  [ -z "$manage" ] || [ -n "$node_address" ] || fail "the bridge $bridge has no IPv4 address by which the container could reach this host: add it later (--no-host)" 2
  from_version=''
}

is_ours() { pct config "$vmid" | grep -qE "^tags:.*(^|[ ;,])$ours([ ;,]|$)"; }
# must_be_ours WHAT: while pct makes one it has no tags yet.
must_be_ours() {
  is_ours && return 0
  if [ "$(cat "$lib/container" 2>/dev/null || true)" = "$vmid" ] && pct config "$vmid" | grep -qx 'lock: create'; then
    fail "container $vmid was begun and not finished (pct create was cut off): pct unlock $vmid, pct destroy $vmid, then run this again" 2
  fi
  fail "guest $vmid is not one that install.sh has made (its tags don't have $ours)$1" 2
}
inside() { pct exec "$vmid" -- "$@"; }

# One that is there, else the newest that can be had; on any storage that takes templates.
find_template() {
  local place on=''
  [ -z "$template" ] || return 0
  for place in $(pvesm status --content vztmpl --enabled 1 | awk 'NR > 1 && $3 == "active" { print $1 }'); do
    on=${on:-$place}
    template=$(pveam list "$place" | sed -n "s/^\([^ ]*:vztmpl\/$template_name\) .*/\1/p" | sort -V | tail -n 1)
    [ -z "$template" ] || return 0
  done
  [ -n "$on" ] || fail 'no active storage takes templates (content vztmpl): allow it in Datacenter, Storage' 2
  template_storage=$on
  download=$(pveam available --section system | sed -n "s/^system *\($template_name\) *$/\1/p" | sort -V | tail -n 1)
  [ -n "$download" ] || fail 'pveam knows no template of Debian 13: run pveam update, or name one with --template' 2
  template=$on:vztmpl/$download
}

install_container() {
  begin
  # Before it is there: cut off, the next run takes this one and makes no second.
  folder "$lib" 755 root:root
  put "$lib/container" 644 root:root <<<"$vmid"
  install_scripts
  if ! pct status "$vmid" >/dev/null 2>&1; then
    [ -z "${download-}" ] || run pveam download "$template_storage" "$download"
    run pct create "$vmid" "$template" --hostname proxmox-mcp --unprivileged 1 --features nesting=1 --rootfs "$storage:$size" \
      --memory "$memory" --swap 512 --cores 2 --net0 "name=eth0,bridge=$bridge,ip=$address${gateway:+,gw=$gateway}" --onboot 1 --tags "$ours"
  fi
  if [ -n "$dry" ]; then
    say "in it: Debian's nodejs, npm, sudo and openssh-server; then install.sh --without-docker"
    [ -z "$manage" ] || say "this host as the first one that it manages, by a key of root's that counts for half an hour, from that container alone"
    did 'start the service in it'
    return 0
  fi
  [ "$(pct status "$vmid")" = 'status: running' ] || run pct start "$vmid"
  wait_for_network
  push_sources
  local options=(--without-docker --no-host --yes ${mail:+--mail "$mail"} ${smtp:+--smtp "$smtp"})
  # shellcheck disable=SC2016 # For the shell in there.
  inside sh -ec 'missing=
    for program in node npm sudo sshd curl ss; do command -v "$program" >/dev/null || missing=1; done
    [ -n "$missing" ] || exit 0
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update && apt-get -qy --no-install-recommends install nodejs npm sudo openssh-server curl iproute2 ca-certificates' ||
    fail "the packages could not be installed in container $vmid: does it reach its Debian mirror? Run this again when it does"
  inside /srv/proxmox-mcp/install.sh "${options[@]}" --no-start
  [ -z "$manage" ] || manage_node
  did 'start the service in it'
  inside /srv/proxmox-mcp/install.sh "${options[@]}"
  say "it runs in container $vmid; its report: pct exec $vmid -- sh -c 'cat $home/installation-report-*.md'"
  say 'it listens in there alone. For a tunnel from your own machine let those into it who may log in here as root:'
  printf '    pct exec %s -- install -d -m 700 /root/.ssh; pct push %s /root/.ssh/authorized_keys /root/.ssh/authorized_keys --perms 600\n' "$vmid" "$vmid"
  say 'then on your own machine, for the page, MCP and the Temporal UI at 127.0.0.1:'
  printf '    ssh -N -L 8080:127.0.0.1:8080 -L 8233:127.0.0.1:8233 root@%s\n' "$container_address"
  finish
}

wait_for_network() {
  local _
  for _ in $(seq 60); do
    container_address=$(inside hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 -E '^[0-9]+\.' || true)
    [ -z "$container_address" ] || return 0
    sleep 1
  done
  fail "container $vmid got no address in a minute: is there a DHCP server at $bridge? Else give --address and --gateway, after pct destroy $vmid"
}

# With what is built and installed here, where that is, so that nothing is built twice.
push_sources() {
  local archive parts=() part
  for part in "$here"/* "$here"/.npmrc; do
    case ${part##*/} in data | keys | .env | hosts.yaml | policy.yaml) ;; *) [ ! -e "$part" ] || parts+=("${part##*/}") ;; esac
  done
  archive=$(mktemp)
  tar -C "$here" -czf "$archive" "${parts[@]}"
  inside rm -rf /srv/proxmox-mcp.new
  inside mkdir -p /srv/proxmox-mcp.new
  pct push "$vmid" "$archive" /srv/proxmox-mcp.tar.gz --perms 0600
  rm -f "$archive"
  inside sh -ec 'tar -C /srv/proxmox-mcp.new --no-same-owner -xzf /srv/proxmox-mcp.tar.gz
    rm -rf /srv/proxmox-mcp /srv/proxmox-mcp.tar.gz; mv /srv/proxmox-mcp.new /srv/proxmox-mcp'
}

# with_root_key WORDS…: the container's command line as root of this host, by a key that is made for it, counts from that container
# alone and for half an hour, and is taken away again. `KEY` among the words is where it is in the container.
with_root_key() {
  local key=/root/.ssh/authorized_keys2 code=0 temporary
  [ ! -e "$key" ] || grep -qs ' proxmox-mcp-install$' "$key" || fail "$key is there already: root's login is not changed beside it" 2
  temporary=$(mktemp -d)
  # What take_key_away is to remove, however this ends.
  root_key=$temporary
  ssh-keygen -q -t ed25519 -N '' -C proxmox-mcp-install -f "$temporary/key"
  install -d -m 700 /root/.ssh
  printf 'restrict,from="%s",expiry-time="%s" %s\n' "$container_address" "$(date -d '+30 minutes' +%Y%m%d%H%M)" "$(cat "$temporary/key.pub")" >"$key"
  chmod 600 "$key"
  pct push "$vmid" "$temporary/key" /run/proxmox-mcp-install-key --perms 0600
  inside proxmox-mcp "$@" --as root --key /run/proxmox-mcp-install-key --yes || code=$?
  take_key_away
  return "$code"
}
take_key_away() {
  [ -n "${root_key-}" ] || return 0
  rm -rf /root/.ssh/authorized_keys2 "$root_key"
  root_key=''
  inside rm -f /run/proxmox-mcp-install-key || true
}

manage_node() {
  local name fingerprint; name=$(uname -n); name=${name%%.*}
  if ! inside grep -qsE "^ *$name:" "$home/hosts.yaml"; then
    fingerprint=$(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 2)
    did "add $name ($node_address) as a host"
    inside proxmox-mcp host add "$name" --address "$node_address" --fingerprint "$fingerprint"
  fi
  did "host install $name"
  with_root_key host install "$name" || fail "this host could not be made one that it manages; what it said is above. Later: pct exec $vmid -- proxmox-mcp host install $name"
}

uninstall_container() {
  take_lock
  local name; name=$(uname -n); name=${name%%.*}
  [ -n "$vmid" ] || vmid=$(cat "$lib/container" 2>/dev/null || true)
  if [ -n "$vmid" ] && pct status "$vmid" >/dev/null 2>&1; then
    must_be_ours ': nothing was changed'
    if [ -z "$manage" ]; then say "this host's own part ($user, its policy of sudo, its helper) stays"
    elif [ -n "$dry" ]; then say "host uninstall $name"
    else
      # Only from in there this host's own part is taken off.
      [ "$(pct status "$vmid")" = 'status: running' ] || run pct start "$vmid" ||
        fail "container $vmid can't be started, to take off this host's own part ($user, its policy of sudo, its helper): see to that, or give --no-host to leave that part; nothing was changed"
      if inside grep -qsE "^ *$name:" "$home/hosts.yaml"; then
        wait_for_network
        with_root_key host uninstall "$name" ${backups:+--remove-backups} || fail "this host is still one that it manages; what it said is above. Nothing else was changed"
      fi
    fi
    [ "$(pct status "$vmid")" != 'status: running' ] || run pct stop "$vmid"
    run pct destroy "$vmid" --purge 1
  fi
  remove "$command" "$lib" "$recovery"
}
