# shellcheck shell=sh
pvesh_get "/nodes/*/storage/$1/content" --content backup
