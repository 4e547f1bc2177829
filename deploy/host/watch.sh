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

# at_work: says who works on the installation by other signs than the lock.
at_work() {
  # "UNTIL WHO": for what must outlive a restart of the machine, with an end of its own (seconds since 1970).
  if read -r _until _who 2>/dev/null <"$recovery/hold" && [ "$_until" -gt "$now" ] 2>/dev/null; then
    echo "$_who"; return 0
  fi
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
  [ "$(systemctl is-active "$unit" || :)" = active ] || { echo "the unit $unit has failed"; return 0; }
  # By a name that it admits at every address.
  _said=$(curl --silent --show-error --max-time 10 --header 'Host: 127.0.0.1' --write-out '\n%{http_code}' "$url" 2>&1) || :
  case $_said in
    *'
200' | *'
429') return 1 ;; # Asked too often it is alive.
    *'
503') echo "$url says: $(printf '%s' "$_said" | grep -o '"summary":"[^"]*"' | head -n 1 | cut -d '"' -f 4)" ;;
    *) echo "$url does not answer as it should: $(printf '%s' "$_said" | head -n 1 | cut -c 1-200)" ;;
  esac
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

# The containers that are ill, by their services.
ill_containers() {
  # shellcheck disable=SC2016 # Docker's own template.
  owned_containers '{{.Label "com.docker.compose.service"}} {{.Names}} {{.State}} {{.Status}}' 2>/dev/null |
    awk '/\(unhealthy\)/ || $3 == "dead" || ($3 == "exited" && $0 !~ /Exited \(0\)/) { print $2 }' | head -n 20
}

url=$(health_url)
state=$(systemctl is-active "$unit" || :)
case $state in
  # Stopped by hand: whoever did that knows.
  inactive | unknown) rm -f "$recovery/since" "$recovery/back" "$recovery/mailed-down" "$recovery/mailed-gave-up"; exit 0 ;;
  active | failed) ;;
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
  rm -f "$recovery/since" "$recovery/back" "$recovery/mailed-down" "$recovery/mailed-gave-up"
}

since=
[ ! -s "$recovery/since" ] || read -r since <"$recovery/since"
if ! why=$(ill); then
  [ -z "$since" ] || recovered
  exit 0
fi
rm -f "$recovery/back"
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
Look: systemctl status $unit; journalctl -u $unit -n 50; proxmox-mcp doctor" || :
  exit 0
fi
# Waits longer after each: 1, 2, 4, 8 minutes.
wait=$((60 << (done_today > 0 ? done_today - 1 : 0)))
[ "$done_today" = 0 ] || [ $((now - last)) -ge "$wait" ] || exit 0

containers=
[ "$deployment" != compose ] || containers=$(ill_containers | tr '\n' ' ')
case $(tries "$since") in
  0) if [ "$state" = active ] && [ -n "$containers" ]; then rung=restart-container; else rung=restart-unit; fi ;;
  1) if [ "$(awk -v since="$since" '$1 >= since && $3 == "restart-container"' "$recovery/tries" | wc -l)" -gt 0 ]; then rung=restart-unit; else rung=recreate; fi ;;
  *) rung=recreate ;;
esac
say "$why; try $((done_today + 1)) of $most: $rung ${containers}"
# Before it is done, so that a try that takes the machine down counts.
case $rung in restart-container) note "$rung" "$(echo "$containers" | tr ' ' , | sed 's/,$//')" ;; *) note "$rung" "$unit" ;; esac
did=0
# shellcheck disable=SC2086 # A word for each container.
case $rung in
  restart-container) timeout 120 docker restart $containers 9>&- || did=$? ;;
  restart-unit) systemctl reset-failed "$unit" 9>&- || :; timeout 600 systemctl restart "$unit" 9>&- || did=$? ;;
  recreate)
    timeout 180 systemctl stop "$unit" 9>&- || systemctl kill --signal=KILL "$unit" 9>&- || :
    [ "$deployment" != compose ] || (timeout 180 "$lib/unit.sh" down 9>&-) || :
    systemctl reset-failed "$unit" 9>&- || :
    timeout 600 systemctl start "$unit" 9>&- || did=$?
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
At most $most tries are made in 24 hours. Look: systemctl status $unit; journalctl -u $unit -n 50; proxmox-mcp doctor" || :
