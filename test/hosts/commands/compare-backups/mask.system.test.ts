import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'pmx mask-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const script = new URL('../../../../src/hosts/commands/compare-backups/mask.sh', import.meta.url);
const before = join(folder, 'before');
const after = join(folder, 'after');

/** The lines that leave the host when one file becomes another. */
function changed(from: string, to: string): readonly string[] {
  writeFileSync(before, from);
  writeFileSync(after, to);
  const text = `set -efu; _box=$1; printable() { cat; }; . "$2"; changed_lines "$_box/before" "$_box/after" host/etc/x`;
  return execFileSync('/bin/sh', ['-c', text, 'sh', folder, script.pathname], { encoding: 'utf8' })
    .split('\n')
    .slice(0, -1);
}
const shown = (text: string) => changed('', `${text}\n`).map((line) => line.slice(2));

/** Forms in which secrets stand in configuration, with `@` in its place. */
const forms: readonly (readonly [form: string, secret: string])[] = [
  ['password @', 'swordfish'],
  ['\twpa-psk @', 'hunter2'],
  ['Password = "@"', 'two words of it'],
  ['//nas/share /mnt cifs user=bob,pass=@,uid=0 0 0', 'x'],
  ['//nas/share /mnt cifs username=bob,pw=@ 0 0', 'abc'],
  ['https://bob:@@nas.example.org/repo', 'pa/ss:wo@rd'],
  ['deb http://token:@@apt.example.org bookworm main', 'letmein'],
  ['Environment=API=@', 'plain'],
  ['Environment="FOO=@"', 'plain'],
  ['DATABASE_URL=postgres://@', 'u:p@h/db'],
  ['      MYSQL_PWD: @', 'plainword'],
  ['ExecStart=/usr/bin/mysql -p@ -e quit', 'lowercase'],
  ['0 2 * * * root mysqldump -u root -p @ all', 'lowercase'],
  ['0 2 * * * root sshpass -p @ ssh backup@nas', '12345'],
  ['0 2 * * * root curl -u bob:@ https://example.org', 'easy'],
  ['0 2 * * * root curl --user bob:@ https://example.org', 'easy'],
  ['0 2 * * * root curl -H @ https://example.org', 'X-Thing:easy'],
  ['0 2 * * * root echo @ | chpasswd', 'root:easy'],
  ['0 2 * * * root restic --password-command @ backup', 'cat-it'],
  ['Authorization: Bearer @', 'a.b.c'],
  ['proxy_set_header X-Auth @;', 'easy'],
  ['root:@:19000:0:99999:7:::', '$6$salt$hashed'],
  ['basicauth bob @', '$2a$14$abcdefghijklmnopqrstuv'],
  ['PrivateKey = @', 'c2hvcnQ='],
  ['dns cloudflare @', 'V1StGXR8_Z5jdHi6B-myTlmIQ0aN3Xk29dmQ'],
  ['token=@', 'ghp_1234567890'],
  ['something @', 'xoxb-1234-abcd'],
  ['something @', 'AKIAIOSFODNN7EXAMPLE'],
  ['something @', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln'],
  ['something @', '3f2504e0-4f89-11d3-9a0c-0305e82c3301'],
  ['something @', 'Xk29dmQp1'],
  ['something @', 'wo!rd7$'],
  ['something @', 'deadbeefdeadbeefdeadbeef'],
  ['# the old one was @', 'swordfish'],
  ['address 10.0.0.1 # @', 'swordfish'],
  ['; @', 'swordfish'],
  ['password: |\n  @', 'swordfish'],
  ['secret \\\n  @', 'swordfish'],
  ['[secrets]\nfirst = @\nsecond = it', 'swordfish'],
  ['-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n@\n-----END OPENSSH PRIVATE KEY-----', 'ab='],
  ['snmp-community @', 'public7'],
  ['rd.luks.key=@', 'abc'],
  ['ldap pin: @', '4711'],
  ['net user administrator password:@', 'easy'],
];

/** What can stand where any secret can, with the file it stands in; `@@` is its place. */
const open: readonly (readonly [form: string, name: string])[] = [
  ...[
    ...['snmpget -v2c -c @@ 10.0.0.1', 'curl "https://sms.example/send?u=joe&p=@@"', 'plink -pw @@ host'],
    ...[
      'echo @@ | cryptsetup open /dev/sdb1 data',
      'echo @@ | sudo -S true',
      'printf @@|chpasswd',
      'rclone obscure @@',
    ],
    ...['sendemail -xu joe -xp @@', 'swaks -ap @@', 'xfreerdp /u:joe /p:@@', 'smbclient //nas/x @@ -U joe'],
    ...['snmpget -A @@ -X other', 'mysql -p@@ -e quit', 'sshpass -p @@ ssh nas', 'curl -u joe:@@ https://x.example'],
    ...['curl -H "X-Thing: @@" https://x.example', 'wget --header=@@ x', 'foo --pin @@', 'foo --anything=@@ x'],
    ...['sh -c "login @@"', "sh -c 'a; @@'", 'a && b @@', 'a; @@', 'a $(echo @@)', 'foo=@@ bar', 'foo="x @@ y" bar'],
    ...['mount -o user=joe,x=@@ //nas/x /mnt', 'net use x @@', 'myjob @@', 'ssh joe:@@@host', 'cat >/tmp/x%@@'],
  ].flatMap((command): readonly (readonly [string, string])[] => [
    [`0 2 * * * root ${command}`, 'host/etc/cron.d/x'],
    [`*/5 0-6,22 * jan-mar mon root ${command}`, 'host/etc/crontab'],
    [`@reboot root ${command}`, 'host/etc/anything'],
    [`strange ${command}`, 'host/etc/cron.d/x'],
    [`ExecStart=${command}`, 'host/etc/systemd/system/x.service'],
    [`ExecStartPre = -!${command}`, 'host/etc/systemd/system/x.service.d/y.conf'],
    [`ExecStart=/usr/bin/foo \\\n# note\n  ${command}`, 'host/etc/systemd/system/x.service'],
    [`\tpost-up ${command}`, 'host/etc/network/interfaces'],
    [`down ${command}`, 'host/etc/network/interfaces.d/x'],
    [`  ProxyCommand ${command}`, 'host/etc/ssh/ssh_config'],
    [`Match user joe exec ${command}`, 'host/etc/ssh/sshd_config'],
    [`install foo ${command}`, 'host/etc/modprobe.d/x.conf'],
    [`DPkg::Post-Invoke { "${command.replaceAll('"', '')} x"; };`, 'host/etc/apt/apt.conf.d/x'],
    [`DPkg::Post-Invoke { "x\n ${command.replaceAll('"', '')}\n x"; };`, 'host/etc/apt/apt.conf.d/x'],
    [`kernel.core_pattern=|/usr/bin/x ${command}`, 'host/etc/sysctl.conf'],
    [`# ${command}`, 'host/etc/crontab'],
  ]),
  ...[
    ...['curlftpfs#joe:@@@ftp.example.org /mnt fuse', 'joe:@@@nas:/x /mnt fuse.sshfs x 0 0', 'http://joe:@@@x/ y'],
    ...['deb https://x.example/y?z=@@ bookworm main', 'deb https://x.example/y?@@ bookworm main'],
    ...['//nas/x /mnt cifs user=joe,pass=@@,uid=0 0 0', '//nas/x /mnt cifs username=joe,pw=@@ 0 0', 'password @@'],
    ...['\twpa-psk @@', 'token: @@', 'Environment=A=@@', 'Environment="A=@@" "B=x"', 'ANY_NAME=@@', 'api-key = @@'],
    ...['secret \\\n  @@', 'Environment=A=b \\\n# note\n  C=@@', '-u \\\n  admin:@@', 'password: |\n  @@\n  @@'],
    ...['a 10.0.0.1 # @@', '; @@', '\tcomment @@', 'description: @@', '[secrets]\nx = @@\n[other]', 'ldap pin: @@'],
    ...['-----BEGIN PRIVATE KEY-----\n@@\n-----END PRIVATE KEY-----', 'snmp-community @@'],
  ].map((form) => [form, 'host/etc/fstab'] as const),
];

/** None of these is recognised by how it looks, but the last ones. */
const kinds: readonly (readonly [kind: string, ...secrets: string[]])[] = [
  [
    'a word',
    'hunter2',
    'swordfish',
    'letmein',
    'Geheimnis',
    'passw0rd',
    'my-secret',
    'tokens',
    'SWORDFISH',
    'hunter-two',
    'hunter.two',
    'hunter_2',
  ],
  ['a number', '4711', '271828', '20261127'],
  [
    'what has signs',
    's3cr3t!',
    'sw$rd',
    'sw:rd',
    'sw@rd',
    'sw=rd',
    'sw/rd7',
    '/sw/rd7',
    'sw%rd',
    'sw+rd',
    'sw,rd',
    'säbel',
  ],
  [
    'what looks like something else',
    '-sword',
    '--swo=rd',
    '/p:sword',
    '//sword',
    'vmbr0sword',
    'sword.example',
    '7.sword',
  ],
  ['what a program made', '7K2P-9QRM-XC4V-B2N8', 'Xk29dmQp1', 'deadbeefdeadbeefdeadbeef', 'ghp_1234567890'],
];

/** The forms out of which a secret came. */
function leaked(lines: readonly (readonly [form: string, name: string, secret: string])[], by = script.pathname) {
  const input = join(folder, 'input');
  const all = lines.map(([form, name, secret]) => `\u0001${name}\n${form.replaceAll('@@', () => secret)}\n`);
  writeFileSync(input, all.join(''));
  const text = `set -efu; . "$1"; awk "$_masking"'/^\\001/ { anew(substr($0, 2)); print "\\001"; next } { print masked($0) }' "$2"`;
  const out = execFileSync('/bin/sh', ['-c', text, 'sh', by, input], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const shownOf = out.split('\u0001\n').slice(1);
  expect(shownOf).toHaveLength(lines.length);
  return lines.flatMap(([form, , secret], at) => (shownOf[at]?.includes(secret) ? [`${form}: ${shownOf[at]}`] : []));
}

describe('a secret', () => {
  it('of any form never comes out', () => {
    expect(forms.length).toBeGreaterThanOrEqual(30);
    for (const [form, secret] of forms) {
      // The last `@` that has something before it is the place.
      const text = form.replace(/@(?=@)|@(?!@)(?<!backup@)/, () => secret);
      expect(text, form).toContain(secret);
      const out = shown(text).join('\n');
      expect(out, form).not.toContain(secret);
      expect(out, form).toContain('(masked');
    }
  });

  it('shows by its number that it is another one, and is never hidden with its line', () => {
    expect(changed('password one\nmtu 1500\n', 'password two\nmtu 1500\n')).toEqual([
      '- password (masked 1)',
      '+ password (masked 2)',
    ]);
    expect(changed('password one\n', 'password one\nkey one\n')).toEqual(['+ key (masked 1)']);
  });

  it.each(kinds)('%s never comes out, whatever form it stands in', (_, ...secrets) => {
    const lines = open.flatMap(([form, name]) => secrets.map((secret) => [form, name, secret] as const));
    expect(lines.length).toBeGreaterThanOrEqual(open.length);
    expect(leaked(lines)).toEqual([]);
  });

  // So it is known that the test above sees what comes out, and that each of these is needed.
  it.each([
    ['commands', /function command_at\(line, low,.*\{/, 'smbclient'],
    ['a cron table by its name', /return kind == "cron" &&/, 'myjob'],
    ['who logs in', /function login_at\(word\) \{/, 'curlftpfs'],
    ['what stands behind a question mark', /function query_at\(word\) \{/, 'x.example/y'],
    ['what is piped', /function pipe_at\(line\) \{/, 'core_pattern'],
    ['lines that go on', /function goes_on\(line\) \{/, 'admin'],
    ['names of secrets', /function named_secret\(low,.*\{/, 'wpa-psk'],
    ['texts with blanks', /if \(kind == "quoted" &&/, 'Post-Invoke'],
    ['comments', /if \(isNote\) \{/, '; @@'],
  ])('comes out where the masking of %s is taken away', (_, rule, form) => {
    const without = readFileSync(script, 'utf8').replace(rule, (text) =>
      text.startsWith('function')
        ? `${text} return ${text.includes('command_at') ? -1 : 0};`
        : text.startsWith('return')
          ? 'return 0 &&'
          : text.replace('if (', 'if (0 && '),
    );
    expect(without).not.toBe(readFileSync(script, 'utf8'));
    const changedScript = join(folder, 'without.sh');
    writeFileSync(changedScript, without);
    const lines = open.map(([one, name]) => [one, name, 'hunter2'] as const);
    expect(leaked(lines, changedScript).join('\n')).toContain(form);
  });
});

it.each([
  'auto vmbr0',
  '\taddress 192.168.1.10/24',
  '\tbridge-ports enp1s0f0np0',
  '\tbond-xmit-hash-policy layer2+3',
  '\thwaddress BC:24:11:AA:BB:CC',
  '\tpost-up iptables -A FORWARD -p tcp -d 10.0.0.0/8 --dport 8006 -j ACCEPT',
  'UUID=1234abcd-12ab-34cd-56ef-1234567890ab / ext4 errors=remount-ro 0 1',
  '/dev/pve/swap none swap sw 0 0',
  'deb [signed-by=/etc/apt/keyrings/docker.gpg] https://download.docker.com/linux/debian bookworm stable',
  'PermitRootLogin prohibit-password',
  'PasswordAuthentication no',
  'net.ipv4.ip_forward = 1',
  'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on iommu=pt"',
  '\tcontent iso,backup,vztmpl',
  'scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G',
  'net0: virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,firewall=1',
  'options kvm ignore_msrs=Y',
  'OnCalendar=*-*-* 02:00:00',
  'ExecStart=/usr/sbin/nginx',
  'IN ACCEPT -source 10.0.0.0/8 -p tcp -dport 22',
])('what is no secret is shown: %s', (line) => {
  expect(shown(line)).toEqual([line.replaceAll('\t', ' ')]);
});

it('which files have lines that may be shown is said once, and keys are never among them', () => {
  const text = readFileSync(script, 'utf8');
  const pattern = (name: string) => new RegExp(new RegExp(`readonly ${name}='([^\\n]*)'\\n`).exec(text)?.[1] ?? '');
  const [secret, cluster, open] = [pattern('_secretPaths'), pattern('_clusterTexts'), pattern('_openTexts')];
  const may = (path: string) => !secret.test(path) && (cluster.test(path) || open.test(path));
  for (const path of [
    'fstab',
    'network/interfaces',
    'apt/sources.list.d/pve.list',
    'pve/storage.cfg',
    'pve/firewall/cluster.fw',
    'ssh/sshd_config',
    'systemd/system/x.service',
    'systemd/system/x.service.d/override.conf',
  ])
    expect(may(`host/etc/${path}`), path).toBe(true);
  for (const path of [
    ...[
      'shadow',
      'shadow-',
      'passwd',
      'crypttab',
      'ssh/ssh_host_ed25519_key',
      'pve/priv/storage/nas.pw',
      'pve/priv/token.cfg',
    ],
    ...[
      'pve/user.cfg',
      'pve/domains.cfg',
      'pve/notifications.cfg',
      'pve/sdn/ipams.cfg',
      'pve/pve-www.key',
      'pve/nodes/pve1/pve-ssl.key',
    ],
    ...[
      'apt/auth.conf.d/x',
      'sudoers',
      'sudoers.d/x',
      'cron.d/x/y',
      'systemd/system/keys/x.service',
      'network/interfaces.d/secret.key',
      'iscsi/iscsid.conf',
    ],
    ...['systemd/network/wg0.netdev', 'cron.d/.env', 'modprobe.d/passwords'],
  ])
    expect(may(`host/etc/${path}`), path).toBe(false);
  for (const path of [
    'installation/etc/fstab',
    'volumes/x/host/etc/fstab',
    'host/root/.ssh/config',
    'host/etc/fstab\nx',
  ])
    expect(may(path), path).toBe(false);
});
