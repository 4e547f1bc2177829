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
  require_ours
  [ -z "$image" ] || docker image inspect "proxmox-mcp-server:$image" >/dev/null 2>&1 || fail "there is no image proxmox-mcp-server:$image; load it, or leave --image out to build one" 2
}

preflight_compose() {
  local planned password where="$home/.env"
  planned=$(mktemp)
  planned_env >"$planned"
  password=$(PROXMOX_MCP_PLANNED_ENV=$planned sh -c '. "$1"; ! is_true ENABLE_MONITORING || secret GRAFANA_PASSWORD' - "$here/deploy/host/settings.sh" 2>/dev/null || true)
  [ -n "$(env_value GRAFANA_PASSWORD '' "$planned")" ] || where=$(env_value GRAFANA_PASSWORD_FILE '' "$planned")
  where=${where/#.\//$home/}
  rm -f "$planned"
  [ "$password" != admin ] || fail "monitoring is on, and Grafana's password ($where) is its own default, admin, which everybody knows: write another one there, or take it away to have one made; nothing was changed" 2
  # Images and the database.
  if [ -n "$image" ]; then preflight 2048; else preflight 6144; fi
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
  folder "$home/secrets/shared" 750 "root:$group"
  folder "$home/config" 755 root:root
  folder "$home/logs" 755 root:root
  if [ ! -f "$home/.env" ] || [ "$(planned_env)" != "$(cat "$home/.env")" ]; then put "$home/.env" 640 "root:$group" <<<"$(planned_env)"
  else owned "$home/.env" 640 "root:$group"; fi
  for one in hosts.yaml policy.yaml; do [ ! -f "$home/$one" ] || owned "$home/$one" 640 "root:$group"; done
  own_keys
  move_secrets
  share_secrets
  database_password
  grafana_password
  install_files
  install_scripts
  install_units proxmox-mcp.service
  pull_images
  record_images
  replace_networks
  manage_with_image
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
  local part file path new was now kept
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
          kept=$name.before-$(date +%F)
          [ ! -e "$home/$kept" ] || kept=$name.before-$(date +%F-%H%M%S)
          did "keep your $home/$name as $kept"
          [ -n "$dry" ] || cp -p "$home/$name" "$home/$kept"
        fi
      fi
      put "$home/$name" "$mode" root:root <"$file"
      printf '%s %s\n' "$(sha256sum <"$file" | cut -c 1-64)" "$name" >>"$new"
    done < <(find "$path" -type f ! -name '*.test.yml' | LC_ALL=C sort)
  done
  put "$home/config/files" 644 root:root <"$new"
  rm -f "$new"
}

# Keys that somebody brought, as the administrator's guide's, which are root's: the worker couldn't read them.
own_keys() {
  local file
  while IFS= read -r -d '' file; do
    did "set owner $worker_uid:$group of $file"
    [ -n "$dry" ] || chown -h "$worker_uid:$group" "$file"
  done < <(foreign_keys -print0)
}
# Not what has another name elsewhere.
foreign_keys() {
  [ ! -d "$home/keys" ] || find "$home/keys" -mindepth 1 -maxdepth 1 -type f -links 1 \( ! -uid "$worker_uid" -o ! -gid "$group" \) "$@"
}

# What several of our processes read: their group does.
share_secrets() {
  local file
  [ -d "$home/secrets/shared" ] || return 0
  while IFS= read -r -d '' file; do owned "$file" 640 "root:$group"; done < <(find "$home/secrets/shared" -type f -print0)
}

# Images of every container that there will be.
images() {
  local profile=()
  ! is_on ENABLE_MONITORING || profile=(--profile monitoring)
  (cd "$home" && docker compose --profile tools "${profile[@]}" config --images) | sort -u
}

# Before anything is started: a start has an end, how long a slow net takes has none. What is here isn't asked for again.
pull_images() {
  local name names said
  if [ -n "$dry" ]; then say 'pull what is missing of the images of others'; return 0; fi
  names=$(images)
  for name in $names; do
    case $name in proxmox-mcp-server:*) continue ;; esac
    ! docker image inspect "$name" >/dev/null 2>&1 || continue
    did "pull $name"
    said=$(docker pull --quiet "$name" 2>&1) || fail "$name could not be pulled: ${said##*$'\n'}. $(pull_remedy "$name")"
  done
}
# pull_remedy IMAGE: what names it, and what to do about it.
pull_remedy() {
  local key default
  while read -r key default; do
    if [ "$(env_value "$key")" = "$1" ]; then
      echo "$key in $home/.env names it: correct that, or take the line out for $default"
      return 0
    elif [ "$default" = "$1" ]; then
      echo "If its registry can't be reached from here, load it (docker load), or name a copy of yours: $key=… in $home/.env"
      return 0
    fi
  done < <(sed -n 's/.*\${\([A-Z_]*_IMAGE\):-\([^}]*\)}.*/\1 \2/p' "$home/docker-compose.yml")
}

