#!/bin/sh
# The first rungs of recovery, from the timer proxmox-mcp-watch. What is down for some minutes is restarted: the container that is
# ill, then the unit, then all of it anew. docs/installation.md has the rules, and the format of what is remembered.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
patience=180  # Seconds that it may be down before anything is done.
most=5        # Tries in 24 hours, whoever made them.
say() { printf '%s\n' "$*"; }

mkdir -p "$recovery"; chmod 700 "$recovery"
# Whoever works on the installation holds this lock.
exec 9>"$recovery/lock"
flock --nonblock 9 || { say 'somebody works on the installation: nothing is done'; exit 0; }
now=$(date +%s)
# On a full disk nothing can be remembered there, and somebody should hear of it all the same: then memory has it.
shared=$recovery memory=/run/proxmox-mcp-recovery
# own FOLDER: what this script writes there.
own() { find "$1" -maxdepth 1 -type f \( -name tries -o -name since -o -name back -o -name by-hand -o -name beside -o -name 'mailed-*' \) 2>/dev/null; }
# hand_over FROM TO: what was remembered meanwhile takes the place of what was remembered before.
hand_over() {
  for _file in $(own "$2"); do rm -f "$_file"; done
  for _file in $(own "$1"); do cp "$_file" "$2/"; done
}
if (echo >"$recovery/probe") 2>/dev/null; then
  [ ! -d "$memory" ] || { hand_over "$memory" "$recovery" && rm -rf "$memory"; }
else
  [ -d "$memory" ] || { mkdir -m 700 "$memory"; hand_over "$recovery" "$memory"; }
  recovery=$memory
fi
rm -f "$shared/probe"

