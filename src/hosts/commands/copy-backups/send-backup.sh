# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
# Standard output: the manifest, its seal and the archive as one tar, encrypted (age), or as it is (plain) where root has
# allowed that. What of it failed is told on standard error, and by the exit code: whoever keeps it gives it no name before.
places "$1"
who_may_decrypt
case $2 in
  age)
    [ -n "$_recipients" ] || stop 13 'root has named nobody who can decrypt a copy'
    command -v age >/dev/null || stop 14 'the program age is not on this host'
    ;;
  plain) [ "$_encryption" = service ] || stop 13 'root has not allowed the service to encrypt copies itself' ;;
esac
state_of "$1"
[ "$_state" = verified ] || stop 9 "$1 is $_state on this host: only what it has verified is copied"
has_manifest || stop 9 "$1 has no sealed manifest on this host, so that nobody could tell later whether a copy is whole"
if [ "$(sum_of "$_manifest")" != "$_sealed" ] || ! is_sealed "$_manifest" "$_manifest.sig"; then stop 9 "the manifest of $1 is not the one that was sealed"; fi
_name=${_archive##*/}
exec 4>&1
# tar reads first what says what the archive has to be. The archive is read twice at once, mostly once from the disk: what
# was sent is compared with what was published.
_said=$(
  {
    { sum_of "$_backups/$_name" || echo failed; } | sed 's/^/sum /' &
    { tar --create --file=- --format=gnu --totals -b 128 --owner=0 --group=0 --numeric-owner --mode=0600 -C "$_backups" -- \
      "$1.manifest" "$1.manifest.sig" "$_name" || echo 'the archive could not be read' >&3; } |
      case $2 in
        age) age --encrypt --recipients-file "$_list" >&4 || echo 'age could not encrypt it, or nobody took it' >&3 ;;
        plain) cat >&4 || echo 'nobody took it' >&3 ;;
      esac
    wait
  } 3>&1
)
[ "$_said" = "sum $_sum" ] || stop 9 "what was sent is not the archive that was published: $(printf '%s\n' "$_said" | tail -n 1)"
