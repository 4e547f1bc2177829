# shellcheck shell=sh
sh -c 'trap "" TERM; while :; do sleep 1; done' &
echo begun
sleep 100
