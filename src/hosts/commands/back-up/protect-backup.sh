# shellcheck shell=sh disable=SC2154 # The layout is in variables; stop and keep are of the helper.
_record=$state/backups/$1
[ -s "$_record/proof" ] || stop 9 "$1 has no proof: this host did not publish it"
if [ "$2" = lift ]; then rm -f -- "$_record/protected"; sync "$_record"
elif [ ! -e "$_record/protected" ]; then keep protected "$(date +%s)" "$_record"; fi
