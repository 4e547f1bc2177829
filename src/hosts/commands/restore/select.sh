# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# select_entries WORK WHAT SELECTION: writes WORK/selected, a line `UNIT<tab>ENTRY` for each entry of the manifest that is wanted:
# UNIT is the name in the archive of what is swapped as a whole, or `-` for a folder above single files. WORK/left: `WHY PATH`
# of what WHAT would hold and is not restored by it.
select_entries() {
  _other=
  [ "$_home" = "$(uname -n) $(cat /etc/machine-id 2>/dev/null)" ] || _other=yes
  wanted "$2" "$3" >"$1/asked" || exit
  # The policy pins the helper by its digest: one of another helper would keep the service out.
  _pins=; [ "$(sed -n '/^entry /q;s/^version helper //p' "$1/manifest" | head -n 1)" != "$(sum_of "$helper")" ] || _pins=yes
  rm -f -- "$1/left" "$1/unknown" "$1/partly"
  what=$2 wanted=$(cat "$1/asked") top=$_top base=${sudoersFile##*/} policy=host$sudoersFile pins=$_pins other=$_other work=$1 awk '
    function in_(p, d) { return p == d || index(p, d "/") == 1 }
    # The uppermost of those that it is in: what is in a folder comes with it.
    function any(p, i, u) {
      for (i = 1; i <= n; i++) if (in_(p, want[i])) { known[asked[i]]; if (u == "" || length(want[i]) < length(u)) u = want[i] }
      return u
    }
    function drop(why, p) { print why " " p >(ENVIRON["work"] "/left"); return "" }
    # Whether a backup holds all of the folder: other folders of the host are there only for what is in them.
    function whole(u, i) { for (i = 1; i <= parts; i++) if (in_(u, part[i])) return 1; return in_(u, top) }
    # What belongs to the disks and the network cards of one machine.
    function machine(h) { return h ~ /^\/etc\/(network|fstab|crypttab|multipath|multipath.conf|iscsi|lvm|zfs|hostname|hosts|resolv.conf|systemd\/network|kernel|machine-id|mdadm)(\/|$)/ || h ~ /^\/etc\/systemd\/system\/.*[.](mount|automount|swap)$/ || h ~ /^\/etc\/udev\/rules.d\/[^\/]*net/ }
    # Numbers of accounts are in every file of the machine: those of the packages that were installed on it, in the order of then.
    function accounts(h) { return h ~ /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)$/ }
    function security(p) { return p == top "/" base || p ~ /^host\/etc\/sudoers([.]d\/|$)/ || p ~ /^host\/etc\/ssh\/sshd_config([.]d\/|$)/ }
    function keys(p) { return in_(p, top "/keys") || p ~ /^host\/etc\/ssh\/ssh_host_/ || in_(p, "host/root/.ssh") }
    function unit(p, t, h, w) {
      w = ENVIRON["what"]
      if (p == "SHA256SUMS" || p ~ /^[^\/]+\/backup-manifest[.]sha256$/ || p ~ /^dumps(\/|$)/) return w == "complete" && p ~ /^dumps\/./ ? drop("dump", p) : ""
      if (p ~ /^host\/etc\/systemd\/system\/(.*\/)?proxmox-mcp-restore[.]service$/) return ""
      if (w != "path" && (p == top "/" base || p == ENVIRON["policy"]) && !ENVIRON["pins"]) return w == "complete" || w == "configuration" || w == "security" ? drop("helper", p) : ""
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
      if (ENVIRON["other"] && accounts(h)) return drop("accounts", p)
      if (w == "configuration" && (security(p) || keys(p) || in_(p, "host/usr/local/lib/proxmox-mcp"))) return ""
      return p
    }
    function volume(p) { sub(/^volumes\//, "", p); sub(/\/.*/, "", p); return p }
    BEGIN { top = ENVIRON["top"]; base = ENVIRON["base"]; n = split(ENVIRON["wanted"], want, "\n")
      for (i = 1; i <= n; i++) { asked[i] = want[i]; sub(/\t.*/, "", asked[i]); sub(/^[^\t]*\t/, "", want[i]); named[want[i]] } }
    /^part / { p = $0; for (i = 0; i < 4; i++) sub(/^[^ ]+ /, "", p); part[++parts] = "host" p }
    /^entry / {
      p = $0; for (i = 0; i < 8; i++) sub(/^[^ ]+ /, "", p); sub(/\t.*/, "", p); line = $0; sub(/^entry /, "", line)
      u = unit(p, $2)
      if (u == "") next
      if (ENVIRON["what"] == "volumes") known[volume(p)]
      if (ENVIRON["what"] == "path" && u == p && $2 == "d" && !whole(u)) print substr(u, 5) >(ENVIRON["work"] "/partly")
      # A name that no list can hold is restored only with the folder it is in.
      if (u == p && p ~ /\\/) { drop("name", p); next }
      print ($2 == "d" && u == p && ENVIRON["what"] != "path" && p != top && p !~ /^volumes\/[^\/]*$/ ? "-" : u) "\t" line
    }
    END { for (i = 1; i <= n; i++) if (ENVIRON["what"] == "path" && !(asked[i] in known) || ENVIRON["what"] == "volumes" && asked[i] != "all" && !(asked[i] in known)) print asked[i] >(ENVIRON["work"] "/unknown") }
    ' "$1/manifest" >"$1/selected"
  [ -e "$1/left" ] || : >"$1/left"
  [ ! -s "$1/unknown" ] || stop 11 "the archive holds nothing of what is to be restored: $(head -n 1 "$1/unknown")"
  [ ! -s "$1/partly" ] || stop 10 "only some of $(head -n 1 "$1/partly") is backed up, so it can not be replaced as a whole: name what of it is to come back"
  # The folders above what is restored, for the case that the host has none.
  awk -F '\t' '$1 != "-" { p = $1; while (sub(/\/[^\/]*$/, "", p)) above[p] } $1 == "-" { next } END { for (p in above) print p }' "$1/selected" >"$1/above"
  awk 'FILENAME == ARGV[1] { above[$0]; next } /^entry d / { p = $0; for (i = 0; i < 8; i++) sub(/^[^ ]+ /, "", p); if (p in above) { sub(/^entry /, ""); print "-\t" $0 } }' \
    "$1/above" "$1/manifest" >>"$1/selected"
  LC_ALL=C sort -u -o "$1/selected" "$1/selected"
  cut -f1 "$1/selected" | grep -vx -e - | sort -ru >"$1/wanted" || :
  [ -s "$1/wanted" ] || stop 11 "the archive holds nothing of what is to be restored${3:+: $3}"
}

# wanted WHAT SELECTION: `ASKED<tab>NAME`, what it is called in the archive, a line for each.
wanted() {
  printf '%s\n' "$2" | tr '=:' '\n/' | while IFS= read -r _one; do
    [ "$1" = path ] || { printf '%s\t%s\n' "$_one" "$_one"; continue; }
    _one=/$_one
    case $_one/ in *//* | */../* | */./*) stop 10 "$_one: expected a whole path without . and .." ;; esac
    case $_one in
      # It is in the archive twice, and either will do.
      "$sudoersFile") printf '%s\t%s\n' "$_one" "$_top/${sudoersFile##*/}" "$_one" "host$_one" ;;
      "$installation") printf '%s\t%s\n' "$_one" "$_top" ;;
      "$installation"/*) printf '%s\t%s/%s\n' "$_one" "$_top" "${_one#"$installation"/}" ;;
      /etc/pve | /etc/pve/* | /var/lib/pve-cluster*) stop 10 "$_one: what is in /etc/pve is put back by hand (docs/restoring.md), its database by pve-database" ;;
      *) printf '%s\thost%s\n' "$_one" "$_one" ;;
    esac
  done
}
