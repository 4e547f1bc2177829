# shellcheck shell=sh disable=SC2154 # functions.sh sets _service.
require_unit "$1"
systemctl show --no-pager --property=ActiveState,SubState,UnitFileState,Type,Result,ActiveEnterTimestamp,NRestarts,CanReload,Description -- "$_service"
