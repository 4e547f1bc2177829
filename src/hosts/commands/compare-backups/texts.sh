# shellcheck shell=sh disable=SC2154,SC2016,SC2015 # Beside entries.sh and mask.sh, whose names it uses.
# take_texts SIDE BACKUP MANIFEST: unpacks what is wanted ($_box/wanted, names as entries has them) into $_box/SIDE, in one
# reading that ends when all of it is there. Nothing else of the archive reaches a disk.
take_texts() {
  mkdir -p "$_box/$1"
  [ -s "$_box/wanted" ] || return 0
  packed_of "$2" "$3"
  awk -F '\t' 'FNR == NR { want[$1]; next } ($1 in want) && $3 == "f" { print $1 }' "$_box/wanted" "$_box/$1.list" >"$_box/names"
  [ -s "$_box/names" ] || return 0
  case $_file in *.zst) _with=zstd ;; *) _with=gzip ;; esac
  # tar is told by the filter that it may end early: that is no failure.
  { "$_with" -dc <"$_file" 2>/dev/null || :; } | tar -x -f - -C "$_box/$1" --occurrence=1 --no-same-owner --no-same-permissions --no-wildcards \
    --verbatim-files-from --files-from="$_box/names" 2>"$_box/said" || stop 9 "$(tail -n 1 "$_box/said" | printable): of the archive of $2"
}

# take_texts_now: the same from the host.
take_texts_now() {
  mkdir -p "$_box/b"
  while IFS="$(printf '\t')" read -r _one; do
    _from=$hostRoot/${_one#host/}
    [ -f "$_from" ] && [ ! -L "$_from" ] || continue
    mkdir -p -- "$_box/b/${_one%/*}"
    head -c 262144 -- "$_from" >"$_box/b/$_one" || :
  done <"$_box/wanted"
}

# is_as SIDE NAME SUM: whether what was unpacked is what was sealed.
is_as() { [ ! -L "$_box/$1/$2" ] && [ -f "$_box/$1/$2" ] && { [ "$3" = - ] || [ "$(sum_of "$_box/$1/$2")" = "$3" ]; }; }

# say_texts: `text NUMBER NAME`, and its lines as `line NUMBER - TEXT`; `cut NUMBER` where there are more.
say_texts() {
  _number=0
  head -n 40 "$_box/text" | LC_ALL=C sort | while IFS="$(printf '\t')" read -r _one _sumA _sumB; do
    is_as a "$_one" "$_sumA" && is_as b "$_one" "$_sumB" || continue
    _number=$((_number + 1))
    printf 'text %s %s\n' "$_number" "$_one"
    changed_lines "$_box/a/$_one" "$_box/b/$_one" "$_one" >"$_box/lines"
    head -n 40 "$_box/lines" | each_line "line $_number "
    [ "$(wc -l <"$_box/lines")" -le 40 ] || echo "cut $_number"
  done | head -n 600
}

# say_guests: `guest VMID TYPE NODE added|removed`, and of one that is there before and after `setting VMID NAME<tab>WAS<tab>IS`, each
# at most 200. One that is on another node now is no other guest.
say_guests() {
  LC_ALL=C sort "$_box/guests" | awk -F '\t' '{
    split($1, w, "/"); id = w[7]; sub(/[.]conf$/, "", id); type = w[6] == "lxc" ? "container" : "vm"
    if ($2 != "added") { was[id] = $1; wasOn[id] = w[5]; wasSum[id] = $3 }
    if ($2 != "removed") { now[id] = $1; isOn[id] = w[5]; isSum[id] = $2 == "added" ? $3 : $4 }
    of[id] = type; all[id]
  } END { for (id in all) {
    if (!(id in was)) print "guest\t" id " " of[id] " " isOn[id] " added"
    else if (!(id in now)) print "guest\t" id " " of[id] " " wasOn[id] " removed"
    else { if (wasOn[id] != isOn[id]) print "setting\t" id " node\t" wasOn[id] "\t" isOn[id]; print "both\t" id "\t" was[id] "\t" now[id] "\t" wasSum[id] "\t" isSum[id] }
  } }' | sort -t "$(printf '\t')" -k2n >"$_box/of-guests"
  while IFS="$(printf '\t')" read -r _kind _id _was _now _sumA _sumB; do
    case $_kind in
      guest) echo "guest $_id" ;;
      setting) printf 'setting %s\t%s\t%s\n' "$_id" "$_was" "$_now" ;;
      both)
        if is_as a "$_was" "$_sumA" && is_as b "$_now" "$_sumB"; then guest_changes "$_id" "$_box/a/$_was" "$_box/b/$_now"; fi
        ;;
    esac
  done <"$_box/of-guests" | head -n 200
}

