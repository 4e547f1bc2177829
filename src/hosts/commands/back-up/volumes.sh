# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# docker_state: unneeded, absent, silent or there.
docker_state() {
  if [ -z "$volumes$containers" ]; then echo unneeded
  elif ! command -v docker >/dev/null; then echo absent
  elif ! timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then echo silent
  else echo there; fi
}

# projects: what compose calls the project of the installation's containers, by their labels.
projects() {
  for _container in $containers; do
    timeout 20 docker inspect --type container --format '{{index .Config.Labels "com.docker.compose.project"}}' -- "$_container" 2>/dev/null || :
  done | { grep -Ex '[a-z0-9][a-z0-9_-]*' || :; } | sort -u
}

# all_volumes: the names of VOLUMES and of all volumes of that project, each once. Where two have one short name, their whole ones.
all_volumes() {
  _meant=$(for _name in $volumes; do which_volume "$_name"; done)
  for _name in $volumes; do echo "$_name"; done
  projects | while read -r _project; do
    timeout 20 docker volume ls --filter "label=com.docker.compose.project=$_project" --format '{{.Name}} {{.Label "com.docker.compose.volume"}}'
  done | sort -u | while read -r _volume _short; do
    printf '%s\n' "$_meant" | grep -qFx -- "$_volume" || printf '%s %s\n' "$_volume" "${_short:-$_volume}"
  done | taken=" $volumes " awk '{ whole[NR] = $1; short[NR] = $2; n[$2]++ }
    END { for (i = 1; i <= NR; i++) print((n[short[i]] > 1 || index(ENVIRON["taken"], " " short[i] " ")) ? whole[i] : short[i]) }' | { grep -Ex -e "$form_volume" || :; }
}

