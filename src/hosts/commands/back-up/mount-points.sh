# shellcheck shell=sh
# unmounted: the mount points that this host should have by /etc/fstab or a unit of systemd's, and has not now.
unmounted() {
  set +f
  { awk '$1 !~ /^#/ && $2 ~ /^\/./ { gsub(/\\040/, " ", $2); gsub(/\\011/, "\t", $2); print $2 }' /etc/fstab
    sed -n 's/^Where=//p' /etc/systemd/system/*.mount; } 2>/dev/null | while IFS= read -r _mount; do
    _mount=$(realpath -m -- "${_mount%/}")
    mountpoint --quiet -- "$_mount" || printf '%s\n' "$_mount"
  done
  set -f
}

# mounted: everything that something is mounted on.
mounted() { cut -d' ' -f5 /proc/self/mountinfo | sed 's/\\040/ /g;s/\\011/\t/g;s/\\134/\\/g'; }

# below FOLDERS FOLDER: those of them that are this folder or below it. above: those that it is, or is below.
below() { printf '%s\n' "$1" | of="$2" awk '$0 != "" && index($0 "/", ENVIRON["of"] "/") == 1'; }
above() { printf '%s\n' "$1" | of="$2" awk '$0 != "" && index(ENVIRON["of"] "/", $0 "/") == 1'; }
