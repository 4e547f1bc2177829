# shellcheck shell=sh disable=SC2154,SC2034 # Beside functions.sh, whose names it uses.
# The key with which this host seals what it says of an archive: root's alone, made here, and it never leaves the host.
readonly _seal_use=proxmox-mcp-manifest

# make_seal: makes the key where there is none. Its two halves come into place together.
make_seal() {
  # Whoever died between the two moves below.
  [ -e "$state/seal" ] || [ ! -e "$state/seal.old" ] || mv -T -- "$state/seal.old" "$state/seal" || return 1
  [ ! -s "$state/seal/key" ] || return 0
  command -v ssh-keygen >/dev/null || { echo 'ssh-keygen is missing, which makes the key that seals manifests' >&2; return 1; }
  rm -rf -- "$state/seal.new"
  mkdir -p -- "$state" && mkdir -m 700 -- "$state/seal.new" || return 1
  ssh-keygen -q -t ed25519 -N '' -C "proxmox-mcp seal of $(uname -n)" -f "$state/seal.new/key" || return 1
  printf 'seal namespaces="%s" %s\n' "$_seal_use" "$(cut -d' ' -f1,2 "$state/seal.new/key.pub")" >"$state/seal.new/signers"
  # What its predecessor has sealed stays so, though nobody can seal with that any more.
  if [ -s "$state/seal/signers" ]; then grep -hx 'seal namespaces="[a-z-]*" ssh-ed25519 [A-Za-z0-9+/=]*' "$state/seal/signers" >>"$state/seal.new/signers" || :
  elif [ -s "$state/seal/key.pub" ]; then
    printf 'seal namespaces="%s" %s\n' "$_seal_use" "$(head -n 1 "$state/seal/key.pub" | cut -d' ' -f1,2)" >>"$state/seal.new/signers"
  fi
  sync "$state/seal.new/key" "$state/seal.new/key.pub" "$state/seal.new/signers" "$state/seal.new"
  rm -rf -- "$state/seal.old"
  [ ! -e "$state/seal" ] || mv -T -- "$state/seal" "$state/seal.old" || return 1
  mv -T -- "$state/seal.new" "$state/seal" || return 1
  sync "$state"
  rm -rf -- "$state/seal.old"
}

# show_seal: `seal TYPE KEY`, its public half; nothing where there is none yet.
show_seal() { [ ! -s "$state/seal/key.pub" ] || sed -n '1s/^\([^ ]* [^ ]*\).*/seal \1/p' "$state/seal/key.pub"; }

# seal FILE SIGNATURE: signs it.
seal() { timeout 20 ssh-keygen -q -Y sign -n "$_seal_use" -f "$state/seal/key" <"$1" >"$2" 2>/dev/null && [ -s "$2" ]; }

# is_sealed FILE SIGNATURE: whether this host has sealed it.
is_sealed() {
  [ -s "$2" ] && timeout 20 ssh-keygen -Y verify -f "$state/seal/signers" -I seal -n "$_seal_use" -s "$2" <"$1" >/dev/null 2>&1
}

# sealed_by FILE SIGNATURE: the fingerprint of the key whose seal of it holds, whosever that is; nothing where none does.
sealed_by() {
  [ -s "$2" ] || return 0
  timeout 20 ssh-keygen -Y check-novalidate -n "$_seal_use" -s "$2" <"$1" 2>&1 | sed -n 's/^Good .* key \(SHA256:[A-Za-z0-9+\/]*\)$/\1/p' || :
}
