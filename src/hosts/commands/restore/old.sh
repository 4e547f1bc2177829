# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # Beside record.sh, whose names it uses.
# say_old: restores of which something is kept longer than is promised: what they replaced, or what they brought.
say_old() {
  find "$state/restores" -mindepth 1 -maxdepth 1 -regextype posix-extended -regex ".*/$form_restore" -printf '%f\n' 2>/dev/null | sort | while read -r _old; do
    [ ! -e "$state/restores/$_old/forgotten" ] && { read -r _old_is _old_since _rest_of <"$state/restores/$_old/state"; } 2>/dev/null || continue
    case $_old_is in kept) _days=14 ;; staged | undone) _days=1 ;; *) continue ;; esac
    ! counts "$_old_since" || [ $(($(date +%s) - _old_since)) -lt $((_days * 86400)) ] || echo "old $_old"
  done
}

# forget_kept: removes what the restore of of_restore had replaced and brought.
forget_kept() {
  : >"$_rec/forgotten"; sync "$_rec"
  restore_folders | while IFS= read -r _folder; do rm -rf --one-file-system -- "$_folder"; done
  [ "$_is" != staged ] || becomes undone 'it was forgotten'
  rm -f -- "$_rec/manifest" "$_rec/selected" "$_rec/expected" "$_rec/unpacked" "$_rec/sums" "$_rec/names" "$_rec/entries"
}

# forget_old: of all that are older than is promised. Whoever holds the host alone does it by the way, and what can't be removed is left
# to the next.
forget_old() {
  say_old | while read -r _word _old; do ( of_restore "$_old"; forget_kept ) </dev/null >/dev/null 2>&1 || :; done
}
