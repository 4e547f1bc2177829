# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
_list=$state/administrators
cut -d ' ' -f 1 "$_list" 2>/dev/null | grep -qxF -e "$1" || stop 13 "$1 is not on the list"
_left=$(awk -v name="$1" '$1 "" != name ""' "$_list")
keep administrators "$_left" "$state"
