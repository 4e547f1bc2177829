# shellcheck shell=sh disable=SC2154,SC2034 # Beside take.sh and copy.sh, whose names it uses.
# take_database PATH: copies an SQLite database as it was at one moment, with what stands only in its log, and asks the copy
# whether it is whole. It is opened for reading alone, so that neither it nor its log changes. Prints `database HOW`.
take_database() {
  seen "$hostRoot$1"
  case $_seen in absent) return 0 ;; file) ;; *) closed proxmox "$1" "${_said:-it is no file}"; return 0 ;; esac
  _into=$_stage/host$1
  like_above "$1"
  : >"$_stage/said"
  for _how in sqlite3 python3 perl files; do
    [ "$_how" = files ] || command -v "$_how" >/dev/null || continue
    rm -f -- "$_into" "$_into-wal" "$_into-shm"
    if "with_$_how" "$hostRoot$1" "$_into" "$1" 2>>"$_stage/said" && [ -s "$_into" ]; then break; fi
  done
  [ -s "$_into" ] || { closed proxmox "$1" "$(tail -n 1 "$_stage/said" | printable)"; return 0; }
  echo "database $_how"
  like "$hostRoot$1" "$_into"
  if [ "$_how" != files ]; then
    _said=$("whole_by_$_how" "$_into" 2>&1 | head -n 1 | printable) || :
    [ "$_said" = ok ] || doubt failed "damaged: the database $1; the check of its copy says: $_said"
  fi
  part proxmox "$1"
}

sqlite() { timeout -k 2 60 sqlite3 -batch -init /dev/null "$@"; }
with_sqlite3() { ( cd "${2%/*}" && { sqlite -readonly -cmd '.timeout 10000' "$1" ".backup ${2##*/}" || { rm -f -- "$2"; sqlite -readonly -cmd '.timeout 10000' "$1" "VACUUM INTO '${2##*/}'"; }; } ); }
whole_by_sqlite3() { ( cd "${1%/*}" && sqlite "file:${1##*/}?immutable=1" 'PRAGMA integrity_check' ); }
with_python3() {
  timeout -k 2 60 python3 -I -c 'import pathlib, sqlite3, sys; s = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?mode=ro", uri=True, timeout=10); d = sqlite3.connect(sys.argv[2]); s.backup(d); d.close()' "$1" "$2"
}
whole_by_python3() {
  timeout -k 2 60 python3 -I -c 'import pathlib, sqlite3, sys; print(sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?immutable=1", uri=True).execute("PRAGMA integrity_check").fetchone()[0])' "$1"
}
# shellcheck disable=SC2016 # Perl's own variables.
with_perl() {
  timeout -k 2 60 perl -MDBI -MDBD::SQLite::Constants=:file_open -e 'my $d = DBI->connect("dbi:SQLite:dbname=$ARGV[0]", "", "", { RaiseError => 1, sqlite_open_flags => SQLITE_OPEN_READONLY }); $d->sqlite_busy_timeout(10000); $d->sqlite_backup_to_file($ARGV[1]) or die "no copy"' "$1" "$2"
}
# shellcheck disable=SC2016 # Perl's own variables.
whole_by_perl() {
  timeout -k 2 60 perl -MDBI -e 'print DBI->connect("dbi:SQLite:uri=file:$ARGV[0]?immutable=1", "", "", { RaiseError => 1 })->selectrow_array("PRAGMA integrity_check"), "\n"' "$1"
}

# with_files DATABASE COPY NAME: the file with its log, when nothing else can: again until neither changes meanwhile, and doubted.
with_files() {
  for _try in 1 2 3 4 5; do
    _was=$(stat -c '%n %s %y' -- "$1" "$1-wal" 2>/dev/null)
    for _end in '' -wal -shm; do
      rm -f -- "$2$_end"
      [ ! -e "$1$_end" ] || cp "--preserve=$_anyhow" -- "$1$_end" "$2$_end" || return 1
    done
    [ "$(stat -c '%n %s %y' -- "$1" "$1-wal" 2>/dev/null)" != "$_was" ] || break
    sleep 0.2
  done
  doubt warning "not proved: the database $3, because neither sqlite3 nor python3 nor perl with DBD::SQLite could read it on this host; its file and its log were copied as they are"
}
