# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper has the layout's names; the commands use what is set here.
# target_of UNIT: sets _target, where something of the archive belongs on this host. Volumes that aren't there: _missing.
target_of() {
  _missing=
  case $1 in
    "$_top") _target=$_installation ;;
    "$_top/${sudoersFile##*/}") _target=$(realpath -m -- "$(dirname -- "$sudoersFile")")/${sudoersFile##*/} ;;
    "$_top"/*) _target=$_installation/${1#*/} ;;
    host/*) _target=$_root/${1#*/} ;;
    volumes/*)
      _docker_name=$(awk -v name="${1#*/}" '/^entry /{ exit } $1 == "volume" && $2 == name { print $6 }' "$_work/manifest")
      [ -n "$_docker_name" ] && command -v docker >/dev/null || stop 12 "there is no Docker on this host for the volume ${1#*/}"
      _code=0 _volume=$_docker_name; data_of || _code=$?
      [ "$_code" != 2 ] || stop 12 "the data of the volume $_docker_name is not on this host, or not mounted now"
      if [ "$_code" = 1 ]; then _missing=$_docker_name _target= ; return 0; fi
      case ,$_how, in *,bind,* | *,rbind,*) _target=$(realpath -m -- "$_device") ;; *) _target=$(realpath -m -- "$_data") ;; esac
      ;;
    *) stop 9 'the archive holds something that belongs nowhere' ;;
  esac
}

# place_for TARGET: sets _place, a folder of root's own on the target's file system, where it can be prepared and what it replaces
# be kept: the uppermost one below the root. Sets _problem where there is none, or where writing would be wrong.
place_for() {
  _place='' _problem=''
  _at=$(deepest "$(dirname -- "$1")")
  if [ "$(cd -P -- "$_at" && pwd -P)" != "$_at" ]; then _problem="the way to $1 leads over a link"; return 0; fi
  if mountpoint --quiet -- "$1"; then _problem="$1 is a mount point: what is mounted there is restored by hand"; return 0; fi
  # A backup leaves out what is mounted below, so nothing would come back for what moved aside.
  if [ -d "$1" ] && [ ! -L "$1" ]; then
    : "${_mounts=$(mounted; printf '%s\n' "$_unmounted")}"
    _mounted=$(below "$_mounts" "$1" | head -n 1)
    if [ -n "$_mounted" ]; then _problem="$_mounted is a mount point, and would move aside with $1: name what is to come back beside it"; return 0; fi
  fi
  _gone=$(above "$_unmounted" "$1" | head -n 1)
  if [ -n "$_gone" ]; then _problem="$_gone is not mounted, though this host should have it mounted"; return 0; fi
  # A pool that isn't imported is in no fstab.
  case $1/ in
    "$_installation"/*)
      _was=$(sed -n '/^entry /q;s/^version filesystem.installation //p' "$_work/manifest" | head -n 1)
      if [ -n "$_was" ] && [ -z "$_other" ] && [ "$_was" != "$(file_system "$1" | tr ' ' '-')" ]; then
        _problem="$_installation is on another file system than when it was backed up, which was $_was: mount that first"
        return 0
      fi
      ;;
  esac
  for _kept in "$_backups" "$(realpath -m -- "$state")" "$(realpath -m -- "$helper")" "$_root/etc/systemd/system/multi-user.target.wants"; do
    case $_kept/ in "$1"/*) _problem="$1 holds $_kept, which must stay"; return 0 ;; esac
  done
  _device_of=$(stat -c %d -- "$_at") _up=$_at _place=
  while :; do
    if [ "$(stat -c %d -- "$_up")" = "$_device_of" ] && [ -n "$(find "$_up" -maxdepth 0 -uid "$(id -u)" ! -perm /022)" ]; then _place=$_up
    elif [ "$(stat -c %d -- "$_up")" != "$_device_of" ]; then break; fi
    case $(dirname -- "$_up") in "$_up" | /) break ;; *) _up=$(dirname -- "$_up") ;; esac
  done
  [ -n "$_place" ] || _problem="on the way to $1 there is no folder that only root can write, so somebody could exchange what is restored"
}

# same_unit UNIT TARGET: whether the target is there already, as the archive has it. Of single files and links; a folder is compared by
# compare_tree.
same_unit() {
  _line=$(awk -F '\t' -v unit="$1" '$1 == unit && $2 ~ /^[fl] / { print; n++ } $1 == unit && $2 ~ /^[^fl] / { n = 9 } END { if (n != 1) exit 1 }' "$_work/selected") || return 1
  _link=${_line##*	}; _line=${_line#*	}
  # shellcheck disable=SC2086 # Its words.
  set -- "$2" $_line
  if [ "$2" = l ]; then [ -L "$1" ] && [ "$(readlink -- "$1")" = "$(printf '%b' "$_link")" ]; return; fi
  [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c '%a %u:%g %s' -- "$1")" = "$(printf '%s' "$3" | sed 's/^0*\(.\)/\1/') $4 $5" ] && [ "$(sum_of "$1")" = "$8" ]
}
