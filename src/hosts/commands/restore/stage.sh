# shellcheck shell=sh disable=SC2154,SC2034 # Beside record.sh, seal.sh, select.sh and places.sh, whose names it uses.
# list_units: writes $_rec/units: what is to be swapped with what is there, and of what it takes the folders are.
list_units() {
  _unmounted=$(unmounted)
  : >"$_rec/units.new"; : >"$_rec/folders.new"; _n=0
  while IFS= read -r _unit <&3; do
    target_of "$_unit"
    if [ -n "$_missing" ]; then make_volume "${_unit#*/}" "$_missing"; target_of "$_unit"; fi
    [ -n "$_target" ] || stop 9 "the volume of $_unit was not made"
    if awk -F '\t' -v t="$_target" '$4 == t { f = 1 } END { exit !f }' "$_rec/units.new" || same_unit "$_unit" "$_target"; then continue; fi
    # A log that lies beside the database would be played into it: that of now goes first, and what came beside the restored one
    # when that one goes.
    case $_unit in
      host/var/lib/pve-cluster/config.db) _own=$((_n + 3)); for _end in -wal -shm; do add_unit gone "$_target$_end" "beside $_own"; done ;;
    esac
    add_unit put "$_target" "$_unit"
  done 3<"$_rec/wanted"
  list_marks
  mv -fT -- "$_rec/folders.new" "$_rec/folders"
  mv -fT -- "$_rec/units.new" "$_rec/units"
}

add_unit() {
  _n=$((_n + 1))
  place_for "$2"
  [ -z "$_problem" ] || stop 12 "$_problem"
  _folder=${_place%/}/.proxmox-mcp-$_restore
  case $2 in *'	'* | *'
'*) stop 12 'a folder of this host has a name that can not be listed' ;; esac
  printf '%s\t%s\t%s\t%s\t%s\n' "$_n" "$1" "$_folder" "$2" "$3" >>"$_rec/units.new"
  echo "$_folder" >>"$_rec/folders.new"
}

# make_volume NAME VOLUME: with the labels of compose's, which takes it for its own then.
make_volume() {
  case $2 in *_"$1") set -- "$1" "$2" "${2%_"$1"}" ;; *) set -- "$1" "$2" '' ;; esac
  echo "volume $2" >>"$_rec/made"; sync "$_rec/made"
  docker volume create ${3:+--label "com.docker.compose.project=$3" --label "com.docker.compose.volume=$1"} -- "$2" >/dev/null
}

# require_space: the unpacked files beside what is there, and a tenth more.
require_space() {
  while IFS= read -r _folder <&7; do
    _need=$(entries_in "$_folder" | awk '{ s += $4 + 4096 } END { printf "%.0f", s * 1.1 }')
    _free=$(df --block-size=1 --output=avail -- "$(dirname -- "$_folder")" | tail -n 1)
    [ "$_free" -ge "$_need" ] || stop 12 "$(dirname -- "$_folder") has $((_free)) bytes free, and $_need are needed"
  done 7<"$_rec/each-folder"
}

# entries_in FOLDER: the entries of the manifest that are unpacked there.
entries_in() {
  of="$1" awk -F '\t' 'FILENAME == ARGV[1] { if ($3 == ENVIRON["of"]) mine[$5]; next } $1 == "-" || ($1 in mine) { sub(/^[^\t]*\t/, ""); print }' \
    "$_rec/units" "$_rec/selected" | LC_ALL=C sort -u
}

