# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # The text of an awk program; the commands use it.
# What of a text file may be shown, and how: _masking is the beginning of an awk program with masked(LINE), to be called with
# every line of a file in order, and anew(), before each file. What looks like a secret becomes `(masked N)`: the same N for the
# same value, so that it shows that one was changed. It masks rather too much: comments, whatever follows a word that names a
# secret, and whatever looks made up by a program.

# Never, whatever else is said of them: as a whole they are for keys and the like.
readonly _secretPaths='/(priv|private|keys|secrets?|[.]ssh|ssl)/|/(g?shadow|passwd)[^/]*$|[.](key|pem|p12|pfx|jks|kdbx|gpg|env)$|/[.]env[^/]*$|/(auth|pass|cred|secret|token)[^/]*$'
# Of the cluster's configuration what its API shows everybody who may look; pmxcfs gives all of it the same mode.
readonly _clusterTexts='^host/etc/pve/((storage|datacenter|vzdump|jobs|ha/(resources|groups|rules)|sdn/(zones|vnets|subnets)|mapping/(pci|usb|dir))[.]cfg|corosync[.]conf|vzdump[.]cron|(firewall|nodes/[^/]+)/[a-z0-9]+[.]fw)$'
# Of the rest what everybody on the host may read.
readonly _openTexts='^host/etc/(fstab|hosts|hostname|resolv[.]conf|exports|crontab|vzdump[.]conf|sysctl[.]conf|modules|multipath[.]conf|subuid|subgid|lvm/lvm[.]conf|kernel/cmdline|default/grub|ssh/sshd?_config|network/interfaces|apt/sources[.]list|apt/preferences)$|^host/etc/(network/interfaces[.]d|cron[.]d|sysctl[.]d|modprobe[.]d|modules-load[.]d|ssh/sshd?_config[.]d|default/grub[.]d|apt/sources[.]list[.]d|apt/preferences[.]d|apt/apt[.]conf[.]d)/[^/]+$|^host/etc/systemd/network/[^/]+[.](network|link)$|^host/etc/systemd/system/([^/]+/)?[^/]+[.](service|timer|mount|automount|path|socket|target|slice|conf)$'
# Settings of a guest whose values may be shown; what is not here (args, cipassword, description, env, lxc.*, sshkeys …) may not.
readonly _guestSettings='^(acpi|affinity|agent|arch|audio[0-9]|autostart|balloon|bios|boot|bootdisk|cmode|console|cores|cpu|cpulimit|cpuunits|dev[0-9]+|efidisk0|features|hostname|hostpci[0-9]+|hotplug|hugepages|ide[0-9]|ipconfig[0-9]+|kvm|localtime|lock|machine|memory|mp[0-9]+|name|nameserver|net[0-9]+|numa[0-9]*|onboot|ostype|parent|protection|rng0|rootfs|sata[0-9]|scsi[0-9]+|scsihw|searchdomain|serial[0-9]|smp|sockets|startup|swap|tablet|tags|template|timezone|tpmstate0|tty|unprivileged|unused[0-9]+|usb[0-9]+|vcpus|vga|virtio[0-9]+|virtiofs[0-9]+|vmstatestorage|watchdog)$'