# guest_changes VMID BEFORE AFTER
guest_changes() {
  awk -v id="$1" -v may="$_guestSettings" "$_masking"'
    function shown(name, value) {
      if (value == "") return "-"
      if (name !~ may) return number(name "=" value)
      anew(); return masked(value)
    }
    function know(name) { if (!(name in all)) { all[name]; order[++n] = name } }
    side != was { was = side; anew(); section = "" }
    /^#/ { value[side, "notes"] = value[side, "notes"] $0; know("notes"); next }
    /^\[/ { section = $0; gsub(/[][]/, "", section); if (section !~ /^[A-Za-z0-9_:-]+$/) section = "strange"
      if (section !~ /pending|special/) { value[side, "snapshot " section] = "there"; know("snapshot " section) } next }
    section != "" && section !~ /pending/i { next }
    match($0, /^[A-Za-z0-9_.]+: */) {
      name = $0; sub(/:.*/, "", name); rest = substr($0, RLENGTH + 1); if (section != "") name = "pending:" name
      value[side, name] = value[side, name] rest; know(name)
    }
    END { for (i = 1; i <= n; i++) { name = order[i]; if (value["a", name] != value["b", name]) {
      plain = name; sub(/^pending:/, "", plain)
      if (name ~ /^snapshot /) print "setting " id " " name "\t" (value["a", name] == "" ? "-" : "there") "\t" (value["b", name] == "" ? "-" : "there")
      else print "setting " id " " name "\t" shown(plain, value["a", name]) "\t" shown(plain, value["b", name]) } } }' side=a "$2" side=b "$3" |
    LC_ALL=C sort | tr -d '\001-\010\013-\037\177' | cut -c1-400
}

# package_versions: as a backup has them in host/dpkg-versions.
package_versions() { timeout -k 2 60 dpkg-query -W -f='${db:Status-Abbrev} ${binary:Package} ${Version}\n' 2>/dev/null; }

# are_packages SIDE: whether the list of packages of a side is there, and what was sealed.
are_packages() {
  _sum=$(awk -F '\t' '$1 == "host/dpkg-versions" { print $9; exit }' "$_box/$1.list")
  [ -s "$_box/$1/host/dpkg-versions" ] && is_as "$1" host/dpkg-versions "${_sum:--}"
}

# say_packages: `package NAME WAS IS` (`-`: not installed), at most 200, and how many there are.
say_packages() {
  are_packages a && are_packages b || { echo 'packages unknown'; return 0; }
  for _one in a b; do awk 'NF == 3 && $1 ~ /i$/ { print $2 "\t" $3 }' "$_box/$_one/host/dpkg-versions" | sort -t "$(printf '\t')" -k1,1 >"$_box/packages.$_one"; done
  join -t "$(printf '\t')" -a 1 -a 2 -e - -o 0,1.2,2.2 "$_box/packages.a" "$_box/packages.b" | awk -F '\t' '$2 != $3 { print "package " $1 " " $2 " " $3 }' | printable >"$_box/packages"
  echo "packages $(wc -l <"$_box/packages")"
  head -n 200 "$_box/packages"
}
