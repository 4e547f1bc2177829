# shellcheck shell=sh
# What a copy needs of a host: transfer.sh WHAT ARGUMENTS. It needs coreutils only; openssl is used for SHA-256 where it
# is, because it knows the processor's own instructions: it is five times faster. What varies is an argument.
set -eu
export LC_ALL=C PATH=/usr/bin:/bin
umask 077

digest() { if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi | cut -c1-64; }
# is_long FILE LENGTH: whether it is exactly so long.
is_long() { [ "$(stat -L -c %s -- "$1")" = "$2" ]; }

what=$1; shift
case $what in
  # FILE: "size modified kind"
  stat) stat -L -c '%s %.9Y %F' -- "$1" ;;
  # FILE OFFSET SIZE: those bytes
  read) exec dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none ;;
  # FILE: its bytes
  read-all) exec cat -- "$1" ;;
  # FILE LENGTH: digest of that many bytes from its start
  digest)
    d=; if is_long "$1" "$2"; then d=$(digest <"$1"); fi
    if ! is_long "$1" "$2"; then d=$(dd if="$1" bs=1M iflag=count_bytes count="$2" status=none | digest); fi
    echo "$d"
    ;;
  # FILE: digest of all of it
  digest-all) digest <"$1" ;;
  # PARTIAL SIZE: its digest (where it isn't longer than SIZE) and size, each on a line; made when it isn't there
  prepare)
    if [ -e "$1" ] || [ -L "$1" ]; then
      if [ -L "$1" ] || [ ! -f "$1" ] || [ "$(stat -c %u -- "$1")" != "$(id -u)" ]; then
        echo "$1 is not a file of this user" >&2; exit 65
      fi
    else
      set -C; : >"$1"
    fi
    n=$(stat -c %s -- "$1")
    if [ "$n" -le "$2" ]; then digest <"$1"; else echo -; fi
    echo "$n"
    ;;
  # PARTIAL OFFSET, standard input: the file from there on, cut off behind
  write) exec dd of="$1" bs=1M iflag=fullblock oflag=seek_bytes,nofollow seek="$2" status=none ;;
  # PARTIAL TARGET MODE DIGEST: it gets its name if it is what it is to be; else it goes, and its digest is told
  finish)
    d=$(digest <"$1")
    if [ "$d" != "$4" ]; then rm -f -- "$1"; echo "$d"; exit 66; fi
    chmod -- "$3" "$1"
    sync -- "$1"
    mv -fT -- "$1" "$2"
    sync -- "$(dirname -- "$2")"
    ;;
esac
