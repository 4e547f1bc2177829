#!/bin/sh
# proxmox-mcp-install: changes this host for Proxmox MCP's host install, and reverts all of it unless that is confirmed.
# Exit codes of its own: 65 with one line on standard error, 76 busy.
# shellcheck disable=SC1091,SC2317 # What main calls is reachable; /etc/os-release is the host's.
set -efu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
trap '' HUP PIPE
work=/var/lib/proxmox-mcp-install run=/run/proxmox-mcp-install
name=proxmox-mcp-revert timer=proxmox-mcp-take-back
unit=/etc/systemd/system/$name.service wanted=/etc/systemd/system/multi-user.target.wants/$name.service
cron=/etc/cron.d/$name
accounts='passwd shadow group gshadow subuid subgid'

die() { printf 'proxmox-mcp-install: %s\n' "$1" >&2; exit "${2-65}"; }
tab=$(printf '\t')
fact() { printf '%s' "$1"; shift; printf '\t%s' "$@"; echo; }
lines() { _key=$1; while IFS= read -r _line; do fact "$_key" "$_line"; done; }
digest() { sha256sum <"$1" | cut -d ' ' -f 1; }
has_systemd() { [ -d /run/systemd/system ]; }
# trusted PATH: whether only root can change it or put another in its place. Nothing else of a host is executed.
trusted() {
  _at=$1
  while [ -n "$(find "$_at" -maxdepth 0 -uid 0 ! -perm /022 2>/dev/null)" ]; do
    [ "$_at" != / ] || return 0
    _at=$(dirname "$_at")
  done
  return 1
}
# Whoever ends an installation removes the folder with the lock in it: what was locked may be gone by then.
# shellcheck disable=SC3013 # dash, bash and BusyBox have -ef.
locked() { [ "$run/lock" -ef /proc/self/fd/9 ]; }
lock() {
  _try=0
  until locked; do
    _try=$((_try + 1)); [ "$_try" -lt 50 ] || die "$run can't be locked"
    mkdir -p "$run"
    { command exec 9>"$run/lock"; } 2>/dev/null || continue
    flock -w 30 9 || die 'another command of an installation is still at work' 76
  done
  trap leave EXIT
}
# Where nothing is armed, a command that was refused or came too late leaves nothing.
leave() { if locked && [ ! -e "$run/agent" ]; then rm -rf "$run"; fi; }
armed() { lock; [ -e "$work/pending" ] || die 'the time to confirm is over: the host was put back'; }

