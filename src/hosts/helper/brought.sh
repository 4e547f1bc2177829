# shellcheck shell=sh disable=SC2154,SC2317 # Part of a script that is brought to the host: others set its variables.
# The shell reads the script from its standard input, so all of it is read before anything is done.
main() {
  set -efu
  umask 077
  cd /
  exec </dev/null
  check now "$@"
  shift
  "$_do" "$@"
}
main "$@"; exit
