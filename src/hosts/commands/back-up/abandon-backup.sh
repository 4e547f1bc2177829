# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
rm -rf -- "$_stage" "$_partial" "$backups/.$1.tar.gz.sha256.partial"
[ -e "$backups/$1.tar.gz" ] || rm -f -- "$backups/$1.tar.gz.sha256"
[ ! -e "$_stage" ]
