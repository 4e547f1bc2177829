# shellcheck shell=sh disable=SC2154 # functions.sh sets _init.
# $1: the container.
require_unprivileged "$1"
echo "runs $_init"
