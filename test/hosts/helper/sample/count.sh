# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout in variables.
echo run >>"$state/counted"
for i in 1 2 3 4 5; do echo "$1 $i"; sleep 0.2; done
echo complaint >&2
exit 7
