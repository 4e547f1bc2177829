# shellcheck shell=sh disable=SC2154,SC2034,SC2164 # Beside functions.sh, whose names it uses.
# quietly: what follows gives way to everything else on this host, of its processors and disks. Not $$, which is the shell that waits for
# the one that executes this.
quietly() {
  read -r _me _ </proc/self/stat
  renice -n 19 -p "$_me" >/dev/null 2>&1 || :
  ! command -v ionice >/dev/null || ionice -c 3 -p "$_me" 2>/dev/null || :
}

# in_work: goes into a folder of its own below the state, which goes with this command.
in_work() {
  mkdir -p -- "$state"
  find "$state" -maxdepth 1 -name 'reading.*' -mmin +1440 -exec rm -rf -- {} +
  _work=$(mktemp -d "$state/reading.XXXXXX")
  trap 'rm -rf -- "$_work"' EXIT
  trap 'exit 143' TERM INT HUP
  cd "$_work"
}

# of_manifest FORMAT [LEFT] <MANIFEST: of each entry, in order: `sized` the size and the name of a file, ended by a zero; `sums`
# its checksum and name; `names` the name of each entry as it is on the disk; `files` a line for tools, with tabs between:
# name, size, time, checksum. Names are as in the manifest but for `names`.
of_manifest() {
  awk -v format="$1" '
    function raw(text,   out, code) {
      out = ""
      while (match(text, /\\(\\|n|t|[0-7][0-7][0-7])/)) {
        out = out substr(text, 1, RSTART - 1); code = substr(text, RSTART + 1, RLENGTH - 1); text = substr(text, RSTART + RLENGTH)
        if (code == "\\") out = out "\\"
        else if (code == "n") out = out "\n"
        else if (code == "t") out = out "\t"
        else out = out sprintf("%c", substr(code, 1, 1) * 64 + substr(code, 2, 1) * 8 + substr(code, 3, 1))
      }
      return out text
    }
    $1 != "entry" { next }
    {
      name = $0; sub(/^entry [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", name); sub(/\t.*/, "", name)
      if (format == "names") printf "%s\n", raw(name)
      else if ($2 != "f") next
      else if (format == "sized") printf "%s %s%c", $5, name, 0
      else if (format == "sums") printf "%s  %s\n", $8, name
      else printf "%s\t%s\t%s\t%s\n", name, $5, $6, $8
    }'
}
