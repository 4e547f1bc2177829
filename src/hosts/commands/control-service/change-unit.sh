# shellcheck shell=sh disable=SC2154 # functions.sh sets _service.
require_unit "$2"
systemctl "$1" -- "$_service"
case $1 in
  start | restart | reload) require_active yes ;;
  stop) require_active no ;;
  enable | disable) require_enabled "${1}d" ;;
esac
