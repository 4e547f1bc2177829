# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
[ "$1" != "$2" ] || stop 9 'the archive to keep must be another one'
[ "$(printf '%s\n' "$1" "$2" | sort | tail -n 1)" = "$2" ] || stop 9 'the archive to keep must be newer'
cd "$backups"
if [ ! -s "$2.tar.gz" ] || ! grep -qx "[0-9a-f]*  $2.tar.gz" -- "$2.tar.gz.sha256" ||
  ! sha256sum --check --status --strict -- "$2.tar.gz.sha256"; then
  stop 9 'the newer archive is not there or its checksum is wrong'
fi
rm -f -- "$1.tar.gz" "$1.tar.gz.sha256"
sync .
[ ! -e "$1.tar.gz" ]
