# shellcheck shell=sh disable=SC2154 # The layout is in variables; its functions are of seal.sh and the helper.
make_seal || stop 9 'the key that seals manifests cannot be made'
show_seal
