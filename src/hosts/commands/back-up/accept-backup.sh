# shellcheck shell=sh disable=SC2154 # The layout is in variables; stop and keep are of the helper.
_record=$state/backups/$1
[ -s "$_record/proof" ] || stop 9 "$1 has no proof: this host did not publish it"
[ -s "$_record/doubts" ] || stop 9 "$1 is not doubted: there is nothing to accept"
# Once: when it was accepted first stays.
[ -e "$_record/accepted" ] || keep accepted "$(date +%s%3N)" "$_record"
