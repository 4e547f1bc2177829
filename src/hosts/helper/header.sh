# shellcheck shell=sh disable=SC2096 # Linux's env -S takes the line apart.
# proxmox-mcp-helper: the one program that Proxmox MCP runs as root on this host. It executes the commands below and
# nothing else; docs/privileges.md lists them. Made by `npm run generate` from src/hosts: don't edit.
#
#   helper VERB ARGUMENTS                         a command that only looks
#   helper VERB FENCE ARGUMENTS                   one that changes the host: FENCE is of the host's lock, held alone
#   helper VERB FENCE GUESTFENCE VMID ARGUMENTS   one that changes a guest: FENCE is of the host's lock, shared with
#                                                 others, and GUESTFENCE of the guest's lock, held alone
#   helper VERB FENCE… RUN ARGUMENTS              one that takes back what a run changed
#   helper job-start ID RUN VERB …                the same as a job of a run, which outlives the connection; once per ID
#   helper job-status ID OUT ERR                  its state, and its output from these offsets (base64)
#   helper job-cancel ID [FENCE [GUESTFENCE VMID]] | job-list | job-clean DAYS
#
# Its own exit codes, each with a line on standard error: 64 refused, 70 failed, 75 fenced out, 76 busy, 77 changes are
# stopped, 78 an administrator's signature is missing.
#
# To read it: the last part, 7, is where it begins. Before anything is done, all arguments pass `decide` (1), which rests
# on the table of all verbs (2). What changes something passes its locks' fences (3), and the kill switch and, where it
# needs one, an administrator's signature (4). What may last is a job (5). Part 6 is what the verbs do: one function each.
# Names that begin with `_` are variables.

set -efu
umask 077
cd /
unset OLDPWD
