# shellcheck shell=sh disable=SC2154 # The helper has the layout in variables.
printf "%s\n" "$1" >>"$state/marks"
