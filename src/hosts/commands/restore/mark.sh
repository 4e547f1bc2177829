# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # Beside record.sh, swap.sh and places.sh, whose names it uses.
# Where Temporal's database or the ledger of this service comes back, a file RESTORED (docs/restored.md) comes with it, before
# anything is started: or runs of then would act again, on approvals that were used since. $_rec/marks: `PARTS<tab>FOLDER` for each.

# waits: whether the service waits for an administrator afterwards.
waits() { [ -s "$_rec/marks" ]; }

# list_marks: after the other units. Where the folder isn't put in place with one of them, the file is a unit of its own.
list_marks() {
  : >"$_rec/marks"
  _parts=$(awk -F '\t' '$5 == "volumes/temporal_data" { t = "temporal" } $5 == "volumes/mcp_ledger" { l = "ledger" } END { print t (t != "" && l != "" ? " " : "") l }' "$_rec/units.new")
  if [ -n "$_parts" ]; then
    _access=$(awk -F '\t' '$5 == "volumes/mcp_access" { print $4 }' "$_rec/units.new")
    if [ -z "$_access" ]; then
      _volume=mcp_access
      if data_of; then _access=$(realpath -m -- "$_data")
      elif grep -q '^volume mcp_access ' "$_rec/manifest"; then
        stop 12 'there is no volume mcp_access on this host, in which a restored service is told to wait: restore it, too'
      fi
    fi
    [ -z "$_access" ] || printf '%s\t%s\n' "$_parts" "$_access" >>"$_rec/marks"
  fi
  # Without containers it is the data folder, where BACKUP_PATHS has it in the archive.
  awk -F '\t' 'FILENAME == ARGV[1] { target[$5] = $4; next } $1 in target && $2 ~ /\/temporal[.]sqlite$/ {
      p = $2; for (i = 0; i < 7; i++) sub(/^[^ ]+ /, "", p)
      t = target[$1] substr(p, length($1) + 1); sub(/\/[^\/]*$/, "", t); print "temporal ledger\t" t }' "$_rec/units.new" "$_rec/selected" >>"$_rec/marks"
  cut -f2 "$_rec/marks" >"$_rec/marked"
  while IFS= read -r _access <&3; do
    [ -n "$(unit_around "$_access" "$_rec/units.new")" ] || add_unit put "$_access/RESTORED" +RESTORED
  done 3<"$_rec/marked"
}

# unit_around FOLDER UNITS: `N<tab>PLACE<tab>TARGET` of the unit that the folder is put in place with.
unit_around() { of="$1" awk -F '\t' '$2 == "put" && index(ENVIRON["of"] "/", $4 "/") == 1 { print $1 "\t" $3 "\t" $4; exit }' "$2"; }

# put_marks: into what was unpacked, after it was laid out.
put_marks() {
  while IFS='	' read -r _parts _access <&3; do
    _around=$(unit_around "$_access" "$_rec/units")
    [ -n "$_around" ] || continue
    IFS='	' read -r _n _folder _target <<AROUND
$_around
AROUND
    write_mark "$_folder/new/$_n${_access#"$_target"}/RESTORED" "$_folder/new/$_n${_access#"$_target"}"
  done 3<"$_rec/marks"
}

# write_mark FILE LIKE: in a folder of root's alone; whose it is, as LIKE.
write_mark() {
  rm -rf -- "$1"
  { printf 'at: %s\nbackup: %s\nby: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(sed -n 's/^asked \([^ ]*\) .*/\1/p' "$_rec/request")" "$_run"
    [ "$_parts" = 'temporal ledger' ] || printf 'parts: %s\n' "$_parts"; } >"$1"
  chmod 644 -- "$1"
  [ "$(id -u)" != 0 ] || chown --reference="$2" -- "$1"
  sync "$1"
}

# needs_marks: whether a service went on from what was restored: then what was there before is an older state, too.
needs_marks() {
  waits || return 1
  while IFS='	' read -r _parts _access; do there "$_access/RESTORED" || return 0; done <"$_rec/marks"
  return 1
}

# mark_back: what was put back waits, too.
mark_back() { each_unit mark_target; cd /; }
mark_target() {
  while IFS='	' read -r _parts _access <&5; do
    case $_access in "$_target" | "$_target"/*) ;; *) [ "$_target" = "$_access/RESTORED" ] || continue ;; esac
    [ -d "$_access" ] || continue
    write_mark "$_folder/extra/RESTORED" "$_access"
    ( enter "$_access/RESTORED"; mv -T -- "$_folder/extra/RESTORED" "$_name"; sync . )
  done 5<"$_rec/marks"
}
