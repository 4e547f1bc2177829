#!/bin/sh
# Ends what `npm start` has started when that itself is gone without a word, because it was killed: nobody else would.
# Every line that it reads names all that runs now, as PID:STARTED:GRACE, in the order in which it is to be ended; the last
# one counts once the other end of the pipe is closed. An empty line: nothing is to be ended.
set -u
kept=
while read -r line; do kept=$line; done

# started PID: what tells the process from a later one with its number; nothing of one that is gone or only uncollected.
started() {
  if [ -r /proc/self/stat ]; then
    # Field 22 of stat, counted after the name, which may hold anything.
    sed -n 's/.*) \([^ZX]\) /\1 /p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
  else
    ps -o stat= -o lstart= -p "$1" 2>/dev/null | sed -e '/^ *Z/d' -e 's/^ *[^ ]* *//' -e 's/ *$//' | tr -s ' ' _
  fi
}

is_alive() { [ "$(started "$1")" = "$2" ]; }

for one in $kept; do
  pid=${one%%:*}
  rest=${one#*:}
  grace=${rest##*:}
  since=${rest%:*}
  is_alive "$pid" "$since" || continue
  kill -TERM "$pid" 2>/dev/null
  waited=0
  while [ "$waited" -lt "$((grace * 5))" ] && is_alive "$pid" "$since"; do
    sleep 0.2
    waited=$((waited + 1))
  done
  is_alive "$pid" "$since" && kill -KILL "$pid" 2>/dev/null
done