# is_left_out NAME: whether this kind of backup holds no such volume; _why says which. The daily one is without what monitoring
# collects by itself, and the monthly one is configuration alone.
is_left_out() {
  case $_kind/$1 in
    monthly/*) _why=monthly ;;
    daily/prometheus_data | daily/loki_data | daily/alloy_data) _why=collected ;;
    *) return 1 ;;
  esac
}

# said_of VOLUME LABEL: what the containers that have it mounted say of it by a label, a line for each. Who can set a label of a
# container controls Docker, and so is root on this host already: it gives nothing to who has the service's key. Fails where Docker doesn't
# say, which isn't that nobody asks for anything.
said_of() {
  _containers=$(timeout 20 docker ps --all --quiet --no-trunc --filter "volume=$1") || return 1
  for _container in $_containers; do
    _answer=0; of_container "{{index .Config.Labels \"$2\"}}" "$_container" || _answer=$?
    case $_answer in 0) printf '%s\n' "$_fact" ;; 2) return 1 ;; esac
  done
}

# hold_of VOLUME: leave-out, stop, pause or copy, whichever of its containers asks for the most; nothing where none does. Fails as said_of.
hold_of() {
  _asked=$(said_of "$1" proxmox-mcp.backup) || return 1
  for _hold_word in leave-out stop pause copy; do
    if printf '%s\n' "$_asked" | grep -qFx -- "$_hold_word"; then echo "$_hold_word"; return 0; fi
  done
}

# dump_all: what containers of the project say of their own dump is executed in them; its output becomes dumps/SERVICE. A dump that
# fails or is empty, or that nobody could be asked for, is a doubt: nothing else holds what it was to hold.
dump_all() {
  projects >"$_stage/projects"
  : >"$_stage/dumping"
  while read -r _project <&3; do
    timeout 20 docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$_project" \
      --filter label=proxmox-mcp.backup.dump >>"$_stage/dumping" ||
      doubt failed "not whole: the dumps of the containers of $_project, which could not be asked"
  done 3<"$_stage/projects"
  while read -r _container <&3; do
    _service=$(timeout 20 docker inspect --type container --format '{{index .Config.Labels "com.docker.compose.service"}}' -- "$_container")
    if ! printf '%s\n' "$_service" | grep -Eqx -e "$form_volume"; then
      doubt failed "not whole: the dump of a container whose service has no name for a file: $(printf '%s\n' "$_service" | printable)"
      continue
    fi
    # One service may have several containers, each with its own.
    [ ! -e "$_stage/dumps/$_service" ] ||
      _service=$_service-$(timeout 20 docker inspect --type container --format '{{index .Config.Labels "com.docker.compose.container-number"}}' -- "$_container" | grep -Ex '[0-9]{1,9}' || echo "$_container" | cut -c1-12)
    _dump=$(timeout 20 docker inspect --type container --format '{{index .Config.Labels "proxmox-mcp.backup.dump"}}' -- "$_container")
    mkdir -p -- "$_stage/dumps"
    _answer=0; of_container '{{.State.Running}}' "$_container" || _answer=$?
    if [ "$_answer" != 0 ] || [ "$_fact" != true ]; then
      doubt failed "not whole: the dump of $_service, whose container does not run"
      continue
    fi
    _code=0
    timeout -k 10 3600 docker exec -- "$_container" sh -c "$_dump" >"$_stage/dumps/$_service" 2>"$_stage/said" || _code=$?
    if [ "$_code" != 0 ]; then doubt failed "not whole: the dump of $_service, whose command ended with $_code: $(tail -n 1 "$_stage/said" | printable)"
    elif [ ! -s "$_stage/dumps/$_service" ]; then doubt failed "empty: the dump of $_service, although its command ended well"; fi
    echo "dump $_service"
  done 3<"$_stage/dumping"
}

# volume_of NAME: finds the volume that is meant by it, _volume, and the folder of its data, _data. Which one is in use,
# the containers know: compose puts its project's name before. 1: there is none. 2: its data isn't on this host, or not
# mounted now.
volume_of() {
  _data=
  _volume=$(which_volume "$1")
  [ -n "$_volume" ] || return 1
  data_of
}

# data_of: the same of $_volume, by exactly that name.
data_of() {
  _data=
  _facts=$(timeout 20 docker volume inspect --format '{{.Driver}}
{{.Mountpoint}}
{{index .Options "o"}}
{{index .Options "device"}}' -- "$_volume" 2>/dev/null) || return 1
  { read -r _driver; read -r _data; read -r _how; read -r _device; } <<FACTS
$_facts
FACTS
  if mountpoint --quiet -- "$_data"; then return 0; fi
  case ,$_how, in
    *,bind,* | *,rbind,*) _data=$_device ;;
    *) [ "$_driver" = local ] && [ -z "$_device" ] || return 2 ;;
  esac
  [ -d "$_data" ] || return 2
}

# docker_versions: leaves in $_stage/dockers what runs the installation, with its images by their digests.
docker_versions() {
  command -v docker >/dev/null || return 0
  {
    timeout 10 docker version --format 'version docker {{.Server.Version}}' 2>/dev/null || :
    for _container in $containers; do
      _image=$(timeout 20 docker inspect --type container --format '{{.Image}}' -- "$_container" 2>/dev/null) || continue
      timeout 20 docker inspect --type container --format 'version image/{{.Config.Image}} {{.Image}}' -- "$_container" 2>/dev/null || :
      timeout 20 docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' -- "$_image" 2>/dev/null |
        sed -n 's/^\([^ @]*\)@\(sha256:[0-9a-f]*\)$/version pulled\/\1 \2/p' || :
    done
  } | { grep -E '^version [^ ]+ [^ ]+$' || :; } >"$_stage/dockers"
}

# other_mounts: `beside volume NAME` and `beside folder PATH` for what the installation's containers have mounted and no
# backup holds.
other_mounts() {
  _meant=$(all_volumes | while read -r _name; do which_volume "$_name"; done)
  for _container in $containers; do
    timeout 20 docker inspect --type container \
      --format '{{range .Mounts}}{{if eq .Type "volume"}}volume {{println .Name}}{{end}}{{if eq .Type "bind"}}folder {{println .Source}}{{end}}{{end}}' \
      -- "$_container" 2>/dev/null || :
  done | sort -u | while read -r _kind _name; do
    case $_kind$_name in
      "folder$_installation" | "folder$_installation"/* | "folder$installation" | "folder$installation"/*) ;;
      folder/etc/localtime | folder/etc/timezone | folder/run/* | folder/var/run/* | folder/proc | folder/sys | folder/dev*) ;;
      volume*) printf '%s\n' "$_meant" | grep -qFx -- "$_name" || echo "beside volume $_name" ;;
      folder*) echo "beside folder $_name" ;;
    esac
  done
}

# of_project NAME: what Docker calls the volume that compose calls so.
of_project() {
  projects | while read -r _project; do
    timeout 20 docker volume ls --quiet --filter "label=com.docker.compose.project=$_project" --filter "label=com.docker.compose.volume=$1"
  done | head -n 1
}

# which_volume NAME: what Docker calls the volume that is meant by it.
which_volume() {
  # Where compose has made it, it says so; VOLUMES may name another that a container has mounted.
  case " $volumes " in *" $1 "*) ;; *) of_project "$1" | grep . && return 0 ;; esac
  # shellcheck disable=SC2046,SC2086 # A word for each container.
  named_like "$1" "$(mounted_by $containers)" prefixed && return 0
  # Where their project is known, a volume of somebody else whose name ends so is none of theirs.
  _prefixed=prefixed
  if projects | grep -q .; then of_project "$1" | grep . && return 0; _prefixed=; fi
  # shellcheck disable=SC2046 # The same.
  for _names in "$(mounted_by $(timeout 20 docker ps --quiet --no-trunc))" \
    "$(mounted_by $(timeout 20 docker ps --all --quiet --no-trunc))" "$(timeout 20 docker volume ls --quiet)"; do
    named_like "$1" "$_names" "$_prefixed" && return 0
  done
  return 0
}

# named_like NAME NAMES PREFIXED: which of them it is; with PREFIXED also one with something before it.
named_like() {
  printf '%s\n' "$2" | grep -Fx -- "$1" | head -n 1 | grep . && return 0
  [ -n "$3" ] && printf '%s\n' "$2" | grep -E -- "^[A-Za-z0-9][A-Za-z0-9_.-]*[_-]$(printf '%s\n' "$1" | sed 's/[.]/[.]/g')\$" | head -n 1 | grep .
}

# mounted_by CONTAINERS: the names of the volumes that they have mounted.
mounted_by() {
  [ "$#" -gt 0 ] || return 0
  timeout 20 docker inspect --type container \
    --format '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}' -- "$@" 2>/dev/null || :
}
