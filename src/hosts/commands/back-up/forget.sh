# shellcheck shell=sh disable=SC2154 # Beside functions.sh and pause.sh, whose names it uses.
# forget_unfinished BACKUP: removes the record of another backup that was begun and never published, and of one whose
# archive has been gone for a month.
forget_unfinished() {
  [ "$_records/$1" != "$_record" ] || return 0
  # Who can't let its containers go on keeps the note of them for the next.
  unpause "$_records/$1" || return 0
  state_of "$1"
  [ "$_state" = gone ] || rm -f -- "$_records/$1/naming" "$_records/$1/removing"
  # Of a proof that is garbage nothing is known, not even when that was.
  case $_published in '' | *[!0-9]*) _published=$(date +%s) ;; esac
  if [ ! -e "$_records/$1/proof" ] || [ -e "$_records/$1/naming" ] || [ -e "$_records/$1/removing" ] ||
    { [ "$_state" = gone ] && [ ! -e "$_folder/$1.$_ending" ] && [ $(($(date +%s) - _published)) -gt 2592000 ]; }; then
    rm -rf -- "${_records:?}/$1"
  fi
}
