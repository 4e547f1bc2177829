# shellcheck shell=bash disable=SC2034,SC2154 # The parts of install.sh share their variables.
# With Docker Compose: one image of the service, PostgreSQL, Temporal, Caddy. docs/deployment.md says what runs where and as whom.
group=10000 mcp_uid=10001 worker_uid=10002

require_compose() {
  local program
  for program in docker systemctl ss ip curl flock ${manage:+sudo sshd}; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || {
      [ "$program" != docker ] || fail 'Docker is not installed: docs.docker.com/engine/install, or Debian 13: apt-get install docker.io docker-cli docker-compose. Or use --without-docker' 2
      fail "$program is missing: install it first" 2
    }
  done
  for one in docker-compose.yml Dockerfile; do [ -f "$here/$one" ] || fail "$here is no whole copy of the sources: $one is missing" 2; done
  tag=${image:-$(image_tag)}
  from_version=$(env_value IMAGE_TAG)
  # Images and the database.
  if [ -n "$image" ]; then preflight 2048; else preflight 6144; fi
  [ -z "$image" ] || docker image inspect "proxmox-mcp-server:$image" >/dev/null 2>&1 || fail "there is no image proxmox-mcp-server:$image; load it, or leave --image out to build one" 2
}

# The version, and what it is built from: another content has another tag, so that the one before stays to go back to.
image_tag() {
  (
    cd "$here" || exit
    digest=$(find Dockerfile package.json package-lock.json tsconfig.json tsconfig.build.json LICENSE scripts bench lab src sudoers deploy/image -type f 2>/dev/null |
      LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -c 1-10)
    echo "$(version_of .)-$digest"
  )
}

install_compose() {
  begin
  build_image
  folder "$home" 755 root:root
  folder "$home/keys" 700 "$worker_uid:$group"
  folder "$home/keys/mcp" 700 "$mcp_uid:$group"
  folder "$home/secrets" 711 root:root
  folder "$home/config" 755 root:root
  folder "$home/logs" 755 root:root
  if [ ! -f "$home/.env" ] || [ "$(planned_env)" != "$(cat "$home/.env")" ]; then planned_env | put "$home/.env" 640 "root:$group"
  else owned "$home/.env" 640 "root:$group"; fi
  for one in hosts.yaml policy.yaml; do [ ! -f "$home/$one" ] || owned "$home/$one" 640 "root:$group"; done
  move_secrets
  database_password
  grafana_password
  install_files
  install_scripts
  install_units proxmox-mcp.service
  manage_with_image
  record_images
  start_units
  report
  finish
}

build_image() {
  docker image inspect "proxmox-mcp-server:$tag" >/dev/null 2>&1 && return 0
  did "build the image proxmox-mcp-server:$tag of $here"
  [ -n "$dry" ] || docker build --tag "proxmox-mcp-server:$tag" --build-arg "VERSION=$(version_of "$here")" --build-arg "REVISION=$tag" "$here"
}

# The same one for both sides, each in a file that only its container's user reads. PostgreSQL takes it with each start.
database_password() {
  local postgres=$home/secrets/postgres_password temporal=$home/secrets/temporal_password
  if [ -s "$postgres" ] && [ -s "$temporal" ]; then
    owned "$postgres" 600 999:999; owned "$temporal" 600 1000:1000
    return 0
  fi
  did "make the password of the database ($postgres, $temporal)"
  [ -n "$dry" ] && return 0
  if [ -s "$postgres" ]; then write_secret "$temporal" 1000 <"$postgres"
  elif [ -s "$temporal" ]; then write_secret "$postgres" 999 <"$temporal"
  else
    od -An -N 24 -tx1 /dev/urandom | tr -d ' \n' | write_secret "$postgres" 999
    write_secret "$temporal" 1000 <"$postgres"
  fi
}

# Of Grafana's user in its image, and of no default: who wants to sign in reads it there.
grafana_password() {
  local file=$home/secrets/grafana-password
  if [ -s "$file" ]; then owned "$file" 600 472:472; return 0; fi
  [ "$(env_value GRAFANA_PASSWORD_FILE)" = ./secrets/grafana-password ] || return 0
  did "make the password of Grafana's administrator ($file)"
  [ -n "$dry" ] || { od -An -N 12 -tx1 /dev/urandom | tr -d ' \n' | write_secret "$file" 472; }
}

