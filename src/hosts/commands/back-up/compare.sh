# shellcheck shell=sh disable=SC2154 # Beside functions.sh and copy.sh, whose names it uses.
# describe_files, describe_dumps, describe_host: a line for each thing that a backup is to hold again next time: kind, size, time, name. The
# kinds: file (of the installation, or a database in a volume), volume (size in bytes, number of files as its time), part (of
# the host, the same), host (a file of it), guest (what configures one).
describe_files() {
  [ -d "$_stage/$_top" ] || return 0
  ( cd "$_stage/$_top" && find . -type f ! -name '*
*' -printf 'file %s %T@ %P\n' ) |
    awk -v no="$_volatile" '{ name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name); if (name !~ no) printf "%s %s %d %s\n", $1, $2, $3, name }'
}
describe_dumps() {
  [ -d "$_stage/dumps" ] || return 0
  ( cd "$_stage/dumps" && find . -type f -printf 'file %s %T@ dump %P\n' ) | awk '{ printf "%s %s %d %s %s\n", $1, $2, $3, $4, $5 }'
}
describe_host() {
  sed -E 's/^part [^ ]+ /part /' "$_stage/parts"
  ( cd "$_stage/host" && find . -type f ! -name '*
*' -printf 'host %s %T@ %P\n' ) | awk -v no="$_volatile" -v goes="$_goes" '
    { name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name) }
    name ~ no { next }
    # Wherever it is in a cluster.
    name ~ /^etc\/pve\/nodes\/[^\/]+\/(qemu-server|lxc)\/[0-9]+[.]conf$/ { sub(/.*\//, "", name); sub(/[.]conf/, "", name); $1 = "guest" }
    name !~ goes { printf "%s %s %d %s\n", $1, $2, $3, name }'
}
# Of the host, what Proxmox and LVM make and remove by themselves.
readonly _goes='^etc/pve/(firewall/[0-9]+[.]fw$|priv/lock/|ha/|nodes/[^/]+/lrm_status)|^etc/lvm/(archive|backup)/|^etc/zfs/zfs-list[.]cache/'

# not_text: doubts about configuration that every line of is text elsewhere: what encrypts a disk's files keeps their names.
not_text() {
  # shellcheck disable=SC2046 # The names of folders.
  find $(tops) ! -path 'volumes/*' ! -path 'dumps/*' -type f -size +0 '(' -name '*.y*ml' -o -name '*.cfg' -o -name '*.conf' -o -name .env -o -name Caddyfile \
    -o -path host/etc/fstab -o -path host/etc/hosts -o -path host/etc/passwd -o -path host/etc/network/interfaces ')' -exec grep -LI '' {} + |
    sort | head -n 20 | sed -e 's,^host/,/,' -e "s,^$_top/,," -e 's/^/failed not text, as if it were encrypted: /' | printable
}

# of_this_kind CONTENTS: without what this kind of backup holds nothing of.
of_this_kind() {
  awk -v kind="$_kind" '
    { name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name); volume = "" }
    $1 == "volume" { volume = name }
    $1 == "file" && name ~ /^(volume|dump) / { volume = name; sub(/^[^ ]+ /, "", volume); sub("/.*", "", volume) }
    volume != "" && (kind == "monthly" || (kind == "daily" && volume ~ /^(prometheus|loki|alloy)_data$/)) { next }
    { print }' "$1"
}

# compare LAST NOW: what of LAST is missing, empty, less than half or older in NOW, as `failed|warning TEXT`; `gone TEXT` for
# guests. Of the host's files nothing is wrong with being smaller or older: updates make them so.
compare() {
  of="$installation" awk '
    { name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name); key = $1 " " name; installed = $1 == "file" && name !~ /^(volume|dump) / }
    which == "last" { size[key] = $2; time[key] = $3; order[++n] = key; had += installed; next }
    { newsize[key] = $2; newtime[key] = $3; has += installed }
    END {
      if (had && !has) print "failed missing: the installation " ENVIRON["of"]
      for (i = 1; i <= n; i++) {
        key = order[i]; kind = key; sub(/ .*/, "", kind); t = name = substr(key, length(kind) + 2)
        if (kind == "volume" || kind == "guest") t = kind " " name
        if (kind == "host") t = "/" name
        if (kind == "file" && !has && name !~ /^(volume|dump) /) continue
        if (!(key in newsize)) {
          if (kind == "part") missing[name "/"]
          within = 0; if (kind == "host") for (part in missing) if (index(t "/", part) == 1) within = 1
          if (!within) print (kind == "guest" ? "gone" : kind == "host" ? "warning missing:" : "failed missing:") " " t
        } else if (kind == "guest") continue
        else if (kind == "part") {
          if (newtime[key] == 0 && time[key] > 0) { missing[name "/"]; print "failed empty: " t " (" time[key] " files in the last good backup)" }
          else if (newsize[key] * 2 < size[key] || newtime[key] * 2 < time[key]) print "warning less than half: " t " (" newtime[key] " files of " newsize[key] " bytes, " time[key] " of " size[key] " in the last good backup)"
        } else if (newsize[key] == 0 && size[key] > 0) print (kind == "host" ? "warning" : "failed") " empty: " t " (" size[key] " bytes in the last good backup)"
        else if (kind == "host") continue
        else if (newsize[key] * 2 < size[key] && !(key ~ /^volume .*log/)) print "warning less than half: " t " (" newsize[key] " of " size[key] " bytes)"
        else if (kind == "file" && newtime[key] < time[key]) print "warning older than in the last good backup: " t
      }
    }' which=last "$1" which=now "$2" | sort | printable
}

# last_good BACKUP: `PUBLISHED BACKUP` where it counts, or did before its archive was removed or changed.
last_good() {
  [ -e "$_records/$1/contents" ] && [ "$1" != "${_record##*/}" ] || return 0
  state_of "$1"
  [ "$_published" != - ] || return 0
  # Of a clock that was ahead once.
  [ "$_published" -le $(($(date +%s) + 600)) ] || return 0
  if [ -e "$_records/$1/doubts" ] && [ ! -e "$_records/$1/accepted" ]; then return 0; fi
  echo "$_published $1"
}
