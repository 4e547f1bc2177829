# shellcheck shell=sh disable=SC2154 # functions.sh sets _service.
require_unit "$1"
command -v journalctl >/dev/null || stop 12 'this host has no journal'
set -- "$3" --no-pager --quiet --output=short-iso --lines="$2" --unit="$_service"
_seconds=$1; shift
[ "$_seconds" != 0 ] || exec journalctl "$@"
_code=0; timeout "$_seconds" journalctl --follow "$@" || _code=$?
# 124: the time is over, as it was to be.
[ "$_code" = 0 ] || [ "$_code" = 124 ] || exit "$_code"
