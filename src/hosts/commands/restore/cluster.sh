# shellcheck shell=sh disable=SC2154 # The layout's names are the helper's own.
# refuse_in_cluster: the others of a cluster have the configuration, and would not take an older one.
refuse_in_cluster() {
  for _file in /etc/pve/corosync.conf /etc/corosync/corosync.conf; do
    [ ! -e "$hostRoot$_file" ] || stop 12 "this node is in a cluster ($_file): its database is the others', so it is joined anew instead"
  done
}
