# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
if [ ! -d "$installation" ]; then echo 'installation missing'
elif [ ! -r "$installation" ] || [ ! -x "$installation" ]; then echo 'installation unreadable'
else
  echo "installation $(du -s --block-size=1 --exclude="$backups" -- "$installation" 2>/dev/null | cut -f1)"
  echo "entries $(find "$installation" -mindepth 1 -path "$backups" -prune -o -printf x 2>/dev/null | wc -c)"
  find "$installation" -path "$backups" -prune -o '(' -type f -o -type d ')' '(' ! -readable -o -type d ! -executable ')' \
    -printf 'unreadable %p\n' 2>/dev/null | head -n 5
fi
if [ ! -e "$sudoersFile" ]; then echo 'sudoers missing'
elif [ ! -r "$sudoersFile" ]; then echo 'sudoers unreadable'
else echo 'sudoers there'; fi
_at=$backups
while [ ! -d "$_at" ]; do _at=$(dirname "$_at"); done
if [ -w "$_at" ] && [ -x "$_at" ]; then echo 'backups writable'; else echo 'backups readonly'; fi
df --block-size=1 --output=avail,iavail -- "$_at" | tail -n 1 | { read -r _bytes _inodes; echo "free $_bytes $_inodes"; }
_state=$state
while [ ! -d "$_state" ]; do _state=$(dirname "$_state"); done
df --block-size=1 --output=avail -- "$_state" | tail -n 1 | { read -r _bytes; echo "state-free $_bytes"; }
if [ "$_at" = "$backups" ]; then
  unfinished -exec du -s --block-size=1 -- {} + | while read -r _bytes _path; do echo "leftover $_bytes ${_path##*/}"; done
fi
if [ -z "$volumes" ]; then echo 'docker unneeded'
elif ! command -v docker >/dev/null; then echo 'docker absent'
elif ! timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then echo 'docker silent'
else
  echo 'docker there'
  for _volume in $volumes; do
    if _mount=$(docker volume inspect --format '{{.Mountpoint}}' -- "$_volume" 2>/dev/null) && [ -d "$_mount" ]; then
      echo "volume $_volume $(du -s --block-size=1 -- "$_mount" | cut -f1)"
    else echo "volume $_volume missing"; fi
  done
fi
