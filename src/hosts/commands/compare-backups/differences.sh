# shellcheck shell=sh disable=SC2154,SC2016 # Beside entries.sh and mask.sh, whose names it uses.
# How much of each part is said by name; the rest is counted.
readonly _mostNamed=120 _mostNamedInVolume=15

# differences A B: what differs in two sorted lists of entries, in $_box/found, a line each:
#   removed|added TYPE BYTES NAME, changed WHAT MODE MODE OWNER OWNER BYTES BYTES NAME
# and in files of their own: maybe (NAME, SUM, PLACE: to be read, whether its content is the same), text (NAME, SUM, SUM: its lines
# may be shown), guest (NAME, what became of it). Counts per part are in $_box/counts. Lists of 200,000 need no more memory than
# of 20.
differences() {
  : >"$_box/found"; : >"$_box/maybe"; : >"$_box/text"; : >"$_box/guests"
  host_paths | awk '{ sub(/^[^ ]* /, ""); while (sub(/\/[^\/]*$/, "") && $0 != "") print "host" $0 }' >"$_box/way"
  sort -m -t "$(printf '\t')" -k1,1 -k2,2 -- "$1" "$2" | awk -F '\t' -v no="$_volatile" -v secret="$_secretPaths" -v cluster="$_clusterTexts" \
    -v open="$_openTexts" -v both="$_bothHave" -v now="$_isNow" -v box="$_box" '
    function part_of(name) { if (name ~ /^(volumes|dumps)\//) { sub(/\/.*/, "", name); return name "/" second } return first }
    function see(name,  words) { split(name, words, "/"); first = words[1]; second = words[2] }
    function alone(side) {
      see(key); p = part_of(key); parts[p]
      # A folder on the way to a part is there for it alone.
      if (first == "SHA256SUMS" || h[3] == "d" && key in way) return
      if (index(both, " " first " ") == 0) { only[side " " first]++; return }
      if (quiet(key)) return
      if (key ~ guest) { print key "\t" (side == "a" ? "removed" : "added") "\t" h[9] >(box "/guests"); return }
      count[p, side]++
      print (side == "a" ? "removed" : "added") " " h[3] " " h[6] " " key >(box "/found")
    }
    # What is told otherwise, or comes and goes by itself.
    function quiet(name,   plain) {
      # Of the host now only names without line breaks and the like are read.
      if (now) { plain = name; gsub(/\\\\/, "", plain); if (plain ~ /\\/) return 1 }
      if (name ~ /^(SHA256SUMS|host|volumes|dumps|host\/var(\/lib(\/pve-cluster.*)?)?|host\/(dpkg-selections|dpkg-versions|apt-manual)|(host|installation|volumes\/[^\/]+)\/backup-manifest[.]sha256)$/) return 1
      if (name ~ no) { volatile[part_of(name)]++; return 1 }
      return 0
    }
    function pair(   what, i) {
      see(key); p = part_of(key); parts[p]
      if (index(both, " " first " ") == 0 || quiet(key)) return
      what = ""
      if (h[3] != $3) what = what ",type"
      else if ($3 == "f") {
        if ($9 == "-" && h[6] == $6) { print key "\t" h[9] "\t" $11 "\t" h[4] "\t" $4 "\t" h[5] "\t" $5 "\t" h[6] >(box "/maybe"); asked = 1 }
        else if (h[9] != $9) what = what ",content"
      } else if (h[10] != $10) what = what ",target"
      if ($3 != "l" && h[4] + 0 != $4 + 0) what = what ",mode"
      if (h[5] != $5) what = what ",owner"
      if ($9 != "-" && h[8] != $8) what = what ",attributes"
      if (asked) { asked = 0; return }
      if (what == "") { if (h[7] != $7 && $3 == "f") touched[p]++; return }
      told(substr(what, 2), h[4], $4, h[5], $5, h[6], $6, h[9], $9)
    }
    function told(what, m1, m2, o1, o2, b1, b2, s1, s2) {
      if (key ~ guest) { print key "\tchanged\t" s1 "\t" s2 >(box "/guests"); return }
      count[p, "c"]++
      print "changed " what " " m1 " " m2 " " o1 " " o2 " " b1 " " b2 " " key >(box "/found")
      if (what ~ /^content/ && is_text(m1, m2) && b1 <= 262144 && b2 <= 262144) print key "\t" s1 "\t" s2 >(box "/text")
    }
    function is_text(m1, m2) { return key !~ secret && (key ~ cluster || key ~ open && m1 ~ /[4-7]$/ && m2 ~ /[4-7]$/) }
    BEGIN { while ((getline line <(box "/way")) > 0) way[line]; guest = "^host/etc/pve/nodes/[^/]+/(qemu-server|lxc)/[0-9]+[.]conf$" }
    held && $1 == key && side != $2 { pair(); held = 0; next }
    { if (held) alone(side); key = $1; side = $2; held = 1; for (i = 1; i <= 11; i++) h[i] = $i }
    END {
      if (held) alone(side)
      for (p in parts) if (count[p, "a"] + count[p, "b"] + count[p, "c"] + touched[p] + volatile[p] > 0)
        print "count " count[p, "b"] + 0 " " count[p, "a"] + 0 " " count[p, "c"] + 0 " " touched[p] + 0 " " volatile[p] + 0 " " p >(box "/counts")
      for (p in only) print "only " p " " only[p] >(box "/counts")
    }'
}

# read_maybe: of what has the same size now, reads what it holds. Says the same as differences does.
read_maybe() {
  cut -f3 "$_box/maybe" | tr '\n' '\0' | { xargs -0 -r sha256sum -- 2>/dev/null || :; } >"$_box/sums"
  awk -F '\t' -v secret="$_secretPaths" -v cluster="$_clusterTexts" -v open="$_openTexts" -v box="$_box" '
    FNR == NR && FILENAME ~ /sums$/ {
      sum = $0; sub(/^\\/, "", sum); name = substr(sum, 67); sum = substr(sum, 1, 64)
      if ($0 ~ /^\\/) gsub(/\\\\/, "\\", name)
      is[name] = sum; next
    }
    !($3 in is) { next }
    {
      what = ""
      if (is[$3] != $2) what = ",content"
      if ($4 + 0 != $5 + 0) what = what ",mode"
      if ($6 != $7) what = what ",owner"
      if (what == "") next
      if ($1 ~ /^host\/etc\/pve\/nodes\/[^\/]+\/(qemu-server|lxc)\/[0-9]+[.]conf$/) { print $1 "\tchanged\t" $2 "\t-" >>(box "/guests"); next }
      p = $1; sub(/\/.*/, "", p); n[p]++
      print "changed " substr(what, 2) " " $4 " " $5 " " $6 " " $7 " " $8 " " $8 " " $1 >>(box "/found")
      if (what ~ /content/ && $8 <= 262144 && $1 !~ secret && ($1 ~ cluster || $1 ~ open && $4 ~ /[4-7]$/ && $5 ~ /[4-7]$/)) print $1 "\t" $2 "\t-" >>(box "/text")
    }
    END { for (p in n) print "count 0 0 " n[p] " 0 0 " p >>(box "/counts") }' "$_box/sums" "$_box/maybe"
}

# say_found: what was found, in the order of names and each part bounded.
say_found() {
  [ ! -e "$_box/counts" ] || LC_ALL=C sort "$_box/counts"
  awk -v most="$_mostNamed" -v few="$_mostNamedInVolume" '{
    name = $0; sub(/^(changed [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+|(added|removed) [^ ]+ [^ ]+) /, "", name)
    split(name, words, "/"); p = words[1]; if (p == "volumes" || p == "dumps") p = p "/" words[2]
    if (++n[p] <= (p ~ /^(volumes|dumps)/ ? few : most)) print name "\t" $0 }' "$_box/found" | head -n 300 | LC_ALL=C sort | cut -f2- | cut -c1-400
}
