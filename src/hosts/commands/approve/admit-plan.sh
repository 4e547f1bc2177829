# shellcheck shell=sh disable=SC2154 # The helper's part 4 sets some of its variables.
# $1: the plan's nonce. Standard input: the text of the plan and behind it the signature, as ssh-keygen -Y sign makes it.
# Into a file that nobody else can change, before anything is looked at.
private_folder
head -c 65537 >"$_new/said"
[ "$(wc -c <"$_new/said")" -le 65536 ] || stop 10 'a plan and its signature are at most 64 KiB'
[ "$(tr -d '\n -~' <"$_new/said" | wc -c)" = 0 ] || stop 10 'a plan and its signature hold nothing but printable ASCII'
sed '/^-----BEGIN SSH SIGNATURE-----$/,$d' "$_new/said" >"$_new/text"
sed -n '/^-----BEGIN SSH SIGNATURE-----$/,$p' "$_new/said" >"$_new/signature"
rm -- "$_new/said"
field() { sed -n "$1s/^$2: //p" "$_new/text"; }
[ "$(head -n 1 "$_new/text")" = 'proxmox-mcp plan 1' ] || stop 10 'the text is no plan that this helper knows'
field 4 digest | grep -Eqx '[0-9a-f]{64}' || stop 10 'the fourth line has to be digest: and the digest of the plan'
[ "$(field 5 nonce)" = "$1" ] || stop 10 'the fifth line has to be nonce: and the one that is named'
_until=$(field 6 expires); counts "$_until" || stop 10 'the sixth line has to be expires: and seconds since 1970'
if ! sed '1,6d' "$_new/text" | grep -q . || sed '1,6d' "$_new/text" | grep -Evqx 'call: [a-z][!-~]*( [!-~]+)*'; then
  stop 10 'behind the sixth line there are only calls, at least one'
fi
field 3 run | grep -Eqx '[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199}' || stop 10 'the third line has to be run: and the run that the plan is of'
identity || stop 11 'this host has no /etc/machine-id to be named by'
[ "$(field 2 host)" = "$_identity" ] || stop 11 "the plan is for another host; this one is $_identity"
_now=$(date +%s)
[ "$_until" -gt "$_now" ] || stop 11 'the plan has expired'
[ "$_until" -le $((_now + 605100)) ] || stop 11 'a plan expires within seven days'
vouched "$_new/text" "$_new/signature" || stop 11 "$_why"
exclusively || exit
# What is older has expired a month ago.
find "$state/plans" -mindepth 1 -maxdepth 1 -type d -mtime +40 -exec rm -rf -- {} +
_plan=$state/plans/$1
if [ -e "$_plan" ]; then
  # The same once more is the same, until something of it is executed.
  if [ -e "$_plan/done" ] || ! cmp -s "$_new/text" "$_plan/text"; then
    stop 11 'this nonce was used already: a plan is admitted once'
  fi
else
  sync "$_new/text" "$_new/signature"
  mv -T -- "$_new" "$_plan"
  sync "$state/plans"
fi
echo "admitted $_signer"
