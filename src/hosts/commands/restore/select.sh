# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# select_entries WORK WHAT SELECTION: writes WORK/selected, a line `UNIT<tab>ENTRY` for each entry of the manifest that is wanted:
# UNIT is the name in the archive of what is swapped as a whole, or `-` for a folder above single files. WORK/left: `WHY PATH`
# of what WHAT would hold and is not restored by it.
select_entries() {
  _other=
  [ "$_home" = "$(uname -n) $(cat /etc/machine-id 2>/dev/null)" ] || _other=yes
  what=$2 wanted=$(wanted "$2" "$3") top=$_top base=${sudoersFile##*/} other=$_other left=$1/left awk '
    function in_(p, d) { return p == d || index(p, d "/") == 1 }
    function any(p, list, i) { for (i = 1; i <= n; i++) if (in_(p, want[i])) return want[i]; return "" }
    function drop(why, p) { print why " " p >ENVIRON["left"]; return "" }
    # What belongs to the disks and the network cards of one machine.
    function machine(h) { return h ~ /^\/etc\/(network|fstab|crypttab|multipath|multipath.conf|iscsi|lvm|zfs|hostname|hosts|resolv.conf|systemd\/network|kernel)(\/|$)/ }
    function security(p) { return p == top "/" base || p ~ /^host\/etc\/sudoers([.]d\/|$)/ || p ~ /^host\/etc\/ssh\/sshd_config([.]d\/|$)/ }
    function keys(p) { return in_(p, top "/keys") || p ~ /^host\/etc\/ssh\/ssh_host_/ || in_(p, "host/root/.ssh") }
    function unit(p, t, h, w) {
      w = ENVIRON["what"]
      if (p == "SHA256SUMS" || p ~ /^[^\/]+\/backup-manifest[.]sha256$/ || p ~ /^dumps(\/|$)/) return w == "complete" && p ~ /^dumps\/./ ? drop("dump", p) : ""
      if (w == "volumes") return p ~ /^volumes\/[^\/]+/ && (want[1] == "all" || volume(p) in named) ? "volumes/" volume(p) : ""
      if (w == "path") return any(p)
      if (w == "pve-database") return p == "host/var/lib/pve-cluster/config.db" ? p : ""
      if (in_(p, "host/etc/pve") || in_(p, "host/var/lib/pve-cluster")) return w == "complete" || w == "configuration" ? (t == "d" ? "" : drop("pve", p)) : ""
      if (w == "security") return security(p) ? p : ""
      if (w == "keys") return keys(p) ? p : ""
      if (p ~ /^volumes\//) return w == "complete" ? "volumes/" volume(p) : ""
      if (p == top "/" base) return p
      if (in_(p, top)) return w == "complete" ? top : p ~ ("^" top "/([.]env|[^/]*[.]ya?ml|config/.*|caddy/Caddyfile[^/]*)$") ? p : ""
      h = substr(p, 5)
      if (h !~ /^\/[^\/]+\/./) return ""
      if (ENVIRON["other"] && machine(h)) return t == "d" ? "" : drop("machine", p)
      if (w == "configuration" && (security(p) || keys(p))) return ""
      return p
    }
    function volume(p) { sub(/^volumes\//, "", p); sub(/\/.*/, "", p); return p }
    BEGIN { top = ENVIRON["top"]; base = ENVIRON["base"]; n = split(ENVIRON["wanted"], want, "\n"); for (i = 1; i <= n; i++) named[want[i]] }
    /^entry / {
      p = $0; for (i = 0; i < 8; i++) sub(/^[^ ]+ /, "", p); sub(/\t.*/, "", p); line = $0; sub(/^entry /, "", line)
      u = unit(p, $2)
      if (u == "") next
      # A name that no list can hold is restored only with the folder it is in.
      if (u == p && p ~ /\\/) { drop("name", p); next }
      print ($2 == "d" && u == p && ENVIRON["what"] != "path" && p != top && p !~ /^volumes\/[^\/]*$/ ? "-" : u) "\t" line
    }' "$1/manifest" >"$1/selected"
  [ -e "$1/left" ] || : >"$1/left"
  # The folders above what is restored, for the case that the host has none.
  awk -F '\t' '$1 != "-" { p = $1; while (sub(/\/[^\/]*$/, "", p)) above[p] } $1 == "-" { next } END { for (p in above) print p }' "$1/selected" >"$1/above"
  awk 'FILENAME == ARGV[1] { above[$0]; next } /^entry d / { p = $0; for (i = 0; i < 8; i++) sub(/^[^ ]+ /, "", p); if (p in above) { sub(/^entry /, ""); print "-\t" $0 } }' \
    "$1/above" "$1/manifest" >>"$1/selected"
  LC_ALL=C sort -u -o "$1/selected" "$1/selected"
  cut -f1 "$1/selected" | grep -vx -e - | sort -ru >"$1/wanted" || :
  [ -s "$1/wanted" ] || stop 11 "the archive holds nothing of what is to be restored${3:+: $3}"
}

# wanted WHAT SELECTION: the names in the archive, one a line.
wanted() {
  printf '%s\n' "$2" | tr '=:' '\n/' | while IFS= read -r _one; do
    [ "$1" = path ] || { printf '%s\n' "$_one"; continue; }
    _one=/$_one
    case $_one/ in *//* | */../* | */./*) stop 10 "$_one: expected a whole path without . and .." ;; esac
    case $_one in
      # It is in the archive twice, and either will do.
      "$sudoersFile") printf '%s\n' "$_top/${sudoersFile##*/}" "host$_one" ;;
      "$installation") echo "$_top" ;;
      "$installation"/*) printf '%s/%s\n' "$_top" "${_one#"$installation"/}" ;;
      /etc/pve | /etc/pve/* | /var/lib/pve-cluster*) stop 10 "$_one: what is in /etc/pve is put back by hand (docs/restoring.md), its database by pve-database" ;;
      *) printf 'host%s\n' "$_one" ;;
    esac
  done
}
