# shellcheck shell=sh disable=SC2154 # The layout's names are the script's own.
folders
forget_incoming "$1"
