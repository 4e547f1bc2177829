#!/bin/sh
# Mails what stands on standard input: mail.sh SUBJECT. For when the service that mails everything else is down.
# The password goes to curl through its standard input, never into an argument. Fails with a reason, as when no mail is set up.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
fail() { echo "not mailed: $*" >&2; exit 1; }
server=$(setting SMTP_HOST) to=$(setting MAIL_TO)
case :$server:$to: in *::*) fail 'SMTP_HOST and MAIL_TO are not set in .env' ;; esac
command -v curl >/dev/null || fail 'curl is not installed (apt-get install curl)'
from=$(setting MAIL_FROM "${to%%,*}")
address() { printf '%s\n' "$1" | sed 's/.*<\(.*\)>.*/\1/; s/^ *//; s/ *$//'; }
quoted() { printf '"%s"\n' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
case $(setting SMTP_SECURITY starttls) in
  tls) url=smtps://$server:$(setting SMTP_PORT 465) tls= ;;
  none) url=smtp://$server:$(setting SMTP_PORT 25) tls= ;;
  *) url=smtp://$server:$(setting SMTP_PORT 587) tls=ssl-reqd ;;
esac
umask 077
# In memory: a full disk is one of the reasons for a mail.
letter=$(mktemp -p /run 2>/dev/null || mktemp)
trap 'rm -f "$letter"' EXIT
{
  printf 'From: %s\nTo: %s\nSubject: %s\nDate: %s\n' "$from" "$to" "$1" "$(date -R)"
  printf 'Message-ID: <%s.%s@%s>\nAuto-Submitted: auto-generated\nContent-Type: text/plain; charset=utf-8\n\n' \
    "$(date +%s)" "$$" "$(uname -n)"
  cat
} | sed 's/$/\r/' >"$letter"
{
  printf 'url = %s\nmail-from = %s\nupload-file = %s\n' "$(quoted "$url")" "$(quoted "$(address "$from")")" "$(quoted "$letter")"
  printf '%s\n' "$to" | tr ',' '\n' | while read -r one; do printf 'mail-rcpt = %s\n' "$(quoted "$(address "$one")")"; done
  [ -z "$tls" ] || echo "$tls"
  user=$(setting SMTP_USER)
  [ -z "$user" ] || printf 'user = %s\n' "$(quoted "$user:$(secret SMTP_PASSWORD)")"
} | curl --config - --silent --show-error --max-time 60 || fail "$server did not take it"
