# shellcheck shell=sh disable=SC2154 # The layout is in variables; stop and keep are of the helper.
_record=$state/backups/$1
[ -s "$_record/proof" ] || stop 9 "$1 has no proof: this host did not publish it"
# Not while one is being removed, which may be this one.
command exec 6>>"$state/removals.lock"
flock -x -w 30 6 || stop 9 'an archive is being removed'
[ -s "$_record/proof" ] || stop 9 "$1 was removed just now"
if [ "$2" = lift ]; then rm -f -- "$_record/protected"; sync "$_record"
elif [ ! -e "$_record/protected" ]; then keep protected "$(date +%s)" "$_record"; fi
