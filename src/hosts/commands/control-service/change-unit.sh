# shellcheck shell=sh disable=SC2154 # functions.sh sets _service.
require_unit "$2"
systemctl "$1" -- "$_service" || {
  _code=$?
  # A host that shuts down cancels what is under way, and ends this command a moment later: nobody may take that for a
  # failure of the service. When the host is back, the step is done again.
  case $(systemctl is-system-running 2>/dev/null) in running | degraded | starting) ;; *) sleep 60 ;; esac
  exit "$_code"
}
case $1 in
  start | restart | reload) require_active yes ;;
  stop) require_active no ;;
  enable | disable) require_enabled "${1}d" ;;
esac
