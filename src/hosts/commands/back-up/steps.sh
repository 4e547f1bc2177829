# shellcheck shell=sh disable=SC2154,SC2034 # The helper has the layout's names; the commands use what is set here.
# needs STEPS: stops unless these steps of the backup have ended.
needs() {
  for _step in "$@"; do
    [ -e "$_record/$_step" ] || stop 9 "the backup's step \"$_step\" has not ended on this host, so what follows it is not done"
  done
}

# again STEPS: they are about to be done once more, so that what was recorded of them no longer counts.
again() {
  for _step in "$@"; do rm -f -- "$_record/$_step"; done
  sync "$_record"
}

# forget_steps: of the volumes, and what the steps had to say.
forget_steps() {
  find "$_record" -maxdepth 1 '(' -name 'volume-*' -o -name 'doubts.*' ! -name doubts.new -o -name 'notes.*' ')' -delete
  sync "$_record"
}

# step_ended STEP [TEXT]: records that the step has ended, durably.
step_ended() { keep "$1" "${2-yes}" "$_record"; }

# wanted_volumes: those that the backup is to hold, as its first step found them.
wanted_volumes() { sed -n 's/^volume //p' "$_record/collected"; }