# look SUDOERS USER KEYS STATE HELPER PATHS: facts, one a line; changes nothing.
look() {
  _sudoers=$1 _user=$2 _keys=$3 _state=$4 _helper=$5; shift 5
  fact os "$(. /etc/os-release && echo "$PRETTY_NAME")"
  # sudo-rs says it on standard error; there sudo complains of broken rules first.
  if command -v sudo >/dev/null; then fact sudo "$(sudo --version 2>&1 | grep -E '^(Sudo version|sudo-rs) [0-9]' | head -n 1)"
  elif command -v apt-get >/dev/null; then fact candidate "$(apt-cache policy sudo 2>/dev/null | sed -n 's/^ *Candidate: //p')"; fi
  if command -v visudo >/dev/null; then
    if _said=$(visudo -c 2>&1); then fact visudo ok; else fact visudo "$(printf %s "$_said" | tr '\n\t' '  ')"; fi
  fi
  for _program in tar useradd userdel usermod flock sha256sum; do
    command -v "$_program" >/dev/null || fact missing "$_program"
  done
  ! has_systemd || fact systemd yes
  fact machine "$(cat /etc/machine-id 2>/dev/null || :)" "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)"
  { sshd -T -C "user=$_user,host=localhost,addr=127.0.0.1" 2>/dev/null || true; } |
    grep -E '^(allowusers|denyusers|allowgroups|denygroups|authorizedkeysfile|pubkeyauthentication) ' | lines sshd || true
  if _entry=$(getent passwd "$_user"); then
    fact account "$_entry"
    fact groups "$(id -Gn "$_user")" "$(id -gn "$_user")"
    case $(getent shadow "$_user" | cut -d : -f 2) in
      '') fact password empty ;;
      '!'*) fact password locked ;;
      '*') fact password none ;;
      *) fact password set ;;
    esac
  fi
  [ ! -f "$_keys" ] || fact keys "$(head -c 65536 "$_keys" | base64 -w 0)"
  for _path in "$@"; do
    if [ -L "$_path" ] && [ -d "$_path" ]; then _kind=folder-link
    elif [ -L "$_path" ]; then _kind="link"
    elif [ -d "$_path" ]; then _kind=folder
    elif [ -f "$_path" ]; then _kind="file"
    elif [ -e "$_path" ]; then _kind=other
    else fact path "$_path" absent - - -; continue; fi
    _sum=-; [ "$_kind" != file ] || _sum=$(digest "$_path")
    # shellcheck disable=SC2046 # Two facts.
    fact path "$_path" "$_kind" $(stat -L -c '%a %u:%g' "$_path" 2>/dev/null | tr ' ' "$tab" || echo "-$tab-") "$_sum"
  done
  set +f
  for _rules in /etc/sudoers /etc/sudoers.d/*; do
    case $_rules in "$_sudoers" | *~ | /etc/sudoers.d/*.*) continue ;; esac
    [ ! -f "$_rules" ] || ! grep -Eq "^[[:space:]]*${_user}[[:space:]]+[^=]+=" "$_rules" || fact rule "$_rules"
  done
  set -f
  [ ! -e "$work" ] || fact pending yes
  [ ! -e "$_state/before/added-sudo" ] || fact added sudo
  if [ -s "$_state/before/account" ]; then fact record kept; elif [ -e "$_state/before" ]; then fact record made; fi
  if [ -x "$_helper" ] && trusted "$_helper"; then "$_helper" job-list 2>/dev/null </dev/null | lines job || true; fi
  fact 'done' yes
}

# add_sudo: the package of that name, from the host's own sources, and nothing removed for it. What isn't there whole in the end
# is taken off again.
add_sudo() {
  lock
  [ ! -e "$work" ] || die 'an installation is at work, or is being reverted: try again in a minute' 76
  _log=$run/apt
  fetch_sudo >"$_log" 2>&1 || {
    timeout 120 apt-get -qq update >>"$_log" 2>&1 || true
    fetch_sudo >>"$_log" 2>&1 || die "apt-get can't fetch the package sudo, so nothing was changed: $(last_words "$_log")"
  }
  apt install sudo >"$_log" 2>&1 || {
    _said=$(last_words "$_log")
    if purge_sudo; then die "apt-get could not install sudo, and took it off again: $_said"; fi
    die "apt-get could not install sudo, nor take it off again (see: dpkg --audit): $_said"
  }
  command -v visudo >/dev/null || die 'apt-get has installed sudo, but there is no visudo'
  fact 'done' yes
}
apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-remove --no-install-recommends -o DPkg::Lock::Timeout=60 \
    -o Dpkg::Options::=--force-confold -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}
fetch_sudo() { apt --download-only install sudo; }
last_words() { grep -v '^[[:space:]]*$' "$1" | tail -n 3 | tr '\n\t' '  ' | cut -c 1-400; }
purge_sudo() { SUDO_FORCE_REMOVE=yes DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=60 purge sudo >/dev/null 2>&1; }
# remove_sudo: takes it off again, as long as nothing of an installation is there that needs it.
remove_sudo() {
  lock
  [ ! -e "$work" ] || die 'an installation is at work, or is being reverted' 76
  purge_sudo || die 'apt-get could not remove sudo'
  fact 'done' yes
}

# with_sudo: its package was added for this installation, and goes with it.
with_sudo() { armed; : >"$work/added-sudo"; sync; }

# arm SECONDS USER STATE BACKUPS PATHS: remembers how everything is, and sees to it that it is put back after so many
# seconds, or when the host starts again, unless confirm comes first.
arm() {
  _seconds=$1 _user=$2; shift 2
  lock
  [ ! -e "$work" ] || { rm -f "$0"; die 'another installation is at work, or is being reverted: try again in a minute' 76; }
  [ -e "$0" ] || die 'another installation has just ended: try again' 76
  mv "$0" "$run/agent"
  if has_systemd; then
    systemctl stop "$timer.timer" 2>/dev/null || true
    systemctl reset-failed "$timer.service" 2>/dev/null || true
    systemd-run --quiet --collect --unit="$timer" --on-active="$_seconds" --timer-property=AccuracySec=100ms \
      /bin/sh "$run/agent" revert >/dev/null || { rm -f "$run/agent"; die 'systemd-run could not prepare the revert'; }
    mkdir -p "${wanted%/*}"
    printf '%s\n' '[Unit]' 'Description=Take back an installation of Proxmox MCP that was not confirmed' \
      'After=local-fs.target' 'Before=ssh.service sshd.service' '[Service]' 'Type=oneshot' \
      "ExecStart=/bin/sh -c 'if [ -e $work/agent ]; then exec /bin/sh $work/agent revert; fi; exec rm -f $wanted $unit'" >"$unit"
    chmod 644 "$unit"
    ln -s "$unit" "$wanted"
    systemctl daemon-reload
  else
    # shellcheck disable=SC2016 # Its own arguments.
    setsid /bin/sh -c 'sleep "$1"; exec /bin/sh "$2" revert' sh "$_seconds" "$run/agent" </dev/null >/dev/null 2>&1 9>&- &
    printf '%s\n' "$!" >"$run/sleeper"
    if [ -d /etc/cron.d ]; then
      printf '@reboot root /bin/sh %s revert\n' "$work/agent" >"$cron"; chmod 644 "$cron"
    fi
  fi
  sync
  mkdir "$work"
  cp "$run/agent" "$work/agent"
  snapshot "$_user" "$@"
  sync
  : >"$work/pending"
  sync
}

# snapshot USER STATE BACKUPS PATHS
snapshot() {
  _to=$work/snapshot; mkdir "$_to" "$_to/accounts"
  _user=$1; printf '%s\n' "$1" >"$_to/user"; printf '%s\n' "$2" >"$_to/state"; printf '%s\n' "$3" >"$_to/backups"
  shift 3
  : >"$_to/absent"; : >"$_to/present"
  for _path in "$@"; do
    if [ -e "$_path" ] || [ -L "$_path" ]; then printf '%s\n' "$_path" >>"$_to/present"
    else printf '%s\n' "$_path" >>"$_to/absent"; fi
  done
  tar --create --file="$_to/files.tar" --no-recursion --numeric-owner --acls --xattrs --absolute-names --files-from="$_to/present"
  for _file in $accounts; do
    for _name in "$_file" "$_file-"; do
      [ ! -e "/etc/$_name" ] || cp --preserve=all "/etc/$_name" "$_to/accounts/$_name"
    done
  done
  if getent passwd "$_user" >"$_to/account"; then
    id -Gn "$_user" | tr ' ' '\n' | grep -vxF -- "$(id -gn "$_user")" | tr '\n' ',' | sed 's/,$//' >"$_to/groups" || true
    getent shadow "$_user" | cut -d : -f 2 >"$_to/password"
  fi
}

# user NAME HOME: no password, no groups but its own, a plain shell.
user() {
  armed
  if getent passwd "$1" >/dev/null; then
    usermod --shell /bin/sh --groups '' --password '*' "$1"
  else
    if getent group "$1" >/dev/null; then set -- "$1" "$2" --gid "$1"; else set -- "$1" "$2" --user-group; fi
    useradd --system --no-log-init --home-dir "$2" --no-create-home --shell /bin/sh --password '*' \
      --comment 'Proxmox MCP' "$3" ${4+"$4"} "$1"
  fi
  for _file in $accounts; do [ ! -e "/etc/$_file" ] || sha256sum "/etc/$_file"; done >"$work/accounts-after"
  sync
}

# folder PATH MODE, file PATH MODE SHA256 (content: standard input): root's.
folder() {
  armed
  [ ! -L "$1" ] || die "$1 is a symbolic link"
  [ -d "$1" ] || mkdir "$1"
  chown 0:0 "$1"; chmod "$2" "$1"
}
draft() {
  if [ -L "$1" ] || [ -d "$1" ]; then die "$1 is a folder or a symbolic link"; fi
  # The folder may have been the user's, who may have prepared something of this name.
  rm -rf "$1.proxmox-mcp-new"
  ( set -C; cat >"$1.proxmox-mcp-new" )
  [ "$(digest "$1.proxmox-mcp-new")" = "$3" ] || die "$1 did not arrive whole"
  chown 0:0 "$1.proxmox-mcp-new"; chmod "$2" "$1.proxmox-mcp-new"; sync "$1.proxmox-mcp-new"
}
file() { armed; draft "$@"; mv -f "$1.proxmox-mcp-new" "$1"; sync "${1%/*}"; }
policy() {
  armed
  draft "$@"
  _said=$(visudo -c -f "$1.proxmox-mcp-new" 2>&1) || die "visudo refuses the policy: $(printf %s "$_said" | tr '\n' ' ')"
  mv -f "$1.proxmox-mcp-new" "$1"; sync "${1%/*}"
  _said=$(visudo -c 2>&1) || die "with the policy, visudo refuses the host's rules as a whole: $(printf %s "$_said" | tr '\n' ' ')"
}

# confirm: what was changed stays. The rename decides: after it nothing is taken back, before it everything is.
confirm() {
  armed
  _state=$(cat "$work/snapshot/state")
  if [ ! -e "$_state/before" ]; then
    rm -rf "$_state/before.new"; cp -R "$work/snapshot" "$_state/before.new"; rm -rf "$_state/before.new/accounts"
    mv "$_state/before.new" "$_state/before"
  fi
  [ ! -e "$work/added-sudo" ] || : >"$_state/before/added-sudo"
  sync
  mv "$work/pending" "$work/confirmed"
  sync
  forget
}

# give_to_root: the folders of this list, parents first, are root's until everything in them is put back: in a folder of
# the user's a link that appears meanwhile would lead root elsewhere.
give_to_root() {
  while IFS= read -r _path; do
    if [ -L "$_path" ]; then rm -f "$_path"
    elif [ -d "$_path" ]; then chown 0:0 "$_path"; chmod go-w "$_path"; fi
  done
}

# revert: everything as it was. Can be interrupted and run again.
revert() {
  lock
  if [ -e "$work/pending" ]; then mv "$work/pending" "$work/reverting"; sync; fi
  if [ -e "$work/reverting" ]; then
    _from=$work/snapshot
    read -r _user <"$_from/user"; read -r _state <"$_from/state"; read -r _backups <"$_from/backups"
    while IFS= read -r _path; do rm -f "$_path.proxmox-mcp-new"; done <"$_from/present"
    while IFS= read -r _path; do rm -f "$_path.proxmox-mcp-new"; done <"$_from/absent"
    rm -rf "$_state/before.new"
    # Deepest first; never what somebody else may have put into the backups meanwhile.
    sort -r "$_from/absent" | while IFS= read -r _path; do
      if [ "$_path" = "$_backups" ]; then [ ! -d "$_path" ] || rmdir "$_path" || true; else rm -rf "$_path"; fi
    done
    sort "$_from/present" | give_to_root
    tar --extract --file="$_from/files.tar" --numeric-owner --same-owner --preserve-permissions --acls --xattrs \
      --absolute-names
    [ -s "$_from/account" ] || stop_processes "$_user"
    if [ ! -e "$work/accounts-after" ] || sha256sum --check --status "$work/accounts-after"; then
      for _file in $accounts; do
        for _name in "$_file" "$_file-"; do
          if [ ! -e "$_from/accounts/$_name" ]; then rm -f "/etc/$_name"
          elif ! cmp -s "$_from/accounts/$_name" "/etc/$_name"; then
            cp --preserve=all "$_from/accounts/$_name" "/etc/$_name.proxmox-mcp-new"; mv -f "/etc/$_name.proxmox-mcp-new" "/etc/$_name"
          fi
        done
      done
    else
      # Somebody else changed accounts meanwhile: only ours is put back.
      restore_account "$_from" "$_user"
    fi
    [ ! -e "$work/added-sudo" ] || purge_sudo || true
    sync
  fi
  forget
}

restore_account() {
  if [ ! -s "$1/account" ]; then
    ! getent passwd "$2" >/dev/null || userdel "$2"
    return 0
  fi
  _groups=$(cat "$1/groups")
  usermod --shell "$(cut -d : -f 7 "$1/account")" --groups "$_groups" "$2"
  printf '%s:%s\n' "$2" "$(cat "$1/password")" | chpasswd --encrypted
}

stop_processes() {
  _number=$(id -u "$1" 2>/dev/null) || return 0
  [ "$_number" != 0 ] || return 0
  _try=0
  # Not those in containers: there, the same number is another user.
  while pkill -KILL --ns "$$" --nslist pid -U "$_number" && [ "$_try" -lt 50 ]; do _try=$((_try + 1)); sleep 0.1; done
}

forget() {
  rm -f "$wanted" "$unit" "$cron"
  rm -rf "$work"
  if has_systemd; then
    systemctl stop "$timer.timer" 2>/dev/null || true
    timeout 20 systemctl daemon-reload || true
  elif [ -e "$run/sleeper" ]; then
    # It must not wake in the middle of a later installation. Its process group is its own; it may be us.
    read -r _sleeper <"$run/sleeper"
    [ "$_sleeper" = "$$" ] || kill -s KILL -- "-$_sleeper" 2>/dev/null || true
  fi
  rm -rf "$run"
}

# put_back PATHS: these alone, as they were before the first installation.
put_back() {
  tar --extract --file="$_before/files.tar" --numeric-owner --same-owner --preserve-permissions --acls --xattrs \
    --absolute-names --no-recursion "$@" 2>/dev/null
}

# uninstall USER STATE BACKUPS REMOVE-BACKUPS KEEP-LOGS LOG SUDOERS HELPER ROTATION KEYS KEY
uninstall() {
  _user=$1 _state=$2 _backups=$3 _removeBackups=$4 _keepLogs=$5 _log=$6 _sudoers=$7 _helper=$8
  shift 8
  _rotation=$1 _keys=$2 _key=$3
  lock
  [ ! -e "$work" ] || die 'an installation is at work, or is being reverted: try again in a minute' 76
  if [ -x "$_helper" ] && trusted "$_helper" && "$_helper" job-list 2>/dev/null </dev/null | grep -Eq '^[^ ]+ (starting|running) '; then die 'jobs are running' 76; fi
  rm -f "$_sudoers" "$_rotation"
  _before=$_state/before
  _had_user=yes; [ ! -f "$_before/account" ] || [ -s "$_before/account" ] || _had_user=no
  if [ "$_had_user" = no ]; then
    stop_processes "$_user"
    rm -f "$_keys"; rmdir "${_keys%/*}" 2>/dev/null || true
    _home=$(getent passwd "$_user" | cut -d : -f 6); ! getent passwd "$_user" >/dev/null || userdel "$_user"
    ! getent group "$_user" >/dev/null || groupdel "$_user" || true
    [ -z "$_home" ] || rmdir "$_home" 2>/dev/null || true
  else
    _home=$(dirname "$(dirname "$_keys")")
    if [ ! -d "$_before" ]; then
      # Nothing says whose the folders were, so as the user: a link of theirs leads nowhere that they couldn't go.
      runuser -u "$_user" -- rm -f -- "$_keys" 2>/dev/null || ! trusted "${_keys%/*}" || rm -f "$_keys"
    else
      printf '%s\n' "$_home" "${_keys%/*}" | give_to_root
      rm -f "$_keys"
      put_back "$_keys" || true
      if [ -f "$_keys" ] && [ -n "$_key" ]; then
        grep -vF -- "$_key" "$_keys" >"$_before/keys" || true
        cat "$_before/keys" >"$_keys"
      fi
      put_back "${_keys%/*}" || true
      put_back "$_home" || true
      restore_account "$_before" "$_user"
    fi
  fi
  rm -f "$_helper"; rmdir "${_helper%/*}" 2>/dev/null || true
  set +f
  if [ "$_keepLogs" = no ]; then rm -rf "$_log" "$_log".* "$_log"-* "/var/log/sudo-io/$_user"; rmdir /var/log/sudo-io 2>/dev/null || true; fi
  set -f
  if [ "$_removeBackups" = yes ] && [ -L "$_backups" ]; then
    # The folder that it leads to is the administrator's, and may hold more.
    find "$_backups/" -mindepth 1 -maxdepth 1 '(' -name '[dfm]*-backup-[0-9]*' -o -name '.[dfm]*-backup-[0-9]*' ')' -exec rm -rf {} + || true
  elif [ "$_removeBackups" = yes ]; then
    rm -rf "$_backups" 2>/dev/null || true
  elif [ -f "$_before/absent" ] && grep -qxF -- "$_backups" "$_before/absent"; then
    rmdir "$_backups" 2>/dev/null || true
  fi
  if [ -f "$_before/present" ] && grep -qxF -- "$_backups" "$_before/present" && [ -d "$_backups" ]; then
    put_back "$_backups" || true
  fi
  if [ -f "$_before/absent" ]; then
    sort -r "$_before/absent" | while IFS= read -r _path; do
      case $_path in "$_backups" | "$_state" | "$_state"/*) ;; *) [ ! -d "$_path" ] || rmdir "$_path" 2>/dev/null || true ;; esac
    done
  fi
  rm -rf "$_state"
  ! command -v visudo >/dev/null || visudo -c >/dev/null 2>&1 || die "visudo refuses the host's remaining rules; see: visudo -c"
  rm -rf "$run"
  fact 'done' yes
}

main() {
  [ "$(id -u)" = 0 ] || die 'this must run as root'
  case $1 in
    look | uninstall | add_sudo | remove_sudo) _verb=$1; shift; exec </dev/null; "$_verb" "$@" ;;
    arm | with_sudo | user | folder | file | policy | confirm | revert) _verb=$1; shift; "$_verb" "$@" ;;
    *) die 'unknown verb' ;;
  esac
}
main "$@"; exit
