# shellcheck shell=sh
# stop CODE WHY: ends a command that did not do what it was to do.
stop() { echo "$2" >&2; exit "$1"; }
