# shellcheck shell=sh disable=SC2154 # The helper's jobs and part 4 set its variables.
# note_open: a line for a job that changes something and is at work, or was begun in the last seven days: its run may have
# to take that back. Of its run, and what it executes.
note_open() {
  asked || :
  case $_for in '' | - | [!A-Za-z0-9]* | *[!A-Za-z0-9/_.:-]*) return 0 ;; esac
  case $_known in - | *[!\ -~]*) return 0 ;; esac
  case $_held in host | guest-*) ;; *) return 0 ;; esac
  case $_state in
    starting | running) ;;
    *) [ "$_began" != - ] && [ "$_began" -ge "$((_at - 604800000))" ] || return 0 ;;
  esac
  echo "open $_for $_known"
}

# switch_state: what is kept of who stopped changes, and what this host is called in a text that is signed.
switch_state() {
  if identity; then echo "host $_identity"; fi
  [ -e "$state/changes-stopped" ] || [ -L "$state/changes-stopped" ] || return 0
  echo 'on'
  head -c 65536 "$state/changes-stopped" | grep -Ex '(stopped|nonce|open) [ -~]{1,400}' || :
}