# Networks of an earlier form, as the administrator's guide's single one, or of another NETWORK_PREFIX: Docker makes none that overlap,
# and an older Compose leaves one as it is whose addresses have changed. All containers are made anew then.
replace_networks() {
  local name subnet old=() containers wanted
  # As they stand in the file, a line each: NAME SUBNET.
  wanted=$(awk -v prefix="$(env_value NETWORK_PREFIX 172.20 <(planned_env))" '
    /^[a-z]/ { inside = $1 == "networks:" }
    inside && /^  [a-z]+:/ { name = $1; sub(":", "", name) }
    inside && match($0, /}[0-9.]+\/24/) { print "proxmox-mcp_" name " " prefix substr($0, RSTART + 1, RLENGTH - 1) }' "$here/docker-compose.yml")
  while read -r name subnet; do
    [ -z "$name" ] || grep -qxF "$name $subnet" <<<"$wanted" || old+=("$name")
  done < <(docker network ls --quiet --filter label=com.docker.compose.project=proxmox-mcp |
    xargs -r docker network inspect --format '{{.Name}}{{range .IPAM.Config}} {{.Subnet}}{{end}}')
  [ ${#old[@]} -gt 0 ] || return 0
  did "remove the containers and the networks ${old[*]}, to be made anew; volumes stay"
  [ -z "$dry" ] || return 0
  containers=$(docker container ls --all --quiet --filter label=com.docker.compose.project=proxmox-mcp)
  xargs -r docker container stop <<<"$containers" >/dev/null
  xargs -r docker container rm --force <<<"$containers" >/dev/null
  docker network rm "${old[@]}" >/dev/null || fail "a network of the containers could not be removed; what Docker said is above. Take out what else is in it (docker network disconnect), then run this again"
}

# The host's own part, executed on the host: Node and the program are taken out of the image into a folder of root's alone.
manage_with_image() {
  is_managed || { say "this machine itself is not managed: $home/.env names no host \"this\""; return 0; }
  local address; address=$(env_value SSH_HOST "$(own_address)" <(planned_env))
  pin_own_keys "$address" "$worker_uid:$group"
  if [ -n "$dry" ]; then
    say "host install this --local: user $user, its key for the containers' network and this machine alone, helper and policy of sudo; it shows each when it is built"
    return 0
  fi
  # The address by which a container reaches this machine is there once its network is.
  (cd "$home" && docker compose up --no-start) || fail 'Docker Compose could not make the containers; what it said is above'
  # Docker's masquerading gives the machine's own connections there another address of the machine, so that these count too: what
  # is installed is proved from here.
  local own; own=$(ip -o -4 addr show scope global | awk '{ sub("/.*", "", $4); printf ",%s", $4 }')
  with_program host install this --local --from "$(env_value NETWORK_PREFIX 172.20).1.0/24$own" --yes
  forget_program
  foreign_keys -exec chown -h "$worker_uid:$group" {} +
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
  local name names id text=''
  [ -n "$dry" ] && return 0
  names=$(images)
  for name in $names; do
    id=$(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null) || continue
    text+="$name $id"$'\n'
  done
  put "$home/config/images" 644 root:root <<<"${text%$'\n'}"
}

# The machine's own part first, which is refused while jobs run: then nothing has been changed.
uninstall_compose() {
  local name
  tag=$(env_value IMAGE_TAG latest)
  take_lock
  if [ -n "$manage" ] && grep -qsxE 'HOST_NAME=this' "$home/.env"; then
    if docker image inspect "proxmox-mcp-server:$tag" >/dev/null 2>&1; then
      if [ -n "$dry" ]; then say 'host uninstall this --local'
      else with_program host uninstall this --local --yes ${backups:+--remove-backups}; forget_program; fi
    elif [ -e "/etc/sudoers.d/$user" ]; then
      fail "there is no image proxmox-mcp-server:$tag any more, to take off this machine's own part with ($user and its policy of sudo): run ./install.sh, which builds it, or give --no-host to leave that part; nothing was changed"
    fi
  fi
  remove_units
  if [ -f "$home/docker-compose.yml" ]; then
    did 'remove the containers, networks, volumes and images'
    [ -n "$dry" ] || (cd "$home" && docker compose --profile monitoring --profile tools down --volumes --remove-orphans --rmi all) ||
      fail "Docker Compose could not remove everything; what it said is above"
  fi
  for name in $(docker image ls --format '{{.Repository}}:{{.Tag}}' proxmox-mcp-server 2>/dev/null); do run docker image rm "$name"; done
  remove "$command" "$home" "$lib" "$recovery" /run/proxmox-mcp
}
