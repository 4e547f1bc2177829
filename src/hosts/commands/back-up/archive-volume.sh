# shellcheck shell=sh disable=SC2154,SC2164 # The helper ends where a command fails, and has the layout in variables.
places "$1"
_mount=$(docker volume inspect --format '{{.Mountpoint}}' -- "$2")
cd "$_mount"
_code=0
tar --create --gzip --file="$_stage/volume.partial" . || _code=$?
# 1: a file changed while it was read, as logs do; the rest is whole.
case $_code in 0) ;; 1) echo 'changed' ;; *) exit "$_code" ;; esac
gzip --test <"$_stage/volume.partial"
mv -fT -- "$_stage/volume.partial" "$_stage/$_top/$2.tar.gz"
echo "bytes $(stat -c %s -- "$_stage/$_top/$2.tar.gz")"
