# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# places BACKUP: where a backup is made and what is recorded of it. Links on the way to the layout's folders are followed.
#
# Of each backup $state/backups/BACKUP is the host's own record, root's alone. While it is made: a file for each step that
# has ended (collected, host, volume-NAME, listed, packed, verified), written when the step's effect is on disk; the next step
# needs it. Afterwards: proof (checksum, size and time of the file, when it was published, folder), seal (the same of its
# manifest), contents (what the next backup is compared with), doubts (what was less than last time), accepted (an
# administrator wants it so), checked (when it was last read back), broken (it was found changed then), unsealed (its manifest
# was), naming (it has no name yet), removing (it is being removed), protected (an administrator keeps it), proven (when it was last restored and worked).
places() {
  folders
  _record=$_records/$1
  ending_of "$1"
  _archive=$_backups/$1.$_ending
  # A backup is made in a hidden folder beside the archives, or in its record.
  if staged_apart; then _stage=$_record/stage; else _stage=$_backups/.$1.partial; fi
  # One top folder of the archive is the installation, whose files are right below it: the guide's recovery renames it. In
  # host each file of the host's own configuration has its whole path; volumes has a folder for each volume.
  _top=${1%%-*}-${1#*-backup-}
  _kind=${1%%-*}
  _partial=$_backups/.$1.$_ending.partial
  _manifest=$_backups/$1.manifest
  _new_manifest=$_backups/.$1.manifest
}

# ending_of BACKUP: sets _ending, by the record that was made when it was begun, else by the file that is there.
ending_of() {
  _ending=
  [ ! -e "$_records/$1/ending" ] || read -r _ending <"$_records/$1/ending" || :
  case $_ending in tar.gz | tar.zst) return 0 ;; esac
  _ending=tar.gz
  if [ -e "$_backups/$1.tar.zst" ] && [ ! -e "$_backups/$1.tar.gz" ]; then _ending=tar.zst; fi
}

folders() {
  _backups=$(realpath -m -- "$backups")
  _installation=$(realpath -m -- "$installation")
  _records=$state/backups
}

# is_installed: whether there is an installation on this host, and something in it.
is_installed() {
  [ -d "$_installation" ] && find "$_installation" -mindepth 1 -path "$_backups" -prune -o -print -quit | grep -q .
}

# tops: the top folders of the archive: the installation, where there is one, and the host's own configuration.
tops() { for _one in "$_top" host volumes dumps; do [ ! -d "$_stage/$_one" ] || echo "$_one"; done; }

# deepest FOLDER: the folder, or the deepest one above it that is there.
deepest() {
  _deepest=$1
  while [ ! -d "$_deepest" ]; do _deepest=$(dirname -- "$_deepest"); done
  printf '%s\n' "$_deepest"
}

file_system() { stat --file-system --format=%T -- "$(deepest "$1")"; }

keeps_owners() {
  case $(file_system "$1") in
    cifs | smb* | nfs* | fuse* | msdos | vfat | exfat | ntfs* | v9fs | 9p | hfs*) return 1 ;;
  esac
}

# staged_apart: whether the copy can't be made beside the archives: that file system keeps no owners, or others could put something of
# their own in its place, which root would write through, pack and seal.
staged_apart() { ! keeps_owners "$_backups" || [ -n "$(unsafe_folder)" ]; }

# unsafe_folder: says which folder on the way to the archives lets others than root remove them; nothing where none does.
unsafe_folder() {
  [ "$(id -u)" = 0 ] || return 0
  _way=$(deepest "$_backups")
  while :; do
    # In a folder above, as /tmp, who may write can't remove what is root's where it is sticky.
    if [ "$(stat -c %u -- "$_way")" != 0 ] ||
      find "$_way" -maxdepth 0 -perm /022 '(' ! -perm -1000 -o -path "$_backups" ')' -printf x | grep -q x; then
      printf 'unsafe %s\n' "$_way"
      return 0
    fi
    [ "$_way" != / ] || return 0
    _way=$(dirname -- "$_way")
  done
}

# into FILE COMMAND ARGUMENTS: its output becomes the file, which isn't there yet: a link that somebody has put there isn't followed.
into() { ( set -C; exec >"$1"; set +C; shift; "$@" ); }

# sum_of FILE: its SHA-256 checksum. OpenSSL uses what the processor has for it, and is about twice as fast.
sum_of() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r <"$1"; else sha256sum <"$1"; fi | cut -c1-64
}

