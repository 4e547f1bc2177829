# shellcheck shell=sh
switch_state
