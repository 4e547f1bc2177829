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
  const text = `set -efu; _box=$1; printable() { cat; }; . "$2"; changed_lines "$_box/before" "$_box/after"`;
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

  it('never comes out of files put together of anything', () => {
    // The same numbers each time: a failure is found again.
    let state = 20_261_127;
    const random = () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state / 2_147_483_648;
    };
    const plain = [
      'auto lo',
      'iface vmbr0 inet static',
      '\taddress 10.0.0.1/24',
      '',
      '[section]',
      '# note',
      'mtu 1500',
      '  deeper: yes',
    ];
    for (let round = 0; round < 40; round += 1) {
      const secrets: string[] = [];
      const lines = Array.from({ length: 30 }, (_, at) => {
        if (random() < 0.5) return plain[Math.floor(random() * plain.length)] ?? '';
        const [form = ''] = forms[Math.floor(random() * forms.length)] ?? [];
        const secret = `Qx7${Math.floor(random() * 1e9).toString(36)}Z${at}`;
        secrets.push(secret);
        return form.replace(/@(?=@)|@(?!@)(?<!backup@)/, () => secret);
      });
      const out = changed('', `${lines.join('\n')}\n`).join('\n');
      for (const secret of secrets) expect(out, lines.join('\n')).not.toContain(secret);
    }
  }, 60_000);
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
