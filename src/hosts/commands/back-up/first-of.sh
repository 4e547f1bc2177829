# shellcheck shell=sh
# first_of LINES: the first of them, and how many more there are.
first_of() {
  _more=$(($(printf '%s\n' "$1" | wc -l) - 1))
  printf '%s' "$(printf '%s\n' "$1" | head -n 1 | printable)"
  [ "$_more" = 0 ] || printf ' and %s more' "$_more"
}
