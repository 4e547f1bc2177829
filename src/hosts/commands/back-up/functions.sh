# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# places BACKUP: a backup is made in a hidden folder beside the archives.
places() {
  _stage=$backups/.$1.partial
  # The one top folder of the archive: the guide's recovery renames it to the installation, whose files are right below it.
  _top=daily-${1#daily-backup-}
  _partial=$backups/.$1.tar.gz.partial
  _manifest=backup-manifest.sha256
}

# sum_of FILE: its SHA-256 checksum.
sum_of() { sha256sum <"$1" | cut -c1-64; }

# unfinished ACTION: does it with everything that is hidden and named like a backup, whichever.
unfinished() {
  find "$backups" -maxdepth 1 -regextype posix-extended \
    -regex ".*/[.]${form_backup}([.]tar[.]gz([.]sha256)?)?[.]partial" "$@"
}
