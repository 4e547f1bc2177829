# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
folders
echo "now $(date +%s)"
_until=$(($(date +%s) + 120))
show_seal
look_at_host
if [ ! -d "$_installation" ]; then echo 'installation missing'
elif [ ! -r "$_installation" ] || [ ! -x "$_installation" ]; then echo 'installation unreadable'
else
  _size=$(bytes_in --exclude="$_backups" -- "$_installation")
  echo "installation ${_size:-0}"
  [ -n "$_size" ] || echo "unmeasured $_installation"
  echo "entries $(timeout -k 2 "$(time_left)" find "$_installation" -mindepth 1 -path "$_backups" -prune -o -printf x 2>/dev/null | wc -c)"
  timeout -k 2 "$(time_left)" find "$_installation" -path "$_backups" -prune -o '(' -type f -o -type d ')' '(' ! -readable -o -type d ! -executable ')' \
    -printf 'unreadable %p\n' 2>/dev/null | head -n 5
  # A folder inside the installation would be copied into itself, unless the copy leaves it out as a whole.
  case $_backups in
    "$_installation") echo nested ;;
    "$_installation"/*) case ${_backups#"$_installation"/} in */*) echo nested ;; esac ;;
  esac
  if [ "$(id -u)" = 0 ] && [ $((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status | cut -c16) & 1)) = 0 ] &&
    find "$_installation" -path "$_backups" -prune -o ! -uid 0 -printf x -quit | grep -q x; then echo 'ownerless'; fi
fi
if [ ! -e "$sudoersFile" ]; then echo 'sudoers missing'
elif [ ! -r "$sudoersFile" ]; then echo 'sudoers unreadable'
else echo 'sudoers there'; fi
_at=$(deepest "$_backups")
if [ -w "$_at" ] && [ -x "$_at" ]; then echo 'backups writable'; else echo 'backups readonly'; fi
[ "$compression" != zstd ] || command -v zstd >/dev/null || echo 'packer absent'
echo "target $(file_system "$_backups")"
above "$(unmounted)" "$_backups" | head -n 1 | sed 's/^/unmounted /'
unsafe_folder
df --block-size=1 --output=avail,iavail -- "$_at" | tail -n 1 | { read -r _bytes _inodes; echo "free $_bytes $_inodes"; }
df --block-size=1 --output=avail -- "$(deepest "$state")" | tail -n 1 | { read -r _bytes; echo "state-free $_bytes"; }
! staged_apart || echo 'staged apart'
unfinished -exec du -s --block-size=1 -- {} + | while read -r _bytes _path; do echo "leftover $_bytes ${_path##*/}"; done
_docker=unneeded; ! is_installed || _docker=$(docker_state)
echo "docker $_docker"
if [ "$_docker" = there ]; then
  other_mounts | head -n 20
  for _name in $(all_volumes); do
    _code=0; volume_of "$_name" || _code=$?
    case $_code in
      0)
        _size=$(bytes_in -- "$_data")
        echo "volume $_name ${_size:-0} $_volume"
        [ -n "$_size" ] || echo "unmeasured volume $_volume"
        ;;
      1) echo "volume $_name missing -" ;;
      2) echo "volume $_name unreadable $_volume" ;;
    esac
  done
fi
