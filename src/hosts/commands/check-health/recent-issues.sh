# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
echo "now $(date '+%s %z')"
echo "yesterday $(date -d '24 hours ago' '+%z')"
# What sudo logs of a command that it refused; with `-n`, one that isn't allowed may end as a missing password.
_refusals='not allowed|NOT in sudoers|NOT authorized|password is required|incorrect password|terminal is required'
# Older ones write the line breaks of an argument as they are, so that a line may look like another one.
echo "sudo-version $(sudo --version 2>/dev/null | sed -n '1s/^Sudo version //p')"
# sudo breaks long lines of its own log and indents the rest, and so does journalctl: they are put together again first.
# shellcheck disable=SC2016 # Its $0 is awk's.
_whole='/^[ \t]/ { l = l $0; next } { print l; l = $0 } END { print l }'
if [ -r "$sudoLog" ]; then
  echo "sudo-log $(stat -L -c '%s %Y' -- "$sudoLog")"
  for _log in "$sudoLog.1" "$sudoLog"; do [ ! -r "$_log" ] || tail -c 16777216 -- "$_log"; done |
    awk "$_whole" |
    awk "/$_refusals/"' { print "sudo " substr($0, 1, 600) } NF { l = $0 } END { print "sudo-last " substr(l, 1, 200) }' |
    tail -n 501
else
  [ ! -e "$sudoLog" ] || echo 'sudo-log unreadable'
fi
_about="authentication failure|Failed [a-z/-]+ for|authenticating user|maximum authentication attempts|$_refusals"
if [ -r "$authLog" ]; then
  echo "auth-log $(stat -L -c '%s %Y' -- "$authLog")"
  for _log in "$authLog.1" "$authLog"; do [ ! -r "$_log" ] || tail -c 67108864 -- "$_log"; done |
    grep -a -F -e "$user" | grep -a -E -e "$_about" | tail -n 1000 | cut -c1-600 | sed 's/^/auth /'
else
  [ ! -e "$authLog" ] || echo 'auth-log unreadable'
fi
command -v journalctl >/dev/null || exit 0
_first=$(journalctl --quiet --no-pager --output=short-unix 2>/dev/null | head -n 1 | cut -d. -f1) || :
echo "journal $_first"
[ -n "$_first" ] || exit 0
# Whatever program may write "sudo" or "sshd" before its line. What the journal itself knows of the sender counts: sudo and su
# are themselves only as root, whoever calls them; sshd and login are root's.
set -- _TRANSPORT=syslog
for _effective in $(journalctl --quiet --field=_CAP_EFFECTIVE 2>/dev/null); do
  case $_effective in 0 | *[!0-9a-f]*) ;; *) set -- "$@" "_CAP_EFFECTIVE=$_effective" ;; esac
done
[ "$#" -gt 1 ] || set -- "$@" _UID=0
journalctl --quiet --no-pager --output=short-unix --since=-24h --facility=auth,authpriv \
  "$@" _COMM=sudo _EXE=/usr/bin/sudo _EXE=/usr/bin/sudo.ws _EXE=/usr/lib/cargo/bin/sudo _EXE=/usr/bin/sudo-rs + \
  "$@" _COMM=su _EXE=/usr/bin/su _EXE=/bin/su + \
  _TRANSPORT=syslog _UID=0 _COMM=sshd _COMM=sshd-session _COMM=sshd-auth _COMM=login 2>/dev/null |
  awk "$_whole" | grep -a -F -e "$user" | grep -a -E -e "$_about" | tail -n 1000 | cut -c1-600 | sed 's/^/journal-line /'
