# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # The helper has the layout's names; the commands use what is set here.
# of_restore RESTORE: what this host keeps of a restore, root's alone, in $state/restores/RESTORE: request (which archive, its
# digest, what of it), manifest, selected (the entries that are restored, each with what it is swapped with), units (a line for
# each thing that is swapped: number, put or gone, folder, target, name in the archive), ran (what was stopped for it), made
# (folders and volumes that it made), and state, which is on disk before anything is done that it names:
#
#   staging, staged   nothing on the host has changed; what is to come lies in its folders, compared with the manifest
#   applying          between the first stop and healthy; who finds it so goes back
#   kept              done; what was replaced lies in old/ of its folders
#   undoing, undone   goes back, or has gone back
of_restore() {
  _rec=$state/restores/$1 _is=absent _since=0 _said=
  [ ! -f "$_rec/state" ] || read -r _is _since _said <"$_rec/state" || :
  _root=$(realpath -m -- "${hostRoot:-/}")
  [ "$_root" != / ] || _root=
}

# becomes STATE [WHY]
becomes() {
  keep state "$1 $(date +%s) $(printf '%s' "${2--}" | tr '\001-\037\177' '?' | cut -c1-300)" "$_rec"
  _is=$1
}

# there PATH: whether something has that name, a dangling link, too.
there() { [ -e "$1" ] || [ -L "$1" ]; }

# each_unit FUNCTION: calls it with _n, _action, _folder, _target and _member set, in the order of the list.
each_unit() {
  [ -f "$_rec/units" ] || return 0
  while IFS='	' read -r _n _action _folder _target _member <&4; do "$1"; done 4<"$_rec/units"
}

# restore_folders: the folders of this restore, one for each file system.
restore_folders() { [ ! -f "$_rec/folders" ] || sort -u "$_rec/folders"; }

# enter PATH: goes into the folder that it is in. A link on the way there leads elsewhere, so it ends; and who has been in the
# folder is in it still when somebody moves another one there.
enter() {
  _in=$(dirname -- "$1") _name=./${1##*/}
  cd -P -- "$_in" && [ "$(pwd -P)" = "$_in" ] || stop 12 "the way to $1 leads over a link"
}