# What Compose mounts. What somebody has changed by hand since it was put there is kept beside it, and said.
install_files() {
  local part file path new was now
  new=$(mktemp)
  for part in docker-compose.yml caddy postgres temporal monitoring; do
    path=$here/deploy/$part
    [ "$part" != docker-compose.yml ] || path=$here/$part
    [ -e "$path" ] || continue
    while IFS= read -r file; do
      local name=$part${file#"$path"} mode=644
      [ ! -x "$file" ] || mode=755
      folder "$(dirname "$home/$name")" 755 root:root
      if [ -f "$home/$name" ] && ! cmp -s "$file" "$home/$name"; then
        now=$(sha256sum <"$home/$name" | cut -c 1-64)
        was=$(awk -v name="$name" '$2 == name { print $1 }' "$home/config/files" 2>/dev/null || true)
        if [ "$now" != "$was" ]; then
          did "keep your $home/$name as $name.before-$(date +%F)"
          [ -n "$dry" ] || cp -p "$home/$name" "$home/$name.before-$(date +%F)"
        fi
      fi
      put "$home/$name" "$mode" root:root <"$file"
      printf '%s %s\n' "$(sha256sum <"$file" | cut -c 1-64)" "$name" >>"$new"
    done < <(find "$path" -type f ! -name '*.test.yml' | LC_ALL=C sort)
  done
  put "$home/config/files" 644 root:root <"$new"
  rm -f "$new"
}

# The host's own part, executed on the host: Node and the program are taken out of the image into a folder of root's alone.
manage_with_image() {
  is_managed || { say "this machine itself is not managed: $home/.env names no host \"this\""; return 0; }
  local address; address=$(env_value SSH_HOST "$(own_address)")
  pin_own_keys "$address" "$worker_uid:$group"
  if [ -n "$dry" ]; then
    say "host install this --local: user $user, its key for the containers' network and this machine alone, helper and policy of sudo; it shows each when it is built"
    return 0
  fi
  # The address by which a container reaches this machine is there once its network is.
  (cd "$home" && docker compose up --no-start --quiet-pull) || fail 'Docker Compose could not make the containers; what it said is above'
  # Docker's masquerading gives the machine's own connections there another address of the machine, so that these count too: what
  # is installed is proved from here.
  local own; own=$(ip -o -4 addr show scope global | awk '{ sub("/.*", "", $4); printf ",%s", $4 }')
  with_program host install this --local --from "$(env_value NETWORK_PREFIX 172.20).1.0/24$own" --yes
  forget_program
  find "$home/keys" -mindepth 1 -maxdepth 1 -type f -links 1 -exec chown -h "$worker_uid:$group" {} +
}

# Every container reads .env, so that no secret may stand in it.
move_secrets() {
  local keys; keys=$(inline_secrets | sort -u | tr '\n' ' ')
  [ -n "$keys" ] || return 0
  did "move ${keys% } out of .env and hosts.yaml into files (config move-secrets)"
  [ -n "$dry" ] || with_program config move-secrets
  owned "$home/.env" 640 "root:$group"
}

# with_program WORDS…: the command line of the image, natively.
with_program() {
  local container
  if [ -z "${program-}" ]; then
    program=$(mktemp -d "$home/.program.XXXXXX")
    container=$(docker create --entrypoint /bin/true "proxmox-mcp-server:$tag")
    docker cp --quiet "$container:/app" "$program/app"
    docker cp --quiet --follow-link "$container:/usr/local/bin/node" "$program/node"
    docker rm "$container" >/dev/null
  fi
  data_dir=$program/data cli "$program/app" "$program/node" "$@" || fail "proxmox-mcp $* ended with exit code $?"
}
forget_program() { [ -z "${program-}" ] || rm -rf "$program"; program=''; }

# What was installed, to be compared later: another image under the same name is found.
record_images() {
  local name id
  [ -n "$dry" ] && return 0
  (cd "$home" && docker compose --profile tools config --images) | sort -u | while read -r name; do
    id=$(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null) || continue
    printf '%s %s\n' "$name" "$id"
  done | put "$home/config/images" 644 root:root
}

uninstall_compose() {
  local name
  tag=$(env_value IMAGE_TAG latest)
  remove_units
  if [ -d "$home" ] && grep -qsxE 'HOST_NAME=this' "$home/.env" && docker image inspect "proxmox-mcp-server:$tag" >/dev/null 2>&1; then
    if [ -n "$dry" ]; then say 'host uninstall this --local'
    else with_program host uninstall this --local --yes ${backups:+--remove-backups}; forget_program; fi
  fi
  if [ -f "$home/docker-compose.yml" ]; then
    did 'remove the containers, networks, volumes and images'
    [ -n "$dry" ] || (cd "$home" && docker compose --profile monitoring --profile tools down --volumes --remove-orphans --rmi all) ||
      fail "Docker Compose could not remove everything; what it said is above"
  fi
  for name in $(docker image ls --format '{{.Repository}}:{{.Tag}}' proxmox-mcp-server 2>/dev/null); do run docker image rm "$name"; done
  remove "$command" "$home" "$lib" "$recovery" /run/proxmox-mcp
}
