# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
places "$1"
incoming "$1"
state_of "$1"
echo "state $_state"
identity && echo "host $_identity"
forget_incoming "$1"
mkdir -p -- "$_in"
chmod 700 "$state/incoming" "$_in"
# What somebody brought who was stopped, and nobody has written to for a day: it is decrypted, and nobody else removes it.
find "$state/incoming" -mindepth 1 -maxdepth 1 -type d -mmin +1440 | while read -r _old; do
  [ -n "$(find "$_old" -mmin -1440 -print -quit)" ] || forget_incoming "${_old##*/}"
done
echo "free $(df --output=avail -B1 -- "$_in" | tail -n 1 | tr -d ' ')"
