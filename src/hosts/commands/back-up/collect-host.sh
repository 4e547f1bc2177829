# shellcheck shell=sh disable=SC2154,SC2164,SC2034 # The helper ends where a command fails, and has the layout in variables.
places "$1"
needs collected
again host listed packed verified
rm -rf -- "${_stage:?}/host"
mkdir -- "$_stage/host"
: >"$_stage/parts"
notes_of host
host_paths >"$_stage/wanted"
look_for_absent
# Not from standard input, which what is started here would read.
while read -r _part _path <&3; do take "$_part" "$_path"; done 3<"$_stage/wanted"
take_database "$_database"
if grep -qF " $_database" "$_stage/parts" && [ "$(files_in "$_stage/host/etc/pve")" = 0 ]; then
  doubt failed "empty: /etc/pve, although $_database is there: is the service pve-cluster running?"
fi
list_packages dpkg-selections dpkg --get-selections
# shellcheck disable=SC2016 # Of dpkg's own format.
list_packages dpkg-versions dpkg-query -W -f='${db:Status-Abbrev} ${binary:Package} ${Version}\n'
# Without the lists of what there is elsewhere, which take a second to read and say nothing of this.
list_packages apt-manual apt-mark -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null showmanual
cat "$_stage/parts"
step_ended host
