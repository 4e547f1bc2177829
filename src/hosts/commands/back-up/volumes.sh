# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# docker_state: unneeded, absent, silent or there.
docker_state() {
  if [ -z "$volumes" ]; then echo unneeded
  elif ! command -v docker >/dev/null; then echo absent
  elif ! timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then echo silent
  else echo there; fi
}

# volume_of NAME: finds the volume that is meant by it, _volume, and the folder of its data, _data. Which one is in use,
# the containers know: compose puts its project's name before. 1: there is none. 2: its data isn't on this host, or not
# mounted now.
volume_of() {
  _data=
  _volume=$(which_volume "$1")
  [ -n "$_volume" ] || return 1
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
  _meant=$(for _name in $volumes; do which_volume "$_name"; done)
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

which_volume() {
  # shellcheck disable=SC2046,SC2086 # A word for each container.
  for _names in "$(mounted_by $containers)" "$(mounted_by $(timeout 20 docker ps --quiet --no-trunc))" \
    "$(mounted_by $(timeout 20 docker ps --all --quiet --no-trunc))" "$(timeout 20 docker volume ls --quiet)"; do
    if printf '%s\n' "$_names" | grep -Fx -- "$1" | head -n 1 | grep .; then return 0; fi
    if printf '%s\n' "$_names" | grep -E -- "^[A-Za-z0-9][A-Za-z0-9_.-]*[_-]$1\$" | head -n 1 | grep .; then return 0; fi
  done
  return 0
}

# mounted_by CONTAINERS: the names of the volumes that they have mounted.
mounted_by() {
  [ "$#" -gt 0 ] || return 0
  timeout 20 docker inspect --type container \
    --format '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}' -- "$@" 2>/dev/null || :
}
