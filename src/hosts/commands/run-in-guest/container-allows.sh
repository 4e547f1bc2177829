# shellcheck shell=sh
# $1: the container.
require_unprivileged "$1"
echo "runs $_init"
