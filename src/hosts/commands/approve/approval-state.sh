# shellcheck shell=sh disable=SC2154 # The helper's part 4 sets some of its variables.
if identity; then echo "host $_identity"; fi
if command -v ssh-keygen >/dev/null && ! ssh-keygen -Y find-principals 2>&1 | grep -q 'illegal\|unknown\|[Uu]nsupported'; then
  echo 'verifies'
fi
_list=$state/administrators
if of_root "$_list"; then cut -d ' ' -f 1 "$_list" | grep -Ex '[A-Za-z0-9][A-Za-z0-9._@-]{0,63}' | head -n 100 | sed 's/^/administrator /'; fi
_list=$state/signed-commands
if of_root "$_list"; then tr -d ' \t\r' <"$_list" | grep -Ex '[a-z][a-z0-9-]{1,40}' | head -n 200 | sed 's/^/signed /'
elif [ -e "$_list" ] || [ -L "$_list" ]; then echo 'signed everything'; fi
