# shellcheck shell=sh disable=SC2154 # functions.sh sets _service.
require_unit "$1"
case $3 in
  enabled) systemctl enable -- "$_service"; require_enabled enabled ;;
  disabled) systemctl disable -- "$_service"; require_enabled disabled ;;
esac
case $2 in
  active) systemctl start -- "$_service"; require_active yes ;;
  inactive) systemctl stop -- "$_service"; require_active no; systemctl reset-failed -- "$_service" 2>/dev/null || : ;;
  failed) systemctl stop -- "$_service"; require_active no ;;
esac
