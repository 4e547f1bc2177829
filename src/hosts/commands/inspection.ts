import type { CommandEntry } from './entry.ts';

// One line of JSON for each container: only what is judged, so that no environment or label of a container leaves it.
const containerFormat =
  '{"name":{{json .Name}},"status":{{json .State.Status}},"exitCode":{{json .State.ExitCode}},"oomKilled":{{json .State.OOMKilled}},"startedAt":{{json .State.StartedAt}},"finishedAt":{{json .State.FinishedAt}},"restarts":{{json .RestartCount}},"image":{{json .Config.Image}},"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}}}';
const containerLine =
  '{"name":{{json .Names}},"state":{{json .State}},"status":{{json .Status}},"ports":{{json .Ports}},"image":{{json .Image}}}';

// The answer's body goes to standard output, and what curl knows of it to standard error as one last line of JSON, so
// that no answer can pass for curl's own words. `--disable` must come first: it ignores the user's .curlrc.
const curl = [
  '/usr/bin/curl',
  '--disable',
  '--silent',
  '--globoff',
  '--noproxy',
  '*',
  '--proto',
  '=http,https',
  '--connect-timeout',
  '3',
  '--max-time',
  '8',
  '--max-filesize',
  '65536',
  '--write-out',
  '%{stderr}\\n%header{server}\\n%{json}',
  '--url',
] as const;

// What sudo logs of a command that it refused; with `-n`, one that isn't allowed may end as a missing password.
const refusals =
  'not allowed|NOT in sudoers|NOT authorized|password is required|incorrect password|terminal is required';

/** Commands that only look. */
export const inspection = {
  serviceState: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: "State of the service's systemd unit",
    argv: [
      '/usr/bin/systemctl',
      'show',
      '--no-pager',
      '--property=LoadState,ActiveState,SubState,UnitFileState,Result,ActiveEnterTimestamp,NRestarts,ExecMainStatus',
      '--',
      { layout: 'unit' },
    ],
    timeoutMs: 10_000,
  },
  containerStates: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: "State, health and restarts of the installation's containers, and which others there are",
    script: {
      parameters: [],
      body: `
command -v docker >/dev/null || { echo 'docker absent'; return 0; }
_list=$(timeout 12 docker container ls --all --no-trunc --format 'listed ${containerLine}' 2>&1) || {
  echo "docker silent $(printf '%s' "$_list" | tail -n 1)"
  return 0
}
printf '%s\\n' "$_list"
# Prints what there is even when one of them isn't there.
[ -z "$containers" ] || timeout 12 docker container inspect --format 'state ${containerFormat}' -- $containers 2>/dev/null || :
`,
    },
    timeoutMs: 30_000,
  },
  healthEndpoint: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: "The service's health endpoint, asked from the host itself",
    argv: [...curl, { layout: 'healthUrl' }],
    timeoutMs: 12_000,
  },
  proxyEndpoint: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: 'The reverse proxy, asked from the host itself',
    argv: [...curl, { layout: 'proxyUrl' }],
    timeoutMs: 12_000,
  },
  resourceCounters: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: "The kernel's counters of processor time, memory and ZFS cache",
    argv: [
      '/usr/bin/grep',
      '-s',
      '-h',
      '-E',
      '^(cpu|MemTotal:|MemAvailable:|SwapTotal:|SwapFree:|size|c_min) ',
      '/proc/stat',
      '/proc/meminfo',
      '/proc/spl/kstat/zfs/arcstats',
    ],
    timeoutMs: 10_000,
  },
  diskSpace: {
    as: 'user',
    risk: 'read',
    job: false,
    summary: 'Space and inodes where the installation and its backups are',
    argv: [
      '/usr/bin/df',
      '--block-size=1',
      '--output=size,used,avail,itotal,iavail,file',
      '--',
      { layout: 'installation' },
      { layout: 'backups' },
    ],
    timeoutMs: 10_000,
  },
  securityState: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: "The sudoers file's syntax, and mode and owner of it and of the SSH key",
    script: {
      parameters: [],
      body: `
echo "uid $(id -u)"
for _what in sudoers key; do
  case $_what in sudoers) _path=$sudoersFile ;; *) _path=$sshKeyFile ;; esac
  if _said=$(stat -L -c '%a %u %s %U %F' -- "$_path" 2>&1); then echo "$_what is $_said"; else echo "$_what no $_said"; fi
done
# Not one byte of the key is printed.
if [ -r "$sshKeyFile" ]; then
  echo "key-lines $(grep -c -E '^-----(BEGIN|END) ([A-Z0-9]+ )*PRIVATE KEY-----' -- "$sshKeyFile" || :)"
fi
command -v visudo >/dev/null || { echo 'visudo absent'; return 0; }
_code=0; _said=$(visudo -c -f "$sudoersFile" 2>&1) || _code=$?
printf 'visudo %s\\n%s\\n' "$_code" "$_said" | head -n 20
`,
    },
    timeoutMs: 10_000,
  },
  recentIssues: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: "Refused sudo commands and failed logins of the service's user in the logs",
    script: {
      parameters: [],
      body: `
echo "now $(date '+%s %z')"
echo "then $(date -d '24 hours ago' '+%z')"
# sudo breaks long lines of its own log and indents the rest: they are put together again first.
if [ -r "$sudoLog" ]; then
  echo "sudo-log $(stat -L -c '%s %Y' -- "$sudoLog")"
  for _log in "$sudoLog.1" "$sudoLog"; do [ ! -r "$_log" ] || tail -c 16777216 -- "$_log"; done |
    awk '/^[ \\t]/ { l = l $0; next } { print l; l = $0 } END { print l }' |
    awk '/${refusals}/ { print "sudo " substr($0, 1, 600) } NF { l = $0 } END { print "sudo-last " substr(l, 1, 200) }' |
    tail -n 501
else
  [ ! -e "$sudoLog" ] || echo 'sudo-log unreadable'
fi
_about='authentication failure|Failed [a-z/-]+ for|authenticating user|maximum authentication attempts|${refusals}'
if [ -r "$authLog" ]; then
  echo "auth-log $(stat -L -c '%s %Y' -- "$authLog")"
  for _log in "$authLog.1" "$authLog"; do [ ! -r "$_log" ] || tail -c 67108864 -- "$_log"; done |
    grep -a -F -e "$user" | grep -a -E -e "$_about" | tail -n 1000 | cut -c1-600 | sed 's/^/auth /'
else
  [ ! -e "$authLog" ] || echo 'auth-log unreadable'
fi
command -v journalctl >/dev/null || return 0
_first=$(journalctl --quiet --no-pager --output=short-unix 2>/dev/null | head -n 1 | cut -d. -f1) || :
echo "journal $_first"
[ -n "$_first" ] || return 0
journalctl --quiet --no-pager --output=short-unix --since=-24h --facility=auth,authpriv 2>/dev/null |
  grep -a -F -e "$user" | grep -a -E -e "$_about" | tail -n 1000 | cut -c1-600 | sed 's/^/journal-line /'
`,
    },
    timeoutMs: 30_000,
  },
} as const satisfies Readonly<Record<string, CommandEntry>>;
