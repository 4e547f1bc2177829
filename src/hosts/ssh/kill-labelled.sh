# shellcheck shell=sh
# kill-labelled.sh NAME=VALUE SIGNAL: to every process of this user that has this in its environment.
# shellcheck disable=SC2013 # They are numbers.
for pid in $(grep -lasF "$1" /proc/[0-9]*/environ | cut -d/ -f3); do kill -s "$2" "$pid"; done
