# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs collected host
for _name in $(wanted_volumes); do needs "volume-$_name"; done
again listed packed verified
cd "$_stage"
{ describe_files; describe_dumps; describe_host; for _name in $(wanted_volumes); do cat "$_name.contents"; done; } >"$_record/contents.part"
{ for _name in collected host $(wanted_volumes | sed 's/^/volume-/'); do cat "$_record/doubts.$_name"; done; } >doubts
not_text >>doubts
# With what the last good backup of its kind held, or of another kind while there is none; before there was one, with what may never be empty.
_last=$(each_record last_good | sort -n | awk -v kind="$_kind-" '{ any = $2 } index($2, kind) == 1 { same = $2 } END { print same == "" ? any : same }')
if [ -n "$_last" ]; then
  echo "last $_last"
  of_this_kind "$_records/$_last/contents" >last
  compare last "$_record/contents.part" >compared
  # Guests come and go: that the configuration of one is gone is said, and no doubt.
  { grep '^gone ' compared || :; } | head -n 20
  # Nothing found is no failure, and a full disk is: no doubt may be lost.
  grep -v '^gone ' compared >>doubts || [ $? = 1 ]
elif [ -d "$_top" ]; then
  find "$_top" -maxdepth 2 -type f -empty '(' -path "$_top/.env" -o -path "$_top/*compose*.y*ml" -o -path "$_top/keys/*" ')' \
    -printf 'failed empty: %P\n' | sort | printable >>doubts
fi
# What an administrator has accepted in the last good one is said, but doubted no more. Not what a part of a backup was no backup for:
# that is accepted for the one night.
: >accepted
if [ -n "$_last" ] && [ -e "$_records/$_last/doubts" ]; then
  grep -Ev '^failed (not (consistent|whole|readable|mounted)|damaged|empty: (the dump|/etc/pve))' "$_records/$_last/doubts" >accepted.last || [ $? = 1 ]
  grep -Fxf accepted.last doubts >accepted || [ $? = 1 ]
  grep -vFxf accepted.last doubts >doubts.left || [ $? = 1 ]
  mv -f -- doubts.left doubts
fi
head -n 20 doubts | each_line 'doubt '
if [ "$(wc -l <doubts)" -gt 20 ]; then
  _worst=warning; ! tail -n +21 doubts | grep -q '^failed ' || _worst=failed
  echo "doubt $_worst and $(($(wc -l <doubts) - 20)) more"
fi
head -n 20 accepted | each_line 'accepted '
# Published with the archive; where there is nothing to doubt there is no such file.
cat doubts accepted >"$_record/doubts.new"
if [ ! -s doubts ]; then
  if [ -s accepted ]; then : >"$_record/accepted.new"; else rm -f -- "$_record/doubts.new"; fi
else rm -f -- "$_record/accepted.new"; fi
for _file in contents.part doubts.new accepted.new; do [ ! -e "$_record/$_file" ] || sync "$_record/$_file"; done
step_ended listed
# shellcheck disable=SC2046 # The names of folders.
echo "files $(find $(tops) -type f -printf x | wc -c)"
