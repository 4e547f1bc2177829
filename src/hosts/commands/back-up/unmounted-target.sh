# shellcheck shell=sh disable=SC2154 # Beside functions.sh, whose names it uses.
# unmounted_target: `unmounted FOLDER` where the archives should lie on a disk that isn't mounted now.
unmounted_target() {
  set +f
  { awk '$1 !~ /^#/ && $2 ~ /^\/./ { gsub(/\\040/, " ", $2); gsub(/\\011/, "\t", $2); print $2 }' /etc/fstab
    sed -n 's/^Where=//p' /etc/systemd/system/*.mount; } 2>/dev/null | while IFS= read -r _mount; do
    _mount=$(realpath -m -- "${_mount%/}")
    case $_backups/ in
      "$_mount"/*) mountpoint --quiet -- "$_mount" || printf 'unmounted %s\n' "$_mount" ;;
    esac
  done | head -n 1
  set -f
}
