# shellcheck shell=sh disable=SC2154,SC2034 # Beside take.sh and copy.sh, whose names it uses.
# copy_file FILE COPY NAME: as it was at one moment; a link as a link. Prints `changed NAME` where it was written to all the time.
copy_file() {
  for _try in 1 2 3 4 5; do
    _was=$(stat -c '%s %y %z' -- "$1")
    rm -rf -- "$2"
    cp -d "--preserve=$_keeping" -- "$1" "$2" 2>"$_stage/said" || cp -d "--preserve=$_anyhow" -- "$1" "$2" 2>"$_stage/said"
    [ "$(stat -c '%s %y %z' -- "$1")" != "$_was" ] || return 0
    sleep 0.2
  done
  echo "changed $3"
}

# list_packages NAME PROGRAM ARGUMENTS: what the program says of packages, as a file of that name.
list_packages() {
  _name=$1; shift
  command -v "$1" >/dev/null || { echo "absent packages /$_name"; return 0; }
  if timeout -k 2 60 "$@" >"$_stage/host/$_name" 2>"$_stage/said"; then part packages "/$_name"
  else rm -f -- "$_stage/host/$_name"; doubt warning "not readable: the list of packages ($*): $(tail -n 1 "$_stage/said" | printable)"; fi
}

# files_in PATH: how many files and links.
files_in() { if [ -e "$1" ] || [ -L "$1" ]; then find "$1" ! -type d -printf x | wc -c; else echo 0; fi; }

# like FOLDER COPY, like_above PATH: with owner and mode of what it is a copy of: who restores it as a whole must not close /etc.
like() {
  chmod --reference="$1" -- "$2"
  [ "$(id -u)" != 0 ] || chown --reference="$1" -- "$2"
}
like_above() {
  _above=${1%/*}
  if [ -z "$_above" ] || [ -d "$_stage/host$_above" ]; then return 0; fi
  like_above "$_above"
  _above=${1%/*}
  mkdir -- "$_stage/host$_above"
  [ ! -d "$hostRoot$_above" ] || like "$hostRoot$_above" "$_stage/host$_above"
}
