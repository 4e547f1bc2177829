# shellcheck shell=sh disable=SC2154 # The helper has checked what is asked for.
case $1 in
  version) pvesh_get /version ;;
  cluster) pvesh_get /cluster/status ;;
  storages) pvesh_get '/nodes/*/storage' ;;
  machines) pvesh_get '/nodes/*/qemu' ;;
  containers) pvesh_get '/nodes/*/lxc' ;;
  backup-tasks) pvesh_get '/nodes/*/tasks' --typefilter vzdump --limit 50 ;;
esac