# stage_into FOLDER: what belongs there, and compares it with the manifest. The list is of names as tar unquotes them.
stage_into() {
  rm -rf --one-file-system -- "$1"; mkdir -- "$1" "$1/x" "$1/new" "$1/old" "$1/extra"
  entries_in "$1" >"$_rec/entries"
  [ -s "$_rec/entries" ] || return 0
  awk '{ p = $0; for (i = 0; i < 7; i++) sub(/^[^ ]+ /, "", p); sub(/\t.*/, "", p); print p }' "$_rec/entries" >"$_rec/names"
  _zip=--gzip; case $_archive in *.zst) _zip=--zstd ;; esac
  _code=0 _owner=--no-same-owner
  [ "$(id -u)" != 0 ] || _owner=--same-owner
  tar --extract "$_zip" --file="$_archive" --directory="$1/x" --no-recursion --unquote --files-from="$_rec/names" \
    --same-permissions "$_owner" --numeric-owner --acls --xattrs --xattrs-include='*' 2>"$_rec/said" || _code=$?
  ! grep -q 'No space left on device\|Disk quota exceeded' "$_rec/said" || { cat "$_rec/said" >&2; exit 1; }
  # What its file system refuses is said, and everything else must be as the manifest has it.
  grep -i 'attribute\|setxattr\|acl' "$_rec/said" | head -n 1 | tr '\001-\011\013-\037\177' '?' | sed 's/^/lost /' || :
  _whom=owners; [ "$(id -u)" = 0 ] || _whom=nobody
  awk -v whom="$_whom" '{ p = $0; for (i = 0; i < 7; i++) sub(/^[^ ]+ /, "", p); $2 = sprintf("%d", $2)
    print $1, ($1 == "l" ? "-" : $2), (whom == "owners" ? $3 : "-"), ($1 == "f" ? $4 : 0), ($1 == "f" ? $5 : "-"), $7, p }' "$_rec/entries" | LC_ALL=C sort >"$_rec/expected"
  ( cd "$1/x" && find . -type f -print0 | xargs -0 -r sha256sum -z -- >"$_rec/sums"
    find . -mindepth 1 -printf '%y %m %U:%G %s %T@\0%P\0%l\0' | perl -e "$_described" "$_whom" "$_rec/sums" ) | LC_ALL=C sort >"$_rec/unpacked"
  # Folders above, which are there for their names alone, may be those of no entry.
  LC_ALL=C comm -23 "$_rec/expected" "$_rec/unpacked" >"$_rec/differing"
  if [ "$_code" = 2 ] && grep -q 'Not found in archive\|not recoverable' "$_rec/said" || [ -s "$_rec/differing" ]; then
    stop 9 "what was unpacked is not what the sealed manifest says: $({ cut -d' ' -f7- "$_rec/differing"; tail -n 1 "$_rec/said"; } | head -n 1 | tr '\001-\037\177' '?' | cut -c1-200)"
  fi
  sort "$_rec/names" -u | wc -l >"$_rec/count"
  [ "$(LC_ALL=C comm -13 "$_rec/expected" "$_rec/unpacked" | grep -vc '^d ')" = 0 ] || stop 9 'more was unpacked than the sealed manifest says'
}

# Entries as a manifest has them, of what find prints; in perl, because names may hold anything.
# shellcheck disable=SC2016 # Perl's own variables.
readonly _described='my ($whom, $sums) = @ARGV; local $/ = "\0"; my %sum; open(my $f, "<", $sums) or die; while (<$f>) { chomp; $sum{$2} = $1 if m{^([0-9a-f]{64})  (?:\./)?(.*)$}s }
sub name { my $n = shift; $n =~ s{([\\\x00-\x1f\x7f])}{$1 eq "\\" ? "\\\\" : $1 eq "\n" ? "\\n" : $1 eq "\t" ? "\\t" : sprintf("\\%03o", ord $1)}ge; $n }
while (defined(my $a = <STDIN>)) { my $p = <STDIN>; my $l = <STDIN>; chomp($a, $p, $l); my ($t, $m, $o, $s, $at) = split / /, $a; $at =~ s/\..*//;
print join(" ", $t, $t eq "l" ? "-" : $m + 0, $whom eq "owners" ? $o : "-", $t eq "f" ? $s : 0, $t eq "f" ? $at : "-", $t eq "f" ? $sum{$p} : "-", name($p)), $t eq "l" ? "\t" . name($l) : "", "\n" }'

# lay_out: gives each unit its number in new/; what is inside of another one first.
lay_out() {
  [ "$_action" = put ] || return 0
  if [ "$_member" = +RESTORED ]; then
    _parts=$(access="${_target%/*}" awk -F '\t' '$2 == ENVIRON["access"] { print $1; exit }' "$_rec/marks")
    write_mark "$_folder/new/$_n" "${_target%/*}"
    return 0
  fi
  mv -nT -- "$_folder/x/$_member" "$_folder/new/$_n"
  there "$_folder/new/$_n" || stop 9 "$_member was not unpacked"
}

# remove_others: what was staged for others, of which nobody does anything any more: who holds the host alone is alone.
remove_others() {
  find "$state/restores" -mindepth 1 -maxdepth 1 -regextype posix-extended -regex ".*/$form_restore" ! -name "$_restore" -printf '%f\n' 2>/dev/null | sort | while read -r _other; do
    ( of_restore "$_other"; if [ "$_is" = staging ] || [ "$_is" = staged ]; then remove_staging; becomes undone 'another restore was begun'; fi )
  done
}

# remove_staging: everything of it that isn't used.
remove_staging() {
  restore_folders | while IFS= read -r _folder; do rm -rf --one-file-system -- "$_folder"; done
  [ ! -f "$_rec/made" ] || while read -r _kind _what; do
    [ "$_kind" != volume ] || timeout 60 docker volume rm -- "$_what" >/dev/null 2>&1 || :
  done <"$_rec/made"
}
