# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # The text of an awk program; the commands use it.
# What of a text file may be shown, and how: _masking is the beginning of an awk program with masked(LINE), to be called with
# every line of a file in order, and anew(NAME), before each file. What looks like a secret becomes `(masked N)`: the same N for
# the same value, so that it shows that one was changed. It masks rather too much: comments, whatever follows a word that names a
# secret, and whatever looks made up by a program. Of a command only that is shown which is known to be harmless: a password
# among its words looks like any other word.

# Never, whatever else is said of them: as a whole they are for keys and the like.
readonly _secretPaths='/(priv|private|keys|secrets?|[.]ssh|ssl)/|/(g?shadow|passwd)[^/]*$|[.](key|pem|p12|pfx|jks|kdbx|gpg|env)$|/[.]env[^/]*$|/(auth|pass|cred|secret|token)[^/]*$'
# Of the cluster's configuration what its API shows everybody who may look; pmxcfs gives all of it the same mode.
readonly _clusterTexts='^host/etc/pve/((storage|datacenter|vzdump|jobs|ha/(resources|groups|rules)|sdn/(zones|vnets|subnets)|mapping/(pci|usb|dir))[.]cfg|corosync[.]conf|vzdump[.]cron|(firewall|nodes/[^/]+)/[a-z0-9]+[.]fw)$'
# Of the rest what everybody on the host may read.
readonly _openTexts='^host/etc/(fstab|hosts|hostname|resolv[.]conf|exports|crontab|vzdump[.]conf|sysctl[.]conf|modules|multipath[.]conf|subuid|subgid|lvm/lvm[.]conf|kernel/cmdline|default/grub|ssh/sshd?_config|network/interfaces|apt/sources[.]list|apt/preferences)$|^host/etc/(network/interfaces[.]d|cron[.]d|sysctl[.]d|modprobe[.]d|modules-load[.]d|ssh/sshd?_config[.]d|default/grub[.]d|apt/sources[.]list[.]d|apt/preferences[.]d|apt/apt[.]conf[.]d)/[^/]+$|^host/etc/systemd/network/[^/]+[.](network|link)$|^host/etc/systemd/system/([^/]+/)?[^/]+[.](service|timer|mount|automount|path|socket|target|slice|conf)$'
# Settings of a guest whose values may be shown; what is not here (args, cipassword, description, env, lxc.*, sshkeys …) may not.
readonly _guestSettings='^(acpi|affinity|agent|arch|audio[0-9]|autostart|balloon|bios|boot|bootdisk|cmode|console|cores|cpu|cpulimit|cpuunits|dev[0-9]+|efidisk0|features|hostname|hostpci[0-9]+|hotplug|hugepages|ide[0-9]|ipconfig[0-9]+|kvm|localtime|lock|machine|memory|mp[0-9]+|name|nameserver|net[0-9]+|numa[0-9]*|onboot|ostype|parent|protection|rng0|rootfs|sata[0-9]|scsi[0-9]+|scsihw|searchdomain|serial[0-9]|smp|sockets|startup|swap|tablet|tags|template|timezone|tpmstate0|tty|unprivileged|unused[0-9]+|usb[0-9]+|vcpus|vga|virtio[0-9]+|virtiofs[0-9]+|vmstatestorage|watchdog)$'

