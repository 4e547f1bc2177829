# shellcheck shell=sh disable=SC2154 # The helper's part 4 sets some of its variables.
# Standard input: an administrator's signature of the text below, whose nonce is that of this very switch: one that was
# signed to lift an earlier one lifts no other.
private_folder
head -c 65537 >"$_new/signature"
[ "$(wc -c <"$_new/signature")" -le 65536 ] || stop 10 'a signature is at most 64 KiB'
exclusively || exit
if [ -e "$state/changes-stopped" ] || [ -L "$state/changes-stopped" ]; then
  _nonce=$(sed -n '2s/^nonce //p' "$state/changes-stopped")
  printf '%s\n' "$_nonce" | grep -Eqx '[0-9a-f]{32}' || stop 11 'the record of who stopped changes is damaged: only root on the host can lift it'
  identity || stop 11 'this host has no /etc/machine-id to be named by'
  printf 'proxmox-mcp allow-changes\nhost: %s\nnonce: %s\n' "$_identity" "$_nonce" >"$_new/text"
  vouched "$_new/text" "$_new/signature" || stop 11 "$_why"
  rm -f -- "$state/changes-stopped"
  sync "$state"
  echo "allowed $_signer"
fi
