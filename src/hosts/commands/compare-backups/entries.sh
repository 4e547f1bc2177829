# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper has the layout's names; the commands use what is set here.
# compare_box: sets _box, a folder of root's alone that is gone at the end. What a killed command left goes half a day later.
compare_box() {
  find "$state" -mindepth 1 -maxdepth 1 -type d -name 'compare-??????' -mmin +720 -exec rm -rf -- {} + 2>/dev/null || :
  _box=$(mktemp -d -- "$state/compare-XXXXXX")
  trap 'rm -rf -- "$_box"' EXIT
}

# sealed BACKUP COPY: copies its manifest; stops unless this host has sealed it, for this backup.
sealed() {
  _of=$_backups/$1.manifest
  [ -f "$_of" ] && [ ! -L "$_of" ] || stop 10 "there is no manifest of $1 in $_backups"
  [ "$(stat -c %s -- "$_of")" -le 536870912 ] || stop 9 "the manifest of $1 is larger than 512 MiB, which none is"
  cat -- "$_of" >"$2"
  is_sealed "$2" "$_of.sig" || stop 9 "the manifest of $1 does not bear this host's seal"
  [ "$(sed -n '2,12s/^id //p' "$2")" = "$1" ] || stop 9 "the manifest that is called $1 is of another backup"
}

# archive_of BACKUP MANIFEST: sets _file, where the archive is; stops where it isn't there as it was sealed.
archive_of() {
  _name=$(sed -n '2,40s/^archive \([^ ]*\) [0-9]* [0-9a-f]*$/\1/p' "$2" | head -n 1)
  case $_name in "$1.tar.gz" | "$1.tar.zst") ;; *) stop 9 "the manifest of $1 names another archive" ;; esac
  _file=$_backups/$_name
  [ -f "$_file" ] && [ ! -L "$_file" ] || stop 10 "the archive $_name is not in $_backups"
}

# entries_of SIDE MANIFEST: a line for each thing in an archive, its fields parted by tabs: name, side, type, mode, owner,
# bytes, modified, attributes, checksum, target. The name is the same in every archive: the installation's top folder has
# none of the time.
entries_of() {
  awk -v side="$1" '
    /^entry / {
      name = $0; sub(/^entry [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", name)
      to = ""; if (at = index(name, "\t")) { to = substr(name, at + 1); name = substr(name, 1, at - 1) }
      if (name ~ /^[a-z]+-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9](\/|$)/)
        sub(/^[^\/]*/, "installation", name)
      sub(/\/$/, "", name)
      print name "\t" side "\t" $2 "\t" $3 "\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $8 "\t" to
    }' "$2"
}

# entries_now: the same of the host as it is, of all that a backup takes; the last field is where it lies. Names that hold
# line breaks and the like are left out, and so is what the archive left out ($_box/a.manifest).
entries_now() {
  sed -n 's/^left-out [^ ]* //p' "$_box/a.manifest" >"$_box/without"
  {
    host_paths | while read -r _part _path; do
      place_of "$_part" "$_path" || continue
      each_above "$_path"
      case $_path in
        /etc/pve) entries_below "host$_path" "$_real" ! -path "$_real/.*" ;;
        *) entries_below "host$_path" "$_real" ;;
      esac
    done
    if is_installed; then
      entries_below "installation/${sudoersFile##*/}" "$sudoersFile"
      entries_below installation "$_installation"
    fi
  } | awk -F '\t' -v out="$_box/without" '
    BEGIN { while ((getline line <out) > 0) without[line] }
    { gone = 0; part = $11; while (part != "" && !gone) { gone = part in without; if (!sub(/\/[^\/]*$/, "", part)) break } }
    !gone && !done[$1]++'
}

# each_above PATH: the folders on the way to it, which an archive has, too.
each_above() {
  _above=${1%/*}
  [ -n "$_above" ] || return 0
  [ ! -d "$hostRoot$_above" ] || entries_below "host$_above" "$hostRoot$_above" -maxdepth 0
  each_above "$_above"
}

# entries_below NAME PLACE [TEST]: a file system that has died or hangs, as that of /etc/pve can, is nothing.
entries_below() {
  _as=$1 _at=$2; shift 2
  timeout -k 2 120 find "$_at" -xdev -path "$_backups" -prune -o "$@" ! -name '*[[:cntrl:]]*' ! -type s \
    -printf '%P\tb\t%y\t%m\t%U:%G\t%s\t%Ts\t-\t-\t%p\t%l\n' 2>/dev/null |
    awk -F '\t' -v OFS='\t' -v as="$_as" '{
      gsub(/\\/, "&&", $1); gsub(/\\/, "&&", $11); $1 = $1 == "" ? as : as "/" $1
      if ($3 != "l") $11 = ""
      if ($3 != "f") $6 = 0
      real = $10; $10 = $11; $11 = real; print }' || :
}