readonly _masking='
function anew(name) {
  pem = continued = commanded = quoted = secretSection = 0; deeper = -1; carried = ""
  kind = name ~ /^host\/etc\/(crontab$|cron[.]d\/|pve\/vzdump[.]cron$)/ ? "cron" : name ~ /^host\/etc\/(apt\/apt[.]conf[.]d\/|multipath[.]conf$)/ ? "quoted" : ""
}
function number(value) { if (!(value in seen)) seen[value] = ++values; return "(masked " seen[value] ")" }
function indent(line) { match(line, /^[ \t]*/); return RLENGTH }
# no secret is one of these
function is_plain(text) {
  return tolower(text) ~ /^[ \t"\047=:]*(yes|no|on|off|true|false|none|any|all|default|enabled?|disabled?|never|always|prohibit-password|without-password|forced-commands-only|[01])[ \t"\047;,]*$/
}
function goes_on(line) { return line ~ /\\[ \t]*$/ }
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
function is_licence(text,   n, part, i, mixed) {
  n = split(text, part, "-")
  if (n < 3 || length(part[1]) < 3) return 0
  for (i = 1; i <= n; i++) {
    if (length(part[i]) != length(part[1]) || part[i] !~ /^[A-Za-z0-9]+$/) return 0
    if (part[i] ~ /[0-9]/ && part[i] ~ /[A-Za-z]/) mixed = 1
  }
  return mixed
}
# each run of letters and the like in a word
function by_parts(word,   done, part, at) {
  done = ""
  while (match(word, /[^]=",;@:\/()<>|&[{}\047]+/)) {
    at = RSTART; part = substr(word, at, RLENGTH)
    done = done substr(word, 1, at - 1) (is_made_up(part) || is_licence(part) ? number(part) : part)
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
  if (at = login_at(word)) return substr(word, 1, at - 1) number(substr(word, at, RSTART + RLENGTH - at - 1)) "@" by_parts(substr(word, RSTART + RLENGTH))
  if (at = query_at(word)) return by_parts(substr(word, 1, at)) number(substr(word, at + 1))
  return by_parts(word)
}
# joe:secret@host, also without a protocol; a password may hold what parts other things
function login_at(word) { return match(word, /[^\/#=,"\047(:]*:.*@/) }
# what stands behind the question mark of an address
function query_at(word) { return match(word, /:\/\/[^?]*[?]./) ? RSTART + RLENGTH - 2 : match(word, /[?&][^=]*=./) ? RSTART : 0 }
# what is piped to a program
function pipe_at(line) { return match(line, /.*[|]/) ? RLENGTH : 0 }
function is_known(word) {
  return word ~ /^(\[|\]|apt|apt-get|awk|bash|borg|brctl|bridge|btrfs|cat|cd|chmod|chown|cp|cryptsetup|curl|date|dd|debian-sa1|docker|echo|ethtool|exec|find|fstrim|grep|gzip|hostname|if|then|else|fi|ifdown|ifup|ip|ip6tables|iptables|iptables-restore|kill|ln|logger|ls|mail|mkdir|modprobe|mount|mv|mysql|mysqldump|nft|nice|ionice|pct|perl|pg_dump|php|pkill|printf|proxmox-backup-client|pvesh|pvesm|pvesr|python|python3|qm|rclone|restic|rm|rsync|run-parts|sed|sendmail|sh|sleep|smartctl|smbclient|snmpget|snmpwalk|ssh|sshpass|sudo|su|swaks|sysctl|systemctl|tar|tc|test|timeout|touch|true|umount|vzdump|wget|zfs|zpool|zstd)$/ ||
    word ~ /^(FORWARD|INPUT|OUTPUT|PREROUTING|POSTROUTING|ACCEPT|DROP|REJECT|MASQUERADE|DNAT|SNAT|RETURN|tcp|udp|icmp|nat|filter|mangle|link|route|addr|rule|add|del|set|dev|via|up|down|mtu|on|off|start|stop|restart|reload|enable|disable)$/ ||
    word ~ /^(vmbr|eth|bond|eno|ens|tap|tun|wg)[0-9]+([.][0-9]+)?$|^enp[0-9]+s[0-9]+(f[0-9]+)?(np[0-9]+)?$|^[$]IFACE$/
}
# a path below a folder that every machine has: what begins with a slash alone may be an option, as /p:secret
function is_path(word) { return word ~ /^\/(bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)(\/[A-Za-z0-9._+-]+)*\/?$/ }
function of_value(word) {
  if (is_known(word) || word ~ /^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+(\/[0-9]+)?(:[0-9]+)?$/) return word
  return is_path(word) ? by_parts(word) : number(word)
}
# a word of a command: operators, names of options, and what is known to be harmless
function of_argument(word, before,   long) {
  if (word ~ /^([|&;<>(){}!\\]+|[0-9]?>+(&[0-9]|\/dev\/null)|&>\/dev\/null)$/) return word
  if (before ~ /^(--?([ds]ports?|to-ports?|mtu)|mtu)$/ && word ~ /^[0-9]+(:[0-9]+)?$/) return word
  if (match(word, /^--[A-Za-z][A-Za-z0-9-]*/)) {
    long = RLENGTH
    if (long == length(word)) return by_parts(word)
    if (substr(word, long + 1, 1) == "=") return by_parts(substr(word, 1, long)) "=" (long + 1 == length(word) ? "" : of_value(substr(word, long + 2)))
  }
  if (word ~ /^-[A-Za-z0-9]/) return length(word) < 4 && word ~ /^-[A-Za-z]+$/ ? word : substr(word, 1, 2) (length(word) > 2 ? number(substr(word, 3)) : "")
  return of_value(word)
}
function of_command(line,   done, word, before, at) {
  done = before = ""
  while (match(line, /[^ \t]+/)) {
    at = RSTART; word = substr(line, at, RLENGTH)
    done = done substr(line, 1, at - 1) of_argument(word, before)
    line = substr(line, at + length(word))
    before = word
  }
  return done line
}
# how much of a line stands before a command, and -1 where it holds none
function command_at(line, low,   field, name) {
  field = "[0-9*][0-9*,\\/-]*[ \t]+"
  name = "([0-9*]+|[a-z][a-z][a-z])([,\\/-]([0-9*]+|[a-z][a-z][a-z]))*[ \t]+"
  if (match(low, "^[ \t]*(@[a-z]+[ \t]+|" field field field name name ")")) {
    name = RLENGTH
    return match(substr(line, name + 1), /^[a-z_][a-z0-9_-]*[ \t]+/) ? name + RLENGTH : name
  }
  if (match(low, /^[ \t]*exec[a-z]*[ \t]*=[ \t]*[-@+!:|]*/)) return RLENGTH
  if (match(low, /^[ \t]*((pre|post)-)?(up|down)[ \t]+/)) return RLENGTH
  if (match(low, /^[ \t]*[a-z]+command([ \t]*=[ \t]*|[ \t]+)/)) return RLENGTH
  if (match(low, /^[ \t]*(install|remove)[ \t]+[a-z0-9_-]+[ \t]+/)) return RLENGTH
  if (match(low, /^[ \t]*match[ \t].*[ \t]exec[ \t]+/)) return RLENGTH
  return kind == "cron" && low !~ /^[ \t]*$/ && low !~ /^[ \t]*(path|shell|mailto|mailfrom|home|lang|lc_all|cron_tz|tz)[ \t]*=/ ? assignment(line) : -1
}
function assignment(line) { return match(line, /^[ \t]*["\047]?[A-Za-z_][A-Za-z0-9_]*["\047]?[ \t]*=/) ? RLENGTH : 0 }
# of apt and multipath: a text with blanks is a command, and one may go on below
function of_quoted(line,   part, n, i, done) {
  n = split(line, part, "\""); done = ""
  for (i = 1; i <= n; i++) {
    if (i > 1) { done = done "\""; quoted = !quoted }
    done = done (quoted && (i == 1 || i == n || part[i] ~ /[ \t;|]/) && part[i] != "" ? number(part[i]) : by_words(part[i]))
  }
  return done
}
function by_words(line,   done, word, before, at, onward) {
  if (at = pipe_at(line)) {
    done = substr(line, 1, at - 1)
    return (done ~ /^[ \t]*([A-Za-z0-9_.\/-]+[ \t]*=[ \t]*)?$/ ? done : number(done)) "|" of_command(substr(line, at + 1))
  }
  done = ""; before = carried; onward = goes_on(line)
  while (match(line, /[^ \t]+/)) {
    at = RSTART; word = substr(line, at, RLENGTH)
    done = done substr(line, 1, at - 1) of_word(word, before)
    line = substr(line, at + length(word))
    if (!onward || word != "\\") before = word
  }
  carried = onward ? before : ""
  return done line
}
# the rest of a line behind a name: nothing, something harmless, or masked
function behind(rest,   lead) {
  match(rest, /^[ \t"\047]*[=:]?[ \t]*/)
  lead = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
  if (rest == "" || is_plain(rest)) return lead rest
  return lead number(rest)
}
function masked(line,   low, lead, rest, isHeader, isNote, at) {
  sub(/\r$/, "", line)
  if (pem) { if (line ~ /-----END/) pem = 0; return number(line) }
  if (line ~ /-----BEGIN/) { pem = line !~ /-----END/; return number(line) }
  # systemd goes on behind a comment
  isNote = line ~ /^[ \t]*[#;!]/
  if (continued) { if (!isNote) continued = goes_on(line); return number(line) }
  if (commanded) { if (!isNote) commanded = goes_on(line); return isNote ? number(line) : of_command(line) }
  if (quoted) return of_quoted(line)
  if (deeper >= 0) {
    if (line ~ /^[ \t]*$/) return line
    if (indent(line) > deeper) return number(line)
    deeper = -1
  }
  low = tolower(line)
  isHeader = line ~ /^[ \t]*\[/
  if (isHeader) secretSection = named_secret(low)
  else if (secretSection && line !~ /^[ \t]*$/) return number(line)
  if (isNote) {
    match(line, /^[ \t]*[#;!]+[ \t]*/)
    if (goes_on(line)) continued = 1
    return substr(line, 1, RLENGTH) (RLENGTH < length(line) ? number(substr(line, RLENGTH + 1)) : "")
  }
  if ((at = command_at(line, low)) >= 0) { commanded = goes_on(line); return substr(line, 1, at) of_command(substr(line, at + 1)) }
  if (kind == "quoted" && (line ~ /^[^"]*"[^"]*[ \t;|]/ || line ~ /^[^"]*"[^"]*("[^"]*"[^"]*)*$/)) {
    match(line, /^[^"]*/)
    lead = substr(line, 1, RLENGTH)
    return (named_secret(tolower(lead)) ? number(lead) : by_words(lead)) of_quoted(substr(line, length(lead) + 1))
  }
  if (match(line, /^[ \t]*(comment|notes?|notes-template|description)([ \t]*:|[ \t])[ \t]*/) && RLENGTH < length(line)) return substr(line, 1, RLENGTH) number(substr(line, RLENGTH + 1))
  rest = ""
  if (match(line, /[ \t]#/)) { rest = " # " number(substr(line, RSTART + 2)); line = substr(line, 1, RSTART - 1); low = tolower(line) }
  if (named_secret(low)) {
    lead = substr(line, 1, keyAt + keyLong - 1)
    low = substr(line, keyAt + keyLong)
    if (goes_on(low)) continued = 1
    # What is piped to a program stands before its name; and a value may stand in the lines below.
    if (lead ~ /[|<]/) return number(line) rest
    # What names a secret may be one: NAME=mypassword.
    if (match(lead, /[=:][^ \t]*$/)) return by_words(substr(lead, 1, RSTART)) number(substr(line, RSTART + 1)) rest
    if (low ~ /^[ \t"\047]*[=:]?[ \t]*[|>]?[-+]?[ \t]*$/) deeper = indent(line)
    else if (line ~ /[|<]/) return number(line) rest
    return by_words(lead) behind(low) rest
  }
  if (match(line, /(^|[^A-Za-z0-9_])[A-Z][A-Z0-9_][A-Z0-9_]+(=|:[ \t])/) && substr(line, RSTART, RLENGTH) !~ /(PATH|SHELL|MAILTO|MAILFROM|HOME|LANG|LC_ALL|CRON_TZ|TZ|UUID|LABEL|GRUB_[A-Z_0-9]*)(=|:[ \t])$/) {
    low = substr(line, RSTART + RLENGTH)
    lead = substr(line, 1, length(line) - length(low))
    if (goes_on(low)) continued = 1
    return by_words(lead) (low == "" || is_plain(low) ? low : number(low)) rest
  }
  return by_words(line) rest
}
'

# changed_lines BEFORE AFTER NAME: what differs in two files of that name, masked, as `- LINE` and `+ LINE`, at most 41 lines.
changed_lines() {
  : >"$_box/masked.a"; : >"$_box/masked.b"
  of="$3" awk "$_masking"' out != was { anew(ENVIRON["of"]); was = out } { print masked($0) >out }' out="$_box/masked.a" "$1" out="$_box/masked.b" "$2"
  { diff -a -- "$_box/masked.a" "$_box/masked.b" || [ "$?" = 1 ]; } | sed -n -e 's/^< /- /p' -e 's/^> /+ /p' | head -n 41 | tr '\t' ' ' | printable
}