# unfinished ACTION: does it with everything that is hidden and named like a backup, whichever.
unfinished() {
  [ ! -d "$_backups" ] || find "$_backups" -maxdepth 1 -regextype posix-extended \
    -regex ".*/[.]${form_backup}([.]tar[.](gz|zst)([.]sha256)?|[.]manifest([.]sig)?)?[.]partial" "$@"
}

# each_record FUNCTION ARGUMENTS: calls it with each backup that there is a record of, as its last argument.
each_record() {
  [ -d "$_records" ] || return 0
  find "$_records" -mindepth 1 -maxdepth 1 -type d -regextype posix-extended -regex ".*/$form_backup" -printf '%f\n' |
    sort | while read -r _id; do "$@" "$_id"; done
}

# state_of BACKUP: sets _state (verified, doubted, changed, unsealed, unproven; gone where there is no such file), _ending, what
# its proof says: _sum, _bytes, _written, _published, _folder, and _checked, when it was last read back; and _sealed, the checksum of its
# manifest.
state_of() {
  _state=unproven _sum=- _bytes=- _written=- _published=- _checked=- _folder='' _sealed=-
  _of=$_records/$1
  ending_of "$1"
  if [ -e "$_of/proof" ]; then
    read -r _sum _bytes _written _published _folder <"$_of/proof" || :
    _checked=$_published
    [ ! -e "$_of/checked" ] || read -r _checked <"$_of/checked" || :
    case $_bytes$_written$_published$_checked in
      *[!0-9]*) _state=unproven _sum=- _published=- _checked=- _folder= ;;
      *) _state=verified ;;
    esac
  fi
  # Always, as it says what the manifest has to be.
  _has_seal=yes; has_its_seal "$1" || _has_seal=
  if [ ! -f "$_backups/$1.$_ending" ]; then _state=gone
  elif [ "$_state" = unproven ]; then :
  elif [ -e "$_of/broken" ] || [ "$(stat -c '%s %Y' -- "$_backups/$1.$_ending")" != "$_bytes $_written" ]; then _state=changed
  elif [ -z "$_has_seal" ]; then _state=unsealed
  elif [ -e "$_of/doubts" ] && [ ! -e "$_of/accepted" ]; then _state=doubted
  fi
}

# has_its_seal BACKUP: whether its manifest and the seal of it are as they were published; what was published before there
# were any has none.
has_its_seal() {
  [ -e "$_of/seal" ] || return 0
  read -r _sealed _seal_facts <"$_of/seal" || :
  case $_sealed in '' | *[!0-9a-f]*) _sealed=- ;; esac
  [ ! -e "$_of/unsealed" ] && [ "$(seal_facts "$_backups/$1.manifest")" = "$_seal_facts" ]
}
seal_facts() { stat -c '%s %Y' -- "$1" "$1.sig" 2>/dev/null | tr '\n' ' ' | sed 's/ $//'; }

# counting: a line `PUBLISHED BACKUP` for each archive that is there and counts, the newest first.
counting() { each_record one_counting | sort -rn; }
one_counting() {
  state_of "$1"
  [ "$_state" != verified ] || echo "$_published $1"
}

# one_lost BACKUP: says where an archive is that was published and is not in the folder now, or that it is gone.
one_lost() {
  state_of "$1"
  if [ "$_state" != gone ] || [ "$_sum" = - ]; then return 0; fi
  # It had no name yet, or had lost it already, when the power went.
  if [ -e "$_of/naming" ] || [ -e "$_of/removing" ]; then return 0; fi
  if [ -n "$_folder" ] && [ "$_folder" != "$_backups" ] && [ -f "$_folder/$1.$_ending" ]; then echo "elsewhere $1 $_folder"
  else echo "gone $1"; fi
}

# one_marked BACKUP: says that an administrator protects it, and when it was last restored and worked.
one_marked() {
  [ ! -e "$_records/$1/protected" ] || echo "protected $1"
  [ ! -e "$_records/$1/proven" ] || { read -r _at <"$_records/$1/proven" && counts "$_at" && echo "proven $1 $_at"; } || :
}

# taken_at BACKUP: the time in its name, in seconds since 1970; fails where that is no time.
taken_at() {
  date -u +%s -d "$(printf '%s\n' "$1" |
    sed -E 's/.*-([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{2})([0-9]{2})([0-9]{2})$/\1-\2-\3 \4:\5:\6/')" 2>/dev/null
}
