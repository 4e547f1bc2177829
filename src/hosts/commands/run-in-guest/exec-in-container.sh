# shellcheck shell=sh
# $1: the container. $2: seconds that the command has. $3: its words, each base64url behind a point.
require_unprivileged "$1"
_ct=$1 _limit=$2 _left=${3#w}
case $_left in .*) ;; *) stop 12 'the words of the command are not behind points' ;; esac
set --
while [ -n "$_left" ]; do
  _word=${_left#.} _word=${_word%%.*} _left=${_left#".$_word"}
  _word=$(word "$_word") || stop 12 'a word of the command is not base64url'
  set -- "$@" "${_word%x}"
done
_box=$(mktemp -d)
mkfifo "$_box/1" "$_box/2"
keep_first "$_box/out" 49152 <"$_box/1" &
_reads=$!
keep_first "$_box/err" 16384 <"$_box/2" &
_reads="$_reads $!"
read -r _began _idle </proc/uptime
_exit=0
# What is open here (the record, the locks) must not be open in there.
timeout --kill-after=10 "$_limit" pct exec "$_ct" -- "$@" </dev/null >"$_box/1" 2>"$_box/2" \
  3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- || _exit=$?
read -r _ended _idle </proc/uptime
# What goes on in there may hold its output open: don't wait for it.
# shellcheck disable=SC2086 # Two words.
{ sleep 2; kill -s KILL $_reads; } >/dev/null 2>&1 &
# shellcheck disable=SC2086
wait $_reads 2>/dev/null || :
echo "exit $_exit"
case $_exit in
  124 | 137) [ $((${_ended%.*} - ${_began%.*})) -lt "$_limit" ] || echo 'late' ;;
esac
echo "out $(base64 -w0 "$_box/out")"
echo "err $(base64 -w0 "$_box/err")"
for _name in out err; do
  _more=0
  { read -r _more; } 2>/dev/null <"$_box/$_name.more" || _more=1
  [ "$_more" = 0 ] || echo "cut $_name"
done
rm -rf "$_box"
