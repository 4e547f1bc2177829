#!/bin/sh
# Stands in for pveum on a lab host: what host install asks of it, with the answers, exit codes and errors that were recorded on
# Proxmox VE 9.1.7. Keeps what it is told in /etc/pve/stand-in; the secret of the next token is what /etc/pve/next-secret says.
set -eu
db=/etc/pve/stand-in
touch "$db"
echo "$*" >>/etc/pve/asked
fail() { printf '%s\n' "$1" >&2; exit 255; }
has() { grep -qxF -- "$1" "$db"; }
drop() { grep -vE -- "$1" "$db" >"$db.new" || true; mv "$db.new" "$db"; }
json() { paste -s -d , - | sed 's/^/[/; s/$/]/'; }
[ ! -e /etc/pve/no-quorum ] || [ "${2-}" = list ] || [ "${3-}" = list ] || fail "cfs-lock 'file-user_cfg' error: no quorum!"
case "$1 $2" in
  'user list')
    { echo '{"enable":1,"expire":0,"realm-type":"pam","userid":"root@pam"}'
      sed -n 's/^user \([^ ]*\) \(.\)$/{"comment":"Proxmox MCP","enable":\2,"expire":0,"userid":"\1"}/p' "$db"; } | json ;;
  'user add') ! grep -q "^user $3 " "$db" || fail "create user failed: user '$3' already exists"; echo "user $3 1" >>"$db" ;;
  'user modify') drop "^user $3 "; echo "user $3 $5" >>"$db" ;;
  'user delete') drop "^(user|token) $3 "; drop "^acl [^ ]* (user|token) $3" ;;
  'role list')
    { echo '{"privs":"Datastore.Allocate,Datastore.Audit,Mapping.Audit,Sys.Audit,Sys.Modify,VM.Audit,VM.PowerMgmt","roleid":"Administrator","special":1}'
      sed -n 's/^role \([^ ]*\) \(.*\)$/{"privs":"\2","roleid":"\1","special":0}/p' "$db"; } | json ;;
  'role add') ! grep -q "^role $3 " "$db" || fail "role '$3' already exists"; echo "role $3 $5" >>"$db" ;;
  'role modify') drop "^role $3 "; echo "role $3 $5" >>"$db" ;;
  'role delete') drop "^role $3 " ;;
  'acl list')
    sed -n 's/^acl \([^ ]*\) \([^ ]*\) \([^ ]*\) \(.*\)$/{"path":"\1","propagate":1,"roleid":"\4","type":"\2","ugid":"\3"}/p' "$db" | json ;;
  'acl modify')
    kind=user; [ "$4" = --users ] || kind=token
    grep -q "^role $7 " "$db" || fail "ACL update failed: no such role '$7'"
    if [ "$kind" = token ]; then
      has "token ${5%!*} ${5#*!}" || fail "ACL update failed: no such token '${5#*!}' for user '${5%!*}'"
    fi
    has "acl $3 $kind $5 $7" || echo "acl $3 $kind $5 $7" >>"$db" ;;
  'user token')
    case $3 in
      list) sed -n "s/^token $4 \(.*\)$/{\"expire\":0,\"privsep\":1,\"tokenid\":\"\1\"}/p" "$db" | json ;;
      add)
        grep -q "^user $4 " "$db" || fail "no such user ('$4')"
        ! has "token $4 $5" || fail '400 Parameter verification failed.
tokenid: Token already exists.
pveum user token add <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]'
        echo "token $4 $5" >>"$db"
        printf '{"full-tokenid":"%s!%s","info":{"privsep":"%s"},"value":"%s"}\n' "$4" "$5" "$7" "$(cat /etc/pve/next-secret)" ;;
      remove) has "token $4 $5" || fail "no such token '$5' for user '$4'"; drop "^token $4 $5\$"; drop "^acl [^ ]* token $4!$5 " ;;
    esac ;;
  *) fail "unknown command '$*'" ;;
esac
