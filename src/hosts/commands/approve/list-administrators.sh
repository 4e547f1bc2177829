# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
_list=$state/administrators
[ -e "$_list" ] || exit 0
grep -Ev '^[[:space:]]*(#|$)' "$_list" | head -n 100 | while read -r _name _rest; do
  _key=$(printf '%s\n' "$_rest" | grep -Eo '(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+') || _key=
  _print=$(printf '%s\n' "$_key" | ssh-keygen -l -E sha256 -f - 2>/dev/null | cut -d ' ' -f 2) || _print=
  echo "administrator $_name ${_key%% *} ${_print:--}"
done
