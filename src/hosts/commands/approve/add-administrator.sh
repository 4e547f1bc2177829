# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
# $1: name; $2: kind of key; $3: the key, in base64 as it is in addresses, without its end.
_list=$state/administrators
_key=$(printf %s "$3" | tr '_-' '/+')
while [ $((${#_key} % 4)) != 0 ]; do _key=$_key=; done
printf '%s %s\n' "$2" "$_key" | ssh-keygen -l -f - >/dev/null 2>&1 || stop 10 'ssh-keygen of the host does not take this for a public key'
mkdir -p "$state"
_home=$(getent passwd "$user" | cut -d : -f 6) || _home=
if [ -n "$_home" ] && grep -qsF -e "$_key" -- "$_home/.ssh/authorized_keys"; then stop 11 'this is the key by which the service itself logs in'; fi
_there=
[ ! -e "$_list" ] || _there=$(cat "$_list")
! printf '%s\n' "$_there" | cut -d ' ' -f 1 | grep -qxF -e "$1" || stop 12 "$1 is on the list already"
! printf '%s\n' "$_there" | grep -qF -e "$_key" || stop 12 'this key is on the list already, under another name'
_line="$1 namespaces=\"proxmox-mcp-approval\" $2 $_key"
[ -z "$_there" ] || _line=$(printf '%s\n%s' "$_there" "$_line")
keep administrators "$_line" "$state"