# at_work: says who works on the installation by other signs than the lock.
at_work() {
  # "UNTIL WHO": for what must outlive a restart of the machine, with an end of its own (seconds since 1970).
  if read -r _until _who 2>/dev/null <"$shared/hold" && [ "$_until" -gt "$now" ] 2>/dev/null; then
    echo "$_who"; return 0
  fi
  # Cut off, an installation is gone on with soon, or never.
  if [ -n "$(find "$shared/unfinished" -mmin -60 2>/dev/null)" ]; then echo 'an installation that was begun and not finished'; return 0; fi
  for _job in "$(setting STATE_DIR /var/lib/proxmox-mcp)"/jobs/*/; do
    if [ ! -e "$_job/claim" ] || [ -e "$_job/exit" ]; then continue; fi
    read -r _call 2>/dev/null <"$_job/command" || continue
    case " $_call " in
      ' change-unit '*" $unit "* | ' change-unit '*" $unit.service "* | ' restore-unit '*" $unit "* | ' archive-volume '*) ;;
      *) continue ;;
    esac
    # A record that nobody finished says nothing: its process must be there, since this start of the machine.
    read -r _pid _rest 2>/dev/null <"$_job/meta" || continue
    case $_rest in *" $(cat /proc/sys/kernel/random/boot_id) "*) ;; *) continue ;; esac
    if grep -s '^State:' "/proc/$_pid/status" | grep -qv Z; then echo "job $(basename "$_job")"; return 0; fi
  done
  return 1
}

# ill: what is wrong, in words; false when nothing is.
ill() {
  _is=$(systemctl is-active "$unit" || :) _why=
  # By a name that it admits at every address.
  _said=$(curl --silent --show-error --max-time 10 --header 'Host: 127.0.0.1' --write-out '\n%{http_code}' "$url" 2>&1) || :
  case $_said in
    *'
200' | *'
429') ;; # Asked too often it is alive.
    *'
503') _why="$url says: $(printf '%s' "$_said" | grep -o '"summary":"[^"]*"' | head -n 1 | cut -d '"' -f 4)" ;;
    *) _why="$url does not answer as it should: $(printf '%s' "$_said" | head -n 1 | cut -c 1-200)" ;;
  esac
  if [ "$deployment" = compose ]; then
    # It may answer here and to nobody else, as without Caddy.
    _bad=$(containers | not_well core)
    [ -z "$_bad" ] || _why="${_why:+$_why; }not healthy: $_bad"
    # A unit that has failed says nothing of containers that are all well.
    [ -n "$_why" ] || return 1
  elif [ "$_is" = active ] && [ -z "$_why" ]; then return 1; fi
  [ "$_is" = active ] || _why="the unit $unit has failed${_why:+; $_why}"
  echo "$_why"
}

# stopped_with_docker: says what somebody has stopped past the unit (docker stop, docker compose stop or down). Once something was
# tried it isn't asked any more: a try that was cut off leaves containers the same way.
stopped_with_docker() {
  [ "$deployment" = compose ] && [ "$state" = active ] || return 1
  [ -z "$since" ] || [ "$(tries "$since")" = 0 ] || return 1
  _all=$(containers) || return 1
  _gone=$(printf '%s\n' "$_all" | stopped_on_request)
  [ -n "$_gone" ] && echo "$_gone"
}

# reasons: what the last start said, else what the machine knows, for a mail.
reasons() {
  if [ -s "$why_not" ]; then echo 'The last start said:'; sed 's/^/  /' "$why_not" | head -n 20; return 0; fi
  timeout 200 "$here/checks.sh" doctor 2>/dev/null | awk -F '\t' '
    $1 == "failed" && $2 != "Unit" { if (!n++) print "What the machine says:"; print "  " $2 ": " $3 ". " $4 }' || :
}

# note WHAT SUBJECT: a line in the one file that every recovery of this installation shares.
note() { printf '%s watch %s %s\n' "$(date +%s)" "$1" "${2:--}" >>"$recovery/tries"; sync "$recovery/tries"; }

# tries SINCE: how many there were, by anybody.
tries() { awk -v since="$1" '$1 >= since && $3 != "healthy" && $3 != "gave-up" { n++ } END { print n + 0 }' "$recovery/tries" 2>/dev/null || echo 0; }

# mail MARK SUBJECT TEXT: once for each time that it is down. One that can't be sent is tried again by the next look.
mail() {
  [ ! -e "$recovery/mailed-$1" ] || return 0
  if printf '%s\n' "$3" | "$here/mail.sh" "$2"; then : >"$recovery/mailed-$1"; fi
}
history() {
  awk -v since="$1" '$1 >= since { print $1, $2, $3, $4 }' "$recovery/tries" 2>/dev/null |
    while read -r _at _who _what _of; do say "  $(date -d "@$_at" '+%F %T %Z')  $_who: $_what $_of"; done
}

url=$(health_url)
state=$(systemctl is-active "$unit" || :)
forget() { rm -f "$recovery/since" "$recovery/back" "$recovery/mailed-down" "$recovery/mailed-gave-up"; }
case $state in
  # Stopped by hand: whoever did that knows.
  inactive | unknown) forget; exit 0 ;;
  failed)
    # A stop that took too long was one all the same. Nothing else of the unit without Docker has a time to keep.
    if [ -e "$stopped" ] || { [ "$deployment" != compose ] && [ "$(systemctl show --property=Result --value "$unit" || :)" = timeout ]; }; then
      forget; exit 0
    fi
    ;;
  active) ;;
  *) exit 0 ;;
esac
if who=$(at_work); then say "$who works on the installation: nothing is done"; exit 0; fi

# recovered: says so, once by mail where somebody heard that it was down or something was tried.
recovered() {
  if [ ! -e "$recovery/back" ]; then note healthy; say 'the service answers again'; : >"$recovery/back"; fi
  if [ "$(tries "$since")" -gt 0 ] && [ -n "$(setting SMTP_HOST)" ] && [ $((now - since)) -lt 86400 ]; then
    # What can't be sent now is sent by a later look.
    printf '%s\n' "The service answers again. What was seen and done:
$(history "$since")" | "$here/mail.sh" "Proxmox MCP on $(uname -n) is back" || return 0
  fi
  forget
}

# beside: what the service can do without is ill for as long as there is patience: that is said by mail, once.
beside() {
  [ "$deployment" = compose ] || return 0
  _bad=$(containers | not_well beside)
  if [ -z "$_bad" ]; then rm -f "$recovery/beside" "$recovery/mailed-beside"; return 0; fi
  [ -s "$recovery/beside" ] || { echo "$now" >"$recovery/beside"; say "not well beside the service: $_bad"; }
  read -r _at <"$recovery/beside" || :
  [ $((now - _at)) -ge "$patience" ] || return 0
  mail beside "Proxmox MCP on $(uname -n) works, but not all beside it" "The service works. Not well: $_bad.
Nothing is done about these. Look: docker logs --tail 50 ${_bad%% *}; then: docker restart $_bad" || :
}

since=
[ ! -s "$recovery/since" ] || read -r since <"$recovery/since"
if ! why=$(ill); then
  rm -f "$recovery/by-hand"
  [ -z "$since" ] || recovered
  beside
  exit 0
fi
rm -f "$recovery/back"
if gone=$(stopped_with_docker); then
  [ -e "$recovery/by-hand" ] || say "stopped with Docker itself ($gone), so it is left alone; start it: systemctl restart $unit"
  true >"$recovery/by-hand"
  forget
  exit 0
fi
rm -f "$recovery/by-hand"
if [ -z "$since" ]; then
  echo "$now" >"$recovery/since"
  say "$why; if it stays so for $((patience / 60)) minutes something is done"
  exit 0
fi
[ $((now - since)) -ge "$patience" ] || exit 0

done_today=$(tries $((now - 86400)))
last=$(awk '$3 != "healthy" && $3 != "gave-up" { t = $1 } END { print t + 0 }' "$recovery/tries" 2>/dev/null || echo 0)
if [ "$done_today" -ge "$most" ]; then
  say "$why; $done_today tries in 24 hours did not help: a person is needed"
  mail gave-up "Proxmox MCP on $(uname -n) stays down" "$why.
It was tried $done_today times in 24 hours to bring it back; nothing more is tried until these are a day old.
$(history $((now - 86400)))
$(reasons)
Look: systemctl status $unit; journalctl -u $unit -n 50; proxmox-mcp doctor" || :
  exit 0
fi
# Waits longer after each: 1, 2, 4, 8 minutes.
wait=$((60 << (done_today > 0 ? done_today - 1 : 0)))
[ "$done_today" = 0 ] || [ $((now - last)) -ge "$wait" ] || exit 0

those=
[ "$deployment" != compose ] || those=$(containers | not_well core)
case $(tries "$since") in
  0) if [ "$state" = active ] && [ -n "$those" ]; then rung=restart-container; else rung=restart-unit; fi ;;
  1) if [ "$(awk -v since="$since" '$1 >= since && $3 == "restart-container"' "$recovery/tries" | wc -l)" -gt 0 ]; then rung=restart-unit; else rung=recreate; fi ;;
  *) rung=recreate ;;
esac
say "$why; try $((done_today + 1)) of $most: $rung $those"
# Before it is done, so that a try that takes the machine down counts.
case $rung in restart-container) note "$rung" "$(echo "$those" | tr ' ' ,)" ;; *) note "$rung" "$unit" ;; esac
did=0
# shellcheck disable=SC2086 # A word for each container.
case $rung in
  restart-container) timeout 120 docker restart $those 9>&- || did=$? ;;
  restart-unit | recreate)
    # Never a stop of its own: cut off after that, this would leave behind what looks as if somebody had stopped it.
    if [ "$rung" = recreate ] && [ "$deployment" = compose ]; then timeout 300 "$lib/unit.sh" down 9>&- || :; fi
    systemctl reset-failed "$unit" 9>&- || :
    timeout 1200 systemctl restart "$unit" 9>&- || did=$?
    ;;
esac
[ "$did" = 0 ] || say "$rung ended with exit code $did"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  if ! after=$(ill); then recovered; exit 0; fi
  sleep 5
done
mail down "Proxmox MCP on $(uname -n) is down" "$after.
It has been down since $(date -d "@$since" '+%F %T %Z'). What was tried:
$(history "$since")
$(reasons)
At most $most tries are made in 24 hours. Look: systemctl status $unit; journalctl -u $unit -n 50; proxmox-mcp doctor" || :
