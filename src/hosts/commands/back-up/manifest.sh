# shellcheck shell=sh disable=SC2154 # Beside functions.sh, packing.sh and host-paths.sh, whose names it uses.
# manifest BACKUP BYTES SHA256: what this host says of the archive, in the form of src/backups/manifest.ts: after read_back.
manifest() {
  echo 'proxmox-mcp manifest 1'
  echo "id $1"
  identity || :
  echo "host ${_identity% }"
  echo "archive ${_archive##*/} $2 $3"
  versions | sort -u
  cat parts
  noted volume
  {
    find . -type s -printf 'left-out socket %P\0' | escaped
    noted left-out
  } | sort -u
  noted lost
  entries
}

# noted KEY: what the steps had to say of that.
noted() { find "$_record" -maxdepth 1 -name 'notes.*' -exec sed -n "/^$1 /p" {} + | sort -u; }

# versions: of what the host ran when it was backed up.
versions() {
  echo "version kernel $(uname -r)"
  # The sudoers policy of the backup is of this one alone.
  echo "version helper $(sum_of "$helper")"
  ! is_installed || echo "version filesystem/installation $(file_system "$_installation" | tr ' ' '-')"
  [ ! -r "$hostRoot/etc/debian_version" ] || echo "version debian $(head -n 1 "$hostRoot/etc/debian_version" | printable)"
  # shellcheck disable=SC2016 # Of dpkg's own format.
  timeout 20 dpkg-query --show --showformat='version ${Package} ${Version}\n' pve-manager proxmox-backup-server docker-ce docker.io 2>/dev/null |
    grep -E ' [^ ]+$' || :
  [ -e dockers ] || return 0
  sort -u dockers
}

# escaped: lines of what ends with a zero, in which no name has a line break or another character that isn't to be seen.
escaped() {
  _controls=$(for _code in 001 002 003 004 005 006 007 010 013 014 015 016 017 020 021 022 023 024 025 026 027 030 031 032 033 034 035 036 037 177; do
    printf 's/\\o%s/\\\\%s/g;' "$_code" "$_code"
  done)
  sed -z -e 's/\\/\\\\/g' -e 's/\n/\\n/g' -e 's/\t/\\t/g' -e '/[\x01-\x1f\x7f]/!b' -e "$_controls" | tr '\0' '\n'
}

# entries: an `entry` for each thing in the archive, in its order, and `end COUNT`. Facts are of the copy, from which the
# archive does not differ, and attributes of the archive itself.
entries() {
  # shellcheck disable=SC2046 # The names of folders.
  find $(tops) SHA256SUMS ! -type s -printf '%y %m %U:%G %s %T@\0%p\0%l\0' | escaped >facts
  escaped <sums.all >sums.lines
  escaped <list >list.lines
  awk '
    FILENAME == "facts" { if (FNR % 3 == 1) fact = $0; else if (FNR % 3 == 2) path = $0; else { facts[path] = fact; target[path] = $0 } next }
    FILENAME == "sums.lines" { sum[substr($0, 67)] = substr($0, 1, 64); next }
    FILENAME == "back/entries" {
      # An entry, by its type and mode: the name of an attribute may hold a line break.
      if ($0 ~ /^[-dlbcpsh][-r][-w][-xsS][-r][-w]/) { n++; next }
      name = ""
      if ($1 == "x:") { name = $0; sub(/^ +x: +[0-9]+ /, "", name); gsub(/[^!-~]|,/, "?", name); name = name "/" $2 }
      else if ($1 == "a:") name = "acl"
      else if ($1 == "d:") name = "default-acl"
      else if ($1 == "s:") name = "selinux"
      if (name != "") attributes[n] = attributes[n] (attributes[n] == "" ? "" : ",") name
      next
    }
    {
      m++
      if (!($0 in facts)) exit 1
      split(facts[$0], f, " "); sub(/[.].*/, "", f[5])
      printf "entry %s %s %s %s %s %s %s %s%s\n", f[1], f[2], f[3], (f[1] == "f" ? f[4] : 0), f[5], (attributes[m] == "" ? "-" : attributes[m]),
        (f[1] == "f" ? sum[$0] : "-"), $0, (f[1] == "l" ? "\t" target[$0] : "")
    }
    END { if (m != n) exit 1; print "end " m }' facts sums.lines back/entries list.lines
}
