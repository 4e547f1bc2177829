# shellcheck shell=sh disable=SC2154,SC2034,SC2015 # Beside record.sh, whose names it uses.
# The journal of a swap are the folders themselves: of each unit new/N is there until it has its place, and old/N from when what it
# replaces was moved aside. A rename is done or not, so that whatever was stopped midway can be gone back from.

# swap_in: moves what is there aside, and what was staged in its place.
swap_in() {
  if [ "$_action" = put ] && ! there "$_folder/new/$_n"; then return 0; fi
  make_way "$_target"
  enter "$_target"
  if there "$_name"; then
    if there "$_folder/old/$_n"; then stop 9 "$_target is there again, though it was moved aside: somebody made it anew"; fi
    if [ -d "$_name" ] && [ ! -L "$_name" ] && below "$(mounted)" "$_target" | grep -q .; then stop 9 "something is mounted in $_target, and would move aside with it"; fi
    mv -T -- "$_name" "$_folder/old/$_n"
  fi
  [ "$_action" != put ] || mv -nT -- "$_folder/new/$_n" "$_name"
  if [ "$_action" = put ] && there "$_folder/new/$_n"; then stop 9 "$_target could not be put in its place"; fi
}

# swap_back: what was there before is there again, and what was restored in new/ again. Whatever was done of it already.
swap_back() {
  if ! there "$_folder/new" || ! there "$(dirname -- "$_target")"; then return 0; fi
  if [ "$_action" = gone ] && ! there "$_folder/new/${_member#beside }"; then
    # What it lies beside has not gone back yet: what is there now is of what was restored.
    enter "$_target"
    ! there "$_name" || mv -T -- "$_name" "$_folder/extra/$_n.$(date +%s)"
    return 0
  fi
  # Nothing was done of it.
  if ! there "$_folder/old/$_n" && { [ "$_action" = gone ] || there "$_folder/new/$_n"; }; then return 0; fi
  enter "$_target"
  if there "$_name"; then
    if [ "$_action" = put ] && ! there "$_folder/new/$_n"; then mv -T -- "$_name" "$_folder/new/$_n"
    # Somebody made it while nothing had the name.
    elif there "$_folder/old/$_n"; then mv -T -- "$_name" "$_folder/extra/$_n.$(date +%s)"; fi
  fi
  ! there "$_folder/old/$_n" || mv -nT -- "$_folder/old/$_n" "$_name"
  ! there "$_folder/old/$_n" || stop 9 "$_target could not be put back; it is $_folder/old/$_n"
}

# make_way TARGET: makes the folders above it that aren't there, like those of the archive.
make_way() {
  _deep=$(deepest "$(dirname -- "$1")")
  cd -P -- "$_deep" && [ "$(pwd -P)" = "$_deep" ] || stop 12 "the way to $1 leads over a link"
  _rest=$(dirname -- "$1"); _rest=${_rest#"${_deep%/}"}; _rest=${_rest#/}
  while [ -n "$_rest" ]; do
    _one=${_rest%%/*}; case $_rest in */*) _rest=${_rest#*/} ;; *) _rest= ;; esac
    echo "folder $(pwd -P)/$_one" >>"$_rec/made"; sync "$_rec/made"
    mkdir -m 700 -- "./$_one"
    _deep=${_deep%/}/$_one
    # The folder above may be somebody else's, who exchanges it meanwhile: what is changed is where we are, and only what we made.
    cd -P -- "./$_one" && [ "$(pwd -P)" = "$_deep" ] && [ "$(stat -c '%u %a' .)" = "$(id -u) 700" ] || stop 12 "the way to $1 leads over a link"
    _like=$_folder/x/host${_deep#"$_root"}; case $_deep in "$_installation" | "$_installation"/*) _like=$_folder/x/$(sed -n 's/^top //p' "$_rec/request")${_deep#"$_installation"} ;; esac
    if [ -d "$_like" ]; then [ "$(id -u)" != 0 ] || chown --reference="$_like" .; chmod --reference="$_like" .; else chmod 755 .; fi
  done
}

# remove_made: the folders that were made and are empty again, and the volumes; what was in those is in new/.
remove_made() {
  cd /
  [ ! -f "$_rec/made" ] || early || sed -n 's/^volume //p' "$_rec/made" | while read -r _made; do timeout 60 docker volume rm -- "$_made" >/dev/null 2>&1 || :; done
  [ ! -f "$_rec/made" ] || sed -n 's/^folder //p' "$_rec/made" | sort -ru | while IFS= read -r _way; do ( enter "$_way"; rmdir -- "$_name" ) 2>/dev/null || :; done
}

# settle_disks: everything that was renamed stays so after a power cut.
settle_disks() { cd /; restore_folders | while IFS= read -r _folder; do [ ! -d "$_folder" ] || sync -f -- "$_folder"; done; }

# try_back: what can't be put back keeps nothing else from it. On a full disk nobody can write down why.
try_back() { ( swap_back ) 2>>"$_rec/stuck" || _stuck=$((_stuck + 1)); }

# go_back: from whatever state. Ends well only when all is as it was.
go_back() {
  _back_why=${1--}
  becomes undoing "$_back_why"
  stop_users
  : >"$_rec/stuck" || :
  # Twice: what lies beside another thing goes back only after that.
  _stuck=0; each_unit try_back
  _stuck=0; each_unit try_back
  remove_made
  settle_disks
  [ ! -e "$_rec/marking" ] || mark_back
  start_users
  [ "$_stuck" = 0 ] || stop 12 "not everything could be put back ($_back_why): $(head -n 1 "$_rec/stuck")"
  becomes undone "$_back_why"
  at_boot off
}

# drop_new: what was to come of a restore that was never kept: the archive has it. What was there before, and what somebody made
# meanwhile, isn't touched.
drop_new() {
  cd /
  restore_folders | while IFS= read -r _folder; do
    rm -rf --one-file-system -- "$_folder/new" "$_folder/x"
    rmdir -- "$_folder/old" "$_folder/extra" "$_folder" 2>/dev/null || :
  done
}

# alone_at: nobody else works on this restore, as a job that was cancelled may for a while: the kernel lets go when that has ended.
alone_at() {
  exec 3>>"$_rec/at-work"
  flock -x -w "$1" 3 || stop 12 "$_restore is still worked on"
  of_restore "$_restore"
}
