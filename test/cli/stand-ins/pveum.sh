#!/bin/sh
# Stands in for pveum on a lab host: what host install asks of it, with the answers, exit codes and errors that were recorded on
# Proxmox VE 9.1.7. Keeps what it is told in /etc/pve/stand-in, a line each: user NAME 1, role NAME PRIVS, acl PATH KIND WHO ROLE
# PROPAGATE, token USER NAME EXPIRE. The secret of the next token is what /etc/pve/next-secret says.
set -eu
db=/etc/pve/stand-in
touch "$db"
echo "$*" >>/etc/pve/asked
fail() { printf '%s\n' "$1" >&2; exit 255; }
drop() { grep -vE -- "$1" "$db" >"$db.new" || true; mv "$db.new" "$db"; }
json() { paste -s -d , - | sed 's/^/[/; s/$/]/'; }
[ ! -e /etc/pve/no-quorum ] || [ "${2-}" = list ] || [ "${3-}" = list ] || fail "cfs-lock 'file-user_cfg' error: no quorum!"
case "$1 $2" in
  'user list')
    { echo '{"enable":1,"expire":0,"realm-type":"pam","userid":"root@pam"}'
      sed -n 's/^user \([^ ]*\) \(.\)$/{"comment":"Proxmox MCP","enable":\2,"expire":0,"userid":"\1"}/p' "$db"; } | json ;;
  'user add') ! grep -q "^user $3 " "$db" || fail "create user failed: user '$3' already exists"; echo "user $3 1" >>"$db" ;;
  'user modify') drop "^user $3 "; echo "user $3 $5" >>"$db" ;;
  'user delete') drop "^(user|token) $3 "; drop "^acl [^ ]* (user|token) $3[ !]" ;;
  'role list')
    { printf '{"privs":"%s","roleid":"Administrator","special":1}\n' "$(cat /etc/pve/privileges)"
      sed -n 's/^role \([^ ]*\) \(.*\)$/{"privs":"\2","roleid":"\1","special":0}/p' "$db"; } | json ;;
  'role add') ! grep -q "^role $3 " "$db" || fail "role '$3' already exists"; echo "role $3 $5" >>"$db" ;;
  'role modify') drop "^role $3 "; echo "role $3 $5" >>"$db" ;;
  'role delete') drop "^role $3 " ;;
  'acl list')
    sed -n 's/^acl \([^ ]*\) \([^ ]*\) \([^ ]*\) \([^ ]*\) \(.\)$/{"path":"\1","propagate":\5,"roleid":"\4","type":"\2","ugid":"\3"}/p' "$db" | json ;;
  'acl modify' | 'acl delete')
    kind=user; [ "$4" = --users ] || kind=token
    grep -q "^role $7 " "$db" || fail "ACL update failed: no such role '$7'"
    if [ "$kind" = token ]; then
      grep -q "^token ${5%!*} ${5#*!} " "$db" || fail "ACL update failed: no such token '${5#*!}' for user '${5%!*}'"
    fi
    drop "^acl $3 $kind $5 $7 "
    [ "$2" = delete ] || echo "acl $3 $kind $5 $7 ${9-1}" >>"$db" ;;
  'user token')
    case $3 in
      list) sed -n "s/^token $4 \([^ ]*\) \(.*\)$/{\"expire\":\2,\"privsep\":1,\"tokenid\":\"\1\"}/p" "$db" | json ;;
      add)
        grep -q "^user $4 " "$db" || fail "no such user ('$4')"
        ! grep -q "^token $4 $5 " "$db" || fail '400 Parameter verification failed.
tokenid: Token already exists.
pveum user token add <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]'
        echo "token $4 $5 $9" >>"$db"
        printf '{"full-tokenid":"%s!%s","info":{"privsep":"%s","expire":"%s"},"value":"%s"}\n' "$4" "$5" "$7" "$9" "$(cat /etc/pve/next-secret)" ;;
      modify)
        grep -q "^token $4 $5 " "$db" || fail "no such token '$5' for user '$4'"
        drop "^token $4 $5 "; echo "token $4 $5 $9" >>"$db" ;;
      remove) grep -q "^token $4 $5 " "$db" || fail "no such token '$5' for user '$4'"; drop "^token $4 $5 "; drop "^acl [^ ]* token $4!$5 " ;;
    esac ;;
  *) fail "unknown command '$*'" ;;
esac
