# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
incoming "$1"
rm -rf -- "${_in:?}"
