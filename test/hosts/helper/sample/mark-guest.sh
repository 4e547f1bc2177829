# shellcheck shell=sh disable=SC2154 # The helper has the layout in variables.
printf "guest %s %s\n" "$1" "$2" >>"$state/marks"