readonly _masking='
function anew() { pem = continued = secretSection = 0; deeper = -1 }
function number(value) { if (!(value in seen)) seen[value] = ++values; return "(masked " seen[value] ")" }
function indent(line) { match(line, /^[ \t]*/); return RLENGTH }
# no secret is one of these
function is_plain(text) {
  return tolower(text) ~ /^[ \t"\047=:]*(yes|no|on|off|true|false|none|any|all|default|enabled?|disabled?|never|always|prohibit-password|without-password|forced-commands-only|[01])[ \t"\047;,]*$/
}
function named_secret(low,   at, long) {
  at = 0
  if (match(low, /(pass|pwd|secret|token|cred|psk|auth|salt|bearer|cookie|session|community|privat|kennwort|geheim|signature|environment|webhook|mnemonic|otp)[a-z0-9_.-]*/)) { at = RSTART; long = RLENGTH }
  if (match(low, /[a-z0-9_.-]*keys?([^a-z]|$)/) && (!at || RSTART < at)) { at = RSTART; long = RLENGTH; if (substr(low, RSTART + RLENGTH - 1, 1) !~ /[a-z]/) long-- }
  if (match(low, /(^|[^a-z])(pin|wep|seed|pw|user|login|sid|pat)[0-9_]*[ \t"\047]*[=:]/) && (!at || RSTART < at)) { at = RSTART; long = RLENGTH - 1 }
  keyAt = at; keyLong = long
  return at > 0
}
function is_made_up(text,   n) {
  n = length(text)
  if (text ~ /^(gh[opusr]_|github_pat_|glpat-|xox[a-z]-|sk[-_]|pk_|rk_|AKIA|ASIA|AIza|ya29|eyJ|hvs|AGE-SECRET|SG[.])/) return 1
  if (n >= 8 && text ~ /[a-z]/ && text ~ /[A-Z]/ && text ~ /[0-9]/) return 1
  if (n >= 6 && text ~ /[!$%^*?~\\`]/ && text ~ /[A-Za-z]/ && text ~ /[0-9]/) return 1
  if (n >= 16 && text ~ /^[0-9a-fA-F-]+$/) return 1
  if (n >= 16 && text ~ /[0-9]/ && text ~ /[a-zA-Z]/ && text !~ /[._-]/) return 1
  if (n >= 24 && text ~ /[0-9]/ && text ~ /^[A-Za-z0-9+_=-]+$/) return 1
  if (n >= 20 && text ~ /[a-z][A-Z]/ && text ~ /[A-Z][a-z]?[A-Z]/ && text ~ /^[A-Za-z+_=-]+$/) return 1
  return n >= 32 && text ~ /[0-9]/ && text ~ /[A-Z]/ && text ~ /[a-z]/
}
# each run of letters and the like in a word
function by_parts(word,   done, part, at) {
  done = ""
  while (match(word, /[^]=",;@:\/()<>|&[{}\047]+/)) {
    at = RSTART; part = substr(word, at, RLENGTH)
    done = done substr(word, 1, at - 1) (is_made_up(part) ? number(part) : part)
    word = substr(word, at + length(part))
  }
  return done word
}
function is_address(word) { return word ~ /^[0-9.]+(\/[0-9]+)?$/ && word ~ /^([0-9]|[0-9][0-9]|[0-9][0-9][0-9]|[0-9][0-9][0-9][0-9]|[0-9][0-9][0-9][0-9][0-9]|.*[.].*)$/ || word ~ /^(tcp|udp|icmp|all)$/ }
function of_word(word, before,   at) {
  if (word ~ /^(PART)?UUID=[0-9a-fA-F-]+$/) return word
  if (before ~ /^-[pPuUkKwWdDHbay]$/ && !is_address(word)) return number(word)
  if (before ~ /^--(user|header|data|proxy-user|account|basic)/) return number(word)
  if (tolower(before) ~ /^(basic|digest|bearer)$/) return number(word)
  if (word ~ /^-[pPuUaWk]./ && word !~ /^-[a-z]+$/) return substr(word, 1, 2) number(substr(word, 3))
  if (word ~ /^-p[a-z]+$/ && word !~ /^-(print|prune|path|perm)$/) return "-p" number(substr(word, 3))
  if (match(word, /^--(user|header|data|proxy-user|account)=/)) return substr(word, 1, RLENGTH) number(substr(word, RLENGTH + 1))
  if (word ~ /\$[0-9a-zA-Z]+\$/) return number(word)
  if (match(word, /:\/\/.*@/)) {
    at = RSTART + RLENGTH
    return substr(word, 1, RSTART + 2) number(substr(word, RSTART + 3, RLENGTH - 4)) "@" by_parts(substr(word, at))
  }
  return by_parts(word)
}
function by_words(line,   done, word, before, at) {
  done = before = ""
  while (match(line, /[^ \t]+/)) {
    at = RSTART; word = substr(line, at, RLENGTH)
    done = done substr(line, 1, at - 1) of_word(word, before)
    line = substr(line, at + length(word))
    before = word
  }
  return done line
}
# the rest of a line behind a name: nothing, something harmless, or masked
function behind(rest,   lead) {
  match(rest, /^[ \t"\047]*[=:]?[ \t]*/)
  lead = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
  if (rest == "" || is_plain(rest)) return lead rest
  return lead number(rest)
}
function masked(line,   low, lead, rest, isHeader) {
  sub(/\r$/, "", line)
  if (pem) { if (line ~ /-----END/) pem = 0; return number(line) }
  if (line ~ /-----BEGIN/) { pem = line !~ /-----END/; return number(line) }
  if (continued) { continued = line ~ /\\$/; return number(line) }
  if (deeper >= 0) {
    if (line ~ /^[ \t]*$/) return line
    if (indent(line) > deeper) return number(line)
    deeper = -1
  }
  low = tolower(line)
  isHeader = line ~ /^[ \t]*\[/
  if (isHeader) secretSection = named_secret(low)
  else if (secretSection && line !~ /^[ \t]*$/) return number(line)
  if (line ~ /^[ \t]*[#;!]/) {
    match(line, /^[ \t]*[#;!]+[ \t]*/)
    if (line ~ /\\$/) continued = 1
    return substr(line, 1, RLENGTH) (RLENGTH < length(line) ? number(substr(line, RLENGTH + 1)) : "")
  }
  rest = ""
  if (match(line, /[ \t]#/)) { rest = " # " number(substr(line, RSTART + 2)); line = substr(line, 1, RSTART - 1); low = tolower(line) }
  if (named_secret(low)) {
    lead = substr(line, 1, keyAt + keyLong - 1)
    low = substr(line, keyAt + keyLong)
    if (low ~ /\\$/) continued = 1
    # What is piped to a program stands before its name; and a value may stand in the lines below.
    if (lead ~ /[|<]/) return number(line) rest
    if (low ~ /^[ \t"\047]*[=:]?[ \t]*[|>]?[-+]?[ \t]*$/) deeper = indent(line)
    else if (line ~ /[|<]/) return number(line) rest
    return by_words(lead) behind(low) rest
  }
  if (match(line, /(^|[^A-Za-z0-9_])[A-Z][A-Z0-9_][A-Z0-9_]+(=|:[ \t])/) && substr(line, RSTART, RLENGTH) !~ /(PATH|SHELL|MAILTO|MAILFROM|HOME|LANG|LC_ALL|CRON_TZ|TZ|UUID|LABEL|GRUB_[A-Z_0-9]*)(=|:[ \t])$/) {
    low = substr(line, RSTART + RLENGTH)
    lead = substr(line, 1, length(line) - length(low))
    if (low ~ /\\$/) continued = 1
    return by_words(lead) (low == "" || is_plain(low) ? low : number(low)) rest
  }
  return by_words(line) rest
}
'

# changed_lines BEFORE AFTER: what differs in two files, masked, as `- LINE` and `+ LINE`, at most 41 lines of them.
changed_lines() {
  : >"$_box/masked.a"; : >"$_box/masked.b"
  awk "$_masking"' out != was { anew(); was = out } { print masked($0) >out }' out="$_box/masked.a" "$1" out="$_box/masked.b" "$2"
  { diff -a -- "$_box/masked.a" "$_box/masked.b" || [ "$?" = 1 ]; } | sed -n -e 's/^< /- /p' -e 's/^> /+ /p' | head -n 41 | tr '\t' ' ' | printable
}
