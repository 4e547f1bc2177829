# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
echo "uid $(id -u)"
for _what in sudoers key; do
  case $_what in sudoers) _path=$sudoersFile ;; *) _path=$sshKeyFile ;; esac
  # No link is followed: whoever may put one there would be shown another file's state.
  if _said=$(stat -c '%a %u %U %F' -- "$_path" 2>&1); then echo "$_what is $_said"; else echo "$_what no $_said"; fi
done
# Not one byte of the key is printed.
if [ -r "$sshKeyFile" ] && [ ! -L "$sshKeyFile" ]; then
  _lines=$(dd if="$sshKeyFile" iflag=nofollow,nonblock,fullblock bs=64k count=1 status=none | grep -c -E '^-----(BEGIN|END) ([A-Z0-9]+ )*PRIVATE KEY-----' || :)
  echo "key-lines $_lines"
fi
command -v visudo >/dev/null || { echo 'visudo absent'; exit 0; }
[ -f "$sudoersFile" ] && [ ! -L "$sudoersFile" ] || exit 0
_code=0; _said=$(visudo -c -f "$sudoersFile" 2>&1) || _code=$?
echo "visudo $_code"
printf '%s\n' "$_said" | head -n 20 | sed 's/^/visudo-said /'
