# shellcheck shell=sh
require_unit "$1"
systemctl show --no-pager --property=ActiveState,SubState,UnitFileState,Type,Result,ActiveEnterTimestamp,NRestarts,CanReload,Description -- "$_service"
